import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for a bed's servers, cleaned up by a process that outlives this one. */
export interface Guarded {
  readonly dir: string;
  release(): Promise<void>;
}

// The input of the shell ends with this process, even after SIGKILL. The folder is renamed first: a server that is
// starting can then no longer write its pid file, and gives up.
const script = `
while read -r _; do :; done
mv "$1" "$1.gone" 2>/dev/null || exit 0
for file in "$1.gone"/*/pid; do [ -f "$file" ] && kill -9 "$(cat "$file")"; done
[ -n "$2" ] && docker ps -aq --filter "label=$2" | xargs -r docker rm -f
while ! rm -rf "$1.gone"; do sleep 0.1; done
`;

/** The shell script of a server before it becomes the server; see the guardian. */
export const enrol: string = 'echo $$ > "$1" || exit 1; shift; exec "$@"';

/** Makes the folder. Containers with `label` are removed along with it. */
export async function openGuarded(label = ''): Promise<Guarded> {
  const dir = await mkdtemp(join(tmpdir(), 'redis-trib-bed-'));
  const guardian = spawn('sh', ['-c', script, 'bed-guardian', dir, label], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    // Outside the terminal's process group, so that Ctrl-C does not end the guardian too early
    detached: true,
  });
  await new Promise((resolve, reject) => {
    guardian.once('spawn', resolve);
    guardian.once('error', reject);
  });
  guardian.unref();
  if ('unref' in guardian.stdin && typeof guardian.stdin.unref === 'function') guardian.stdin.unref();
  return {
    dir,
    async release() {
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
      guardian.stdin.end();
    },
  };
}
