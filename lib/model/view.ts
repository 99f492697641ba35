import { type Address, compareAddresses, formatAddress, sameAddress } from './address.ts';
import { isInHandshake, type NodeRecord, type OpenSlot } from './node.ts';
import { claimsBySlot } from './slot.ts';

/** The fields of CLUSTER INFO that operations rest on. */
export interface ClusterInfo {
  readonly state: 'ok' | 'fail';
  readonly slotsAssigned: number;
  readonly knownNodes: number;
  readonly currentEpoch: number;
}

/** What one node answered when it was asked about the cluster. */
export interface NodeReport {
  /** The address the node answered at. */
  readonly address: Address;
  /** The node that answered: its own line. */
  readonly myself: NodeRecord;
  /** Every node it knows, itself included, those in handshake left out. */
  readonly records: readonly NodeRecord[];
  /** Nodes that are only being introduced to it. */
  readonly inHandshake?: readonly NodeRecord[];
  readonly info: ClusterInfo;
}

/** The cluster as each of its nodes sees it, at one moment. */
export interface ClusterView {
  /** The address that was asked first. */
  readonly seed: Address;
  /** Node id of the node at `seed`. */
  readonly seedId: string;
  /**
   * Every node that any reachable node knows: its own line where it answered, else the line of the first that
   * knows it. `address` is where it can be asked.
   */
  readonly nodes: readonly NodeRecord[];
  /** By node id: the answers. */
  readonly reports: ReadonlyMap<string, NodeReport>;
  /** By node id: why there is no answer. */
  readonly unreachable: ReadonlyMap<string, Error>;
}

/** A slot that somebody has open, as one node sees it. */
export interface OpenSlotOfNode extends OpenSlot {
  readonly nodeId: string;
}

const INFO_FIELD = /^cluster_(state|slots_assigned|known_nodes|current_epoch):(.*)/gm;

/** Reads the reply of CLUSTER INFO. */
export function parseClusterInfo(text: string): ClusterInfo {
  const fields = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(INFO_FIELD)) fields.set(name, value);
  return {
    state: fields.get('state') === 'ok' ? 'ok' : 'fail',
    slotsAssigned: Number(fields.get('slots_assigned') ?? 0),
    knownNodes: Number(fields.get('known_nodes') ?? 0),
    currentEpoch: Number(fields.get('current_epoch') ?? 0),
  };
}

/** Puts the answers of the nodes together. `seedId` must be among the reports. */
export function mergeReports(
  seed: Address,
  seedId: string,
  reports: ReadonlyMap<string, NodeReport>,
  unreachable: ReadonlyMap<string, Error>,
): ClusterView {
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
  // In one order, whoever is asked: plans made of a view have to come out the same.
  const sorted = [...nodes.values()].sort(
    (a, b) => compareAddresses(a.address, b.address) || (a.id < b.id ? -1 : 1),
  );
  return { seed, seedId, nodes: sorted, reports, unreachable };
}

/** The node of this id, or undefined. */
export function nodeById(view: ClusterView, id: string): NodeRecord | undefined {
  return view.nodes.find((node) => node.id === id);
}

/** The node that answers at this address, by the address it was asked at, the one others know, or the name it announces. */
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

/** How `observerId` sees `id`, or undefined where it does not know it or gave no answer. */
export function recordSeenBy(view: ClusterView, observerId: string, id: string): NodeRecord | undefined {
  return view.reports.get(observerId)?.records.find((record) => record.id === id);
}

/** Masters that answered. */
export function reachableMasters(view: ClusterView): NodeRecord[] {
  return view.nodes.filter((node) => node.role === 'master' && view.reports.has(node.id));
}

/** The node itself if it is a master, else its master: after a failover, the one that has its slots and keys. */
export function standIn(view: ClusterView, id: string): NodeRecord | undefined {
  const node = nodeById(view, id);
  return node?.role === 'replica' ? nodeById(view, node.masterId ?? '') : node;
}

/** Replicas of a master, answering or not. */
export function replicasOf(view: ClusterView, masterId: string): NodeRecord[] {
  return view.nodes.filter((node) => node.role === 'replica' && node.masterId === masterId);
}

/** Masters in the order in which a claim to a slot counts, the last for most. */
export function mastersByRank(view: ClusterView): NodeRecord[] {
  return view.nodes.filter(({ role }) => role === 'master').sort((a, b) => (outranks(a, b) ? 1 : -1));
}

/** By slot: the id of its owner, or undefined. Where several claim it, the highest config epoch wins, as among servers. */
export function slotOwners(view: ClusterView): (string | undefined)[] {
  return claimsBySlot(mastersByRank(view));
}

// Two masters with one config epoch settle it by node id: the one with the smaller takes a higher epoch
// (clusterHandleConfigEpochCollision), and with it the slots that both claim.
function outranks(a: NodeRecord, b: NodeRecord): boolean {
  return a.configEpoch === b.configEpoch ? a.id < b.id : a.configEpoch > b.configEpoch;
}

/** Slots that several masters claim, each in its own view; by slot their ids. */
export function contestedSlots(view: ClusterView): Map<number, string[]> {
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

/** Who owned a slot last by what the nodes that answer say of others: the highest config epoch, undefined where two have it. */
export function lastOwner(view: ClusterView, slot: number): string | undefined {
  let [found, epoch, isTied]: [string | undefined, number, boolean] = [undefined, -1, false];
  for (const { records } of view.reports.values()) {
    for (const { id, configEpoch, slots } of records) {
      if (!slots.some(([first, last]) => first <= slot && slot <= last)) continue;
      if (configEpoch > epoch) [found, epoch, isTied] = [id, configEpoch, false];
      else if (configEpoch === epoch && id !== found) isTied = true;
    }
  }
  return isTied ? undefined : found;
}

/**
 * Every open slot that a reachable master tells of, by slot. What a replica tells of since Valkey 8.0 is what its master has
 * told it: no command can change it there.
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

/** Node name for people: its address, or its id where the address is unknown. */
export function nodeName(view: ClusterView, id: string): string {
  const node = nodeById(view, id);
  return node && node.address.host !== '' ? formatAddress(node.address) : id;
}

/** The lines of CLUSTER NODES that stand for members: nodes still in handshake have no final id. */
export function members(records: readonly NodeRecord[]): NodeRecord[] {
  return records.filter((record) => !isInHandshake(record));
}
