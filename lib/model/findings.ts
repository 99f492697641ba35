import { formatAddress } from './address.ts';
import { isFailed } from './node.ts';
import { differingSlots, formatSlots, type SlotRange, slotsWhere, toRanges } from './slot.ts';
import { type ClusterView, mastersByRank, nodeName, openSlotsOf, slotOwners } from './view.ts';

/** Something about a cluster that is not as it should be. */
export interface Finding {
  /** `error`: slots are not served, or nodes do not agree. `warning`: it works, but not as safely as it should. */
  readonly severity: 'error' | 'warning';
  readonly kind:
    | 'node-unreachable'
    | 'node-failed'
    | 'nodes-disagree'
    | 'link-down'
    | 'state-fail'
    | 'slots-uncovered'
    | 'slot-open'
    | 'slots-contested'
    | 'epoch-collision';
  readonly message: string;
  /** Addresses, or ids where no address is known. */
  readonly nodes: readonly string[];
  readonly slots?: readonly SlotRange[];
}

/** Everything that is wrong in a view, errors first. */
export function findingsOf(view: ClusterView): Finding[] {
  const found = [
    ...uncovered(view),
    ...open(view),
    ...contested(view),
    ...unreachable(view),
    ...disagreements(view),
    ...states(view),
    ...links(view),
    ...collisions(view),
  ];
  return [
    ...found.filter((item) => item.severity === 'error'),
    ...found.filter((item) => item.severity === 'warning'),
  ];
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
  return view.nodes
    .filter((node) => !view.reports.has(node.id))
    .filter((node) =>
      [...view.reports.values()].some((report) =>
        report.records.some((record) => record.id === node.id && isFailed(record)),
      ),
    )
    .map((node) => node.id);
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
  return [{ severity: 'error', kind: 'slots-uncovered', message, nodes: [], slots: toRanges(slots) }];
}

function open(view: ClusterView): Finding[] {
  return [...openSlotsOf(view)].map(([slot, items]) => ({
    severity: 'error',
    kind: 'slot-open',
    message: `Slot ${slot} is open: ${items
      .map(({ nodeId, direction, peer }) =>
        direction === 'importing'
          ? `importing on ${nodeName(view, nodeId)} from ${nodeName(view, peer)}`
          : `migrating on ${nodeName(view, nodeId)} to ${nodeName(view, peer)}`,
      )
      .join(', ')}`,
    nodes: items.map(({ nodeId }) => nodeName(view, nodeId)),
    slots: [[slot, slot]],
  }));
}

function contested(view: ClusterView): Finding[] {
  const bySlot = new Map<number, string[]>();
  for (const { myself } of view.reports.values()) {
    if (myself.role !== 'master') continue;
    for (const [first, last] of myself.slots) {
      for (let slot = first; slot <= last; slot++) bySlot.set(slot, [...(bySlot.get(slot) ?? []), myself.id]);
    }
  }
  const byClaim = new Map<string, number[]>();
  for (const [slot, ids] of bySlot) {
    if (ids.length < 2) continue;
    const key = ids.sort().join(' ');
    byClaim.set(key, [...(byClaim.get(key) ?? []), slot]);
  }
  return [...byClaim].map(([key, slots]) => {
    const nodes = key.split(' ').map((id) => nodeName(view, id));
    const message = `Slots ${formatSlots(slots)} are claimed by ${nodes.join(' and ')}`;
    return { severity: 'error', kind: 'slots-contested', message, nodes, slots: toRanges(slots) };
  });
}

function unreachable(view: ClusterView): Finding[] {
  const failed = new Set(failedNodes(view));
  return [...view.unreachable].map(([id, error]) => {
    const name = nodeName(view, id);
    return failed.has(id)
      ? {
          severity: 'warning',
          kind: 'node-failed',
          message: `${name} has failed: ${error.message}`,
          nodes: [name],
        }
      : {
          severity: 'error',
          kind: 'node-unreachable',
          message: `${name} gives no answer: ${error.message}`,
          nodes: [name],
        };
  });
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
  const owners = mastersByRank(view);
  const found: Finding[] = [];
  for (const report of view.reports.values()) {
    if (report.myself.id === ignore) continue;
    const name = formatAddress(report.address);
    const known = new Set(report.records.map(({ id }) => id));
    const strangers = view.nodes.filter(({ id }) => id !== ignore && !known.has(id));
    for (const { id } of strangers) {
      const nodes = [name, nodeName(view, id)];
      found.push({
        severity: 'error',
        kind: 'nodes-disagree',
        message: `${name} does not know ${nodes[1]}`,
        nodes,
      });
    }
    const wrong = differingSlots(owners, report.records).filter((slot) => !apart.has(slot));
    if (wrong.length > 0) {
      const message = `${name} does not agree with the others who owns slots ${formatSlots(wrong)}`;
      found.push({
        severity: 'error',
        kind: 'nodes-disagree',
        message,
        nodes: [name],
        slots: toRanges(wrong),
      });
    }
  }
  return found;
}

function states(view: ClusterView): Finding[] {
  const failing = [...view.reports.values()]
    .filter(({ info }) => info.state !== 'ok')
    .map(({ address }) => formatAddress(address));
  if (failing.length === 0) return [];
  const shown =
    failing.slice(0, 5).join(', ') + (failing.length > 5 ? ` and ${failing.length - 5} more` : '');
  return [
    { severity: 'error', kind: 'state-fail', message: `cluster_state:fail on ${shown}`, nodes: failing },
  ];
}

function links(view: ClusterView): Finding[] {
  return [...view.reports.values()].flatMap((report) => {
    const name = formatAddress(report.address);
    const down = report.records.filter(
      ({ id, flags, linkState }) =>
        view.reports.has(id) && !flags.includes('myself') && linkState !== 'connected',
    );
    return down.map(({ id }): Finding => {
      const nodes = [name, nodeName(view, id)];
      const message = `${name} has no link to ${nodes[1]} on the cluster bus`;
      return { severity: 'warning', kind: 'link-down', message, nodes };
    });
  });
}

function collisions(view: ClusterView): Finding[] {
  const byEpoch = new Map<number, string[]>();
  for (const node of view.nodes) {
    if (node.role !== 'master' || node.slots.length === 0) continue;
    byEpoch.set(node.configEpoch, [...(byEpoch.get(node.configEpoch) ?? []), nodeName(view, node.id)]);
  }
  return [...byEpoch]
    .filter(([, nodes]) => nodes.length > 1)
    .map(([epoch, nodes]) => ({
      severity: 'warning',
      kind: 'epoch-collision',
      message: `Config epoch ${epoch} is held by ${nodes.join(' and ')}`,
      nodes,
    }));
}
