import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from '../../../../resp/index.ts';
import { askSource, askTarget, type Link } from '../link.ts';
import type { Dialect } from './dialect.ts';
import type { End, Task } from './task.ts';

/** What one end told when it was looked at: its migrations, or that it gives no answer, and why if that is known. */
export type Sight =
  | { readonly tasks: readonly Task[]; readonly usedMemory: number }
  | { readonly tasks: undefined; readonly error: Error | undefined };

const SILENT: Sight = { tasks: undefined, error: undefined };

/** Looks at one end again and again. An end that has not answered yet is not asked once more. */
export class Watch {
  readonly end: End;
  readonly address: string;
  readonly #ask: () => Promise<Sight>;
  #asking: Promise<Sight> | undefined;

  constructor(link: Link, dialect: Dialect, end: End) {
    this.end = end;
    this.address = link[end].address;
    this.#ask = () => ask(link, dialect, end);
  }

  /** Never rejects. Waits so many milliseconds at most, and no longer than until the signal aborts. */
  async look(withinMs: number, signal?: AbortSignal): Promise<Sight> {
    this.#asking ??= this.#ask()
      .catch((error: Error): Sight => ({ tasks: undefined, error }))
      .finally(() => {
        this.#asking = undefined;
      });
    return (await within(this.#asking, withinMs, signal)) ?? SILENT;
  }
}

async function ask(link: Link, dialect: Dialect, end: End): Promise<Sight> {
  const commands: Command[] = [dialect.list, ['INFO', 'memory']];
  const [list, memory] = await (end === 'source' ? askSource : askTarget)(link, commands);
  return {
    tasks: dialect.readTasks(list),
    usedMemory: Number(/^used_memory:(\d+)/m.exec(String(memory))?.[1] ?? 0),
  };
}

/** What a promise resolves to, or undefined when the time is over or the signal aborts before. */
export async function within<Result>(
  promise: Promise<Result>,
  ms: number,
  signal?: AbortSignal,
): Promise<Result | undefined> {
  const settled = new AbortController();
  const stop = signal ? AbortSignal.any([signal, settled.signal]) : settled.signal;
  try {
    return await Promise.race([promise, pause(ms, stop)]);
  } finally {
    settled.abort();
  }
}

/** Sleeps so many milliseconds, or until the signal aborts. Never rejects. */
export async function pause(ms: number, signal?: AbortSignal): Promise<undefined> {
  return sleep(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}
