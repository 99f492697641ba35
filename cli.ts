#!/usr/bin/env node
// The global process: importing node:process would open stdin, stdout and stderr.
import type { Interface } from 'node:readline';
import { asksForVersion, EXIT, UsageError } from './lib/cli/io.ts';
import { VERSION } from './lib/version.ts';

const words = process.argv.slice(2);
const stop = new AbortController();

// A picture that fills the terminal is ended by a signal, and has no place for a text.
const isLive = words[0] === 'top';
// It moves nothing, and says itself how it ended.
const isDemo = words[0] === 'demo';

// True while a question waits for its answer: nothing has begun that would have to stop at a safe point.
let isAsking = false;

async function whileAsking<Answer>(answer: Promise<Answer>): Promise<Answer> {
  isAsking = true;
  return answer.finally(() => {
    isAsking = false;
  });
}

// The first signal stops the operation at a safe point, the second stops the process immediately.
function onSignal(): void {
  if (stop.signal.aborted) {
    if (!isLive && !isDemo) stderr(`Stopped immediately. Slots may still be open: ${finishing()}\n`);
    process.exit(EXIT.interrupted);
  }
  const text = isAsking || isDemo ? '\n' : '\nStopping at a safe point. A second signal stops immediately\n';
  // First, so that a picture which fills the terminal is gone.
  stop.abort();
  if (!isLive) stderr(text);
}

// A reshard of so many slots would move as many again.
function finishing(): string {
  const fix = `redis-trib ${words.includes('--cluster') ? '--cluster ' : ''}fix CLUSTER`;
  return words.includes('reshard') ? `run ${fix}` : `run the same command again, or ${fix}`;
}
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

// The terminal is gone. Shell and kernel may both say so: it is no second wish to stop.
function onHangup(): void {
  if (!stop.signal.aborted) onSignal();
}
// What only shows has nothing left to do.
if (!isLive) process.on('SIGHUP', onHangup);

/**
 * Returns a function that writes to a stream until writing fails. A reader that has gone or a full disk must not leave a
 * slot half moved, so the command continues. It ends with its own exit code, or with 1 if output was lost. The stream is
 * opened on the first write, since opening takes a while.
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
      // Writes to files are synchronous, so their errors are thrown here.
      lose(error as NodeJS.ErrnoException);
    }
  };
}

const stderr = writer('stderr', () => {});
const stdout = writer('stdout', (error) => {
  // A reader that has seen enough, such as head, is not an error. What only shows, for ever, has nothing left to do.
  if (error.code === 'EPIPE') {
    if (isLive) process.exit(EXIT.done);
    return;
  }
  stderr(`Cannot write the output: ${error.message}\n`);
  process.once('exit', (code) => {
    if (code === EXIT.done) process.exitCode = EXIT.failed;
  });
});

async function askSecret(prompt: string): Promise<string> {
  if (!process.stdin.isTTY) throw new UsageError('Cannot ask for the password: there is no terminal');
  // Loaded only here: it takes a while, and few runs ask for anything.
  const [{ createInterface }, { Writable }] = await Promise.all([
    import('node:readline'),
    import('node:stream'),
  ]);
  const muted = new Writable({ write: (_chunk, _encoding, done) => done() });
  // Before the prompt, so that the terminal does not echo anything typed after it.
  const lines = createInterface({ input: process.stdin, output: muted, terminal: true });
  stderr(prompt);
  return new Promise<string>((resolve, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason), { once: true });
    // The terminal is in raw mode: Ctrl-C arrives as a character, Ctrl-D as the end.
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

// One reader for all questions: along with the first answer it may read the lines of a pipe that answer the next.
async function ask(question: string): Promise<string | undefined> {
  reader ??= (await import('node:readline')).createInterface({ input: process.stdin });
  answers ??= reader[Symbol.asyncIterator]();
  // A picture has paused it.
  process.stdin.resume();
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
    // A terminal whose size was never set reports 0.
    columns: () => process.stderr.columns || 80,
    askSecret: (prompt) => whileAsking(askSecret(prompt)),
    canAsk: () => process.stdin.isTTY === true,
    ask: (question) => whileAsking(ask(question)),
    signal: stop.signal,
    coloured: () => {
      const { NO_COLOR, TERM } = process.env;
      return process.stdout.isTTY === true && !NO_COLOR && TERM !== 'dumb' ? stdout : undefined;
    },
    openScreen: async () => {
      if (process.stdout.isTTY !== true || process.env.TERM === 'dumb') return undefined;
      return (await import('./lib/cli/top/terminal.ts')).openTerminal(process);
    },
  });
}

// The version needs nothing else, and loading the rest would take longer than the answer.
if (asksForVersion(words)) stdout(`${VERSION}\n`);
else process.exitCode = await run(words);
process.off('SIGINT', onSignal);
process.off('SIGTERM', onSignal);
process.off('SIGHUP', onHangup);
reader?.close();
