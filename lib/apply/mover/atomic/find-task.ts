import { ConnectionError, ReplyError } from '../../../../resp/index.ts';
import { ClusterError } from '../../../errors.ts';
import { expandSlots, formatRanges, formatSlots, toRanges } from '../../../model/slot.ts';
import { askSource, askTarget, type Link } from '../link.ts';
import type { Dialect } from './dialect.ts';
import { atomicTimeout } from './follow.ts';
import type { Task } from './task.ts';
import { pause, type Sight, Watch } from './watch.ts';

const PAUSE_MS = 100;
const REPORT_EVERY_MS = 500;
const LOOK_MS = 2000;

/**
 * Looks for a migration of these slots that an earlier run began and did not see the end of: it is as good as one that
 * is begun now. Waits while other migrations are in the way, for `atomicTimeout` at most.
 * Resolves to undefined where there is none and the way is free. Rejects with ReplyError where a node does not tell.
 */
export async function findTask(
  link: Link,
  dialect: Dialect,
  slots: readonly number[],
): Promise<Task | undefined> {
  const watches = [new Watch(link, dialect, 'source'), new Watch(link, dialect, 'target')] as const;
  const { signal } = link.context;
  const started = performance.now();
  let reported = 0;
  for (;;) {
    const sights = await Promise.all([watches[0].look(LOOK_MS, signal), watches[1].look(LOOK_MS, signal)]);
    signal?.throwIfAborted();
    const refusal = sights.map(refusalIn).find((error) => error !== undefined);
    if (refusal) throw refusal;
    const running = sights.flatMap((sight, index) =>
      runningAt(sight).map((task) => ({ task, address: (watches[index] as Watch).address })),
    );
    const own = running.find(({ task }) => task.end === dialect.driver && isOurs(link, task, slots));
    if (own) return own.task;
    const inTheWay = running.filter(({ task }) => dialect.onePerNode || overlaps(task, slots));
    const isSilent = sights.some(({ tasks }) => tasks === undefined);
    if (inTheWay.length === 0 && !isSilent) return undefined;
    const elapsedMs = performance.now() - started;
    const missing = [
      ...inTheWay.map(({ task, address }) => ({
        address,
        text: `${address} moves slots ${formatSlots(expandSlots(task.slots))} (${task.state})`,
      })),
      ...watches
        .filter((_, index) => sights[index]?.tasks === undefined)
        .map(({ address }) => ({ address, text: `${address} gives no answer` })),
    ];
    const texts = missing.map(({ text }) => text);
    if (elapsedMs >= atomicTimeout(link)) throw cannotBegin(link, dialect, texts, missing[0]?.address);
    if (elapsedMs - reported >= REPORT_EVERY_MS) {
      reported = elapsedMs;
      link.context.emit({ type: 'waiting', what: 'other slot migrations to end', elapsedMs, missing: texts });
    }
    await pause(PAUSE_MS, signal);
  }
}

// What a node that has just started says passes by itself.
function refusalIn(sight: Sight): ReplyError | undefined {
  if (sight.tasks || !(sight.error instanceof ReplyError)) return undefined;
  return sight.error.code === 'LOADING' ? undefined : sight.error;
}

function runningAt({ tasks = [] }: Sight): Task[] {
  return tasks.filter(({ outcome }) => outcome === 'running');
}

function isOurs({ source, target }: Link, task: Task, slots: readonly number[]): boolean {
  const wanted = new Set(slots);
  const isPair = task.source === source.id && task.target === target.id;
  return isPair && expandSlots(task.slots).every((slot) => wanted.has(slot));
}

function overlaps(task: Task, slots: readonly number[]): boolean {
  return slots.some((slot) => task.slots.some(([first, last]) => first <= slot && slot <= last));
}

function cannotBegin(
  link: Link,
  dialect: Dialect,
  missing: readonly string[],
  address = link.source.address,
): ClusterError {
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot move slots from ${link.source.address} to ${link.target.address}: ${missing.join('; ')}`,
    {
      address,
      resumable: true,
      hint: `Somebody else moves slots: wait until that is done, see CLUSTER ${dialect.list.slice(1).join(' ')} on both nodes`,
    },
  );
}

/**
 * Begins a migration. Resolves to a sentence where the server refuses. Where the answer is lost, whether it was begun is
 * found out; rejects with ClusterError where it cannot be.
 */
export async function begin(link: Link, dialect: Dialect, slots: readonly number[]): Promise<Task | string> {
  const ranges = toRanges(slots);
  const ask = dialect.driver === 'source' ? askSource : askTarget;
  const { address } = link[dialect.driver];
  try {
    const [started, listed] = await ask(link, [dialect.start(ranges, link.target.id), dialect.list]);
    if (started instanceof ReplyError) return `${address} refuses: ${started.message}`;
    const task = dialect.readTasks(listed).find((entry) => isOf(link, dialect, entry, formatRanges(ranges)));
    return task ?? `${address} does not list the migration of slots ${formatSlots(slots)} that it has begun`;
  } catch (error) {
    if (!(error instanceof ConnectionError) || error.sent === false) throw error;
    return (await findBegun(link, dialect, formatRanges(ranges), error)) ?? error.message;
  }
}

function isOf({ source, target }: Link, dialect: Dialect, task: Task, ranges: string): boolean {
  const isPair = task.source === source.id && task.target === target.id;
  return isPair && task.end === dialect.driver && formatRanges(task.slots) === ranges;
}

// A command that was on its way when its connection broke may be carried out after the next one that is sent.
const LOOKS_FOR_LOST = 3;
const LOST_MS = 15_000;

async function findBegun(
  link: Link,
  dialect: Dialect,
  ranges: string,
  error: ConnectionError,
): Promise<Task | undefined> {
  const watch = new Watch(link, dialect, dialect.driver);
  const started = performance.now();
  for (let looks = 0; looks < LOOKS_FOR_LOST; await pause(PAUSE_MS)) {
    const { tasks } = await watch.look(LOOK_MS);
    const task = tasks?.find((entry) => entry.outcome === 'running' && isOf(link, dialect, entry, ranges));
    if (task) return task;
    if (tasks) looks++;
    else if (performance.now() - started > LOST_MS) throw mayHaveBegun(link, dialect, error);
  }
  return undefined;
}

function mayHaveBegun(link: Link, dialect: Dialect, cause: ConnectionError): ClusterError {
  const { address } = link[dialect.driver];
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot move slots from ${link.source.address} to ${link.target.address}: ${cause.message}. A migration may be going on in the servers`,
    {
      address,
      resumable: true,
      hint: `Run the same command again when ${address} answers: it waits for a migration that was begun`,
      cause,
    },
  );
}
