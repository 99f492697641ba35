import { ConnectionError, ReplyError } from '../../../../resp/index.ts';
import { ClusterError, messageOf } from '../../../errors.ts';
import { expandSlots, formatSlots } from '../../../model/slot.ts';
import { askSource, askTarget, type Link } from '../link.ts';
import type { Dialect } from './dialect.ts';
import { type Ending, endingOf, entriesOf } from './ending.ts';
import type { Task } from './task.ts';
import { pause, type Sight, type Watch, within } from './watch.ts';

const PAUSE_MS = 50;
const LOOK_MS = 500;
/** For so long the node that has to cancel is asked to. */
const CANCEL_MS = 10_000;
/** For so long the other one may take to notice. */
const NOTICE_MS = 3000;
const CLEAR_MS = 2000;

/**
 * Cancels a migration, and waits until both ends say that it is over, or only the one that drives it where the other
 * does not answer. It may turn out to be done. Rejects with ClusterError where the driving node cannot be told.
 */
export async function callOff(
  link: Link,
  dialect: Dialect,
  task: Task,
  watches: readonly [Watch, Watch],
  why: string,
): Promise<Ending> {
  const started = performance.now();
  const cancel = new Cancel(link, dialect, task);
  let overAt: number | undefined;
  for (;;) {
    const sights = await lookAtBoth(watches);
    const ending = endingOf(task, sights);
    if (ending) return ending.type === 'done' ? ending : { type: 'failed', reason: why };
    if (isOver(task, dialect, sights)) overAt ??= performance.now();
    else await cancel.ask(sights);
    const now = performance.now();
    if (overAt !== undefined && now - overAt >= NOTICE_MS) return { type: 'failed', reason: why };
    if (overAt === undefined && now - started >= CANCEL_MS) {
      throw mayGoOn(link, dialect, task, why, cancel.error);
    }
    await pause(PAUSE_MS);
  }
}

/** Makes the source forget a migration that failed: it would not let its slots be moved in another way. */
export async function clearFailed(link: Link, dialect: Dialect, task: Task): Promise<void> {
  if (!dialect.sourceKeepsFailed) return;
  // Where the source gives no answer there is nothing to go on with anyway.
  await within(
    askSource(link, [dialect.cancel(task.id)]).catch(() => undefined),
    CLEAR_MS,
  );
}

async function lookAtBoth([source, target]: readonly [Watch, Watch]): Promise<[Sight, Sight]> {
  return Promise.all([source.look(LOOK_MS), target.look(LOOK_MS)]);
}

// Migrations are kept in memory only: where nothing listens any more there is none.
function isOver(task: Task, dialect: Dialect, sights: readonly [Sight, Sight]): boolean {
  const index = dialect.driver === 'source' ? 0 : 1;
  const sight = sights[index];
  if (!sight.tasks) return sight.error instanceof ConnectionError && sight.error.code === 'ECONNREFUSED';
  return entriesOf(task, sights)[index]?.outcome !== 'running';
}

/** Tells the driving node to cancel, again only when it has answered. */
class Cancel {
  readonly #link: Link;
  readonly #dialect: Dialect;
  readonly #task: Task;
  #asking: Promise<void> | undefined;
  #warned = false;
  /** Why the last try was in vain. */
  error: Error | undefined;

  constructor(link: Link, dialect: Dialect, task: Task) {
    this.#link = link;
    this.#dialect = dialect;
    this.#task = task;
  }

  async ask([{ tasks = [] }]: readonly [Sight, Sight]): Promise<void> {
    if (this.#dialect.name === 'valkey') this.#warnOfOthers(tasks);
    this.#asking ??= this.#send().finally(() => {
      this.#asking = undefined;
    });
    await within(this.#asking, LOOK_MS);
  }

  async #send(): Promise<void> {
    const ask = this.#dialect.driver === 'source' ? askSource : askTarget;
    try {
      const [reply] = await ask(this.#link, [this.#dialect.cancel(this.#task.id)]);
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
    const { context, source } = this.#link;
    const slots = formatSlots(expandSlots(others.flatMap(({ slots }) => slots)));
    context.emit({
      type: 'warning',
      node: source.address,
      message: `${source.address} also gives away slots ${slots}: the server cancels that too`,
    });
  }
}

function mayGoOn(
  link: Link,
  dialect: Dialect,
  task: Task,
  why: string,
  error: Error | undefined,
): ClusterError {
  const { source, target } = link;
  const driver = link[dialect.driver];
  const { host, port } = dialect.driver === 'source' ? link.sourceAddress : link.targetAddress;
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot cancel the migration of slots ${formatSlots(expandSlots(task.slots))} from ${source.address} to ${target.address} (${why}): ` +
      `${driver.address} ${error ? `says: ${messageOf(error)}` : 'gives no answer'}. It may still be going on in the servers`,
    {
      address: driver.address,
      resumable: true,
      hint:
        `Run the same command again when ${driver.address} answers, or cancel it by hand: ` +
        `${dialect.name}-cli -h ${host} -p ${port} ${dialect.cancel(task.id).join(' ')}`,
      ...(error ? { cause: error } : {}),
    },
  );
}
