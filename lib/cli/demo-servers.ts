import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { connect } from '../../resp/index.ts';
import { ClusterError, messageOf } from '../errors.ts';
import { DONE, waitUntil } from '../nodes/wait-until.ts';

const HOST = '127.0.0.1';
/** The cluster bus port is the client port plus this. */
const BUS_OFFSET = 10_000;
const PROGRAMS = ['redis-server', 'valkey-server'];
const START_MS = 20_000;
const PAUSE_MS = 20;

// Ends the servers and removes their folder when its input ends, which happens however this process ends.
const GUARDIAN = `
while read -r pid; do pids="$pids $pid"; done
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
  /** Resolves to the address of a server that exited unexpectedly. */
  readonly died: Promise<string>;
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
  for (const port of ports.flatMap((each) => [each, each + BUS_OFFSET])) await requireFree(port);
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
  const waiting = new AbortController();
  try {
    const servers: ChildProcess[] = [];
    for (const port of ports) {
      const server = await spawned(launch(program, join(dir, `${port}`), port), program);
      guardian.stdin?.write(`${server.pid}\n`);
      servers.push(server);
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
    return { nodes: ports.map((port) => `${HOST}:${port}`), died, close };
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

function launch(program: string, dir: string, port: number): ChildProcess {
  mkdirSync(dir);
  const config = {
    ...{ port, bind: HOST, dir, save: '', appendonly: 'no', daemonize: 'no', logfile: 'server.log' },
    ...{ 'cluster-enabled': 'yes', 'cluster-config-file': 'nodes.conf', 'cluster-node-timeout': 2000 },
  };
  const args = Object.entries(config).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  return spawn(program, args, { cwd: dir, stdio: 'ignore', detached: true });
}

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
      const message = `${HOST}:${port} does not answer: ${messageOf(error)}`;
      return { missing: [message], giveUp: () => cannotStart(message) };
    }
  });
}

async function requireFree(port: number): Promise<void> {
  const server = createServer();
  server.listen({ port, host: HOST, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw cannotStart(`port ${port} is not available: ${messageOf(error)}`, 'Choose others: --port N');
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
