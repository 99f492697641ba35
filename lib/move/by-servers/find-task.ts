import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { expandSlots, formatRanges, inRanges, nameSlots, toRanges } from '../../model/slot.ts';
import { type Wait, waitUntil } from '../../nodes/wait-until.ts';
import { askSource, askTarget, type Ends } from '../ends.ts';
import type { Dialect } from './dialect.ts';
import type { Task } from './task.ts';
import { type Answer, Watch, whenAnswers } from './watch.ts';

const PAUSE_MS = 100;
const LOOK_MS = 2000;

/**
 * Looks for a migration of these slots that an earlier run began: it serves as well as a new one. Waits while other migrations
 * are in the way, for `atomicTimeout` at most. Resolves to undefined if there is none and nothing is in the way. Rejects with
 * ReplyError if a node refuses to list its migrations.
 */
export async function findTask(
  ends: Ends,
  dialect: Dialect,
  slots: readonly number[],
): Promise<Task | undefined> {
  const watches = [new Watch(ends, dialect, 'source'), new Watch(ends, dialect, 'target')] as const;
  const { signal } = ends.context;
  const wait: Wait = {
    what: 'other slot migrations to end',
    timeoutMs: ends.context.settings.atomicTimeout,
    pauseMs: PAUSE_MS,
    signal,
    emit: ends.context.emit,
  };
  return waitUntil(wait, async () => {
    const answers = await Promise.all([watches[0].look(LOOK_MS, signal), watches[1].look(LOOK_MS, signal)]);
    signal?.throwIfAborted();
    const refusal = answers.map(refusalIn).find((error) => error !== undefined);
    if (refusal) throw refusal;
    const running = answers.flatMap((answer, index) =>
      runningAt(answer).map((task) => ({ task, address: (watches[index] as Watch).address })),
    );
    const own = running.find(({ task }) => task.end === dialect.driver && isOurs(ends, task, slots));
    if (own) return { done: own.task };
    const inTheWay = running.filter(({ task }) => dialect.onePerNode || overlaps(task, slots));
    const isSilent = answers.some(({ tasks }) => tasks === undefined);
    if (inTheWay.length === 0 && !isSilent) return { done: undefined };
    const missing = [
      ...inTheWay.map(({ task, address }) => ({
        address,
        text: `${address} moves ${nameSlots(expandSlots(task.slots))} (${task.state})`,
      })),
      ...watches
        .filter((_, index) => answers[index]?.tasks === undefined)
        .map(({ address }) => ({ address, text: `${address} does not answer` })),
    ];
    const texts = missing.map(({ text }) => text);
    return { missing: texts, giveUp: () => cannotBegin(ends, dialect, texts, missing[0]?.address) };
  });
}

// A node that has just started refuses this for a moment only.
function refusalIn(answer: Answer): ReplyError | undefined {
  if (answer.tasks || !(answer.error instanceof ReplyError)) return undefined;
  return answer.error.code === 'LOADING' ? undefined : answer.error;
}

function runningAt({ tasks = [] }: Answer): Task[] {
  return tasks.filter(({ outcome }) => outcome === 'running');
}

function isOurs({ source, target }: Ends, task: Task, slots: readonly number[]): boolean {
  const wanted = new Set(slots);
  const isPair = task.source === source.id && task.target === target.id;
  return isPair && expandSlots(task.slots).every((slot) => wanted.has(slot));
}

function overlaps(task: Task, slots: readonly number[]): boolean {
  return slots.some((slot) => inRanges(slot, task.slots));
}

function cannotBegin(
  ends: Ends,
  dialect: Dialect,
  missing: readonly string[],
  address = ends.source.address,
): ClusterError {
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot move slots from ${ends.source.address} to ${ends.target.address}: ${missing.join('; ')}`,
    {
      address,
      resumable: 'same-call',
      hint: `Other slots are moving: see CLUSTER ${dialect.list.slice(1).join(' ')} on both nodes`,
      next: [
        { do: 'wait', when: 'moves-done' },
        { do: 'retry', when: 'after-that' },
      ],
    },
  );
}

/**
 * Begins a migration. Resolves to a sentence if the server refuses. After a lost answer, finds out whether it was begun; rejects
 * with ClusterError if it cannot.
 */
export async function begin(ends: Ends, dialect: Dialect, slots: readonly number[]): Promise<Task | string> {
  const ranges = toRanges(slots);
  const ask = dialect.driver === 'source' ? askSource : askTarget;
  const { address } = ends[dialect.driver];
  try {
    const [started, listed] = await ask(ends, [dialect.start(ranges, ends.target.id), dialect.list]);
    if (started instanceof ReplyError) return `${address} refuses: ${started.message}`;
    const task = dialect.readTasks(listed).find((entry) => isOf(ends, dialect, entry, formatRanges(ranges)));
    return task ?? `${address} does not list the migration of ${nameSlots(slots)} that it began`;
  } catch (error) {
    if (!(error instanceof ConnectionError) || error.sent === false) throw error;
    return (await findBegun(ends, dialect, formatRanges(ranges), error)) ?? error.message;
  }
}

function isOf({ source, target }: Ends, dialect: Dialect, task: Task, ranges: string): boolean {
  const isPair = task.source === source.id && task.target === target.id;
  return isPair && task.end === dialect.driver && formatRanges(task.slots) === ranges;
}

// A command in flight when its connection broke may run after the next one that is sent.
const LOOKS_FOR_LOST = 3;
const LOST_MS = 15_000;

async function findBegun(
  ends: Ends,
  dialect: Dialect,
  ranges: string,
  error: ConnectionError,
): Promise<Task | undefined> {
  const watch = new Watch(ends, dialect, dialect.driver);
  let looks = 0;
  const wait = { what: 'a migration that may have begun', timeoutMs: LOST_MS, pauseMs: PAUSE_MS };
  return waitUntil<Task | undefined>(wait, async () => {
    const { tasks } = await watch.look(LOOK_MS);
    if (!tasks) return { missing: [], giveUp: () => mayHaveBegun(ends, dialect, error) };
    const task = tasks.find((entry) => entry.outcome === 'running' && isOf(ends, dialect, entry, ranges));
    looks++;
    return task || looks === LOOKS_FOR_LOST ? { done: task } : { missing: [] };
  });
}

function mayHaveBegun(ends: Ends, dialect: Dialect, cause: ConnectionError): ClusterError {
  const { address } = ends[dialect.driver];
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot move slots from ${ends.source.address} to ${ends.target.address}: ${cause.message}. A migration may be running in the servers`,
    {
      address,
      resumable: 'same-call',
      hint: 'The same call waits for a migration that was begun',
      next: [whenAnswers(address)],
      cause,
    },
  );
}
