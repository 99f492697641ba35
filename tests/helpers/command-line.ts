import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { eventually } from '../bed/client.ts';
import { assertOutput } from './printed.ts';
import { buildProgram, builtProgram } from './programs.ts';

/** What a run of the command line printed and how it ended. */
export interface Finished {
  /** Exit code, or the name of the signal that ended it. */
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds from the last output, or the start, to the exit. */
  readonly lingeredMs: number;
}

export interface RunOptions {
  /** The environment besides PATH. @default none */
  readonly env?: Readonly<Record<string, string>>;
}

/** A process that is running. */
export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** Resolves when stdout and stderr together contain this; rejects if the process ends without it. */
  shows(what: RegExp): Promise<void>;
  /** Resolves when the condition holds; rejects with the output if the process ends before. */
  until(what: string, condition: () => boolean | Promise<boolean>): Promise<void>;
  type(text: string): void;
  /** What it has printed on stdout so far. */
  printed(): string;
}

// Runs a program on a terminal of its own. Its stdin is what is typed there.
const PTY_SCRIPT = `
import fcntl, os, pty, select, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24 if int(sys.argv[1]) else 0, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
watched = [master, 0]
while True:
    ready = select.select(watched, [], [])[0]
    if 0 in ready:
        typed = os.read(0, 1024)
        if typed: os.write(master, typed)
        else: watched.remove(0)
    if master in ready:
        try: shown = os.read(master, 65536)
        except OSError: shown = b''
        if not shown: break
        os.write(1, shown)
status = os.waitpid(pid, 0)[1]
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
`;

/** The command line as it is published, and a folder of its own. */
export class CommandLine {
  readonly #dir = mkdtempSync(join(tmpdir(), 'redis-trib-cli-'));
  readonly #children = new Set<ChildProcess>();
  readonly path: string = builtProgram('cli') ?? join(this.#dir, 'cli.js');

  async build(): Promise<void> {
    if (builtProgram('cli') === undefined) await buildProgram('cli', this.#dir);
  }

  /** Writes a file into the folder. */
  file(name: string, text: string): string {
    const path = join(this.#dir, name);
    writeFileSync(path, text);
    return path;
  }

  /** Kills what is still running, so that a hung process does not keep the tests from ending, and removes the build. */
  remove(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true });
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.start(args, options).finished;
  }

  start(args: readonly string[], { env = {} }: RunOptions = {}): Running {
    return checked(
      this.#follow(spawn(process.execPath, [this.path, ...args], { env: environment(env) })),
      args,
    );
  }

  /** Runs a shell command in which `$TRIB` is the command line. */
  shell(line: string, { env = {} }: RunOptions = {}): Promise<Finished> {
    const script = line.replaceAll('$TRIB', `'${process.execPath}' '${this.path}'`);
    return checked(this.#follow(spawn('/bin/sh', ['-c', script], { env: environment(env) })), [line])
      .finished;
  }

  /** Starts it on a terminal of so many columns, or of unknown size for 0. All output is in `stdout`. */
  startOnTerminal(args: readonly string[], columns: number, { env = {} }: RunOptions = {}): Running {
    const words = [process.execPath, this.path, ...args];
    const [program, ...rest] = terminal() === 'python3' ? asPython(words, columns) : asScript(words, columns);
    return this.#follow(spawn(program ?? '', rest, { env: environment({ TERM: 'xterm', ...env }) }));
  }

  /** Runs a shell command on a terminal of so many columns and 24 rows, in which `$TRIB` is the command line. */
  shellOnTerminal(line: string, columns: number, { env = {} }: RunOptions = {}): Running {
    const script = line.replaceAll('$TRIB', `'${process.execPath}' '${this.path}'`);
    const words = ['/bin/sh', '-c', script];
    const [program, ...rest] = terminal() === 'python3' ? asPython(words, columns) : asScript(words, columns);
    return this.#follow(spawn(program ?? '', rest, { env: environment({ TERM: 'xterm', ...env }) }));
  }

  #follow(child: ChildProcess): Running {
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return follow(child);
  }
}

/** Every JSON document and event that a run prints must be as docs/schema says. */
function checked(running: Running, args: readonly string[]): Running {
  const finished = running.finished.then(async (ended) => {
    await assertOutput(args, ended.stdout);
    return ended;
  });
  return { ...running, finished };
}

let found: 'python3' | 'script' | undefined | null = null;

/** The program that can open a terminal, if there is one. */
export function terminal(): 'python3' | 'script' | undefined {
  if (found === null) {
    found = works('python3', '-c', 'import pty')
      ? 'python3'
      : works('script', '--version')
        ? 'script'
        : undefined;
  }
  return found;
}

function works(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function asPython(words: readonly string[], columns: number): string[] {
  return ['python3', '-c', PTY_SCRIPT, `${columns}`, ...words];
}

function asScript(words: readonly string[], columns: number): string[] {
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return ['script', '-qefc', `stty rows ${columns && 24} cols ${columns}; exec ${quoted}`, '/dev/null'];
}

function environment(env: Readonly<Record<string, string>>): Record<string, string> {
  return { PATH: process.env.PATH ?? '', ...env };
}

function follow(child: ChildProcess): Running {
  let [stdout, stderr, last] = ['', '', performance.now()];
  const waiting = new Set<() => void>();
  const note = () => {
    last = performance.now();
    for (const look of waiting) look();
  };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    note();
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    note();
  });
  child.stdin?.on('error', () => {});
  const finished = new Promise<Finished>((resolve, reject) => {
    let lingeredMs = 0;
    child.once('error', reject);
    child.once('exit', () => {
      lingeredMs = performance.now() - last;
    });
    child.once('close', (code, signal) => resolve({ code: code ?? signal, stdout, stderr, lingeredMs }));
  });
  const endedWithout = (what: unknown): Error => new Error(`It ended without ${what}:\n${stdout}${stderr}`);
  const isRunning = (cause: Error): Error =>
    new Error(`${cause.message}; it is still running, and has printed:\n${stdout}${stderr}`, { cause });
  return {
    child,
    finished,
    shows: (what) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!what.test(stdout + stderr)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
        child.once('close', () => {
          look();
          reject(endedWithout(what));
        });
      }),
    until: (what, condition) =>
      Promise.race([
        eventually(what, condition).catch((error: Error) => {
          throw isRunning(error);
        }),
        finished.then(async () => {
          if (!(await condition())) throw endedWithout(what);
        }),
      ]),
    type: (text) => child.stdin?.write(text),
    printed: () => stdout,
  };
}
