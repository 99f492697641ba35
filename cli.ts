#!/usr/bin/env node
import process from 'node:process';
import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import { UsageError } from './lib/cli/io.ts';
import { EXIT, main } from './lib/cli/main.ts';

const stop = new AbortController();

// The first signal stops the operation where it leaves nothing half done, the second stops it here.
function onSignal(): void {
  if (stop.signal.aborted) process.exit(EXIT.interrupted);
  process.stderr.write('\nStopping at a safe point; once more to stop at once\n');
  stop.abort();
}
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

// A reader that has seen enough, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode ?? EXIT.done);
});
// Nor is one that does not want to know of progress.
process.stderr.on('error', () => {});

function askSecret(prompt: string): Promise<string> {
  if (!process.stdin.isTTY)
    return Promise.reject(new UsageError('Cannot ask for the password: there is no terminal'));
  const muted = new Writable({ write: (_chunk, _encoding, done) => done() });
  // First, so that the terminal shows nothing of what is typed as soon as the prompt is there.
  const lines = createInterface({ input: process.stdin, output: muted, terminal: true });
  process.stderr.write(prompt);
  return new Promise((resolve, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason), { once: true });
    // The terminal is in raw mode meanwhile: Ctrl-C comes as a character, and Ctrl-D as the end.
    lines.once('SIGINT', () => stop.abort());
    lines.once('line', resolve);
    lines.once('close', () => reject(new UsageError('No password was given')));
  }).finally(() => {
    lines.close();
    process.stderr.write('\n');
  }) as Promise<string>;
}

let reader: Interface | undefined;
let answers: AsyncIterator<string> | undefined;

// One reader for all questions: the lines of a pipe that it took in with the first answer are those of the next ones.
async function ask(question: string): Promise<string | undefined> {
  reader ??= createInterface({ input: process.stdin });
  answers ??= reader[Symbol.asyncIterator]();
  process.stderr.write(question);
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason), { once: true });
  });
  const { value, done } = await Promise.race([answers.next(), stopped]);
  return done ? undefined : value;
}

process.exitCode = await main(process.argv.slice(2), {
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  env: process.env,
  isTerminal: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
  // A terminal that was never told its size says 0.
  columns: () => process.stderr.columns || 80,
  askSecret,
  canAsk: process.stdin.isTTY === true,
  ask,
  signal: stop.signal,
});
process.off('SIGINT', onSignal);
process.off('SIGTERM', onSignal);
reader?.close();
