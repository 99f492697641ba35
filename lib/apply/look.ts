import { type Reply, ReplyError } from '../../resp/index.ts';
import { badReply, ClusterError, messageOf } from '../errors.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { isInHandshake, type NodeRecord } from '../model/node.ts';
import { NodeLines } from '../model/node-lines.ts';
import { type ClusterView, mergeReports, type NodeReport, parseClusterInfo } from '../model/view.ts';
import type { Connections } from './connections.ts';
import { inParallel } from './parallel.ts';

/**
 * Asks one node what it knows of its cluster. Rejects with ClusterError `NOT_CLUSTER_ENABLED` for a standalone server, and with
 * the signal's reason.
 */
export async function askNode(
  connections: Connections,
  address: Address,
  signal?: AbortSignal,
  lines: NodeLines = new NodeLines(),
): Promise<NodeReport> {
  const [nodes, info] = await connections.askAll(
    address,
    [
      ['CLUSTER', 'NODES'],
      ['CLUSTER', 'INFO'],
    ],
    { as: 'buffer', early: true, signal },
  );
  for (const reply of [nodes, info]) if (reply instanceof ReplyError) throw refusal(reply, address);
  const all = readNodes(nodes, lines, address);
  if (!(info instanceof Uint8Array))
    throw badReply(`${formatAddress(address)} answers CLUSTER INFO with no text`, formatAddress(address));
  const inHandshake = all.filter(isInHandshake);
  const records = inHandshake.length === 0 ? all : all.filter((record) => !isInHandshake(record));
  const myself = records.find((record) => record.flags.includes('myself'));
  if (!myself) {
    throw new ClusterError(
      'NODES_DISAGREE',
      `Node ${formatAddress(address)} does not list itself in CLUSTER NODES`,
      {
        address: formatAddress(address),
      },
    );
  }
  return { address, myself, records, inHandshake, info: parseClusterInfo(String(info)) };
}

function readNodes(reply: Reply | undefined, lines: NodeLines, address: Address): NodeRecord[] {
  const name = formatAddress(address);
  if (!(reply instanceof Uint8Array)) throw badReply(`${name} answers CLUSTER NODES with no text`, name);
  try {
    return lines.parse(reply as Buffer);
  } catch (error) {
    throw badReply(`Cannot read what ${name} answers to CLUSTER NODES: ${messageOf(error)}`, name);
  }
}

function refusal(reply: ReplyError, address: Address): Error {
  if (!reply.message.includes('cluster support disabled')) return reply;
  return new ClusterError('NOT_CLUSTER_ENABLED', `Node ${formatAddress(address)} is not cluster enabled`, {
    address: formatAddress(address),
    hint: 'Set "cluster-enabled yes" in its configuration and restart it',
    cause: reply,
  });
}

/** Nodes asked at one time, and more of a cluster whose answers have no more lines than that together: some four megabytes. */
const [AT_ONCE, LINES_AT_ONCE] = [32, 32_000];

/**
 * Asks one node for the others, then all of them at once. Rejects only where the first gives no answer, and with the signal's
 * reason. `also` is called with each node that is asked, as it is listed or with no record for the first: what it asks goes out
 * in the same write.
 */
export async function look(
  connections: Connections,
  seed: Address,
  signal?: AbortSignal,
  also: (address: Address, record?: NodeRecord) => void = () => {},
): Promise<ClusterView> {
  const lines = new NodeLines();
  const asking = askNode(connections, seed, signal, lines);
  also(seed);
  const first = await asking;
  const reports = new Map<string, NodeReport>([[first.myself.id, first]]);
  const unreachable = new Map<string, Error>();
  const asked = new Set([first.myself.id]);
  const toAsk = ({ records }: NodeReport): NodeRecord[] => {
    const unknown = records.filter(({ id }) => !asked.has(id) && asked.add(id));
    for (const { address, hostname } of unknown) if (hostname) connections.learnHostname(address, hostname);
    return unknown;
  };
  let ahead = toAsk(first);
  while (ahead.length > 0) {
    const found = await inParallel(
      ahead,
      async (record) => {
        try {
          const asking = askMember(connections, record, signal, lines);
          if (isReachable(record)) also(record.address, record);
          return await asking;
        } catch (error) {
          signal?.throwIfAborted();
          unreachable.set(record.id, error as Error);
          return undefined;
        }
      },
      Math.max(AT_ONCE, Math.floor(LINES_AT_ONCE / first.records.length)),
    );
    for (const report of found) if (report) reports.set(report.myself.id, report);
    // A node may be known to some only, so each answer is searched for more.
    ahead = found.flatMap((report) => (report ? toAsk(report) : []));
  }
  return mergeReports(seed, first.myself.id, reports, unreachable);
}

function isReachable({ address }: NodeRecord): boolean {
  return address.host !== '' && address.port !== 0;
}

async function askMember(
  connections: Connections,
  record: NodeRecord,
  signal: AbortSignal | undefined,
  lines: NodeLines,
): Promise<NodeReport> {
  if (!isReachable(record)) {
    throw new ClusterError('NODE_UNREACHABLE', `No address is known for node ${record.id}`);
  }
  const report = await askNode(connections, record.address, signal, lines);
  if (report.myself.id !== record.id) {
    const address = formatAddress(record.address);
    throw new ClusterError(
      'NODES_DISAGREE',
      `Node ${record.id} is listed at ${address}, where node ${report.myself.id} answers`,
      { address, hint: 'It was reset or replaced: forget the old node id on every node' },
    );
  }
  return report;
}
