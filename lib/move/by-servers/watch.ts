import type { Command } from '../../../resp/index.ts';
import type { Next } from '../../model/next.ts';
import { eitherSignal } from '../../nodes/abort.ts';
import { pause } from '../../nodes/wait-until.ts';
import { askSource, askTarget, type Ends } from '../ends.ts';
import type { Dialect } from './dialect.ts';
import type { End, Task } from './task.ts';

/** What one end reported at a look: its migrations or, if it does not answer, the reason if that is known. */
export type Answer =
  | { readonly tasks: readonly Task[]; readonly usedMemory: number }
  | { readonly tasks: undefined; readonly error: Error | undefined };

const SILENT: Answer = { tasks: undefined, error: undefined };

/** What to do about an end that does not answer: the same call finds a migration that goes on, or has ended. */
export function whenAnswers(node: string): Next {
  return { do: 'retry', node, when: 'answers' };
}

/** Looks at one end repeatedly. An end that has not answered yet is not asked again. */
export class Watch {
  readonly end: End;
  readonly address: string;
  readonly #ask: () => Promise<Answer>;
  #asking: Promise<Answer> | undefined;

  constructor(ends: Ends, dialect: Dialect, end: End) {
    this.end = end;
    this.address = ends[end].address;
    this.#ask = () => ask(ends, dialect, end);
  }

  /** Never rejects. Waits at most this long, and only until the signal aborts. */
  async look(withinMs: number, signal?: AbortSignal): Promise<Answer> {
    this.#asking ??= this.#ask()
      .catch((error: Error): Answer => ({ tasks: undefined, error }))
      .finally(() => {
        this.#asking = undefined;
      });
    return (await within(this.#asking, withinMs, signal)) ?? SILENT;
  }
}

async function ask(ends: Ends, dialect: Dialect, end: End): Promise<Answer> {
  const commands: Command[] = [dialect.list, ['INFO', 'memory']];
  const [list, memory] = await (end === 'source' ? askSource : askTarget)(ends, commands);
  return {
    tasks: dialect.readTasks(list),
    usedMemory: Number(/^used_memory:(\d+)/m.exec(String(memory))?.[1] ?? 0),
  };
}

/** What a promise resolves to, or undefined if the time is up or the signal aborts first. */
export async function within<Result>(
  promise: Promise<Result>,
  ms: number,
  signal?: AbortSignal,
): Promise<Result | undefined> {
  const settled = new AbortController();
  const stop = eitherSignal(signal, settled.signal);
  try {
    return await Promise.race([promise, pause(ms, stop)]);
  } finally {
    settled.abort();
  }
}
