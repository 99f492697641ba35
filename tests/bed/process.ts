import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { enrol } from './guardian.ts';

export type Signal = 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT';

/** A launched server, in a process or a container. */
export interface Running {
  readonly pid: number | undefined;
  readonly hasExited: boolean;
  readonly exited: Promise<void>;
  signal(signal: Signal): Promise<void>;
}

/** Launches a server in its folder, which contains `server.conf` and gets `server.log`. */
export type Launch = (dir: string) => Promise<Running>;

/** Launches the program at `path` as a process of this machine. */
export function launchProcess(path: string): Launch {
  return async (dir) => {
    const pidFile = join(dir, 'pid');
    const log = await open(join(dir, 'server.log'), 'a');
    const child = spawn('sh', ['-c', enrol, 'bed-server', pidFile, path, join(dir, 'server.conf')], {
      cwd: dir,
      stdio: ['ignore', log.fd, log.fd],
    });
    const state = { hasExited: false };
    const exited = new Promise<void>((resolve) => {
      const settle = () => {
        state.hasExited = true;
        // Another process may get this pid now
        rmSync(pidFile, { force: true });
        resolve();
      };
      child.once('exit', settle);
      child.once('error', settle);
    });
    await log.close();
    // A test that forgets its bed should still end
    child.unref();
    return {
      exited,
      get pid() {
        return state.hasExited ? undefined : child.pid;
      },
      get hasExited() {
        return state.hasExited;
      },
      async signal(signal) {
        if (signal === 'SIGKILL' || signal === 'SIGTERM') child.ref();
        child.kill(signal);
      },
    };
  };
}
