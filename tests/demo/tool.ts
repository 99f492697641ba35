// redis-trib as a user runs it, and how it is ended in the middle.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../cli.ts', import.meta.url));
const LOOK_EVERY_MS = 20;

/** Ends a running command, once it is in the middle of its work. */
export type Strike = (child: ChildProcess) => Promise<void>;

const running = new Set<ChildProcess>();

/** Ends the command that runs, if one does. */
export function endTool(): void {
  for (const child of running) child.kill('SIGKILL');
}

/**
 * Runs redis-trib with its output on this terminal. Rejects unless it ends with one of these exit codes, or by this signal. With
 * `strike`, rejects if it ends before that.
 */
export async function trib(
  args: readonly string[],
  { ends = [0], strike }: { ends?: readonly (number | NodeJS.Signals)[]; strike?: Strike } = {},
): Promise<void> {
  console.log(`$ redis-trib ${args.join(' ')}`);
  // In a process group of its own, which Ctrl-C at this demo does not reach.
  const child = spawn(process.execPath, ['--import', 'tsx', cli, ...args], {
    stdio: 'inherit',
    detached: true,
  });
  running.add(child);
  const ended = once(child, 'close');
  try {
    const struck = strike?.(child);
    struck?.catch(() => {});
    const [first] = await Promise.race([ended, struck?.then(() => ['struck']) ?? ended]);
    if (struck && first !== 'struck')
      throw new Error(`redis-trib ${args[0]} ended before it was to be interrupted`);
    const [code, signal] = await ended;
    const end = code ?? signal;
    if (!ends.includes(end))
      throw new Error(`redis-trib ${args[0]} ended with ${end}, not ${ends.join(' or ')}`);
    if (typeof end === 'number' && end !== 0) console.log(`(exit code ${end})`);
  } finally {
    running.delete(child);
    child.kill('SIGKILL');
  }
}

/** Ctrl-C as soon as the condition holds. */
export function ctrlC(condition: () => Promise<boolean>): Strike {
  return async (child) => {
    await inTime(child, condition);
    process.stdout.write('^C');
    child.kill('SIGINT');
  };
}

/** kill -9 as soon as the condition holds, and at a moment at which it has something open. */
export function kill9(condition: () => Promise<boolean>, hasOpen: () => Promise<boolean>): Strike {
  return async (child) => {
    await inTime(child, condition);
    // It would close what it has open while we look.
    await inTime(child, async () => {
      child.kill('SIGSTOP');
      if (await hasOpen()) return true;
      child.kill('SIGCONT');
      return false;
    });
    child.kill('SIGKILL');
    if (process.stderr.isTTY) console.log();
    console.log('Killed (kill -9)');
  };
}

/** Looks until the condition holds, or the process has ended. */
async function inTime(child: ChildProcess, condition: () => Promise<boolean>): Promise<void> {
  while (child.exitCode === null && child.signalCode === null && !(await condition()))
    await sleep(LOOK_EVERY_MS);
}
