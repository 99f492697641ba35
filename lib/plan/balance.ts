import { invalidArgument } from '../model/cluster-error.ts';
import type { ClusterNode } from '../model/cluster-node.ts';

/** A number of slots to move from one master to another. */
export type BalanceMove = readonly [source: ClusterNode, target: ClusterNode, count: number];

/** Decides how many slots each master gets, and which master gives them to which. */
export interface Balancer {
  /** A master's share of the slots relative to the others: 0 or more. */
  weight(node: ClusterNode): number;
  balancePlan?(nodes: readonly ClusterNode[], balancer: Balancer): readonly BalanceMove[];
}

/** The moves between these masters, by a balancer. */
export type BalancePlan = (nodes: readonly ClusterNode[], balancer: Balancer) => readonly BalanceMove[];

/** How slots are to be shared out: a balancer, which may lack any part, and a function that plans instead of the balancer's own. */
export interface BalanceOptions {
  readonly balancer?: Partial<Balancer>;
  readonly balancePlan?: BalancePlan;
}

/** The moves that the options ask for. Whatever they lack is that of `BaseBalancer`. */
export function balanceMoves(
  nodes: readonly ClusterNode[],
  { balancer = {}, balancePlan }: BalanceOptions,
): readonly BalanceMove[] {
  const full: Balancer = hasWeight(balancer) ? balancer : Object.assign(new BaseBalancer(), balancer);
  if (balancePlan) return balancePlan(nodes, full);
  return full.balancePlan ? full.balancePlan(nodes, full) : baseBalancePlan(nodes, full);
}

function hasWeight(balancer: Partial<Balancer>): balancer is Balancer {
  return balancer.weight !== undefined;
}

/** Gives every master an equal share. Override `weight()` to give some masters more. */
export class BaseBalancer implements Balancer {
  weight(_node: ClusterNode): number {
    return 1;
  }

  balancePlan(nodes: readonly ClusterNode[], balancer: Balancer = this): readonly BalanceMove[] {
    return baseBalancePlan(nodes, balancer);
  }
}

/**
 * Moves that bring every master to its share: `floor(slots × weight ÷ total weight)`, or one more. The slots left over by
 * rounding go first to masters that are over their share, so a difference of one slot moves nothing. A weight of 0 leaves a
 * master empty.
 * Masters only; replicas among `nodes` are left out. Throws ClusterError `INVALID_ARGUMENT` for a weight that is not a number
 * from 0 up, or if all are 0.
 */
export function baseBalancePlan(
  nodes: readonly ClusterNode[],
  balancer: Pick<Balancer, 'weight'> = new BaseBalancer(),
): BalanceMove[] {
  const masters = nodes.filter((node) => node.roleInCluster === 'master');
  const weights = masters.map((node) => {
    const weight = balancer.weight(node);
    if (!(Number.isFinite(weight) && weight >= 0)) {
      throw invalidArgument(`Not a weight for ${node.nodeId}: ${weight}`);
    }
    return weight;
  });
  const totalWeight = weights.reduce((sum, weight) => sum + weight, 0);
  if (masters.length > 0 && totalWeight === 0) throw invalidArgument('All weights are 0');
  const totalSlots = masters.reduce((sum, node) => sum + node.assignedSlots.length, 0);

  const needs = masters.map((node, index) => {
    const weight = weights[index] ?? 0;
    const share = Math.floor((totalSlots * weight) / totalWeight);
    return { node, weight, need: share - node.assignedSlots.length };
  });
  // The slots left over go one by one, first to masters that have them already, so that as few as possible move.
  const spare = needs.reduce((sum, { need }) => sum - need, 0);
  const inTurn = [
    ...needs.filter(({ need }) => need < 0),
    ...needs.filter(({ need }) => need > 0),
    ...needs.filter(({ need }) => need === 0),
  ].filter(({ weight }) => weight > 0);
  for (const item of inTurn.slice(0, spare)) item.need += 1;

  // The master furthest over its share gives to the one furthest below; of equal takers the last comes first.
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
