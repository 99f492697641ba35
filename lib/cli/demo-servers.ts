import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { connect, ReplyError } from '../../resp/index.ts';
import { ClusterError, messageOf } from '../errors.ts';
import { DONE, waitUntil } from '../nodes/wait-until.ts';

const HOST = '127.0.0.1';
/** The cluster bus port is the client port plus this. */
const BUS_OFFSET = 10_000;
/** In the folder of each server. */
const CONFIG = 'server.conf';
const PROGRAMS = ['redis-server', 'valkey-server'];
const START_MS = 20_000;
const PAUSE_MS = 20;

// Ends the servers and removes their folder when its input ends, which happens however this process ends. Servers that the user has
// started again have left their process id in their folder.
const GUARDIAN = `
while read -r what pid; do
  if [ "$what" = started ]; then pids="$pids $pid"; continue; fi
  left=; for each in $pids; do [ "$each" = "$pid" ] || left="$left $each"; done; pids=$left
done
for file in "$1"/*/server.pid; do [ -f "$file" ] && read -r pid <"$file" && pids="$pids $pid"; done
kill $pids
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  left=; for pid in $pids; do kill -0 $pid && left="$left $pid"; done
  [ -z "$left" ] && break; sleep 0.1
done
[ -z "$left" ] || kill -9 $left
rm -rf "$1"
`;

/** Servers that do not outlive this process. */
export interface DemoServers {
  /** Addresses, in order of ports. */
  readonly nodes: readonly string[];
  /** The folder of their files: that of each server has its port for a name. */
  readonly dir: string;
  /** Resolves to the address of a server that exited unexpectedly. */
  readonly died: Promise<string>;
  /** Ends a server at once. */
  kill(node: string): Promise<void>;
  /** Starts a server that was killed, with the files that are in its folder. Resolves when it answers. */
  start(node: string): Promise<void>;
  /** Ends the servers and removes their files. */
  close(): Promise<void>;
}

/**
 * Starts servers in cluster mode on consecutive ports of the loopback interface. They do not save data.
 * Rejects with ClusterError `NOT_STARTED` if the program is not found, a port is in use, or a server does not start.
 */
export async function startServers(
  program: string,
  count: number,
  firstPort: number,
  signal: AbortSignal,
): Promise<DemoServers> {
  const ports = Array.from({ length: count }, (_, index) => firstPort + index);
  for (const port of ports) {
    await requireFree(port);
    await requireFree(port + BUS_OFFSET, `, for the cluster bus of ${port},`);
  }
  const dir = mkdtempSync(join(tmpdir(), 'redis-trib-demo-'));
  // Detached, in its own process group, so that Ctrl-C reaches only this process, which then ends the servers in order.
  const guardian = await spawned(
    spawn('sh', ['-c', GUARDIAN, 'redis-trib-demo', dir], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    }),
    'sh',
  );
  const close = async (): Promise<void> => {
    const gone = once(guardian, 'exit');
    guardian.stdin?.end();
    await gone;
  };
  const running = new Map<number, ChildProcess>();
  const run = async (port: number): Promise<ChildProcess> => {
    const folder = join(dir, `${port}`);
    const server = await spawned(
      spawn(program, [join(folder, CONFIG)], { cwd: folder, stdio: 'ignore', detached: true }),
      program,
    );
    guardian.stdin?.write(`started ${server.pid}\n`);
    // Another process may have its id from now on.
    server.once('exit', () => {
      if (running.get(port) === server) rmSync(join(folder, 'server.pid'), { force: true });
      if (guardian.stdin?.writable) guardian.stdin.write(`ended ${server.pid}\n`);
    });
    running.set(port, server);
    return server;
  };
  const waiting = new AbortController();
  try {
    const servers: ChildProcess[] = [];
    for (const port of ports) {
      configure(join(dir, `${port}`), port);
      servers.push(await run(port));
    }
    const deaths = servers.map(async (server, index): Promise<string> => {
      if (server.exitCode === null) await once(server, 'exit');
      return `${HOST}:${ports[index]}`;
    });
    const died = Promise.race(deaths);
    const stop = AbortSignal.any([signal, waiting.signal]);
    await Promise.race([
      Promise.all(ports.map((port) => answers(port, stop))),
      died.then((address) => {
        throw cannotStart(
          `${program} for ${address} exited immediately`,
          'It needs cluster mode: Redis 6.0 or newer, or Valkey',
        );
      }),
    ]);
    return {
      ...{ nodes: ports.map((port) => `${HOST}:${port}`), dir, died, close },
      kill: async (node) => {
        const server = running.get(portOf(node));
        if (!server || server.exitCode !== null || server.signalCode !== null) return;
        const gone = once(server, 'exit');
        server.kill('SIGKILL');
        await gone;
      },
      start: async (node) => {
        await run(portOf(node));
        await answers(portOf(node), signal);
      },
    };
  } catch (error) {
    waiting.abort();
    await close();
    throw error;
  }
}

/** Finds a server program in PATH. Throws ClusterError `NOT_STARTED` if there is none. */
export function findProgram(path: string): string {
  for (const folder of path.split(delimiter)) {
    for (const name of PROGRAMS)
      if (folder !== '' && existsSync(join(folder, name))) return join(folder, name);
  }
  throw cannotStart(
    `there is no ${PROGRAMS.join(' or ')} on the path`,
    'Install Redis or Valkey, or say where the server is: --server FILE',
  );
}

/** Writes the configuration file of a server. */
function configure(dir: string, port: number): void {
  mkdirSync(dir);
  const config = {
    ...{ port, bind: HOST, dir, save: '', appendonly: 'no', logfile: 'server.log' },
    ...{ 'cluster-enabled': 'yes', 'cluster-config-file': 'nodes.conf', 'cluster-node-timeout': 2000 },
    pidfile: join(dir, 'server.pid'),
  };
  const lines = Object.entries(config).map(([name, value]) => `${name} ${JSON.stringify(`${value}`)}\n`);
  writeFileSync(join(dir, CONFIG), lines.join(''));
}

const portOf = (node: string): number => Number(node.slice(node.lastIndexOf(':') + 1));

async function spawned(child: ChildProcess, program: string): Promise<ChildProcess> {
  await once(child, 'spawn').catch((error: unknown) => {
    throw cannotStart(messageOf(error), `${program} must be an executable program`);
  });
  return child;
}

async function answers(port: number, signal: AbortSignal): Promise<void> {
  const wait = { what: 'servers to start', timeoutMs: START_MS, pauseMs: PAUSE_MS, signal };
  await waitUntil(wait, async () => {
    try {
      const connection = await connect({ host: HOST, port, signal });
      try {
        await connection.command(['PING']);
        return DONE;
      } finally {
        connection.destroy();
      }
    } catch (error) {
      signal.throwIfAborted();
      // One with many keys answers, and does not serve yet.
      if (error instanceof ReplyError && error.code === 'LOADING') return DONE;
      const message = `${HOST}:${port} does not answer: ${messageOf(error)}`;
      return { missing: [message], giveUp: () => cannotStart(message) };
    }
  });
}

async function requireFree(port: number, purpose = ''): Promise<void> {
  const server = createServer();
  server.listen({ port, host: HOST, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw cannotStart(
      `port ${port}${purpose} is not available: ${messageOf(error)}`,
      'Choose others: --port N',
    );
  }
  server.close();
  await once(server, 'close');
}

function cannotStart(reason: string, hint?: string): ClusterError {
  return new ClusterError(
    'NOT_STARTED',
    `Cannot start a cluster to try: ${reason}`,
    hint === undefined ? {} : { hint },
  );
}
