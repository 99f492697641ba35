import { ConnectionError } from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import { waitUntil } from '../../nodes/wait-until.ts';
import type { Ends } from '../ends.ts';
import type { Progress } from '../progress.ts';
import { callOff, clearFailed } from './call-off.ts';
import type { Dialect } from './dialect.ts';
import { type Ending, endingOf, entriesOf } from './ending.ts';
import type { Task } from './task.ts';
import { type Answer, Watch } from './watch.ts';

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 250;
/** The pause between looks, as a part of the time that the migration has taken: its end is noticed at most that much later. */
const PAUSE_SHARE = 0.04;
/** How long a node that does not answer may delay the look at the other. */
const LOOK_MS = 1000;
/** How long a node may be unreachable, or not listening, before it counts as lost: it may be about to come back. */
const LOST_MS = 5000;
/** The target's memory grows for other reasons too: less than this is not progress. */
const GROWTH_BYTES = 65_536;

/**
 * Waits for the end of a migration. Cancels it when the signal aborts, when it makes no progress for too long, when a node is
 * lost, or when the server has retried too often. It is then over, or has succeeded after all. Rejects with ClusterError if it
 * could not be cancelled. Rule 29 (docs/moving-slots.md).
 * `partAt` tells by the memory of the target how far it is, unless something had arrived before.
 */
export async function follow(
  ends: Ends,
  dialect: Dialect,
  task: Task,
  progress: Progress,
  partAt?: (usedMemory: number) => number,
): Promise<Ending> {
  const { signal } = ends.context;
  const [source, target] = [new Watch(ends, dialect, 'source'), new Watch(ends, dialect, 'target')];
  const signs = new Signs(task);
  const pauseMs = (elapsedMs: number): number =>
    Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, PAUSE_SHARE * elapsedMs));
  const wait = { what: 'the servers to move slots', pauseMs, wakeSignal: signal };
  const ending = await waitUntil<Ending>(wait, async () => {
    const lookMs = Math.min(LOOK_MS, ends.context.settings.atomicTimeout);
    const answers = await Promise.all([source.look(lookMs, signal), target.look(lookMs, signal)]);
    const ending = endingOf(task, answers);
    if (ending) return { done: ending };
    signs.see(answers);
    if (partAt && answers[1].tasks) progress.arriving(partAt(answers[1].usedMemory));
    if (signs.state !== '') progress.reached(signs.state);
    const why = signal?.aborted ? 'it was called off' : reasonToStop(ends, dialect, signs);
    if (why !== undefined) return { done: await callOff(ends, dialect, task, [source, target], why) };
    return { missing: [] };
  });
  if (ending.type === 'failed') await clearFailed(ends, dialect, task);
  return ending;
}

function reasonToStop(ends: Ends, dialect: Dialect, signs: Signs): string | undefined {
  const { atomicTimeout } = ends.context.settings;
  if (dialect.mostRetries > 0 && signs.retries >= dialect.mostRetries) {
    return `the servers tried ${signs.retries + 1} times: ${signs.error}`;
  }
  for (const [index, end] of (['source', 'target'] as const).entries()) {
    const lost = signs.lost[index];
    if (lost && performance.now() - lost.since >= Math.min(LOST_MS, atomicTimeout)) {
      return `${ends[end].address} does not answer: ${messageOf(lost.error)}`;
    }
  }
  const idleMs = performance.now() - signs.movedAt;
  if (idleMs < atomicTimeout) return undefined;
  return `no progress for ${Math.round(idleMs / 100) / 10} s, at "${signs.state || 'no answer'}"`;
}

/** What shows that a migration makes progress. An end that does not answer shows nothing new. */
class Signs {
  readonly #task: Task;
  readonly #marks: [string, string] = ['', ''];
  #first: Task | undefined;
  #memory: { readonly first: number; readonly most: number } | undefined;
  #mostGrowth = 0;
  /** The time of the last progress. */
  movedAt: number = performance.now();
  /** The state that the servers report; the target's takes precedence. */
  state = '';
  error = '';
  /** How often the server has retried since the first look. */
  retries = 0;
  /** By end: since when nothing could be reached at its address. */
  readonly lost: [Lost | undefined, Lost | undefined] = [undefined, undefined];

  constructor(task: Task) {
    this.#task = task;
  }

  see(answers: readonly [Answer, Answer]): void {
    const entries = entriesOf(this.#task, answers);
    for (const index of [0, 1] as const) {
      const answer = answers[index];
      this.lost[index] = isLost(answer)
        ? (this.lost[index] ?? { since: performance.now(), error: answer.error })
        : undefined;
      if (!answer.tasks) continue;
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
    this.#seeMemory(answers);
  }

  // At most what the source holds can arrive. Growth beyond that comes from other clients, and would otherwise hide for ever that
  // nothing arrives.
  #seeMemory([source, target]: readonly [Answer, Answer]): void {
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

// A busy or frozen node answers late: only the timeout decides about it.
function isLost(answer: Answer): answer is Answer & { error: Error } {
  return !answer.tasks && answer.error instanceof ConnectionError && answer.error.code !== 'TIMEOUT';
}
