import { lookClaimed } from '../apply/look-claimed.ts';
import {
  type Address,
  type AddressLike,
  formatAddress,
  parseAddress,
  sameAddress,
} from '../model/address.ts';
import { holdersOf } from '../model/holders.ts';
import { type NodeRecord, slotsOf } from '../model/node.ts';
import { expandSlots, formatSlots, nameSlots, type SlotsLike, toRanges } from '../model/slot.ts';
import {
  type ClusterView,
  nodeById,
  nodeName,
  type OpenSlotOfNode,
  openSlotsOf,
  slotOwners,
  standIn,
} from '../model/view.ts';
import { nodeError } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { notAMaster, requireServing } from '../nodes/requirements.ts';
import type { OperationOptions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';

export interface MigrateOptions extends OperationOptions {
  /**
   * Continue an interrupted run: slots that the target already has count as moved, and if source or target has failed over
   * since, the new master stands in. Without it both are errors, unless an open slot still shows the interrupted move.
   * @default false
   */
  readonly resume?: boolean;
}

/**
 * Moves slots, given as numbers and inclusive `[first, last]` pairs, from one master to another.
 * Before anything is changed, rejects with ClusterError `SAME_NODE`, `SLOTS_NOT_HELD`, `NOT_SAME_CLUSTER`, `NOT_A_MASTER` or
 * `SLOTS_UNCOVERED`; later with `MIGRATE_FAILED` or `KEY_CONFLICT`, which list the slots left open.
 */
export function migrateSlots(
  source: ClusterLike,
  target: AddressLike,
  slots: SlotsLike,
  options: MigrateOptions = {},
): Promise<OperationResult> {
  return withContext(source, options, async (context) => {
    const wanted = expandSlots(slots);
    const [from, to] = [seedOf(source), parseAddress(target)];
    if (sameAddress(from, to))
      throw nodeError('SAME_NODE', from, `Same node: ${formatAddress(from)} is source and target`);
    let view = await lookClaimed(context, from);
    const before = slotOwners(view);
    const member = answeringAt(view, to);
    const stranger =
      member === undefined ? await askNode(context.connections, to, context.signal) : undefined;
    const named = member ?? stranger?.myself.id ?? '';
    if (named === view.seedId)
      throw nodeError('SAME_NODE', from, `Same node: ${formatAddress(to)} is ${formatAddress(from)}`);
    const now = { source: standIn(view, view.seedId)?.id, target: standIn(view, named)?.id };
    const open = openSlotsOf(view);
    const isResumed =
      options.resume || wanted.some((slot) => isBetween(view, open.get(slot) ?? [], now.source, now.target));
    const haveParted = isResumed && now.source !== now.target;
    const sourceId = (haveParted ? now.source : undefined) ?? view.seedId;
    const targetId = (haveParted ? now.target : undefined) ?? named;
    requireHeld(view, sourceId, wanted, before, targetId, isResumed);
    const hasCluster =
      stranger !== undefined && (stranger.records.length > 1 || stranger.myself.slots.length > 0);
    requireTarget(view, nodeById(view, targetId), formatAddress(to), hasCluster);
    requireServing(view, `move slots to ${formatAddress(to)}`);
    for (const [was, is] of [
      [view.seedId, sourceId],
      [named, targetId],
    ] as const) {
      if (was === is) continue;
      const message = `${nodeName(view, was)} is a replica now: ${nodeName(view, is)}, its master, stands in for it`;
      context.emit({ type: 'warning', node: nodeName(view, was), message });
    }
    // Slots that the target holds by then are an error to the same call.
    if (!options.resume) context.account.onceMoved = 'with-resume';
    if (open.size > 0) {
      const heirs = options.resume ? await heirsSaid(view, sourceId, targetId, wanted) : new Map();
      view = await finishOpenSlots(context, view, undefined, { heirs });
    }

    const owners = slotOwners(view);
    const left = wanted.filter((slot) => owners[slot] === sourceId);
    const [sourceRecord, targetRecord] = [nodeById(view, sourceId), nodeById(view, targetId)];
    if (!sourceRecord || !targetRecord)
      throw nodeError('NODES_DISAGREE', from, 'The cluster changed while it was looked at');
    const ends = {
      source: nodeRef(sourceRecord),
      target: { ...nodeRef(targetRecord), ...(targetId === named ? { address: formatAddress(to) } : {}) },
    };
    const resumed = isResumed ? { isResumed } : {};
    const move = { type: 'move-slots' as const, ...ends, slots: toRanges(left), ...resumed };
    const steps = left.length === 0 ? [] : [move];
    const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
    return carryOut(context, view.nodes, {
      operation: 'migrate_slots',
      masters: mastersOf(view),
      steps,
      expect: { members, owners: [{ id: targetId, slots: toRanges(wanted) }] },
    });
  });
}

/** The target, as the heir of dead ones to which these slots were moving. */
async function heirsSaid(
  view: ClusterView,
  sourceId: string,
  targetId: string,
  wanted: readonly number[],
): Promise<Map<string, string>> {
  const { replacedTargets } = await import('../nodes/heirs.ts');
  const replaced = replacedTargets(view);
  const marks = view.reports.get(sourceId)?.myself.openSlots ?? [];
  return new Map(
    marks.flatMap(({ slot, peer }) =>
      wanted.includes(slot) && replaced.has(peer) ? [[peer, targetId] as const] : [],
    ),
  );
}

/** Id of the node that just answered at exactly this address. */
function answeringAt(view: ClusterView, address: Address): string | undefined {
  return view.nodes.find((node) => view.reports.has(node.id) && sameAddress(node.address, address))?.id;
}

// The trace of an interrupted move: the slot is open between source and target, either of which may have failed over since.
function isBetween(
  view: ClusterView,
  open: readonly OpenSlotOfNode[],
  sourceId: string | undefined,
  targetId: string | undefined,
): boolean {
  return open.some(({ nodeId, peer }) => {
    const other = standIn(view, peer)?.id;
    return (nodeId === sourceId && other === targetId) || (nodeId === targetId && other === sourceId);
  });
}

function requireHeld(
  view: ClusterView,
  sourceId: string,
  wanted: readonly number[],
  owners: readonly (string | undefined)[],
  targetId: string,
  isResumed: boolean,
): void {
  const missing = wanted.filter(
    (slot) => owners[slot] !== sourceId && !(isResumed && owners[slot] === targetId),
  );
  if (missing.length === 0) return;
  const name = formatAddress(view.seed);
  const source = nodeById(view, sourceId);
  const heir = standIn(view, sourceId)?.id;
  const held = new Set(source ? slotsOf(source) : []);
  const rest = wanted.filter((slot) => held.has(slot));
  throw nodeError('SLOTS_NOT_HELD', name, `${name} does not hold ${nameSlots(missing)}`, {
    hint: [
      ...(rest.length > 0 ? [`Of these it holds ${formatSlots(rest)}`] : []),
      ...holdersOf(view, missing, owners),
    ].join('. '),
    // With `resume`, the new master stands in for a source that has failed over.
    next: missing.every((slot) => owners[slot] === targetId || owners[slot] === heir)
      ? [{ do: 'resume', when: 'earlier-move' }]
      : [],
  });
}

function requireTarget(
  view: ClusterView,
  record: NodeRecord | undefined,
  name: string,
  hasCluster: boolean,
): void {
  if (!record) {
    throw nodeError(
      'NOT_SAME_CLUSTER',
      name,
      `Two nodes are not in the same cluster: ${formatAddress(view.seed)} does not know ${name}`,
      {
        // A member of another cluster is not to be taken out of it.
        next: hasCluster
          ? [{ do: 'list', cluster: name }]
          : [{ do: 'join-no-load', cluster: formatAddress(view.seed), node: name }],
      },
    );
  }
  if (record.role !== 'master') {
    throw notAMaster(name, `Cannot move slots to ${name}`, 'Name its master as the target');
  }
}
