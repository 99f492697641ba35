import { spawn } from 'node:child_process';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

/** No file takes a third of this, even on a busy machine: longer means that it hangs. */
const LONGEST_FILE_MS = 360_000;
/** From its last handler until Node.js has ended the process. */
const LONGEST_EXIT_MS = 20_000;

/** The result of the tests of a file. */
export interface Outcome {
  readonly isOk: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly output: string;
  readonly elapsedMs: number;
}

/** Runs a file of tests in a process of its own, which is killed if it does not end on its own. */
export async function runTestFile(path: string, env: NodeJS.ProcessEnv): Promise<Outcome> {
  const started = performance.now();
  const options = [
    '--enable-source-maps',
    '--import',
    './tests/helpers/exit-mark.mjs',
    '--test-reporter=spec',
  ];
  const child = spawn(process.execPath, [...options, path], {
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const marked = new Promise<number>((resolve) => {
    child.stdio[3]?.once('data', (chunk: Buffer) => resolve(Number(chunk)));
  });
  const stop = new AbortController();
  const wait = (ms: number): Promise<null> => delay(ms, null, { signal: stop.signal });
  // V8's threads and Node's main thread wait for each other at the end of a process, once in some hundreds: nodejs/node#54918.
  const stuck = marked.then((status) => wait(LONGEST_EXIT_MS).then(() => status));
  const end = (status: number | null, what: string): number | null => {
    output += `\n${path} ${what}: killed\n`;
    child.kill('SIGKILL');
    for (const stream of child.stdio) stream?.destroy();
    return status;
  };
  const status = await Promise.race([
    closed,
    stuck.then((code) =>
      child.exitCode === null
        ? end(code, 'is done, but Node.js did not end its process')
        : end(null, 'left a process which holds its output'),
    ),
    wait(LONGEST_FILE_MS).then(() => end(null, `did not end within ${LONGEST_FILE_MS / 1000} s`)),
  ]);
  stop.abort();
  const count = (name: string): number => Number(new RegExp(`^ℹ ${name} (\\d+)`, 'm').exec(output)?.[1] ?? 0);
  const [passed, failed, skipped] = [count('pass'), count('fail') + count('cancelled'), count('skipped')];
  return {
    isOk: status === 0 && failed === 0 && passed + skipped > 0,
    passed,
    failed,
    skipped,
    output,
    elapsedMs: performance.now() - started,
  };
}
