import { formatAddress } from '../model/address.ts';
import { slotsOf } from '../model/node.ts';
import { expandSlots } from '../model/slot.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { nodeError } from '../nodes/context.ts';
import { namedMaster, namedNode } from '../nodes/named-masters.ts';
import { inParallel } from '../nodes/parallel.ts';
import { type LoadKind, slotLoads } from '../nodes/slot-loads.ts';
import type { OperationOptions } from '../options.ts';
import { expectationOf, workingMasters } from '../plan/from-view.ts';
import { mastersOf } from '../plan/moves.ts';
import type { MoveStep, PlannedLoads } from '../plan/plan.ts';
import { shareReasons } from '../plan/reasons.ts';
import { draftRebalance, type WeightedMaster, weighMasters } from '../plan/rebalance.ts';
import { DEFAULTS } from '../settings.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, withContext } from './cluster.ts';
import { lookForBalance } from './look-for-balance.ts';

export interface RebalanceOptions extends OperationOptions {
  /**
   * By node id, a prefix of it, or address: a master's share relative to the others. 0 empties it. Ignored, with a `warning`, for a
   * replica: a master that gave its last slot away may have become one.
   * @default 1 for each
   */
  readonly weights?: Readonly<Record<string, number>>;
  /** Give slots to masters that have none. A master with a weight above 0 gets some anyway. @default false */
  readonly useEmptyMasters?: boolean;
  /** Per cent by which a master may deviate from its share. If none deviates by more, nothing moves. 0: always balance exactly. @default 2 */
  readonly threshold?: number;
  /**
   * What to balance: slots, keys, bytes of keys, or CPU time or network traffic. Servers count the last two per slot, from
   * when they got the slot (`cluster-slot-stats-enabled`, Redis 8.2, Valkey 8.0). @default 'slots'
   */
  readonly by?: 'slots' | LoadKind;
}

/**
 * Moves slots between the masters until each has its share. Does nothing if no master deviates by more than the threshold,
 * so the same call can be repeated, and finishes an interrupted run.
 * Before anything is changed, rejects with ClusterError `NOT_SAME_CLUSTER`, `AMBIGUOUS_NODE`,
 * `NODE_UNREACHABLE`, `SLOTS_UNCOVERED` or `METHOD_UNSUPPORTED`.
 */
export function rebalance(cluster: ClusterLike, options: RebalanceOptions = {}): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const defaults = DEFAULTS.rebalance;
    const { by = defaults.by, threshold = defaults.threshold } = options;
    const { useEmptyMasters = defaults.useEmptyMasters } = options;
    const { view, weights } = await lookForBalance(context, cluster, 'rebalance', async (found) => ({
      weights: await namedWeights(context, found, options.weights ?? {}),
    }));
    const working = workingMasters(view);
    const masters = weighMasters(working, weights, useEmptyMasters);
    const loads = by === 'slots' ? undefined : await slotLoads(context, working, by);
    const steps = draftRebalance({ masters, threshold, ...(loads ? { loads } : {}) });
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
  const nodes = await inParallel(entries, ([name]) => namedNode(context, view, name));
  const masters = await inParallel(entries, async ([name], index) =>
    nodes[index]?.role === 'replica' ? undefined : namedMaster(context, view, name),
  );
  for (const [index, { id, address }] of nodes.entries()) {
    const [name, weight] = entries[index] ?? ['', 1];
    // A master that gave its last slot away may have become a replica since the weight was given the first time.
    if (masters[index] === undefined) {
      const node = formatAddress(address);
      const master = nodeName(view, nodes[index]?.masterId ?? '');
      warnOnce(context, node, `${node} is a replica of ${master}: its weight ${weight} is ignored`);
      continue;
    }
    if (weights.has(id)) {
      throw nodeError('SAME_NODE', address, `Same node: "${name}" has a weight already, by another name`, {
        hint: 'Nothing was changed. Give each node one weight',
      });
    }
    weights.set(id, weight);
  }
  return weights;
}

// Names are resolved again once open slots are finished.
function warnOnce({ account, emit }: Context, node: string, message: string): void {
  if (account.warned.has(message)) return;
  account.warned.add(message);
  emit({ type: 'warning', node, message });
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
