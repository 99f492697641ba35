import { ConnectionError } from '../../../../resp/index.ts';
import { messageOf } from '../../../errors.ts';
import type { Link } from '../link.ts';
import type { Progress } from '../progress.ts';
import { callOff, clearFailed } from './call-off.ts';
import type { Dialect } from './dialect.ts';
import { type Ending, endingOf, entriesOf } from './ending.ts';
import type { Task } from './task.ts';
import { pause, type Sight, Watch } from './watch.ts';

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 250;
/** A migration is looked at after pauses of this part of the time it has taken: so much later at most its end is seen. */
const PAUSE_SHARE = 0.04;
/** A node that gives no answer holds up the look at the other for so long. */
const LOOK_MS = 1000;
/** Nothing listens at the node's address, or cannot be reached: for so long it may be about to come back. */
const LOST_MS = 5000;
/** Milliseconds without progress after which a migration is cancelled. */
const DEFAULT_TIMEOUT_MS = 60_000;
/** Memory of the target grows for other reasons too: less than this is no sign of progress. */
const GROWTH_BYTES = 65_536;

/** Milliseconds a migration may be without progress. */
export function atomicTimeout({ context }: Link): number {
  return context.options.atomicTimeout ?? DEFAULT_TIMEOUT_MS;
}

/**
 * Waits for the end of a migration. Cancels it when the signal aborts, when it makes no progress for too long, when a
 * node is lost, or when the server has tried again too often; it is over then, or done after all.
 * Rejects with ClusterError where it could not be cancelled.
 */
export async function follow(link: Link, dialect: Dialect, task: Task, progress: Progress): Promise<Ending> {
  const ending = await waitForEnd(link, dialect, task, progress);
  if (ending.type === 'failed') await clearFailed(link, dialect, task);
  return ending;
}

async function waitForEnd(link: Link, dialect: Dialect, task: Task, progress: Progress): Promise<Ending> {
  const { signal } = link.context;
  const [source, target] = [new Watch(link, dialect, 'source'), new Watch(link, dialect, 'target')];
  const signs = new Signs(task);
  const started = performance.now();
  for (;;) {
    const lookMs = Math.min(LOOK_MS, atomicTimeout(link));
    const sights = await Promise.all([source.look(lookMs, signal), target.look(lookMs, signal)]);
    const ending = endingOf(task, sights);
    if (ending) return ending;
    signs.see(sights);
    if (signs.state !== '') progress.reached(signs.state);
    const why = signal?.aborted ? 'it was called off' : reasonToStop(link, dialect, signs);
    if (why !== undefined) return callOff(link, dialect, task, [source, target], why);
    const pauseMs = PAUSE_SHARE * (performance.now() - started);
    await pause(Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pauseMs)), signal);
  }
}

function reasonToStop(link: Link, dialect: Dialect, signs: Signs): string | undefined {
  if (dialect.mostRetries > 0 && signs.retries >= dialect.mostRetries) {
    return `the servers tried ${signs.retries + 1} times: ${signs.error}`;
  }
  for (const [index, end] of (['source', 'target'] as const).entries()) {
    const lost = signs.lost[index];
    if (lost && performance.now() - lost.since >= Math.min(LOST_MS, atomicTimeout(link))) {
      return `${link[end].address} gives no answer: ${messageOf(lost.error)}`;
    }
  }
  const idleMs = performance.now() - signs.movedAt;
  if (idleMs < atomicTimeout(link)) return undefined;
  return `no progress for ${Math.round(idleMs / 100) / 10} s, at "${signs.state || 'no answer'}"`;
}

/** What shows that a migration goes on. An end that gives no answer shows nothing new. */
class Signs {
  readonly #task: Task;
  readonly #marks: [string, string] = ['', ''];
  #first: Task | undefined;
  #memory: { readonly first: number; readonly most: number } | undefined;
  #mostGrowth = 0;
  /** When there was progress last. */
  movedAt: number = performance.now();
  /** What the servers say they are at, the target's word first. */
  state = '';
  error = '';
  /** How often the server has tried again since the first look. */
  retries = 0;
  /** By end: since when nothing is reached at its address. */
  readonly lost: [Lost | undefined, Lost | undefined] = [undefined, undefined];

  constructor(task: Task) {
    this.#task = task;
  }

  see(sights: readonly [Sight, Sight]): void {
    const entries = entriesOf(this.#task, sights);
    for (const index of [0, 1] as const) {
      const sight = sights[index];
      this.lost[index] = isLost(sight)
        ? (this.lost[index] ?? { since: performance.now(), error: sight.error })
        : undefined;
      if (!sight.tasks) continue;
      const mark = entries[index]?.mark ?? '';
      if (mark !== this.#marks[index]) this.movedAt = performance.now();
      this.#marks[index] = mark;
    }
    const [source, target] = entries;
    this.state = target?.state ?? source?.state ?? this.state;
    this.error = target?.error || source?.error || this.error;
    const told = target ?? source;
    this.#first ??= told;
    if (told && this.#first) this.retries = Math.max(this.retries, told.retries - this.#first.retries);
    this.#seeMemory(sights);
  }

  // What the source holds is the most that can arrive: growth beyond that is of other clients' doing, and would
  // otherwise hide for ever that nothing comes.
  #seeMemory([source, target]: readonly [Sight, Sight]): void {
    if (!target.tasks) return;
    if (source.tasks) this.#mostGrowth = Math.max(this.#mostGrowth, 2 * source.usedMemory);
    const { usedMemory } = target;
    this.#memory ??= { first: usedMemory, most: usedMemory };
    const { first, most } = this.#memory;
    if (usedMemory < most + GROWTH_BYTES) return;
    this.#memory = { first, most: usedMemory };
    if (usedMemory - first <= this.#mostGrowth) this.movedAt = performance.now();
  }
}

interface Lost {
  readonly since: number;
  readonly error: Error;
}

// A node that is busy or frozen answers late: only the timeout decides about it.
function isLost(sight: Sight): sight is Sight & { error: Error } {
  return !sight.tasks && sight.error instanceof ConnectionError && sight.error.code !== 'TIMEOUT';
}
