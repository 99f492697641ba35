import { setTimeout as sleep } from 'node:timers/promises';
import { ReplyError } from '../../../../resp/index.ts';
import { ClusterError } from '../../../errors.ts';
import { expandSlots, formatRanges, formatSlots, toRanges } from '../../../model/slot.ts';
import { askSource, askTarget, type Link } from '../link.ts';
import type { Dialect } from './dialect.ts';
import { atomicTimeout } from './follow.ts';
import type { Task } from './task.ts';
import { type Sight, Watch } from './watch.ts';

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
  const started = performance.now();
  let reported = 0;
  for (;;) {
    link.context.signal?.throwIfAborted();
    const sights = await Promise.all([watches[0].look(LOOK_MS), watches[1].look(LOOK_MS)]);
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
      ...inTheWay.map(
        ({ task, address }) => `${address} moves slots ${formatRanges(task.slots)} (${task.state})`,
      ),
      ...watches
        .filter((_, index) => sights[index]?.tasks === undefined)
        .map(({ address }) => `${address} gives no answer`),
    ];
    if (elapsedMs >= atomicTimeout(link)) throw cannotBegin(link, dialect, missing, watches[1].address);
    if (elapsedMs - reported >= REPORT_EVERY_MS) {
      reported = elapsedMs;
      link.context.emit({ type: 'waiting', what: 'other slot migrations to end', elapsedMs, missing });
    }
    await sleep(PAUSE_MS);
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
  address: string,
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

/** Begins a migration. Resolves to a sentence where the server refuses. */
export async function begin(link: Link, dialect: Dialect, slots: readonly number[]): Promise<Task | string> {
  const ranges = toRanges(slots);
  const ask = dialect.driver === 'source' ? askSource : askTarget;
  const [started, listed] = await ask(link, [dialect.start(ranges, link.target.id), dialect.list]);
  const address = link[dialect.driver].address;
  if (started instanceof ReplyError) return `${address} refuses: ${started.message}`;
  const text = formatRanges(ranges);
  const task = dialect
    .readTasks(listed)
    .find(
      ({ end, source, target, slots: its }) =>
        end === dialect.driver &&
        source === link.source.id &&
        target === link.target.id &&
        formatRanges(its) === text,
    );
  return task ?? `${address} does not list the migration of slots ${formatSlots(slots)} that it has begun`;
}
