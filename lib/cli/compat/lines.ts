import type { NodeDetails } from '../../model/details.ts';
import { countSlots, type NodeRecord } from '../../model/node.ts';
import { claimsBySlot, formatRanges, SLOT_COUNT, type SlotRange } from '../../model/slot.ts';
import type { ClusterView } from '../../model/view.ts';
import type { Words } from './words.ts';

/** `host:port` as redis-cli prints it, without brackets. */
export function nameOf({ address }: Pick<NodeRecord, 'address'>): string {
  return `${address.host}:${address.port}`;
}

/** The nodes that answered, in redis-cli's order: the node that was asked, then the others as it lists them. */
export function nodesInOrder(view: ClusterView): NodeRecord[] {
  const byId = new Map(view.nodes.map((node) => [node.id, node]));
  const listed = view.reports.get(view.seedId)?.records ?? [];
  const ids = new Set([view.seedId, ...listed.map(({ id }) => id), ...view.reports.keys()]);
  return [...ids].flatMap((id) => (view.reports.has(id) ? (byId.get(id) ?? []) : []));
}

/** The masters among them. */
export function mastersInOrder(view: ClusterView): NodeRecord[] {
  return nodesInOrder(view).filter(({ role }) => role === 'master');
}

/** Number of replicas of a master that answered. */
export function replicaCount(nodes: readonly NodeRecord[], id: string): number {
  return nodes.filter(({ role, masterId }) => role === 'replica' && masterId === id).length;
}

/** The output of `info`. */
export function infoLines(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
  words: Words,
): string[] {
  const nodes = nodesInOrder(view);
  const masters = mastersInOrder(view);
  const keysOf = ({ id }: NodeRecord): number => {
    const own = details.get(id);
    return own === undefined || own instanceof Error ? 0 : own.keys;
  };
  const keys = masters.reduce((sum, node) => sum + keysOf(node), 0);
  return [
    ...masters.map((node) => {
      const replicas = `${replicaCount(nodes, node.id)} ${words.replicas}.`;
      return `${nameOf(node)} (${node.id.slice(0, 8)}...) -> ${keysOf(node)} keys | ${countSlots(node)} slots | ${replicas}`;
    }),
    `[OK] ${keys} keys in ${masters.length} ${words.masters}.`,
    `${(keys / SLOT_COUNT).toFixed(2)} keys per slot on average.`,
  ];
}

/** `[0-5460],[8000]`. */
export function bracketed(ranges: readonly SlotRange[]): string {
  return ranges.map((range) => `[${formatRanges([range])}]`).join(',');
}

/** A node with its slots or its master, as in the output of `check`. */
export function nodeLines(node: NodeRecord, nodes: readonly NodeRecord[]): string[] {
  const isMaster = node.role === 'master';
  const replicas = isMaster ? replicaCount(nodes, node.id) : 0;
  return [
    `${isMaster ? 'M' : 'S'}: ${node.id} ${nameOf(node)}`,
    `   slots:${isMaster && node.slots.length > 0 ? bracketed(node.slots) : ' '}${
      isMaster && node.slots.length > 0 ? ' ' : ''
    }(${isMaster ? countSlots(node) : 0} slots) ${isMaster ? 'master' : 'slave'}`,
    ...(isMaster ? [] : [`   replicates ${node.masterId}`]),
    ...(replicas > 0 ? [`   ${replicas} additional replica(s)`] : []),
  ];
}

/** The problems that redis-cli's `check` looks for. */
export interface CompatCheck {
  readonly agrees: boolean;
  readonly openSlots: readonly number[];
  readonly isCovered: boolean;
  /** By slot that several nodes claim: their names. */
  readonly contested: ReadonlyMap<number, readonly string[]>;
}

/** Looks for the problems that redis-cli looks for. */
export function compatCheck(view: ClusterView): CompatCheck {
  const signatures = new Set(
    [...view.reports.values()].map(({ records }) =>
      records
        .filter(({ slots }) => slots.length > 0)
        .map(({ id, slots }) => `${id}:${formatRanges(slots)}`)
        .sort()
        .join('|'),
    ),
  );
  const masters = mastersInOrder(view);
  const claims = new Map<number, string[]>();
  for (const node of masters) {
    for (const [first, last] of node.slots) {
      for (let slot = first; slot <= last; slot++) {
        const names = claims.get(slot);
        if (names) names.push(nameOf(node));
        else claims.set(slot, [nameOf(node)]);
      }
    }
  }
  // Those of replicas, too: since Valkey 8.0 they show the open slots of their master.
  const openSlots = new Set(nodesInOrder(view).flatMap((node) => node.openSlots.map(({ slot }) => slot)));
  return {
    agrees: signatures.size === 1,
    openSlots: [...openSlots].sort((a, b) => a - b),
    isCovered: !claimsBySlot(masters).includes(undefined),
    contested: new Map([...claims].filter(([, names]) => names.length > 1)),
  };
}

/** The output of `check` up to the open slots; with `quiet`, without the nodes. */
export function checkHead(view: ClusterView, found: CompatCheck, quiet: boolean): string[] {
  const nodes = nodesInOrder(view);
  const [seed] = nodes;
  const open = nodes.flatMap((node) => openLines(node));
  return [
    `>>> Performing Cluster Check (using node ${seed ? nameOf(seed) : ''})`,
    ...(quiet ? [] : nodes.flatMap((node) => nodeLines(node, nodes))),
    found.agrees
      ? '[OK] All nodes agree about slots configuration.'
      : "[ERR] Nodes don't agree about configuration!",
    '>>> Check for open slots...',
    ...open,
    ...(open.length > 0 ? [`[WARNING] The following slots are open: ${found.openSlots.join(',')}.`] : []),
  ];
}

/** The output of `check` about coverage and, with `owners`, about slots with several owners. */
export function checkTail(found: CompatCheck, searchOwners: boolean): string[] {
  const owners = [...found.contested].flatMap(([slot, names]) => [
    `[WARNING] Slot ${slot} has ${names.length} owners:`,
    ...names.map((name) => `    ${name}`),
  ]);
  return [
    '>>> Check slots coverage...',
    ...(found.isCovered
      ? [`[OK] All ${SLOT_COUNT} slots covered.`]
      : [`[ERR] Not all ${SLOT_COUNT} slots are covered by nodes.`, '']),
    ...(searchOwners ? ['>>> Check for multiple slot owners...'] : []),
    ...(searchOwners ? (owners.length > 0 ? owners : ['[OK] No multiple owners found.']) : []),
  ];
}

function openLines(node: NodeRecord): string[] {
  return (['migrating', 'importing'] as const).flatMap((direction) => {
    const slots = node.openSlots.filter((open) => open.direction === direction).map(({ slot }) => slot);
    if (slots.length === 0) return [];
    return [`[WARNING] Node ${nameOf(node)} has slots in ${direction} state ${slots.join(',')}.`];
  });
}
