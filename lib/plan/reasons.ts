import { countSlots } from '../model/node.ts';
import type { MoveStep, NodeReason, PlannedLoads } from './plan.ts';
import type { WeightedMaster } from './rebalance.ts';

/** The reasons of a rebalance: the share of each master that gives or gets slots. */
export function shareReasons(
  masters: readonly WeightedMaster[],
  moves: readonly MoveStep[],
  by: 'slots' | PlannedLoads['by'],
): NodeReason[] {
  const taking = new Set(moves.flatMap(({ source, target }) => [source.id, target.id]));
  const weights = masters.reduce((sum, { weight }) => sum + weight, 0);
  const slots = masters.reduce((sum, { node }) => sum + countSlots(node), 0);
  return masters.flatMap(({ node, weight }) => {
    if (!taking.has(node.id)) return [];
    if (weight === 0) return [{ id: node.id, text: 'weight 0: gives all its slots' }];
    const share = weight / weights;
    const shown = `${Math.round(1000 * share) / 10}%`;
    const of =
      by === 'slots' ? `: ${Math.round(share * slots)} slots` : ` of ${by === 'cpu' ? 'CPU time' : by}`;
    return [{ id: node.id, text: `its share is ${shown}${of}` }];
  });
}

/** The reasons of moves: the same text for all sources, and one for all targets. */
export function moveReasons(moves: readonly MoveStep[], gives: string, gets: string): NodeReason[] {
  const reasons = new Map<string, string>();
  for (const { source, target } of moves) reasons.set(source.id, gives).set(target.id, gets);
  return [...reasons].map(([id, text]) => ({ id, text }));
}
