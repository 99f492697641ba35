import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { formatAddress } from '../../lib/model/address.ts';
import { ask, eventually } from '../bed/client.ts';
import type { Bed, ServerNode } from '../bed/index.ts';
import { findProgram, isServerName, serverTool } from '../bed/servers.ts';
import { at, idOfNode, recordsOf, settled, tell } from './clusters.ts';
import { type Ran, runMain } from './made-up-io.ts';

/** A command that both tools run, each on a cluster of its own. */
export interface CompatStep {
  readonly title: string;
  /** The words after `--cluster`, given the ids of the nodes. */
  readonly args: (ids: readonly string[]) => readonly string[];
  readonly input?: string;
  /** Prepares each cluster. */
  readonly before?: (nodes: readonly ServerNode[], ids: readonly string[]) => Promise<void>;
  /** How many nodes, the first ones, are in the cluster afterwards and agree; 0 if an open slot prevents it. */
  readonly members: number;
}

/** What both printed, masked so that it can be compared, and which slots each node has afterwards. */
export interface Compared {
  readonly step: CompatStep;
  readonly args: string;
  readonly ours: Ran;
  readonly theirs: Ran;
  readonly layouts: readonly [
    ours: Readonly<Record<string, string>>,
    theirs: Readonly<Record<string, string>>,
  ];
}

/** The tool of the server under test, if it is installed. */
export function toolFor(bed: Bed): string | undefined {
  const { name, kind } = bed.server;
  const fetched = isServerName(name) ? serverTool(name, 'cli') : '';
  return existsSync(fetched) ? fetched : findProgram(`${kind}-cli`);
}

const place = (index: number): string => `127.0.0.1:${7000 + index}`;
const first = place(0);
const LIBRARY = "#!lua name=compat\nredis.register_function('one', function() return '\\xff' end)";
const create = ['create', ...[0, 1, 2, 3, 4, 5].map(place)];

// Few slots should move: redis-cli takes five round trips for each.
const few = (ids: readonly string[]): string[] => [
  'rebalance',
  first,
  '--cluster-weight',
  `${at(ids, 6)}=0.05`,
];

/** Eight nodes: six become a cluster of three masters with a replica each, two join and leave. */
export const scenario: readonly CompatStep[] = [
  { title: 'create', args: () => [...create, '--cluster-replicas', '1'], input: 'yes\n', members: 6 },
  { title: 'create again', args: () => [...create, '--cluster-yes'], members: 6 },
  { title: 'info', args: () => ['info', first], members: 6 },
  {
    title: 'check',
    args: () => ['check', ...first.split(':'), '--cluster-search-multiple-owners'],
    members: 6,
  },
  {
    title: 'add-node',
    args: () => ['add-node', place(6), first],
    before: async (nodes) => {
      // Servers before 7.0 have no functions.
      for (const master of nodes.slice(0, 3))
        await ask(master, 'FUNCTION', 'LOAD', LIBRARY).catch((error: Error) => {
          if (!/unknown command/i.test(error.message)) throw error;
        });
    },
    members: 7,
  },
  {
    title: 'add-node --cluster-slave',
    args: () => ['add-node', place(7), first, '--cluster-slave'],
    members: 8,
  },
  {
    title: 'reshard',
    args: (ids) => [
      'reshard',
      first,
      '--cluster-from',
      'all',
      '--cluster-to',
      at(ids, 6),
      '--cluster-slots',
      '10',
      '--cluster-yes',
    ],
    members: 8,
  },
  {
    title: 'reshard to a node that is not known',
    args: () => [
      'reshard',
      first,
      '--cluster-from',
      'all',
      '--cluster-to',
      'zz',
      '--cluster-slots',
      '1',
      '--cluster-yes',
    ],
    members: 8,
  },
  {
    title: 'rebalance --cluster-simulate',
    args: () => ['rebalance', first, '--cluster-simulate'],
    members: 8,
  },
  { title: 'rebalance', args: few, members: 8 },
  { title: 'rebalance again', args: few, members: 8 },
  {
    title: 'rebalance with an unknown weight',
    args: () => ['rebalance', first, '--cluster-weight', 'zz=2'],
    members: 8,
  },
  { title: 'del-node of a master with slots', args: (ids) => ['del-node', first, at(ids, 6)], members: 8 },
  { title: 'del-node', args: (ids) => ['del-node', first, at(ids, 7)], members: 7 },
  { title: 'call', args: () => ['call', first, 'command', 'count', '--cluster-only-masters'], members: 7 },
  { title: 'set-timeout', args: () => ['set-timeout', first, '3000'], members: 7 },
  {
    title: 'check with an open slot',
    args: () => ['check', first],
    before: async (nodes, ids) => {
      await tell(at(nodes, 1), ['CLUSTER', 'SETSLOT', '8000', 'MIGRATING', at(ids, 2)]);
      await tell(at(nodes, 2), ['CLUSTER', 'SETSLOT', '8000', 'IMPORTING', at(ids, 1)]);
    },
    members: 0,
  },
  { title: 'fix', args: () => ['fix', first], members: 7 },
];

/** Runs the scenario on two sets of eight servers, step by step on both. */
export async function runScenario(bed: Bed, tool: string): Promise<Compared[]> {
  const sides = await Promise.all(
    [0, 1].map(async () => {
      // The servers may give a master with slots but no replica that of another, in one cluster sooner than in the other;
      // and a late packet may make a replica whose master has few slots follow their former owner.
      const config = {
        'cluster-node-timeout': '3000',
        'cluster-migration-barrier': '99',
        ...(bed.server.major >= 7 ? { 'cluster-allow-replica-migration': 'no' } : {}),
      };
      const nodes = await bed.start(8, { config });
      return { nodes, ids: await Promise.all(nodes.map(idOfNode)) };
    }),
  );
  const [mine, real] = [at(sides, 0), at(sides, 1)];
  const compared: Compared[] = [];
  for (const step of scenario) {
    const results = await Promise.all(
      [mine, real].map(async ({ nodes, ids }, side) => {
        await step.before?.(nodes, ids);
        const args = ['--cluster', ...step.args(ids).map((word) => unmasked(word, nodes))];
        const ran = side === 0 ? await runOurs(args, step.input) : await runTheirs(tool, args, step.input);
        await joined(nodes.slice(0, step.members));
        return { ran: masked(ran, nodes, ids), layout: await layoutOf(at(nodes, 0), nodes) };
      }),
    );
    const [ours, theirs] = [at(results, 0), at(results, 1)];
    compared.push({
      step,
      args: step.args(mine.ids.map((_, index) => `<id of ${7000 + index}>`)).join(' '),
      ours: ours.ran,
      theirs: theirs.ran,
      layouts: [ours.layout, theirs.layout],
    });
  }
  return compared;
}

// redis-cli returns before its cluster serves.
async function joined(nodes: readonly ServerNode[]): Promise<void> {
  if (nodes.length === 0) return;
  await settled(nodes);
  await eventually('all nodes are known', async () => (await recordsOf(at(nodes, 0))).length >= nodes.length);
}

async function layoutOf(node: ServerNode, nodes: readonly ServerNode[]): Promise<Record<string, string>> {
  const records = await recordsOf(node);
  const entries = nodes.map(async (each, index) => {
    const record = records.find((one) => formatAddress(one.address) === each.address);
    const functions = await ask(each, 'FUNCTION', 'LIST').catch(() => []);
    const libraries = Array.isArray(functions) ? functions.length : 0;
    const held = record?.role === 'master' ? `, ${libraries} libraries` : '';
    const what = record ? `${record.role} ${JSON.stringify(record.slots)}${held}` : 'no member';
    return [place(index), what] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function unmasked(word: string, nodes: readonly ServerNode[]): string {
  const port = /^(?:127\.0\.0\.1:)?(700\d)$/.exec(word)?.[1];
  if (port === undefined) return word;
  const node = at(nodes, Number(port) - 7000);
  return word.includes(':') ? node.address : String(node.port);
}

function masked(ran: Ran, nodes: readonly ServerNode[], ids: readonly string[]): Ran {
  const mask = (text: string): string => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal
    let shown = text.replace(/\x1b\[[0-9;]*m/g, '');
    for (const [index, { port }] of nodes.entries()) {
      const id = at(ids, index);
      shown = shown.replaceAll(`127.0.0.1:${port}`, place(index)).replaceAll(id, `<id of ${7000 + index}>`);
      shown = shown.replaceAll(`(${id.slice(0, 8)}...)`, `(<${7000 + index}>...)`);
    }
    return shown.replace(/[0-9a-f]{40}/g, '<id>');
  };
  return { ...ran, stdout: mask(ran.stdout), stderr: mask(ran.stderr) };
}

function runOurs(args: readonly string[], input = ''): Promise<Ran> {
  const lines = input.split('\n').slice(0, -1);
  return runMain(args, { ask: async () => lines.shift() });
}

function runTheirs(tool: string, args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(tool, [...args], { env: { TERM: 'dumb' } }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
    // It may end without reading the answers that it was given.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/**
 * Lines in an order that does not depend on node ids, which are random: nodes with their lines by address, and slots. Without
 * dots and hashes of progress, and without the masters of replicas, which redis-cli chooses at random.
 */
export function comparable(text: string): string[] {
  const lines = text
    .replace(/(^|\n)#+(?=M)/g, '$1')
    .split('\n')
    .map((line) =>
      line
        .replace(/: \.*$/, ':')
        .replace(/^(?:[.#]+|\s+)$/, '')
        .trimEnd(),
    )
    .map((line) => line.replace(/^( +replicates) .*/, '$1 <id>'))
    // On Valkey, replicas know the open slots of their masters.
    .map((line) =>
      line.replace(/^(\[WARNING\] Node) \S+:700[345] has slots in \w+/, '$1 <replica> has slots in <open>'),
    )
    .filter((line) => line !== '');
  const blocks: string[][] = [];
  let run: string[][] = [];
  const flush = (): void => {
    blocks.push(...run.sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1)));
    run = [];
  };
  for (const line of lines) {
    const last = run.at(-1);
    const head = last?.[0] ?? '';
    const depth = line.search(/\S/);
    const isPart =
      last && /^ *[MS]: /.test(head) && depth === head.search(/\S/) + 3 && !/^ *[MS]: /.test(line);
    const isItem = /^ *[MS]: |^\[WARNING\] Node |^127\.0\.0\.1:|^ *Moving |^\*\*\* New timeout/.test(line);
    if (isPart) last.push(line);
    else if (isItem && (head === '' || kindOf(head) === kindOf(line))) run.push([line]);
    else {
      flush();
      if (isItem) run.push([line]);
      else blocks.push([line]);
    }
  }
  flush();
  return blocks.flat();
}

const kindOf = (line: string): string => line.trimStart().slice(0, 1).replace('S', 'M');

/** Number of keys in a cluster, as its masters count them. */
export async function keysIn(nodes: readonly ServerNode[]): Promise<number> {
  const sizes = await Promise.all(nodes.map(async (node) => Number(await ask(node, 'DBSIZE'))));
  return sizes.reduce((sum, size) => sum + size, 0);
}
