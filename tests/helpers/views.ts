import type { NodeDetails } from '../../lib/model/details.ts';
import { type NodeRecord, parseNodeLine } from '../../lib/model/node.ts';
import { parseClusterNodes } from '../../lib/model/node-lines.ts';
import { type ClusterView, mergeReports, type NodeReport } from '../../lib/model/view.ts';

/** Id of a node by its number: 40 hexadecimal digits that sort like the numbers. */
export function idOf(node: number): string {
  return node.toString(16).padStart(40, '0');
}

/** One line of CLUSTER NODES, as one node writes it about another. */
export interface Line {
  readonly node: number;
  /** @default 'master' */
  readonly flags?: string;
  readonly master?: number;
  /** @default the node's number */
  readonly epoch?: number;
  /** @default 'connected' */
  readonly link?: string;
  /** As CLUSTER NODES writes them. */
  readonly slots?: string;
}

export interface Answer {
  readonly lines: readonly Line[];
  /** @default 'ok' */
  readonly state?: 'ok' | 'fail';
}

/** Port of a node by its number. */
export function portOf(node: number): number {
  return 7000 + node;
}

/** The text of a node's CLUSTER NODES, with `myself` in its own line. */
export function nodesText(observer: number, lines: readonly Line[]): string {
  return lines
    .map(({ node, flags = 'master', master, epoch = node, link = 'connected', slots = '' }) => {
      const all = node === observer ? `myself,${flags}` : flags;
      const masterId = master === undefined ? '-' : idOf(master);
      const where = `127.0.0.1:${portOf(node)}@${portOf(node) + 10000}`;
      return `${idOf(node)} ${where} ${all} ${masterId} 0 0 ${epoch} ${link} ${slots}`.trimEnd();
    })
    .join('\n');
}

/** CLUSTER NODES read a line at a time, to compare `NodeLines` with. */
export function readLineByLine(text: string): NodeRecord[] {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '').map(parseNodeLine);
}

export function reportOf(observer: number, { lines, state = 'ok' }: Answer): NodeReport {
  const records = parseClusterNodes(nodesText(observer, lines));
  const myself = records.find(({ flags }) => flags.includes('myself'));
  if (!myself) throw new Error(`Node ${observer} has no line of its own`);
  return {
    address: { host: '127.0.0.1', port: portOf(observer) },
    myself,
    records,
    info: { state, slotsAssigned: 16384, knownNodes: records.length, currentEpoch: 99, messagesSent: 9 },
  };
}

/** The cluster as the answering nodes see it. Nodes that occur only in their lines do not answer. */
export function viewOf(answers: Readonly<Record<number, Answer>>): ClusterView {
  const reports = new Map<string, NodeReport>();
  for (const [node, answer] of Object.entries(answers)) {
    reports.set(idOf(Number(node)), reportOf(Number(node), answer));
  }
  const unreachable = new Map<string, Error>();
  for (const { records } of reports.values()) {
    for (const { id } of records) {
      if (!reports.has(id)) unreachable.set(id, new Error('connect ECONNREFUSED'));
    }
  }
  const [seed] = reports.values();
  if (!seed) throw new Error('No node answers');
  return mergeReports(seed.address, seed.myself.id, reports, unreachable);
}

/** A cluster whose nodes all say the same; `silent` ones do not answer. */
export function agreedView(lines: readonly Line[], silent: readonly number[] = []): ClusterView {
  const asking = lines.filter(({ node }) => !silent.includes(node));
  return viewOf(Object.fromEntries(asking.map(({ node }) => [node, { lines }])));
}

/** What a healthy node says of itself, except for these fields. */
export function detailsOf(fields: Partial<NodeDetails>): NodeDetails {
  return {
    runId: 'r',
    version: 'Redis 8.6.0',
    offset: 0,
    replicas: [],
    memory: { used: 1000, counted: 1000, max: 0, policy: 'noeviction' },
    keys: 0,
    isSaveFailing: false,
    ...fields,
  };
}
