import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import { ClusterError, messageOf } from '../../errors.ts';
import { formatAddress } from '../../model/address.ts';
import { expandSlots, formatSlots, nameSlots } from '../../model/slot.ts';
import { type Done, waitUntil } from '../../nodes/wait-until.ts';
import { askSource, askTarget, type Ends } from '../ends.ts';
import type { Dialect } from './dialect.ts';
import { type Ending, endingOf, entriesOf } from './ending.ts';
import type { Task } from './task.ts';
import { type Answer, type Watch, whenAnswers, within } from './watch.ts';

const PAUSE_MS = 50;
const LOOK_MS = 500;
/** How long to keep asking the node that must cancel. */
const CANCEL_MS = 10_000;
/** How long the other node may take to notice. */
const NOTICE_MS = 3000;
const CLEAR_MS = 2000;

/**
 * Cancels a migration, and waits until both ends report that it is over, or only the driving node if the other does not answer.
 * It may turn out to have succeeded. Rejects with ClusterError if the driving node cannot be told.
 * Rule 29 (docs/moving-slots.md).
 */
export async function callOff(
  ends: Ends,
  dialect: Dialect,
  task: Task,
  watches: readonly [Watch, Watch],
  why: string,
): Promise<Ending> {
  const cancel = new Cancel(ends, dialect, task);
  const failed: Done<Ending> = { done: { type: 'failed', reason: why } };
  let overAt: number | undefined;
  const wait = { what: 'a migration to be cancelled', timeoutMs: CANCEL_MS, pauseMs: PAUSE_MS };
  return waitUntil<Ending>(wait, async () => {
    const answers = await lookAtBoth(watches);
    const ending = endingOf(task, answers);
    if (ending) return ending.type === 'done' ? { done: ending } : failed;
    if (isOver(task, dialect, answers)) overAt ??= performance.now();
    else await cancel.ask(answers);
    if (overAt === undefined) {
      return { missing: [], giveUp: () => mayGoOn(ends, dialect, task, why, cancel.error) };
    }
    return performance.now() - overAt >= NOTICE_MS ? failed : { missing: [] };
  });
}

/** Makes the source drop a failed migration: it would not let its slots move in another way. */
export async function clearFailed(ends: Ends, dialect: Dialect, task: Task): Promise<void> {
  if (!dialect.sourceKeepsFailed) return;
  // If the source does not answer, the move cannot continue anyway.
  await within(
    askSource(ends, [dialect.cancel(task.id)]).catch(() => undefined),
    CLEAR_MS,
  );
}

async function lookAtBoth([source, target]: readonly [Watch, Watch]): Promise<[Answer, Answer]> {
  return Promise.all([source.look(LOOK_MS), target.look(LOOK_MS)]);
}

// Migrations are kept in memory only: if nothing listens any more, there is none.
function isOver(task: Task, dialect: Dialect, answers: readonly [Answer, Answer]): boolean {
  const index = dialect.driver === 'source' ? 0 : 1;
  const answer = answers[index];
  if (!answer.tasks) return answer.error instanceof ConnectionError && answer.error.code === 'ECONNREFUSED';
  return entriesOf(task, answers)[index]?.outcome !== 'running';
}

/** Tells the driving node to cancel, and repeats it only once it has answered. */
class Cancel {
  readonly #ends: Ends;
  readonly #dialect: Dialect;
  readonly #task: Task;
  #asking: Promise<void> | undefined;
  #warned = false;
  /** Why the last attempt failed. */
  error: Error | undefined;

  constructor(ends: Ends, dialect: Dialect, task: Task) {
    this.#ends = ends;
    this.#dialect = dialect;
    this.#task = task;
  }

  async ask([{ tasks = [] }]: readonly [Answer, Answer]): Promise<void> {
    if (this.#dialect.name === 'valkey') this.#warnOfOthers(tasks);
    this.#asking ??= this.#send().finally(() => {
      this.#asking = undefined;
    });
    await within(this.#asking, LOOK_MS);
  }

  async #send(): Promise<void> {
    const ask = this.#dialect.driver === 'source' ? askSource : askTarget;
    try {
      const [reply] = await ask(this.#ends, [this.#dialect.cancel(this.#task.id)]);
      if (reply instanceof ReplyError) this.error = reply;
    } catch (error) {
      this.error = error as Error;
    }
  }

  #warnOfOthers(tasks: readonly Task[]): void {
    const { id, end } = this.#task;
    const others = tasks.filter((task) => task.outcome === 'running' && task.id !== id && task.end === end);
    if (this.#warned || others.length === 0) return;
    this.#warned = true;
    const { context, source } = this.#ends;
    const slots = formatSlots(expandSlots(others.flatMap(({ slots }) => slots)));
    context.emit({
      type: 'warning',
      node: source.address,
      message: `${source.address} also gives away slots ${slots}: the server cancels that too`,
    });
  }
}

function mayGoOn(
  ends: Ends,
  dialect: Dialect,
  task: Task,
  why: string,
  error: Error | undefined,
): ClusterError {
  const { source, target } = ends;
  const driver = ends[dialect.driver];
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot cancel the migration of ${nameSlots(expandSlots(task.slots))} from ${source.address} to ${target.address} (${why}): ` +
      `${driver.address} ${error ? `says: ${messageOf(error)}` : 'does not answer'}. It may still be running in the servers`,
    {
      address: driver.address,
      resumable: 'same-call',
      next: [
        whenAnswers(driver.address),
        {
          do: 'command',
          node: formatAddress(dialect.driver === 'source' ? ends.sourceAddress : ends.targetAddress),
          command: dialect.cancel(task.id).map(String),
        },
      ],
      ...(error ? { cause: error } : {}),
    },
  );
}
