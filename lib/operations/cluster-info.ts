import { countSlots, type NodeRecord } from '../model/node.ts';
import type { SlotRange } from '../model/slot.ts';
import { type ClusterView, nodeName, replicasOf } from '../model/view.ts';
import { look } from '../nodes/look.ts';
import { type NodeInfo, NodeInfos, numberOf, totalKeys } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';

export interface ClusterInfoOptions extends ConnectionOptions {
  readonly signal?: AbortSignal;
}

/** Figures of one master. */
export interface MasterInfo {
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  readonly slots: number;
  readonly slotRanges: readonly SlotRange[];
  /** Addresses of its replicas, whether they answer or not. */
  readonly replicas: readonly string[];
  /** In all databases; null if it does not answer. */
  readonly keys: number | null;
  /** In bytes; null if it does not answer. */
  readonly usedMemory: number | null;
  /** Why it does not answer. */
  readonly error: Error | null;
}

export interface ClusterInfoResult {
  /** True if every master answered. */
  readonly ok: boolean;
  /** Ordered by address. */
  readonly masters: readonly MasterInfo[];
  /** Sum over the masters that answered. */
  readonly keys: number;
  /** Sum over all masters. */
  readonly slots: number;
  /** In bytes, sum over the masters that answered. */
  readonly usedMemory: number;
  readonly keysPerSlot: number;
}

/** Counts keys, slots and replicas of each master. Rejects only if the first node does not answer. */
export function clusterInfo(
  cluster: ClusterLike,
  options: ClusterInfoOptions = {},
): Promise<ClusterInfoResult> {
  return withReading(cluster, options, async ({ connections, signal }) => {
    const infos = new NodeInfos(connections, ['memory', 'keyspace']);
    const view = await look(connections, seedOf(cluster), signal, (address, record) => {
      if (record?.role !== 'replica') infos.of(address);
    });
    signal?.throwIfAborted();
    const masters = await inParallel(
      view.nodes.filter(({ role }) => role === 'master'),
      async (node) => {
        const address = view.reports.get(node.id)?.address;
        const info = address && (await infos.of(address).catch((error: Error) => error));
        return masterInfo(node, view, info);
      },
    );
    const sum = (of: (master: MasterInfo) => number | null): number =>
      masters.reduce((total, master) => total + (of(master) ?? 0), 0);
    const [keys, slots] = [sum((master) => master.keys), sum((master) => master.slots)];
    return {
      ok: masters.every(({ error }) => error === null),
      masters,
      keys,
      slots,
      usedMemory: sum((master) => master.usedMemory),
      keysPerSlot: slots === 0 ? 0 : keys / slots,
    };
  });
}

function masterInfo(node: NodeRecord, view: ClusterView, info: NodeInfo | Error | undefined): MasterInfo {
  const own = info instanceof Error ? undefined : info;
  const error = info instanceof Error ? info : (view.unreachable.get(node.id) ?? null);
  return {
    id: node.id,
    address: nodeName(view, node.id),
    slots: countSlots(node),
    slotRanges: node.slots,
    replicas: replicasOf(view, node.id).map(({ id }) => nodeName(view, id)),
    keys: own ? totalKeys(own) : null,
    usedMemory: own ? numberOf(own, 'used_memory') : null,
    error,
  };
}
