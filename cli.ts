#!/usr/bin/env node
// The process is the global one: importing node:process would open all of stdin, stdout and stderr, for what it exports.
import type { Interface } from 'node:readline';
import { asksForVersion, EXIT, UsageError } from './lib/cli/io.ts';
import { VERSION } from './lib/version.ts';

const stop = new AbortController();

// The first signal stops the operation where it leaves nothing half done, the second stops it here.
function onSignal(): void {
  if (stop.signal.aborted) {
    stderr(
      'Stopped at once: slots may be left open. The same command finishes them, and so does redis-trib fix\n',
    );
    process.exit(EXIT.interrupted);
  }
  stderr('\nStopping at a safe point; once more to stop at once\n');
  stop.abort();
}
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

/**
 * Writes as long as that goes. That nobody reads any more, or the disk is full, is no reason to leave a slot half moved: the
 * command goes on, and ends with its own exit code, or with 1 where what it had to say is lost. Opened when there is something to
 * say: that takes a while.
 */
function writer(name: 'stdout' | 'stderr', onLost: (error: NodeJS.ErrnoException) => void) {
  let stream: NodeJS.WriteStream | undefined;
  let isLost = false;
  const lose = (error: NodeJS.ErrnoException): void => {
    if (!isLost) onLost(error);
    isLost = true;
  };
  return (text: string): void => {
    if (isLost) return;
    try {
      stream ??= process[name].on('error', lose);
      stream.write(text);
    } catch (error) {
      // Files are written to at once, and so fail here.
      lose(error as NodeJS.ErrnoException);
    }
  };
}

const stderr = writer('stderr', () => {});
const stdout = writer('stdout', (error) => {
  // A reader that has seen enough, such as head, is no error.
  if (error.code === 'EPIPE') return;
  stderr(`Cannot write the output: ${error.message}\n`);
  process.once('exit', (code) => {
    if (code === EXIT.done) process.exitCode = EXIT.failed;
  });
});

async function askSecret(prompt: string): Promise<string> {
  if (!process.stdin.isTTY) throw new UsageError('Cannot ask for the password: there is no terminal');
  // Only here, as few runs ask for anything: it takes a while to load.
  const [{ createInterface }, { Writable }] = await Promise.all([
    import('node:readline'),
    import('node:stream'),
  ]);
  const muted = new Writable({ write: (_chunk, _encoding, done) => done() });
  // First, so that the terminal shows nothing of what is typed as soon as the prompt is there.
  const lines = createInterface({ input: process.stdin, output: muted, terminal: true });
  stderr(prompt);
  return new Promise<string>((resolve, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason), { once: true });
    // The terminal is in raw mode meanwhile: Ctrl-C comes as a character, and Ctrl-D as the end.
    lines.once('SIGINT', () => stop.abort());
    lines.once('line', resolve);
    lines.once('close', () => reject(new UsageError('No password was given')));
  }).finally(() => {
    lines.close();
    stderr('\n');
  });
}

let reader: Interface | undefined;
let answers: AsyncIterator<string> | undefined;

// One reader for all questions: the lines of a pipe that it took in with the first answer are those of the next ones.
async function ask(question: string): Promise<string | undefined> {
  reader ??= (await import('node:readline')).createInterface({ input: process.stdin });
  answers ??= reader[Symbol.asyncIterator]();
  stderr(question);
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason), { once: true });
  });
  const { value, done } = await Promise.race([answers.next(), stopped]);
  return done ? undefined : value;
}

async function run(words: readonly string[]): Promise<number> {
  const { main } = await import('./lib/cli/main.ts');
  return main(words, {
    stdout,
    stderr,
    env: process.env,
    isTerminal: () => process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    // A terminal that was never told its size says 0.
    columns: () => process.stderr.columns || 80,
    askSecret,
    canAsk: () => process.stdin.isTTY === true,
    ask,
    signal: stop.signal,
  });
}

const words = process.argv.slice(2);
// All else would take longer to load than to answer.
if (asksForVersion(words)) stdout(`${VERSION}\n`);
else process.exitCode = await run(words);
process.off('SIGINT', onSignal);
process.off('SIGTERM', onSignal);
reader?.close();
