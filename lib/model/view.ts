import { type Address, compareAddresses, formatAddress, sameAddress } from './address.ts';
import { type NodeRecord, type OpenSlot, slotsOf } from './node.ts';
import { claimsBySlot, inRanges } from './slot.ts';

/** The fields of CLUSTER INFO that operations use. */
export interface ClusterInfo {
  readonly state: 'ok' | 'fail';
  readonly slotsAssigned: number;
  readonly knownNodes: number;
  readonly currentEpoch: number;
  /** Packets that it has sent on the cluster bus since it was started. */
  readonly messagesSent: number;
}

/** The cluster as one node reports it. */
export interface NodeReport {
  /** The address at which the node answered. */
  readonly address: Address;
  /** The node's own line. */
  readonly myself: NodeRecord;
  /** Every node that it knows, including itself but not nodes in handshake. */
  readonly records: readonly NodeRecord[];
  /** Nodes in handshake with it. */
  readonly inHandshake?: readonly NodeRecord[];
  readonly info: ClusterInfo;
}

/** How far a server has read its data from disk. */
export interface LoadingProgress {
  readonly percent: number;
  readonly etaSeconds: number;
}

/** The result of asking at one address. */
export interface AddressAnswer {
  /** Id of the node that answered. */
  readonly id?: string;
  /** True of a node that knows no other and owns no slot. */
  readonly isAlone?: boolean;
  /** Why it did not answer. */
  readonly error?: Error;
  /** Of a node that answers LOADING. */
  readonly loading?: LoadingProgress;
}

/** The cluster as each of its nodes reports it, at one moment. */
export interface ClusterView {
  /** The address that was asked first. */
  readonly seed: Address;
  /** Node id of the node at `seed`. */
  readonly seedId: string;
  /**
   * Every node that a reachable node knows: its own line if it answered, else the line of the first node that knows it.
   * `address` is the address to connect to.
   */
  readonly nodes: readonly NodeRecord[];
  /** By node id: the reports of the nodes that answered. */
  readonly reports: ReadonlyMap<string, NodeReport>;
  /** By node id: the reason why a node did not answer. */
  readonly unreachable: ReadonlyMap<string, Error>;
  /** By `host:port`: the result of asking at every address that any member lists for a node. */
  readonly asked?: ReadonlyMap<string, AddressAnswer>;
}

/** An open slot, as the node with id `nodeId` reports it. */
export interface OpenSlotOfNode extends OpenSlot {
  readonly nodeId: string;
}

const INFO_FIELD = /^cluster_(state|slots_assigned|known_nodes|current_epoch|stats_messages_sent):(.*)/gm;

/** Parses the reply of CLUSTER INFO. */
export function parseClusterInfo(text: string): ClusterInfo {
  const fields = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(INFO_FIELD)) fields.set(name, value);
  return {
    state: fields.get('state') === 'ok' ? 'ok' : 'fail',
    slotsAssigned: Number(fields.get('slots_assigned') ?? 0),
    knownNodes: Number(fields.get('known_nodes') ?? 0),
    currentEpoch: Number(fields.get('current_epoch') ?? 0),
    messagesSent: Number(fields.get('stats_messages_sent') ?? 0),
  };
}

/** Merges the reports of the nodes into one view. `seedId` must be among the reports. */
export function mergeReports(
  seed: Address,
  seedId: string,
  found: ReadonlyMap<string, NodeReport>,
  unreachable: ReadonlyMap<string, Error>,
  asked: ReadonlyMap<string, AddressAnswer> = new Map(),
): ClusterView {
  // In the same order however soon each node answered, so that findings come out the same. The seed before all others.
  const reports = new Map(
    [...found].sort(([one, { address: a }], [other, { address: b }]) =>
      one === seedId ? -1 : other === seedId ? 1 : compareAddresses(a, b),
    ),
  );
  const nodes = new Map<string, NodeRecord>();
  for (const report of reports.values()) {
    nodes.set(report.myself.id, {
      ...report.myself,
      address: { ...report.myself.address, ...report.address },
    });
  }
  for (const report of reports.values()) {
    for (const record of report.records) if (!nodes.has(record.id)) nodes.set(record.id, record);
  }
  // The same order whichever node is asked first, so that the plan comes out the same.
  const sorted = [...nodes.values()].sort(
    (a, b) => compareAddresses(a.address, b.address) || (a.id < b.id ? -1 : 1),
  );
  return { seed, seedId, nodes: sorted, reports, unreachable, asked };
}

/** The node with this id, or undefined. */
export function nodeById(view: ClusterView, id: string): NodeRecord | undefined {
  return view.nodes.find((node) => node.id === id);
}

/** The node at this address: the address it was asked at, its announced host name, or the address that other nodes report. */
export function nodeByAddress(view: ClusterView, address: Address): NodeRecord | undefined {
  const asked =
    view.nodes.find((node) => sameAddress(node.address, address)) ??
    view.nodes.find((node) => node.hostname === address.host && node.address.port === address.port);
  if (asked) return asked;
  const ids = new Set<string>();
  for (const { records } of view.reports.values()) {
    for (const record of records) if (sameAddress(record.address, address)) ids.add(record.id);
  }
  return view.nodes.find(({ id }) => ids.has(id));
}

/** The line of node `id` in the report of `observerId`; undefined if that node does not know it or did not answer. */
export function recordSeenBy(view: ClusterView, observerId: string, id: string): NodeRecord | undefined {
  return view.reports.get(observerId)?.records.find((record) => record.id === id);
}

/** Masters that answered. */
export function reachableMasters(view: ClusterView): NodeRecord[] {
  return view.nodes.filter((node) => node.role === 'master' && view.reports.has(node.id));
}

/** The node itself if it is a master, else its master: after a failover, that node has its slots and keys. */
export function standIn(view: ClusterView, id: string): NodeRecord | undefined {
  const node = nodeById(view, id);
  return node?.role === 'replica' ? nodeById(view, node.masterId ?? '') : node;
}

/** Replicas of a master, answering or not. */
export function replicasOf(view: ClusterView, masterId: string): NodeRecord[] {
  return view.nodes.filter((node) => node.role === 'replica' && node.masterId === masterId);
}

/** Masters by precedence of their slot claims, the winner last. */
export function mastersByRank({ nodes }: { readonly nodes: readonly NodeRecord[] }): NodeRecord[] {
  return nodes.filter(({ role }) => role === 'master').sort((a, b) => (outranks(a, b) ? 1 : -1));
}

/** By slot: the id of its owner, or undefined. Of several claims the one with the highest config epoch wins, as on the servers. */
export function slotOwners(view: ClusterView): (string | undefined)[] {
  return claimsBySlot(mastersByRank(view));
}

/**
 * Slots that are lost if all forget a node that does not answer: those that any member gives it, be it the only one that knows of
 * them, unless a master that answers owns them by config epoch. What one member has not heard yet keeps no node in the cluster.
 */
export function slotsLeftTo(view: ClusterView, id: string): number[] {
  const owners = slotOwners(view);
  const left = new Set<number>();
  for (const { records } of view.reports.values()) {
    for (const record of records) {
      if (record.id !== id) continue;
      for (const slot of slotsOf(record)) {
        const owner = view.reports.get(owners[slot] ?? '')?.myself;
        if (!owner || owner.id === id || owner.configEpoch < record.configEpoch) left.add(slot);
      }
    }
  }
  return [...left].sort((a, b) => a - b);
}

// Of two masters with the same config epoch, the one with the smaller id takes a higher epoch
// (clusterHandleConfigEpochCollision), and with it the slots that both claim.
function outranks(a: NodeRecord, b: NodeRecord): boolean {
  return a.configEpoch === b.configEpoch ? a.id < b.id : a.configEpoch > b.configEpoch;
}

/** Slots that several masters claim, each in its own report. By slot: their ids. */
export function contestedSlots(view: ClusterView): Map<number, string[]> {
  // Few clusters have any, and looking at ranges is much faster than at slots.
  const ranges = [...view.reports.values()]
    .flatMap(({ myself }) => (myself.role === 'master' ? myself.slots : []))
    .sort(([a], [b]) => a - b);
  if (ranges.every(([first], index) => index === 0 || first > (ranges[index - 1]?.[1] ?? -1)))
    return new Map();
  const claimants: (string | undefined)[] = [];
  const contested = new Map<number, string[]>();
  for (const { myself } of view.reports.values()) {
    if (myself.role !== 'master') continue;
    for (const [first, last] of myself.slots) {
      for (let slot = first; slot <= last; slot++) {
        const claimant = claimants[slot];
        if (claimant === undefined) claimants[slot] = myself.id;
        else contested.set(slot, [...(contested.get(slot) ?? [claimant]), myself.id]);
      }
    }
  }
  return new Map(
    [...contested].map(([slot, ids]): [number, string[]] => [slot, ids.sort()]).sort(([a], [b]) => a - b),
  );
}

/**
 * The last owner of a slot according to all reports: of the nodes that any report gives the slot, the one with the highest
 * config epoch. Undefined if two are equal.
 */
export function lastOwner(view: ClusterView, slot: number): string | undefined {
  let [found, epoch, isTied]: [string | undefined, number, boolean] = [undefined, -1, false];
  for (const { records } of view.reports.values()) {
    for (const { id, configEpoch, slots } of records) {
      if (!inRanges(slot, slots)) continue;
      if (configEpoch > epoch) [found, epoch, isTied] = [id, configEpoch, false];
      else if (configEpoch === epoch && id !== found) isTied = true;
    }
  }
  return isTied ? undefined : found;
}

/**
 * Open slots reported by reachable masters, by slot. Since Valkey 8.0 replicas report those of their master too, but no
 * command can change them there.
 */
export function openSlotsOf(view: ClusterView): Map<number, OpenSlotOfNode[]> {
  const open = new Map<number, OpenSlotOfNode[]>();
  for (const report of view.reports.values()) {
    if (report.myself.role !== 'master') continue;
    for (const item of report.myself.openSlots) {
      const found = open.get(item.slot) ?? [];
      found.push({ ...item, nodeId: report.myself.id });
      open.set(item.slot, found);
    }
  }
  return new Map([...open].sort(([a], [b]) => a - b));
}

/** Slots that a replica shows as open, and its master does not or is not there to say. */
export interface ReplicaMarks {
  readonly replica: NodeReport;
  /** Undefined if it does not answer. */
  readonly master: NodeRecord | undefined;
  readonly slots: readonly number[];
}

/** Since Valkey 8.0 a master replicates SETSLOT before it carries it out: if that is cut short, the replica alone has the slot open. */
export function replicaMarks(view: ClusterView): ReplicaMarks[] {
  return [...view.reports.values()].flatMap((replica): ReplicaMarks[] => {
    const { role, openSlots, masterId } = replica.myself;
    if (role !== 'replica' || openSlots.length === 0) return [];
    const master = view.reports.get(masterId ?? '')?.myself;
    const open = new Set(master?.openSlots.map(({ slot }) => slot));
    const slots = [...new Set(openSlots.map(({ slot }) => slot))].filter((slot) => !open.has(slot));
    return slots.length > 0 ? [{ replica, master, slots }] : [];
  });
}

/**
 * The host of a node. Of the node that was asked first, what others list: `localhost`, as somebody typed it, is no host beside
 * 127.0.0.1.
 */
export function hostOf(view: ClusterView, { id, address }: NodeRecord): string {
  if (id !== view.seedId) return address.host;
  for (const { myself, records } of view.reports.values()) {
    const listed = myself.id === id ? undefined : records.find((record) => record.id === id);
    if (listed && listed.address.host !== '') return listed.address.host;
  }
  return address.host;
}

/** Display name of a node: its address, or its id if the address is unknown. */
export function nodeName(view: ClusterView, id: string): string {
  const node = nodeById(view, id);
  return node && node.address.host !== '' ? formatAddress(node.address) : id;
}
