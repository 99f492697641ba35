import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClusterNode } from '../../lib/model/cluster-node.ts';
import {
  type BalanceMove,
  type BalancePlan,
  BaseBalancer,
  balanceMoves,
  baseBalancePlan,
} from '../../lib/plan/balance.ts';
import { fc } from '../helpers/properties.ts';
import { idOf } from '../helpers/views.ts';

/** A node with so many slots. */
function nodeWith(name: number, slots: number, role: 'master' | 'replica' = 'master'): ClusterNode {
  return new ClusterNode({
    id: idOf(name),
    address: { host: '127.0.0.1', port: 7000 + name },
    hostname: null,
    flags: [role === 'master' ? 'master' : 'slave'],
    role,
    masterId: role === 'master' ? null : idOf(0),
    configEpoch: name,
    linkState: 'connected',
    slots: slots === 0 ? [] : [[0, slots - 1]],
    openSlots: [],
  });
}

const nodesWith = (counts: readonly number[]) => counts.map((count, index) => nodeWith(index, count));

/** Moves as [source, target, count], nodes by their place in the list. */
function planOf(counts: readonly number[], weights?: readonly number[]): [number, number, number][] {
  const nodes = nodesWith(counts);
  const weight = (node: ClusterNode) => weights?.[nodes.indexOf(node)] ?? 1;
  return baseBalancePlan(nodes, { weight }).map(([source, target, count]) => [
    nodes.indexOf(source),
    nodes.indexOf(target),
    count,
  ]);
}

function after(counts: readonly number[], moves: readonly (readonly [number, number, number])[]): number[] {
  const now = [...counts];
  for (const [source, target, count] of moves) {
    now[source] = (now[source] ?? 0) - count;
    now[target] = (now[target] ?? 0) + count;
  }
  return now;
}

describe('baseBalancePlan()', () => {
  test('moves half of the slots to a second master', () => {
    assert.deepEqual(planOf([16384, 0]), [[0, 1, 8192]]);
  });

  test('moves from two to a third, most from the one with the largest excess', () => {
    assert.deepEqual(planOf([8192, 8192, 0]), [
      [1, 2, 2731],
      [0, 2, 2730],
    ]);
  });

  for (const counts of [
    [1, 1, 0],
    [0, 1, 1],
    [1, 2, 1],
    [5462, 5461, 5461],
    [5461, 5461, 5462],
    [16384],
    [0, 0],
    [],
  ]) {
    test(`moves nothing among [${counts}]`, () => assert.deepEqual(planOf(counts), []));
  }

  test('follows weights', () => {
    assert.deepEqual(planOf([16384, 0], [3, 1]), [[0, 1, 4096]]);
    assert.deepEqual(after([16384, 0, 0], planOf([16384, 0, 0], [1, 2, 1])), [4096, 8192, 4096]);
    assert.deepEqual(after([8192, 8192], planOf([8192, 8192], [0.5, 1.5])), [4096, 12288]);
  });

  test('leaves nothing on a master of weight 0, not even what is left over from rounding', () => {
    assert.deepEqual(after([16384, 0, 0, 0], planOf([16384, 0, 0, 0], [0, 1, 1, 1])), [0, 5462, 5461, 5461]);
    assert.deepEqual(after([4096, 12288], planOf([4096, 12288], [0, 1])), [0, 16384]);
  });

  test('gives no master more than one of the slots that are left over from rounding', () => {
    const counts = [16384, ...new Array<number>(199).fill(0)];
    const now = after(counts, planOf(counts));
    assert.deepEqual([Math.min(...now), Math.max(...now)], [81, 82]);
  });

  test('ignores replicas', () => {
    const [master, replica, other] = [nodeWith(1, 16384), nodeWith(2, 0, 'replica'), nodeWith(3, 0)];
    assert.deepEqual(baseBalancePlan([master, replica, other]), [[master, other, 8192]]);
  });

  for (const weight of [-1, Number.NaN, Number.POSITIVE_INFINITY, '1' as never]) {
    test(`refuses a weight of ${weight}`, () => {
      assert.throws(() => planOf([16384, 0], [1, weight]), { code: 'INVALID_ARGUMENT' });
    });
  }

  test('refuses weights that are all 0', () => {
    assert.throws(() => planOf([16384, 0], [0, 0]), { code: 'INVALID_ARGUMENT' });
  });
});

describe('baseBalancePlan() for 1 to 200 masters', () => {
  // Shares of 16384 slots by cut points, so that the total is always that of a cluster.
  const anyCounts = fc
    .tuple(fc.integer({ min: 1, max: 200 }), fc.infiniteStream(fc.integer({ min: 0, max: 16384 })))
    .map(([masters, cuts]) => {
      const points = [0, ...[...cuts.take(masters - 1)].sort((a, b) => a - b), 16384];
      return points.slice(1).map((point, index) => point - (points[index] ?? 0));
    });
  const anyWeights = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 200, maxLength: 200 });

  test('loses no slot, takes no more than there are, and brings each within one slot of its share', () => {
    fc.assert(
      fc.property(anyCounts, anyWeights, fc.boolean(), (counts, weights, isEven) => {
        const used = counts.map((_, index) => (isEven ? 1 : (weights[index] ?? 1)));
        const total = used.reduce((sum, weight) => sum + weight, 0);
        fc.pre(total > 0);
        const moves = planOf(counts, used);
        for (const [source, target, count] of moves) {
          assert.notEqual(source, target);
          assert.ok(Number.isInteger(count) && count > 0);
        }
        const given = (index: number) =>
          moves.reduce((sum, [source, , count]) => sum + (source === index ? count : 0), 0);
        const now = after(counts, moves);
        assert.equal(
          now.reduce((sum, count) => sum + count, 0),
          16384,
        );
        for (const [index, count] of now.entries()) {
          assert.ok(given(index) <= (counts[index] ?? 0), `${index} gives more than it has`);
          const share = Math.floor((16384 * (used[index] ?? 0)) / total);
          assert.ok(count === share || (count === share + 1 && used[index] !== 0), `${count} of ${share}`);
        }
        assert.deepEqual(planOf(now, used), [], 'a second run has nothing to do');
        assert.deepEqual(planOf(counts, used), moves, 'the same question has the same answer');
      }),
      { numRuns: 60 },
    );
  });

  test('never lets a master both give and take', () => {
    fc.assert(
      fc.property(anyCounts, (counts) => {
        const moves = planOf(counts);
        const givers = new Set(moves.map(([source]) => source));
        assert.ok(moves.every(([, target]) => !givers.has(target)));
        assert.ok(moves.length < counts.length);
      }),
      { numRuns: 60 },
    );
  });
});

describe('BaseBalancer', () => {
  test('weighs every master alike and plans as baseBalancePlan() does', () => {
    const nodes = nodesWith([16384, 0, 0]);
    const balancer = new BaseBalancer();
    assert.equal(balancer.weight(nodes[0] as ClusterNode), 1);
    assert.deepEqual(balancer.balancePlan(nodes), baseBalancePlan(nodes));
  });

  test('uses the weights of the class that extends it', () => {
    class OnlyFirst extends BaseBalancer {
      override weight(node: ClusterNode): number {
        return node.nodeId === idOf(0) ? 1 : 0;
      }
    }
    const [first, second] = nodesWith([0, 16384]);
    assert.ok(first && second);
    const expected: BalanceMove[] = [[second, first, 16384]];
    assert.deepEqual(new OnlyFirst().balancePlan([first, second]), expected);
  });
});

describe('balanceMoves()', () => {
  const nodes = nodesWith([16384, 0]);
  const [first, second] = nodes as [ClusterNode, ClusterNode];
  const one: BalanceMove[] = [[first, second, 1]];

  test('plans as the balancer does, or as BaseBalancer for whatever that lacks', () => {
    assert.deepEqual(balanceMoves(nodes, {}), baseBalancePlan(nodes));
    assert.deepEqual(balanceMoves(nodes, { balancer: { balancePlan: () => one } }), one);
    const weight = (node: ClusterNode): number => (node === first ? 3 : 1);
    assert.deepEqual(balanceMoves(nodes, { balancer: { weight } }), [[first, second, 4096]]);
  });

  test("lets `balancePlan` plan in place of the balancer's own, and gives it the balancer", () => {
    const weight = (): number => 7;
    const balancePlan: BalancePlan = (given, balancer) => {
      assert.deepEqual([given, balancer.weight(first)], [nodes, 7]);
      return one;
    };
    const balancer = { weight, balancePlan: () => [] };
    assert.deepEqual(balanceMoves(nodes, { balancer, balancePlan }), one);
    assert.deepEqual(
      balanceMoves(nodes, { balancePlan: (_, { weight: of }) => [[first, second, of(first)]] }),
      one,
    );
  });
});
