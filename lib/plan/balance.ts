import type { ClusterNode } from '../model/cluster-node.ts';

/** So many slots from one master to another. */
export type BalanceMove = readonly [source: ClusterNode, target: ClusterNode, count: number];

/** Decides which master shall hold how many slots, and who gives them to whom. */
export interface Balancer {
  /** A master's share of the slots, relative to the others': zero or more. */
  weight(node: ClusterNode): number;
  balancePlan?(nodes: readonly ClusterNode[], balancer: Balancer): readonly BalanceMove[];
}

/** Every master alike. Extend it to give some masters more than others. */
export class BaseBalancer implements Balancer {
  weight(_node: ClusterNode): number {
    return 1;
  }

  balancePlan(nodes: readonly ClusterNode[], balancer: Balancer = this): readonly BalanceMove[] {
    return baseBalancePlan(nodes, balancer);
  }
}

/**
 * Moves that bring every master to its share: `floor(slots × weight ÷ total weight)`, or one more, where masters that are
 * over their share are the first to keep one of the slots that this leaves. So a difference of one slot moves nothing, and
 * a weight of 0 leaves a master empty.
 * Masters only; replicas among `nodes` are left out. Throws a RangeError for a weight that is no number from 0 up,
 * or if all are 0.
 */
export function baseBalancePlan(
  nodes: readonly ClusterNode[],
  balancer: Pick<Balancer, 'weight'> = new BaseBalancer(),
): BalanceMove[] {
  const masters = nodes.filter((node) => node.roleInCluster === 'master');
  const weights = masters.map((node) => {
    const weight = balancer.weight(node);
    if (!(Number.isFinite(weight) && weight >= 0)) {
      throw new RangeError(`Not a weight for ${node.nodeId}: ${weight}`);
    }
    return weight;
  });
  const totalWeight = weights.reduce((sum, weight) => sum + weight, 0);
  if (masters.length > 0 && totalWeight === 0) throw new RangeError('All weights are 0');
  const totalSlots = masters.reduce((sum, node) => sum + node.assignedSlots.length, 0);

  const needs = masters.map((node, index) => {
    const weight = weights[index] ?? 0;
    const share = Math.floor((totalSlots * weight) / totalWeight);
    return { node, weight, need: share - node.assignedSlots.length };
  });
  // One slot each, and first to those that have it already: what is left over then moves as little as can be.
  const spare = needs.reduce((sum, { need }) => sum - need, 0);
  const inTurn = [
    ...needs.filter(({ need }) => need < 0),
    ...needs.filter(({ need }) => need > 0),
    ...needs.filter(({ need }) => need === 0),
  ].filter(({ weight }) => weight > 0);
  for (const item of inTurn.slice(0, spare)) item.need += 1;

  // The one that is furthest over gives to the one that is furthest below; among equals the last taker comes first.
  const givers = needs.filter(({ need }) => need < 0).sort((a, b) => a.need - b.need);
  const takers = needs
    .filter(({ need }) => need > 0)
    .sort((a, b) => a.need - b.need)
    .reverse();
  const moves: BalanceMove[] = [];
  let [giver, taker] = [givers.shift(), takers.shift()];
  while (giver && taker) {
    const count = Math.min(-giver.need, taker.need);
    moves.push([giver.node, taker.node, count]);
    giver.need += count;
    taker.need -= count;
    if (giver.need === 0) giver = givers.shift();
    if (taker.need === 0) taker = takers.shift();
  }
  return moves;
}
