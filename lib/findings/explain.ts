import { type Condition, conditionOf, isServing } from '../model/condition.ts';
import { bytesBehind, type NodeDetails } from '../model/details.ts';
import { countSlots, type NodeRecord, type OpenSlot } from '../model/node.ts';
import { formatRanges, inRanges } from '../model/slot.ts';
import { type ClusterView, mastersByRank, openSlotsOf, replicasOf, slotOwners } from '../model/view.ts';
import { type Finding, namesOf } from './finding.ts';

/** Who has a slot, and what is wrong with it. Nodes are addresses, or ids if the address is unknown. */
export interface SlotStanding {
  readonly slot: number;
  /** Null if no master claims it. */
  readonly owner: string | null;
  /** True if a node serves it. */
  readonly isServed: boolean;
  readonly replicas: readonly string[];
  /** Other masters that claim it, with a lower config epoch. */
  readonly alsoClaimedBy: readonly string[];
  /** The nodes that have it open, and towards which other. */
  readonly open: readonly {
    readonly node: string;
    readonly direction: OpenSlot['direction'];
    readonly peer: string;
  }[];
  /** Findings of `check` that concern the slot or its owner. */
  readonly findings: readonly Finding[];
}

/** A member, as it and the others report it. */
export interface NodeStanding {
  readonly id: string;
  /** Address, or id if that is unknown. */
  readonly node: string;
  readonly condition: Condition['kind'];
  readonly role: NodeRecord['role'];
  /** Null for a master. */
  readonly master: string | null;
  readonly replicas: readonly string[];
  /** Text such as `0-5460`. */
  readonly slots: string;
  readonly slotCount: number;
  readonly configEpoch: number;
  /** `Redis 8.6.0`; null if it does not say. */
  readonly version: string | null;
  /** In all databases; null if it does not say. */
  readonly keys: number | null;
  /** In bytes; null if it does not say. */
  readonly usedMemory: number | null;
  /** Of a replica: bytes behind its master; null if it is not known. */
  readonly lagBytes: number | null;
  /** Findings of `check` that name it. */
  readonly findings: readonly Finding[];
}

/** Who has a slot, according to all members. */
export function slotStanding(view: ClusterView, slot: number, findings: readonly Finding[]): SlotStanding {
  const nameOf = namesOf(view);
  const ownerId = slotOwners(view)[slot];
  const claiming = mastersByRank(view).filter(({ slots }) => inRanges(slot, slots));
  const owner = ownerId === undefined ? null : nameOf(ownerId);
  return {
    slot,
    owner,
    isServed: ownerId !== undefined && isServing(view, ownerId),
    replicas: ownerId === undefined ? [] : replicasOf(view, ownerId).map(({ id }) => nameOf(id)),
    alsoClaimedBy: claiming.filter(({ id }) => id !== ownerId).map(({ id }) => nameOf(id)),
    open: (openSlotsOf(view).get(slot) ?? []).map(({ nodeId, direction, peer }) => ({
      node: nameOf(nodeId),
      direction,
      peer: nameOf(peer),
    })),
    findings: findings.filter(({ slots, nodes }) =>
      slots === undefined ? owner !== null && nodes.includes(owner) : inRanges(slot, slots),
    ),
  };
}

/** A member and its place in the cluster. */
export function nodeStanding(
  view: ClusterView,
  node: NodeRecord,
  findings: readonly Finding[],
  details: ReadonlyMap<string, NodeDetails | Error>,
): NodeStanding {
  const nameOf = namesOf(view);
  const name = nameOf(node.id);
  const own = known(details.get(node.id));
  return {
    id: node.id,
    node: name,
    condition: conditionOf(view, node.id).kind,
    role: node.role,
    master: node.masterId === null ? null : nameOf(node.masterId),
    replicas: replicasOf(view, node.id).map(({ id }) => nameOf(id)),
    slots: formatRanges(node.slots),
    slotCount: countSlots(node),
    configEpoch: node.configEpoch,
    version: own?.version ?? null,
    keys: own?.keys ?? null,
    usedMemory: own?.memory.used ?? null,
    lagBytes: (node.role === 'replica' ? bytesBehind(own, details.get(node.masterId ?? '')) : null) ?? null,
    findings: findings.filter(({ nodes }) => nodes.includes(name)),
  };
}

function known(own: NodeDetails | Error | undefined): NodeDetails | undefined {
  return own instanceof Error ? undefined : own;
}
