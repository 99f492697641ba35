import { type Answer, bulk, type MadeUpServer, startMadeUp } from './made-up-server.ts';
import type { Answer as Report } from './views.ts';
import { idOf, type Line, nodesText, portOf } from './views.ts';

/** What a node answers instead of a healthy one, if anything. `withPorts` gives a text the ports of this run. */
export type Odd = (
  node: number,
  words: readonly string[],
  withPorts: (text: string) => string,
) => Answer | undefined;

/** Servers that report a given cluster, and change nothing. */
export interface MadeUpCluster extends AsyncDisposable {
  /** Address of a node by its number; nothing listens at that of a silent one. */
  address(node: number): string;
  /** A text in which each node has the port that `portOf` gives it, instead of its port in this run. */
  plain(text: string): string;
}

/**
 * Starts a server for each node that reports something. Nodes that only others report do not answer. `reports`: what all
 * nodes say, or what each says.
 */
export async function startMadeUpCluster(
  reports: readonly Line[] | Readonly<Record<number, Report>>,
  { silent = [], odd }: { readonly silent?: readonly number[]; readonly odd?: Odd | undefined } = {},
): Promise<MadeUpCluster> {
  const perNode: Readonly<Record<number, Report>> = Array.isArray(reports)
    ? Object.fromEntries(
        (reports as readonly Line[])
          .filter(({ node }) => !silent.includes(node))
          .map(({ node }) => [node, { lines: reports as readonly Line[] }]),
      )
    : (reports as Readonly<Record<number, Report>>);
  const nodes = Object.keys(perNode).map(Number);
  const nodeAt = new Map<number, number>();
  const portAt = new Map<number, number>();
  const servers: MadeUpServer[] = [];
  for (const _ of nodes) {
    servers.push(
      await startMadeUp((words, port) => {
        const node = nodeAt.get(port) ?? 0;
        const report = perNode[node] ?? { lines: [] };
        return odd?.(node, words, withPorts) ?? healthy(node, report, withPorts, words);
      }),
    );
  }
  // Ports in the order of the numbers, so that sorting by address gives the same order in each run.
  const ports = servers.map(({ port }) => port).sort((a, b) => a - b);
  for (const [index, node] of nodes.sort((a, b) => a - b).entries()) {
    const port = ports[index] ?? 0;
    nodeAt.set(port, node);
    portAt.set(node, port);
  }
  const realPort = (node: number): number => portAt.get(node) ?? node;
  function withPorts(text: string): string {
    return text.replace(/127\.0\.0\.1:7(\d{3})@17\d{3}/g, (_, digits) => {
      const port = realPort(Number(digits));
      return `127.0.0.1:${port}@${port}`;
    });
  }
  return {
    address: (node) => `127.0.0.1:${realPort(node)}`,
    plain: (text) =>
      text.replace(/127\.0\.0\.1:(\d+)/g, (_, port) => {
        const node = nodeAt.get(Number(port)) ?? Number(port);
        return `127.0.0.1:${node < 1000 ? portOf(node) : node}`;
      }),
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
    },
  };
}

function connectedAt(withPorts: (text: string) => string, node: number): string {
  const [, port] = /:(\d+)@/.exec(withPorts(`127.0.0.1:${portOf(node)}@${portOf(node) + 10000}`)) ?? [];
  return `ip=127.0.0.1,port=${port},state=online,offset=1,lag=0`;
}

function healthy(
  node: number,
  { lines, state = 'ok' }: Report,
  withPorts: (text: string) => string,
  words: readonly string[],
): Answer {
  const [command = '', sub = ''] = words.map((word) => word.toUpperCase());
  switch (command === 'CLUSTER' || command === 'CLIENT' ? `${command} ${sub}` : command) {
    case 'CLUSTER NODES':
      return bulk(`${withPorts(nodesText(node, lines))}\n`);
    case 'CLUSTER INFO':
      return bulk(
        [
          `cluster_state:${state}`,
          `cluster_slots_assigned:${lines.some(({ slots }) => slots) ? 16384 : 0}`,
          `cluster_known_nodes:${lines.length}`,
          'cluster_current_epoch:9\r\n',
        ].join('\r\n'),
      );
    case 'CLUSTER MYID':
      return bulk(idOf(node));
    case 'CLUSTER COUNTKEYSINSLOT':
    case 'DBSIZE':
      return ':0\r\n';
    case 'CLUSTER GETKEYSINSLOT':
      return '*0\r\n';
    case 'CONFIG':
      return sub === 'GET' ? `*2\r\n$1\r\nx\r\n$5\r\n15000\r\n` : '+OK\r\n';
    case 'CLIENT LIST':
      return bulk('id=1 addr=127.0.0.1:1 name= cmd=client\n');
    case 'CLIENT ID':
      return ':1\r\n';
    case 'INFO':
      return bulk(
        [
          ...['redis_version:7.0.15', 'run_id:abc', 'cluster_enabled:1', 'maxmemory:0', 'used_memory:1'],
          ...(lines.find((line) => line.node === node)?.flags?.includes('slave')
            ? ['role:slave', 'master_link_status:up', 'slave_repl_offset:1']
            : [
                'role:master',
                'master_repl_offset:1',
                ...lines
                  .filter(({ master }) => master === node)
                  .map((line, index) => `slave${index}:${connectedAt(withPorts, line.node)}`),
              ]),
          '',
        ].join('\r\n'),
      );
    // As a server of that version does.
    case 'CLUSTER MIGRATION':
    case 'CLUSTER GETSLOTMIGRATIONS':
    case 'CLUSTER SLOT-STATS':
      return '-ERR unknown subcommand\r\n';
    case 'PING':
      return '+PONG\r\n';
    default:
      return '+OK\r\n';
  }
}
