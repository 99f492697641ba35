import { countSlots, type NodeRecord, slotsOf } from '../model/node.ts';

/** A slot to move, and its owner. */
export interface SlotOf {
  readonly slot: number;
  readonly source: NodeRecord;
}

/**
 * The slots that redis-cli's reshard takes: the lowest of each source, in proportion to its slots, rounded up for the
 * source with most and down for the others. As in redis-cli, rounding may give fewer slots than asked for.
 * Source: clusterManagerComputeReshardTable.
 */
export function reshardTable(sources: readonly NodeRecord[], wanted: number): SlotOf[] {
  const sorted = sources.toSorted((a, b) => countSlots(b) - countSlots(a));
  const all = sorted.reduce((sum, node) => sum + countSlots(node), 0);
  const table: SlotOf[] = [];
  for (const [index, source] of sorted.entries()) {
    const share = Math.fround((Math.fround(wanted) / all) * countSlots(source));
    const count = Math.min(index === 0 ? Math.ceil(share) : Math.floor(share), wanted - table.length);
    for (const slot of slotsOf(source).slice(0, count)) table.push({ slot, source });
  }
  return table;
}

/** Slots to move from one master to another. */
export interface CountedMove {
  readonly source: NodeRecord;
  readonly target: NodeRecord;
  readonly slots: readonly number[];
}

/** The result of redis-cli's rebalance. */
export interface RebalancePlan {
  readonly nodes: number;
  readonly totalWeight: number;
  /** None if no master deviates from its share by more than the threshold. */
  readonly moves: readonly CountedMove[];
  readonly isNeeded: boolean;
}

interface Scale {
  readonly node: NodeRecord;
  readonly weight: number;
  /** Slots above its share; negative if below. */
  balance: number;
}

/**
 * The moves of redis-cli's rebalance. Shares are rounded down, and the slots left over go one by one to masters that are not
 * above their share. Then the master with most slots above its share gives its lowest slots to the one that lacks most.
 * Unlike in redis-cli, a master of weight 0 gets none of the slots left over.
 * Source: clusterManagerCommandRebalance.
 */
export function rebalanceLikeRedisCli(
  masters: readonly NodeRecord[],
  weights: ReadonlyMap<string, number>,
  threshold: number,
  useEmpty: boolean,
): RebalancePlan {
  const scales = masters
    .filter((node) => useEmpty || node.slots.length > 0)
    .map((node): Scale => ({ node, weight: weights.get(node.id) ?? 1, balance: 0 }));
  const totalWeight = scales.reduce((sum, { weight }) => Math.fround(sum + weight), 0);
  const all = scales.reduce((sum, { node }) => sum + countSlots(node), 0);
  let isNeeded = false;
  for (const scale of scales) {
    const held = countSlots(scale.node);
    const expected =
      totalWeight > 0 ? Math.trunc(Math.fround(Math.fround(16384 / totalWeight) * scale.weight)) : 0;
    scale.balance = held - expected;
    const isOff = held > 0 ? Math.abs(100 - (100 * expected) / held) > threshold : expected > 1;
    if (threshold > 0 && isOff) isNeeded = true;
  }
  const common = { nodes: scales.length, totalWeight, isNeeded };
  if (!isNeeded || totalWeight === 0 || all === 0) return { ...common, moves: [] };
  shareRest(scales);
  return { ...common, moves: pair(scales.toSorted((a, b) => a.balance - b.balance)) };
}

function shareRest(scales: readonly Scale[]): void {
  let rest = scales.reduce((sum, { balance }) => sum + balance, 0);
  while (rest > 0) {
    const takers = scales.filter(({ balance, weight }) => balance <= 0 && weight > 0);
    if (takers.length === 0) return;
    for (const taker of takers.slice(0, rest)) {
      taker.balance -= 1;
      rest -= 1;
    }
  }
}

function pair(sorted: readonly Scale[]): CountedMove[] {
  const given = new Map<string, number>();
  const moves: CountedMove[] = [];
  let [to, from] = [0, sorted.length - 1];
  while (to < from) {
    const [target, source] = [sorted[to], sorted[from]];
    if (!target || !source) break;
    const count = Math.min(Math.abs(target.balance), Math.abs(source.balance));
    const first = given.get(source.node.id) ?? 0;
    if (count > 0) {
      moves.push({
        source: source.node,
        target: target.node,
        slots: slotsOf(source.node).slice(first, first + count),
      });
      given.set(source.node.id, first + count);
    }
    target.balance += count;
    source.balance -= count;
    if (target.balance === 0) to += 1;
    if (source.balance === 0) from -= 1;
  }
  return moves;
}
