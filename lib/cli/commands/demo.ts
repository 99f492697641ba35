import { resolve } from 'node:path';
import type { Command } from '../command.ts';
import { count } from '../figures.ts';
import { type FlagValues, numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';
import { BREAKS, type BreakName } from '../practise/names.ts';

/** The last node's bus port must be valid too. */
const LAST_PORT = 55_535;

/** The data of `demo`: the faults to choose from, or how it ended. */
export type DemoData =
  | { readonly breaks: readonly BreakName[] }
  | {
      readonly nodes: readonly string[];
      /** The node that exited on its own. */
      readonly died: string | null;
      /** The fault that was made. */
      readonly broken: BreakName | null;
    };

export const demoCommand: Command<'demo'> = {
  name: 'demo',
  usage: '',
  arity: [0, 0],
  summary: 'Start a cluster to try things on; Ctrl-C stops and removes it',
  details:
    'Runs the redis-server or valkey-server on the PATH, on 127.0.0.1, in a folder that is removed afterwards.\n' +
    'With --break it has three masters with a replica each, and a fault to practise on; --break alone lists the faults.',
  example: '--replicas 1',
  isLocal: true,
  flags: {
    masters: { type: 'string', value: 'N', help: 'Masters (3)' },
    replicas: { type: 'string', value: 'N', help: 'Replicas of each master (0)' },
    break: {
      type: 'string',
      value: 'NAME',
      bare: 'list',
      choices: BREAKS,
      help: 'Break it, show what check finds, and what repairs it',
    },
    port: { type: 'string', value: 'N', help: 'Port of the first node; the others follow (7000)' },
    server: { type: 'string', value: 'FILE', help: 'The server to run, if it is not on the PATH' },
  },
  run: async ({ values, options: { onEvent }, io }) => {
    if (values.break === 'list') {
      const { listBreaks } = await import('../practise/practice.ts');
      return { ok: true, text: listBreaks(io.columns()), data: { breaks: BREAKS } };
    }
    const name = breakNamed(values);
    const practice = name && new (await import('../practise/practice.ts')).Practice(name);
    const spares = practice?.spares ?? 0;
    const masters = numberFlag(values, 'masters') ?? 3;
    const replicas = numberFlag(values, 'replicas', 0) ?? (name ? 1 : 0);
    const port = numberFlag(values, 'port') ?? 7000;
    const size = masters * (1 + replicas);
    if (port + size + spares - 1 > LAST_PORT) {
      throw new UsageError(
        `The ports of ${size + spares} nodes end above ${LAST_PORT}: choose a lower --port`,
      );
    }
    const { findProgram, startServers } = await import('../demo-servers.ts');
    const { createCluster } = await import('../../operations/create-cluster.ts');
    const { signal } = io;
    const program =
      typeof values.server === 'string' ? programNamed(values.server) : findProgram(io.env.PATH ?? '');
    const servers = await startServers(program, size + spares, port, signal);
    const { nodes, died } = servers;
    try {
      await createCluster(nodes.slice(0, size), {
        ...{ replicas, signal },
        // All nodes are on one host: no need to warn about that.
        onEvent: (event) => event.type === 'warning' || onEvent?.(event),
      });
      const told = practice ? await practice.begin({ servers, signal, onEvent }, program) : invitation(nodes);
      if (values.json !== true && values['json-stream'] !== true)
        io.stdout(`${overview(nodes)}\n${told}\nCtrl-C stops and removes it\n`);
      const isStopped = new Promise<undefined>((resolve) => {
        if (signal.aborted) resolve(undefined);
        signal.addEventListener('abort', () => resolve(undefined), { once: true });
      });
      // Whoever practises ends servers, and starts them again.
      const dead = await (practice ? isStopped : Promise.race([died, isStopped]));
      const text =
        dead === undefined
          ? 'The cluster has been removed'
          : `${dead} exited on its own, so the others were stopped too`;
      return { ok: dead === undefined, text, data: { nodes, died: dead ?? null, broken: name ?? null } };
    } finally {
      await servers.close();
    }
  },
};

/** Servers run in folders of their own. A name alone is looked for on the PATH. */
function programNamed(file: string): string {
  return file.includes('/') ? resolve(file) : file;
}

function breakNamed(values: FlagValues): BreakName | undefined {
  const { break: word } = values;
  if (typeof word !== 'string') return undefined;
  for (const other of ['masters', 'replicas'])
    if (values[other] !== undefined) throw new UsageError(`--break and --${other} do not go together`);
  const name = BREAKS.find((one) => one === word);
  if (name === undefined)
    throw new UsageError(`Not a fault: "${word}" (redis-trib demo --break lists them)`, undefined, {
      word,
      names: BREAKS,
    });
  return name;
}

function overview(nodes: readonly string[]): string {
  return `A cluster of ${count(nodes.length, 'node')}: ${nodes.join(' ')}`;
}

function invitation(nodes: readonly string[]): string {
  const [first = '', second = first] = nodes;
  const [host = '', port = ''] = first.split(':');
  return [
    'In another terminal:',
    `  redis-trib check ${first}`,
    `  redis-trib rebalance ${first} --weight ${second}=2 --dry-run`,
    `  redis-cli -c -h ${host} -p ${port}`,
  ].join('\n');
}
