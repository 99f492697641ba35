import { nodeError } from '../apply/context.ts';
import { askNode } from '../apply/look.ts';
import { lookSettled, requireServing } from '../apply/settle.ts';
import {
  type Address,
  type AddressLike,
  formatAddress,
  parseAddress,
  sameAddress,
} from '../model/address.ts';
import { type NodeRecord, slotsOf } from '../model/node.ts';
import { expandSlots, formatSlots, type SlotsLike, toRanges } from '../model/slot.ts';
import {
  type ClusterView,
  nodeById,
  nodeName,
  type OpenSlotOfNode,
  openSlotsOf,
  slotOwners,
  standIn,
} from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface MigrateOptions extends OperationOptions {
  /**
   * Takes slots that the target holds already for moved: for a run that follows an interrupted one. Where source or target
   * has failed over since, the master that took over stands for it. Without it all that is an error, unless the cluster still
   * shows the interrupted move by an open slot.
   * @default false
   */
  readonly resume?: boolean;
}

/**
 * Moves slots, numbers and inclusive `[first, last]` pairs, from one master to another.
 * Rejects with ClusterError `SAME_NODE`, `SLOTS_NOT_HELD`, `NOT_SAME_CLUSTER`, `NOT_A_MASTER` or `SLOTS_UNCOVERED` before
 * anything is changed; later with `MIGRATE_FAILED` or `KEY_CONFLICT`, which say which slots stay open.
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
    let view = await lookSettled(context, from);
    const before = slotOwners(view);
    const named = answeringAt(view, to) ?? (await askNode(context.connections, to, context.signal)).myself.id;
    if (named === view.seedId)
      throw nodeError('SAME_NODE', from, `Same node: ${formatAddress(to)} is ${formatAddress(from)}`);
    const now = { source: standIn(view, view.seedId)?.id, target: standIn(view, named)?.id };
    const open = openSlotsOf(view);
    const isResumed =
      options.resume || wanted.some((slot) => isBetween(view, open.get(slot) ?? [], now.source, now.target));
    const haveParted = isResumed && now.source !== now.target;
    const sourceId = (haveParted ? now.source : undefined) ?? view.seedId;
    const targetId = (haveParted ? now.target : undefined) ?? named;
    requireHeld(view, sourceId, wanted, before, isResumed ? targetId : undefined);
    requireTarget(view, nodeById(view, targetId), formatAddress(to));
    requireServing(view, `move slots to ${formatAddress(to)}`);
    for (const [was, is] of [
      [view.seedId, sourceId],
      [named, targetId],
    ] as const) {
      if (was === is) continue;
      const message = `${nodeName(view, was)} is a replica now: ${nodeName(view, is)}, its master, stands for it`;
      context.emit({ type: 'warning', node: nodeName(view, was), message });
    }
    if (open.size > 0) view = await finishOpenSlots(context, view);

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

/** Id of the node that has just answered at this very address. */
function answeringAt(view: ClusterView, address: Address): string | undefined {
  return view.nodes.find((node) => view.reports.has(node.id) && sameAddress(node.address, address))?.id;
}

// The trace of an interrupted move: the slot is open from here to there, or to or from one that has failed over since.
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
  targetId: string | undefined,
): void {
  const missing = wanted.filter(
    (slot) => owners[slot] !== sourceId && (targetId === undefined || owners[slot] !== targetId),
  );
  if (missing.length === 0) return;
  const name = formatAddress(view.seed);
  const source = nodeById(view, sourceId);
  const held = new Set(source ? slotsOf(source) : []);
  const rest = wanted.filter((slot) => held.has(slot));
  throw nodeError(
    'SLOTS_NOT_HELD',
    name,
    `Not all slot held by ${name}: it does not hold ${formatSlots(missing)}`,
    {
      hint:
        rest.length > 0
          ? `Of these it holds ${formatSlots(rest)}. To go on after an interrupted run, use --resume`
          : `See who holds them with: redis-trib list ${name}`,
    },
  );
}

function requireTarget(view: ClusterView, record: NodeRecord | undefined, name: string): void {
  if (!record) {
    throw nodeError(
      'NOT_SAME_CLUSTER',
      name,
      `Two nodes are not in the same cluster: ${formatAddress(view.seed)} does not know ${name}`,
      {
        hint: `Add it first with: redis-trib join_no_load ${formatAddress(view.seed)} ${name}`,
      },
    );
  }
  if (record.role !== 'master') {
    throw nodeError('NOT_A_MASTER', name, `Cannot move slots to ${name}: it is a replica`, {
      hint: 'Name its master as the target',
    });
  }
}
