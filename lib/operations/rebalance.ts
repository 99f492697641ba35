import type { Context } from '../apply/context.ts';
import { nodeError } from '../apply/context.ts';
import { namedMaster } from '../apply/named-masters.ts';
import { inParallel } from '../apply/parallel.ts';
import { type LoadKind, slotLoads } from '../apply/slot-loads.ts';
import { slotsOf } from '../model/node.ts';
import { expandSlots } from '../model/slot.ts';
import type { ClusterView } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { expectationOf, workingMasters } from '../plan/from-view.ts';
import { mastersOf } from '../plan/moves.ts';
import type { MoveStep, PlannedLoads } from '../plan/plan.ts';
import { shareReasons } from '../plan/reasons.ts';
import { planRebalance, type WeightedMaster, weighMasters } from '../plan/rebalance.ts';
import { lookForBalance } from './reshard.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, withContext } from './run.ts';

export interface RebalanceOptions extends OperationOptions {
  /**
   * A master's share relative to the others', by node id, the beginning of it, or address. 0 empties it.
   * @default 1 for each
   */
  readonly weights?: Readonly<Record<string, number>>;
  /** Gives slots to masters without any. One that has a weight above 0 gets some anyway. @default false */
  readonly useEmptyMasters?: boolean;
  /** Per cent that a master may be off its share; where none is by more, nothing moves. 0: always as even as can be. @default 2 */
  readonly threshold?: number;
  /**
   * What is shared out: slots, keys, bytes of keys, or CPU time or network traffic, which servers count for each slot since
   * it came to them (`cluster-slot-stats-enabled`, Redis 8.2, Valkey 8.0). @default 'slots'
   */
  readonly by?: 'slots' | LoadKind;
}

/**
 * Moves slots between the masters until each has its share. Where none is off by more than the threshold nothing is done, so
 * that the same call may be made again, and finishes what was interrupted.
 * Rejects with ClusterError `NOT_SAME_CLUSTER`, `AMBIGUOUS_NODE`, `NOT_A_MASTER`, `NODE_UNREACHABLE`, `SLOTS_UNCOVERED` or
 * `METHOD_UNSUPPORTED` before anything is changed.
 */
export function rebalance(cluster: ClusterLike, options: RebalanceOptions = {}): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const { by = 'slots', threshold = 2, useEmptyMasters = false } = options;
    const { view, weights } = await lookForBalance(context, cluster, 'rebalance', async (found) => ({
      weights: await namedWeights(context, found, options.weights ?? {}),
    }));
    const working = workingMasters(view);
    const masters = weighMasters(working, weights, useEmptyMasters);
    const loads = by === 'slots' ? undefined : await slotLoads(context, working, by);
    const steps = planRebalance({ masters, threshold, ...(loads ? { loads } : {}) });
    return carryOut(context, view.nodes, {
      operation: 'rebalance',
      masters: mastersOf(view),
      steps,
      expect: expectationOf(view, steps),
      reasons: shareReasons(masters, steps, by),
      ...(loads && by !== 'slots' ? { loads: plannedLoads(by, masters, steps, loads) } : {}),
    });
  });
}

async function namedWeights(
  context: Context,
  view: ClusterView,
  named: Readonly<Record<string, number>>,
): Promise<Map<string, number>> {
  const weights = new Map<string, number>();
  const entries = Object.entries(named);
  const nodes = await inParallel(entries, ([name]) => namedMaster(context, view, name));
  for (const [index, { id, address }] of nodes.entries()) {
    const [name, weight] = entries[index] ?? ['', 1];
    if (weights.has(id)) {
      throw nodeError('SAME_NODE', address, `Same node: "${name}" has a weight already, by another name`, {
        hint: 'Nothing was changed. Give each node one weight',
      });
    }
    weights.set(id, weight);
  }
  return weights;
}

function plannedLoads(
  by: LoadKind,
  masters: readonly WeightedMaster[],
  steps: readonly MoveStep[],
  loads: Float64Array,
): PlannedLoads {
  const sumOf = (slots: readonly number[]) => slots.reduce((sum, slot) => sum + (loads[slot] ?? 0), 0);
  const changes = new Map<string, number>();
  for (const { source, target, slots } of steps) {
    const load = sumOf(expandSlots(slots));
    changes.set(source.id, (changes.get(source.id) ?? 0) - load);
    changes.set(target.id, (changes.get(target.id) ?? 0) + load);
  }
  const nodes = masters.map(({ node }) => {
    const before = sumOf(slotsOf(node));
    return { id: node.id, before, after: before + (changes.get(node.id) ?? 0) };
  });
  return { by, nodes };
}
