import { formatAddress } from './address.ts';
import { downLinks, epochCollisions, failingStates, ghosts, misplaced } from './bus-findings.ts';
import type { NodeDetails, SharedId } from './details.ts';
import { fieldDifferences } from './differences.ts';
import { type Finding, listNames, namesOf } from './finding.ts';
import { isFailed, type NodeRecord } from './node.ts';
import {
  memoryFindings,
  type StrayKeysAt,
  saveFindings,
  sharedIdFindings,
  silent,
  strayKeyFindings,
  versionFindings,
} from './node-findings.ts';
import { mastersAlone, placementFindings, replicaMarks, replicationFindings } from './replica-findings.ts';
import { claimsBySlot, differingSlots, formatSlots, slotsWhere, toRanges } from './slot.ts';
import {
  type ClusterView,
  contestedSlots,
  mastersByRank,
  type NodeReport,
  openSlotsOf,
  slotOwners,
} from './view.ts';

/** What is known beside the view itself. */
export interface Beside {
  /** By node id: what a node says of itself, or why it does not. */
  readonly details?: ReadonlyMap<string, NodeDetails | Error>;
  readonly sharedIds?: readonly SharedId[];
  /** Keys of slots that those who hold them do not own, or why it is not known. */
  readonly strayKeys?: readonly StrayKeysAt[] | Error;
  /** By node id. */
  readonly zones?: ReadonlyMap<string, string>;
}

const SEVERITIES = ['error', 'warning', 'info'] as const;

/** Everything that is wrong in a view, errors first. */
export function findingsOf(view: ClusterView, beside: Beside = {}): Finding[] {
  const { details = new Map(), sharedIds = [], zones = new Map(), strayKeys = [] } = beside;
  const found = [
    ...uncovered(view),
    ...open(view),
    ...contested(view),
    ...sharedIdFindings(sharedIds),
    ...unreachable(view),
    ...disagreements(view),
    ...fieldDifferences(view),
    ...failingStates(view),
    ...silent(view, details),
    ...ghosts(view),
    ...strayKeyFindings(view, strayKeys),
    ...misplaced(view),
    ...downLinks(view),
    ...epochCollisions(view),
    ...mastersAlone(view),
    ...replicationFindings(view, details),
    ...placementFindings(view, zones),
    ...memoryFindings(view, details),
    ...versionFindings(view, details),
    ...saveFindings(view, details),
    ...replicaMarks(view),
  ];
  return SEVERITIES.flatMap((severity) => found.filter((item) => item.severity === severity));
}

/** Slots that no master claims, or whose owner has failed. */
export function uncoveredSlots(view: ClusterView): number[] {
  const failed = new Set(failedNodes(view));
  const owners = slotOwners(view);
  if (failed.size === 0 && !owners.includes(undefined)) return [];
  return slotsWhere((slot) => {
    const owner = owners[slot];
    return owner === undefined || failed.has(owner);
  });
}

/** Ids of the nodes that gave no answer and that a majority has declared failed. */
export function failedNodes(view: ClusterView): string[] {
  const failed = new Set<string>();
  for (const { records } of view.reports.values()) {
    for (const record of records) if (isFailed(record)) failed.add(record.id);
  }
  return view.nodes.filter(({ id }) => failed.has(id) && !view.reports.has(id)).map(({ id }) => id);
}

/** Says that slots are not served, and which. */
export function describeUncovered(slots: readonly number[]): string {
  const count = slots.length === 1 ? '1 slot is' : `${slots.length} slots are`;
  return `${count} not served by any node: ${formatSlots(slots)}`;
}

function uncovered(view: ClusterView): Finding[] {
  const slots = uncoveredSlots(view);
  if (slots.length === 0) return [];
  const message = describeUncovered(slots);
  const seed = formatAddress(view.seed);
  const hint =
    `Bring their owner back, or let its replica take over: redis-trib failover REPLICA --mode force. If they have none: ` +
    `redis-trib fix ${seed}. If it is gone for good, and its keys: redis-trib rescue ${seed} NEW`;
  return [{ severity: 'error', kind: 'slots-uncovered', message, nodes: [], slots: toRanges(slots), hint }];
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
    hint: `Unless a move is under way: redis-trib fix ${formatAddress(view.seed)}`,
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
    const message = `Slots ${formatSlots(slots)} are claimed by ${nodes.join(' and ')}`;
    const hint = `The higher config epoch wins within seconds; if not: redis-trib fix ${formatAddress(view.seed)}`;
    return { severity: 'error', kind: 'slots-contested', message, nodes, slots: toRanges(slots), hint };
  });
}

function unreachable(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  const failed = new Set(failedNodes(view));
  return [...view.unreachable].flatMap(([id, error]): Finding[] => {
    const name = nameOf(id);
    // That no address is known is told apart.
    if (name === id && !failed.has(id)) return [];
    return failed.has(id)
      ? [
          {
            severity: 'warning',
            kind: 'node-failed',
            message: `${name} has failed: ${error.message}`,
            nodes: [name],
            hint: `Start it again; if it is gone for good: redis-trib del_node ${formatAddress(view.seed)} ${id}`,
          },
        ]
      : [
          {
            severity: 'error',
            kind: 'node-unreachable',
            message: `${name} gives no answer: ${error.message}`,
            nodes: [name],
            hint: (error as { hint?: string }).hint ?? hintOn(error),
          },
        ];
  });
}

function hintOn({ message }: Error): string {
  return message.includes('max number of clients')
    ? 'It runs, and has no room for more connections: close some, or raise its maxclients'
    : 'Start it again, or let it be reached from here; the cluster does not hold it for failed yet';
}

/**
 * Where nodes that answer see members or slot owners differently. `ignore` leaves one node id out, `apart` the owners of
 * some slots.
 */
export function disagreements(
  view: ClusterView,
  ignore?: string,
  apart: Pick<ReadonlySet<number>, 'has'> = new Set<number>(),
): Finding[] {
  const nameOf = namesOf(view);
  const owners = slotOwners(view);
  const ranked = mastersByRank(view);
  const isWell = claimsCheck(owners);
  const found: Finding[] = [];
  for (const report of view.reports.values()) {
    if (report.myself.id === ignore) continue;
    const name = formatAddress(report.address);
    const strangers = strangersTo(report, view.nodes).filter(({ id }) => id !== ignore);
    if (strangers.length > 0) {
      const names = strangers.map(({ id }) => nameOf(id));
      found.push({
        severity: 'error',
        kind: 'nodes-disagree',
        message: `${name} does not know ${listNames(names)}`,
        nodes: [name, ...names],
        hint: isRival(view, report)
          ? 'It claims slots of others, and a server deletes the keys of slots that it loses: save what it holds of these, then introduce it again with CLUSTER MEET'
          : 'If a node was forgotten or has just joined, wait; else introduce it again with CLUSTER MEET, or forget it on all',
      });
    }
    if (isWell(report.records)) continue;
    const wrong = differingSlots(ranked, report.records).filter((slot) => !apart.has(slot));
    if (wrong.length > 0) {
      const [slot = 0] = wrong;
      const seen = claimsBySlot(report.records);
      const [here, there] = [seen[slot], owners[slot]].map((id) => (id ? nameOf(id) : 'nobody'));
      found.push({
        severity: 'error',
        kind: 'nodes-disagree',
        message: `${name} does not agree with the others who owns slots ${formatSlots(wrong)}: slot ${slot} is ${here}'s to it, ${there}'s to the others`,
        nodes: [name],
        slots: toRanges(wrong),
        hint: `Wait a few seconds and check again; if it stays: redis-trib fix ${formatAddress(view.seed)}`,
      });
    }
  }
  return found;
}

function isRival(view: ClusterView, { myself }: NodeReport): boolean {
  return [...contestedSlots(view).values()].some((ids) => ids.includes(myself.id));
}

function strangersTo({ records }: NodeReport, nodes: readonly NodeRecord[]): NodeRecord[] {
  // All that anybody knows is in the view.
  if (records.length === nodes.length) return [];
  const known = new Set(records.map(({ id }) => id));
  return nodes.filter(({ id }) => !known.has(id));
}

/**
 * Tells cheaply of most reports that they name these owners and no others. Records that say the same are one object, so each
 * is compared slot by slot once.
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
