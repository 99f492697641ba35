import type { Io } from '../../lib/cli/io.ts';
import { main } from '../../lib/cli/main.ts';
import { assertOutput } from './printed.ts';

/** What a command line printed, and its exit code. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process, without a terminal unless `io` says otherwise. */
export async function runMain(argv: readonly string[], io: Partial<Io> = {}): Promise<Ran> {
  let [stdout, stderr] = ['', ''];
  const code = await main(argv, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    env: {},
    isTerminal: () => false,
    columns: () => 80,
    askSecret: () => Promise.reject(new Error('There is no terminal')),
    canAsk: () => false,
    ask: () => Promise.reject(new Error('There is no terminal')),
    signal: new AbortController().signal,
    ...io,
  });
  await assertOutput(argv, stdout);
  return { code, stdout, stderr };
}
