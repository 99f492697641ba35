import type { Command } from '../command.ts';
import { count } from '../figures.ts';
import { numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';

/** The last node's bus port must be valid too. */
const LAST_PORT = 55_535;

export const demoCommand: Command = {
  name: 'demo',
  usage: '',
  arity: [0, 0],
  summary: 'Start a cluster to try things on; Ctrl-C stops and removes it',
  details:
    'Runs the redis-server or valkey-server on the PATH, on 127.0.0.1, in a folder that is removed afterwards.',
  example: '--replicas 1',
  isLocal: true,
  flags: {
    masters: { type: 'string', value: 'N', help: 'Masters (3)' },
    replicas: { type: 'string', value: 'N', help: 'Replicas of each master (0)' },
    port: { type: 'string', value: 'N', help: 'Port of the first node; the others follow (7000)' },
    server: { type: 'string', value: 'FILE', help: 'The server to run, if it is not on the PATH' },
  },
  run: async ({ values, options: { onEvent }, io }) => {
    const masters = numberFlag(values, 'masters') ?? 3;
    const replicas = numberFlag(values, 'replicas', 0) ?? 0;
    const port = numberFlag(values, 'port') ?? 7000;
    const size = masters * (1 + replicas);
    if (port + size - 1 > LAST_PORT) {
      throw new UsageError(`The ports of ${size} nodes end above ${LAST_PORT}: choose a lower --port`);
    }
    const { findProgram, startServers } = await import('../demo-servers.ts');
    const { createCluster } = await import('../../operations/create-cluster.ts');
    const { signal } = io;
    const program = typeof values.server === 'string' ? values.server : findProgram(io.env.PATH ?? '');
    const servers = await startServers(program, size, port, signal);
    const { nodes, died } = servers;
    try {
      await createCluster(nodes, {
        ...{ replicas, signal },
        // All nodes are on one host: no need to warn about that.
        onEvent: (event) => event.type === 'warning' || onEvent?.(event),
      });
      if (values.json !== true && values['json-stream'] !== true) io.stdout(`${invitation(nodes)}\n`);
      const isStopped = new Promise<undefined>((resolve) => {
        if (signal.aborted) resolve(undefined);
        signal.addEventListener('abort', () => resolve(undefined), { once: true });
      });
      const dead = await Promise.race([died, isStopped]);
      const text =
        dead === undefined
          ? 'The cluster is removed'
          : `${dead} exited on its own, so the others were stopped too`;
      return { ok: dead === undefined, text, data: { nodes, died: dead ?? null } };
    } finally {
      await servers.close();
    }
  },
};

function invitation(nodes: readonly string[]): string {
  const [first = '', second = first] = nodes;
  const [host = '', port = ''] = first.split(':');
  return [
    `A cluster of ${count(nodes.length, 'node')}: ${nodes.join(' ')}`,
    'In another terminal:',
    `  redis-trib check ${first}`,
    `  redis-trib rebalance ${first} --weight ${second}=2 --dry-run`,
    `  redis-cli -c -h ${host} -p ${port}`,
    'Ctrl-C stops and removes it',
  ].join('\n');
}
