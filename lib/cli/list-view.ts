import { formatAddress } from '../model/address.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import { formatRanges, toRanges } from '../model/slot.ts';
import type { NodeList } from '../operations/list-nodes.ts';
import type { FlagValues } from './flags.ts';
import type { Outcome } from './outcome.ts';

/** The data of `list`. */
export interface ListData {
  /** Id of the node that was asked. */
  readonly myself: string;
  readonly nodes: readonly ListedNode[];
}

interface ListedNode {
  readonly nodeId: string;
  readonly address: string;
  readonly role: 'master' | 'slave';
  /** As the server writes them. */
  readonly flags: readonly string[];
  readonly masterId: string | null;
  readonly configEpoch: number;
  /** Text such as `0-5460 7000`. */
  readonly slots: string;
  readonly slotCount: number;
  readonly slotsMigrating: boolean;
  readonly fail: boolean;
}

/** Outcome of `list`: the same lines as redis-trib.py prints, with --slots also the ranges of each master. */
export function listed({ nodes, myself }: NodeList, values: FlagValues = {}): Outcome<ListData> {
  const masters = nodes.filter((node) => node.master);
  const failed = nodes.filter((node) => node.fail).length;
  const known = new Set(masters.map(({ nodeId }) => nodeId));
  const strays = nodes.filter((node) => node.slave && !known.has(node.masterId ?? ''));
  const lines = [
    `Total ${nodes.length} nodes, ${masters.length} masters, ${failed} fail`,
    ...masters.flatMap((master) => [
      masterLine(master, values.slots === true),
      ...nodes
        .filter((node) => node.slave && node.masterId === master.nodeId)
        .map((node) => replicaLine(node, master.addr())),
    ]),
    ...strays.map((node) => replicaLine(node, node.masterId ?? '-')),
  ];
  return {
    ok: true,
    text: lines.join('\n'),
    holders: () =>
      masters.map((node) => ({
        id: node.nodeId,
        address: node.addr(),
        slots: toRanges(node.assignedSlots),
      })),
    // A getter, since computing the ranges takes as long as the whole text.
    get data() {
      return { myself: myself.nodeId, nodes: nodes.map(toJson) };
    },
  };
}

function masterLine(node: ClusterNode, showsSlots: boolean): string {
  const open = node.slotsMigrating ? ' [migrating]' : '';
  const ranges = showsSlots ? ` ${formatRanges(toRanges(node.assignedSlots))}`.trimEnd() : '';
  return `M  ${node.addr()} ${node.flags.join(',')} ${node.assignedSlots.length}${open}${ranges}`;
}

function replicaLine(node: ClusterNode, master: string): string {
  return ` S ${node.addr()} ${node.flags.join(',')} ${master}`;
}

function toJson(node: ClusterNode): ListedNode {
  return {
    nodeId: node.nodeId,
    address: formatAddress(node),
    role: node.roleInCluster,
    flags: node.flags,
    masterId: node.masterId,
    configEpoch: node.configEpoch,
    slots: formatRanges(toRanges(node.assignedSlots)),
    slotCount: node.assignedSlots.length,
    slotsMigrating: node.slotsMigrating,
    fail: node.fail,
  };
}
