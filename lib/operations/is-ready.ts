import { ReplyError } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { isSuspected, type NodeRecord } from '../model/node.ts';
import { parseClusterNodes } from '../model/node-lines.ts';
import type { NodeReport } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { askInfo, isLinkUp, type NodeInfo, parseInfo } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';

/** How many other masters are asked about the node, and how long each may take. */
const [WITNESSES, WITNESS_MS] = [3, 300];

/** Whether a node serves, and agrees with the others. */
export interface ReadyResult {
  readonly ok: boolean;
  readonly address: string;
  /** Absent if it does not say. */
  readonly role?: 'master' | 'replica';
  /** What it lacks, for people; empty if it is ready. */
  readonly missing: readonly string[];
}

export interface ReadyOptions extends ConnectionOptions {
  readonly signal?: AbortSignal;
}

/**
 * Says whether a node is ready for clients: it serves, a replica is linked to a master, and most of a few other masters that are
 * asked know it for what it is. Others that do not answer do not count. Changes nothing. Rejects if the node does not answer.
 */
export function isReady(node: ClusterLike, options: ReadyOptions = {}): Promise<ReadyResult> {
  return withReading(node, options, async (context) => {
    const { connections, signal } = context;
    const seed = seedOf(node);
    const address = formatAddress(seed);
    const asking = askInfo(connections, seed, ['replication', 'persistence']);
    // It may not be awaited.
    asking.catch(() => {});
    try {
      const report = await askNode(connections, seed, signal);
      const [info, witnesses] = await Promise.all([asking, askWitnesses(context, report)]);
      const missing = [
        ...ownLacks(report, info),
        ...doubts(report.myself, witnesses),
        ...(await twinsOf(context, seed, report.myself.id, witnesses)),
      ];
      return { ok: missing.length === 0, address, role: report.myself.role, missing };
    } catch (error) {
      if (!(error instanceof ReplyError && error.code === 'LOADING')) throw error;
      return { ok: false, address, missing: [LOADING] };
    }
  });
}

const LOADING = 'It is loading its data from disk';

function ownLacks({ myself, records, info: cluster }: NodeReport, info: NodeInfo): string[] {
  const followed = records.find(({ id }) => id === myself.masterId);
  return [
    ...(info.get('loading') === '1' ? [LOADING] : []),
    ...(cluster.state === 'ok' ? [] : ['It reports cluster_state:fail']),
    ...(myself.role === 'replica' && !isLinkUp(info)
      ? [
          info.get('master_sync_in_progress') === '1'
            ? 'It is still copying its master'
            : 'It has no link to its master',
        ]
      : []),
    // It sends every client away, whoever has the slot (getNodeByQuery).
    ...(followed?.role === 'replica'
      ? [`It follows ${formatAddress(followed.address)}, which is a replica itself`]
      : []),
  ];
}

/** What another node reports about the cluster. */
export interface Witness {
  readonly name: string;
  readonly records: readonly NodeRecord[];
}

// Those that follow it in the order of ids, so that each node is asked by a few others.
async function askWitnesses({ connections }: Context, { myself, records }: NodeReport): Promise<Witness[]> {
  const masters = records
    .filter(
      (record) =>
        record.id !== myself.id &&
        record.role === 'master' &&
        record.slots.length > 0 &&
        record.linkState === 'connected' &&
        !isSuspected(record) &&
        record.address.host !== '',
    )
    .sort((a, b) => Number(a.id < myself.id) - Number(b.id < myself.id) || (a.id < b.id ? -1 : 1));
  const found = await inParallel(masters.slice(0, WITNESSES), async ({ address }): Promise<Witness[]> => {
    try {
      const text = String(await connections.askSoon(address, ['CLUSTER', 'NODES'], WITNESS_MS));
      return [{ name: formatAddress(address), records: parseClusterNodes(text) }];
    } catch {
      // Another node that is not well must not take this one out of service.
      return [];
    }
  });
  return found.flat();
}

// Started with copies of one nodes.conf: this one believes that it owns the slots, and clients are sent to the other.
async function twinsOf(
  { connections }: Context,
  seed: Address,
  id: string,
  witnesses: readonly Witness[],
): Promise<string[]> {
  const listed = witnesses.flatMap(({ records }) => records.filter((record) => record.id === id));
  const others = new Map(listed.map(({ address }) => [formatAddress(address), address]));
  others.delete(formatAddress(seed));
  const runIdAt = async (address: Address): Promise<string | undefined> =>
    parseInfo(String(await connections.askSoon(address, ['INFO', 'server'], WITNESS_MS))).get('run_id');
  const found = await inParallel([...others], async ([name, address]): Promise<string[]> => {
    try {
      const there = String(await connections.askSoon(address, ['CLUSTER', 'MYID'], WITNESS_MS));
      const isTwin = there === id && (await runIdAt(address)) !== (await runIdAt(seed));
      return isTwin ? [`Another server answers with its node id: ${name}`] : [];
    } catch {
      return [];
    }
  });
  return found.flat();
}

/** What keeps most of the others from taking a node for what it is. */
export function doubts(myself: NodeRecord, witnesses: readonly Witness[]): string[] {
  const said = witnesses.flatMap(({ name, records }) => {
    const text = doubtOf(myself, records);
    return text === undefined ? [] : [`${name} ${text}`];
  });
  return 2 * said.length > witnesses.length ? said : [];
}

function doubtOf(myself: NodeRecord, records: readonly NodeRecord[]): string | undefined {
  const record = records.find(({ id }) => id === myself.id);
  if (!record) return 'does not know it';
  if (isSuspected(record)) return 'considers it failed';
  if (record.role !== myself.role || record.masterId !== myself.masterId)
    return `considers it ${record.role === 'master' ? 'a master' : `a replica of ${record.masterId}`}`;
  // A claim with a higher config epoch is one that this node has yet to hear of.
  const rival = records.find(
    (other) =>
      other.id !== myself.id && other.configEpoch > myself.configEpoch && overlap(other.slots, myself.slots),
  );
  return rival && `considers ${formatAddress(rival.address)} the owner of some of its slots`;
}

function overlap(some: NodeRecord['slots'], others: NodeRecord['slots']): boolean {
  return some.some(([first, last]) => others.some(([from, to]) => first <= to && from <= last));
}
