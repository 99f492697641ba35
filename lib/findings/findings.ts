import { estranged } from '../model/acquaintance.ts';
import { formatAddress } from '../model/address.ts';
import { type Condition, conditionOf, goneNodes, isServing, misledAbout } from '../model/condition.ts';
import type { NodeDetails, SharedId } from '../model/details.ts';
import { capitalised } from '../model/lists.ts';
import type { Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import type { NodeSetup } from '../model/setup.ts';
import {
  claimsBySlot,
  differingSlots,
  formatSlots,
  nameSlots,
  SLOT_COUNT,
  slotsAre,
  slotsWhere,
  toRanges,
} from '../model/slot.ts';
import {
  type ClusterView,
  contestedSlots,
  mastersByRank,
  type NodeReport,
  openSlotsOf,
  slotOwners,
} from '../model/view.ts';
import {
  badAddresses,
  downLinks,
  epochCollisions,
  failingStates,
  misplaced,
  staleEntries,
} from './bus-findings.ts';
import { ifUnsettled, introducing, loadingFindings, UNLISTED, wordsOnCondition } from './condition-words.ts';
import { fieldDifferences } from './differences.ts';
import { type Finding, type FindingKind, listNames, namesOf } from './finding.ts';
import { replicaChains, sharedShards } from './follow-findings.ts';
import {
  memoryFindings,
  refusedWrites,
  type StrayKeysAt,
  saveFindings,
  sharedIdFindings,
  silent,
  strayKeyFindings,
  versionFindings,
} from './node-findings.ts';
import {
  mastersAlone,
  placementFindings,
  replicaMarkFindings,
  replicationFindings,
} from './replica-findings.ts';
import { type ShardLists, setupFindings } from './setup-findings.ts';
import { mastersWithoutSlots, spreadFindings } from './spread-findings.ts';

/** What is known in addition to the view. */
export interface Facts {
  /** By node id: details from INFO, or the error that prevented reading them. */
  readonly details?: ReadonlyMap<string, NodeDetails | Error>;
  readonly sharedIds?: readonly SharedId[];
  /** Addresses in handshake with a member at which a node answers that no member knows yet. */
  readonly introduced?: ReadonlySet<string>;
  /** Keys on masters that do not own their slot, or the error that prevented counting them. */
  readonly strayKeys?: readonly StrayKeysAt[] | Error;
  /** By node id. */
  readonly zones?: ReadonlyMap<string, string>;
  /** By node id. Nodes that were not asked are left out. */
  readonly setups?: ReadonlyMap<string, NodeSetup>;
  readonly shards?: ShardLists;
  /** True if a node that no member lists takes part in the cluster: it may serve slots that no node owns. */
  readonly hearsUnlisted?: boolean;
  /** Ids of replicas that were listened to for some seconds, and told their master nothing. */
  readonly mute?: ReadonlySet<string>;
}

const SEVERITIES = ['error', 'warning', 'info'] as const;

/** All problems in a view, errors first. */
export function findingsOf(view: ClusterView, facts: Facts = {}): Finding[] {
  const {
    details = new Map(),
    sharedIds = [],
    setups = new Map(),
    shards = new Map(),
    zones = new Map(),
    strayKeys = [],
    introduced,
  } = facts;
  const shared = sharedShards(view, setups, details);
  // It is said of these what they are, and that they are to follow the other master.
  const isShared = ({ nodes: [name] }: Finding): boolean => shared.some(({ nodes }) => nodes[0] === name);
  const found = [
    ...uncovered(view, facts.hearsUnlisted),
    ...open(view),
    ...contested(view),
    ...sharedIdFindings(sharedIds),
    ...badAddresses(view),
    ...conditions(view),
    ...loadingFindings(view, details),
    ...disagreements(view),
    ...fieldDifferences(view),
    ...failingStates(view),
    ...silent(view, details),
    ...staleEntries(view, introduced),
    ...strayKeyFindings(view, strayKeys),
    ...misplaced(view),
    ...downLinks(view),
    ...epochCollisions(view),
    ...mastersAlone(view),
    ...replicationFindings(view, details, facts.mute),
    ...replicaChains(view),
    ...shared,
    ...placementFindings(view, zones, details),
    ...spreadFindings(view, zones, details),
    ...mastersWithoutSlots(view).filter((empty) => !isShared(empty)),
    ...memoryFindings(view, details),
    ...versionFindings(view, details),
    ...setupFindings(view, setups, details, shards),
    ...refusedWrites(view, details, setups),
    ...saveFindings(view, details, setups),
    ...replicaMarkFindings(view),
  ];
  return SEVERITIES.flatMap((severity) => found.filter((item) => item.severity === severity));
}

/** Slots that no master claims, or whose owner neither answers nor is linked to most masters, ascending. */
export function uncoveredSlots(view: ClusterView): number[] {
  const owners = slotOwners(view);
  const absent = new Set([...view.unreachable.keys()].filter((id) => !isServing(view, id)));
  if (absent.size === 0 && !owners.includes(undefined)) return [];
  return slotsWhere((slot) => {
    const owner = owners[slot];
    return owner === undefined || absent.has(owner);
  });
}

/** A sentence about slots that are not served. */
export function describeUncovered(slots: readonly number[]): string {
  const count = slots.length === 1 ? '1 slot is' : `${slots.length} slots are`;
  return `${count} not served by any node: ${formatSlots(slots)}`;
}

function uncovered(view: ClusterView, hearsUnlisted = false): Finding[] {
  const slots = uncoveredSlots(view);
  if (slots.length === 0) return [];
  const all = bringingBack(view, slots);
  const message = `${describeUncovered(slots)}${hearsUnlisted ? `; ${UNLISTED}` : ''}`;
  const first = all.filter((one) => hearsUnlisted && one.do === 'rejoin');
  const next = [...first, ...all.filter((one) => !first.includes(one))];
  return [{ severity: 'error', kind: 'slots-uncovered', message, nodes: [], slots: toRanges(slots), next }];
}

/** What to do about slots that no node serves, by what is known of their owner. */
export function bringingBack(view: ClusterView, slots: readonly number[]): Next[] {
  const cluster = formatAddress(view.seed);
  const owners = slotOwners(view);
  const isUnowned = slots.some((slot) => owners[slot] === undefined);
  // A server that has just been installed, or one that has lost its files.
  if (view.nodes.length === 1 && slots.length === SLOT_COUNT && isUnowned)
    return [{ do: 'start', node: cluster, when: 'alone' }, introducing(cluster)];
  return [
    { do: 'start-node' },
    { do: 'failover', options: { mode: 'force' }, when: 'has-replica' },
    ...(isUnowned ? [introducing(cluster)] : []),
    { do: 'fix', cluster, when: 'no-owner' },
    { do: 'rescue', cluster, when: 'gone-with-its-keys' },
  ];
}

function open(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  return [...openSlotsOf(view)].map(([slot, items]) => ({
    severity: 'error',
    kind: 'slot-open',
    message: `Slot ${slot} is open: ${items
      .map(({ nodeId, direction, peer }) =>
        direction === 'importing'
          ? `importing on ${nameOf(nodeId)} from ${nameOf(peer)}`
          : `migrating on ${nameOf(nodeId)} to ${nameOf(peer)}`,
      )
      .join(', ')}`,
    nodes: items.map(({ nodeId }) => nameOf(nodeId)),
    slots: [[slot, slot]],
    next: [{ do: 'fix', cluster: formatAddress(view.seed), when: 'not-moving' }],
  }));
}

function contested(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  const byClaim = new Map<string, number[]>();
  for (const [slot, ids] of contestedSlots(view)) {
    const key = ids.join(' ');
    const slots = byClaim.get(key);
    if (slots) slots.push(slot);
    else byClaim.set(key, [slot]);
  }
  return [...byClaim].map(([key, slots]) => {
    const nodes = key.split(' ').map(nameOf);
    const message = `${capitalised(slotsAre(slots))} claimed by ${nodes.join(' and ')}`;
    const hint = 'The higher config epoch wins within seconds';
    const next: readonly Next[] = [{ do: 'fix', cluster: formatAddress(view.seed), when: 'stays' }];
    return { severity: 'error', kind: 'slots-contested', message, nodes, slots: toRanges(slots), hint, next };
  });
}

const KINDS: Readonly<Record<Condition['kind'], readonly [FindingKind, Finding['severity']]>> = {
  healthy: ['node-unreachable', 'error'],
  moved: ['node-moved', 'error'],
  loading: ['node-loading', 'warning'],
  'refuses-us': ['node-refuses', 'error'],
  'unreachable-from-here': ['node-unreachable', 'error'],
  silent: ['node-unreachable', 'error'],
  'stranger-at-its-address': ['node-stranger', 'error'],
  wiped: ['node-wiped', 'warning'],
  dead: ['node-failed', 'warning'],
};

/** Members that do not answer as themselves, by what each of them is, and those that others do not find. */
function conditions(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  return [...view.unreachable.keys(), ...misledAbout(view).keys()].flatMap((id): Finding[] => {
    const name = nameOf(id);
    const condition = conditionOf(view, id);
    // Nodes without an address have their own finding.
    if (name === id && condition.kind === 'silent') return [];
    const { says, ...advice } = wordsOnCondition(view, id);
    const [kind, severity] = KINDS[condition.kind];
    const misled = condition.kind === 'moved' ? condition.misled : [];
    return [{ severity, kind, message: `${name} ${says}`, nodes: [name, ...misled], ...advice }];
  });
}

/**
 * Differences between nodes that answer about members and slot owners. `ignore` leaves out node ids, `apart` the owners
 * of some slots.
 */
export function disagreements(
  view: ClusterView,
  ignore?: string | ReadonlySet<string>,
  apart: Pick<ReadonlySet<number>, 'has'> = new Set<number>(),
): Finding[] {
  const nameOf = namesOf(view);
  const owners = slotOwners(view);
  const ranked = mastersByRank(view);
  const agrees = claimsCheck(owners);
  const gone = new Set(goneNodes(view));
  const isIgnored = (id: string): boolean => (typeof ignore === 'object' ? ignore.has(id) : id === ignore);
  const found: Finding[] = [];
  for (const report of view.reports.values()) {
    if (isIgnored(report.myself.id)) continue;
    const name = formatAddress(report.address);
    const unknown = unknownTo(report, view.nodes).filter(({ id }) => !isIgnored(id) && !gone.has(id));
    if (unknown.length > 0) {
      const names = unknown.map(({ id }) => nameOf(id));
      found.push({
        severity: 'error',
        kind: 'nodes-disagree',
        message: `${name} does not know ${listNames(names)}`,
        nodes: [name, ...names],
        ...(isRival(view, report)
          ? {
              hint: 'It claims slots of others, and a server deletes the keys of slots that it loses. Save what it holds of these, then introduce it again with CLUSTER MEET',
            }
          : {
              hint: 'If a node was forgotten or has just joined, wait. Otherwise introduce it again, or make all nodes forget it',
              next: ifUnsettled(view, [name, ...names]),
            }),
      });
    }
    if (agrees(report.records)) continue;
    const wrong = differingSlots(ranked, report.records).filter((slot) => !apart.has(slot));
    if (wrong.length > 0) {
      const [slot = 0] = wrong;
      const seen = claimsBySlot(report.records);
      const [here, there] = [seen[slot], owners[slot]].map((id) => (id ? nameOf(id) : 'no node'));
      const owner = view.reports.get(owners[slot] ?? '')?.myself.id;
      // It cannot hear of the owner, whatever a repair of slots does. One that would lose keys by hearing it is repaired first.
      const isCut =
        owner !== undefined &&
        owner !== report.myself.id &&
        estranged(report, owner) !== undefined &&
        !isRival(view, report);
      found.push({
        severity: 'error',
        kind: 'nodes-disagree',
        message: `${name} does not agree with the others who owns ${nameSlots(wrong)}: it reports ${here} as the owner of slot ${slot}, the others ${there}`,
        nodes: [name],
        slots: toRanges(wrong),
        hint: 'Wait a few seconds and look again',
        next: isCut
          ? ifUnsettled(view, [name, nameOf(owner)])
          : [{ do: 'fix', cluster: formatAddress(view.seed), when: 'stays' }],
      });
    }
  }
  return found;
}

function isRival(view: ClusterView, { myself }: NodeReport): boolean {
  return [...contestedSlots(view).values()].some((ids) => ids.includes(myself.id));
}

function unknownTo({ records }: NodeReport, nodes: readonly NodeRecord[]): NodeRecord[] {
  // The view has every node that any node knows, so equal counts mean equal nodes.
  if (records.length === nodes.length) return [];
  const known = new Set(records.map(({ id }) => id));
  return nodes.filter(({ id }) => !known.has(id));
}

/**
 * Returns a cheap check that a report gives all slots to exactly these owners. Equal records are the same object
 * (`NodeLines`), so each is compared slot by slot only once.
 */
function claimsCheck(owners: readonly (string | undefined)[]): (records: readonly NodeRecord[]) => boolean {
  const owned = owners.reduce((sum, owner) => (owner === undefined ? sum : sum + 1), 0);
  const counts = new Map<NodeRecord, number>();
  const countOf = (record: NodeRecord): number => {
    let sum = 0;
    for (const [first, last] of record.slots) {
      for (let slot = first; slot <= last; slot++) if (owners[slot] !== record.id) return Number.NaN;
      sum += last - first + 1;
    }
    return sum;
  };
  return (records) => {
    let sum = 0;
    for (const record of records) {
      if (record.slots.length === 0) continue;
      let count = counts.get(record);
      if (count === undefined) {
        count = countOf(record);
        counts.set(record, count);
      }
      sum += count;
    }
    return sum === owned;
  };
}
