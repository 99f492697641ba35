import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createShares, expandSlots, SLOT_COUNT } from '../../lib/model/slot.ts';
import { type CreatePlan, planCreate } from '../../lib/plan/create.ts';
import type { NodeRef } from '../../lib/plan/plan.ts';
import { fc } from '../helpers/properties.ts';

/** Nodes on these hosts, in this order. */
function nodesOn(hosts: readonly number[]): NodeRef[] {
  return hosts.map((host, index) => ({
    id: index.toString(16).padStart(40, '0'),
    address: `10.0.0.${host}:${7000 + index}`,
  }));
}

const plan = (nodes: readonly NodeRef[], replicas: number, zones: Record<string, string> = {}): CreatePlan =>
  planCreate(nodes, { replicas, zones: new Map(Object.entries(zones)), maxSlots: SLOT_COUNT });

function groupsOf({ draft }: CreatePlan): Map<string, string[]> {
  const groups = new Map(draft.masters.map(({ address }) => [address, [] as string[]]));
  for (const step of draft.steps) {
    if (step.type === 'replicate') groups.get(step.master.address)?.push(step.replica.address);
  }
  return groups;
}

const hostOf = (address: string): string => address.split(':')[0] ?? '';

describe('createShares()', () => {
  test('cuts like redis-cli', () => {
    assert.deepEqual(createShares(3), [
      [0, 5460],
      [5461, 10922],
      [10923, 16383],
    ]);
    assert.deepEqual(createShares(1), [[0, 16383]]);
  });

  test('gives every slot once, for any number of masters', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (masters) => {
        const slots = createShares(masters).flatMap((range) => expandSlots([range]));
        assert.deepEqual(
          slots,
          Array.from({ length: SLOT_COUNT }, (_, slot) => slot),
        );
      }),
      { numRuns: 30 },
    );
  });
});

describe('planCreate()', () => {
  const cluster = fc.record({
    hosts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 }),
    replicas: fc.integer({ min: 0, max: 3 }),
  });

  test('uses every node once, and distributes replicas evenly', () => {
    fc.assert(
      fc.property(cluster, ({ hosts, replicas }) => {
        fc.pre(hosts.length > replicas);
        const nodes = nodesOn(hosts);
        const groups = groupsOf(plan(nodes, replicas));
        const used = [...groups].flatMap(([master, own]) => [master, ...own]);
        assert.deepEqual(used.sort(), nodes.map(({ address }) => address).sort());
        const counts = [...groups.values()].map(({ length }) => length);
        assert.ok(Math.min(...counts) >= replicas, 'every master has its replicas');
        assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `replicas of the masters: ${counts}`);
      }),
    );
  });

  test('makes the same plan for the same nodes', () => {
    fc.assert(
      fc.property(cluster, ({ hosts, replicas }) => {
        fc.pre(hosts.length > replicas);
        assert.deepEqual(plan(nodesOn(hosts), replicas), plan(nodesOn(hosts), replicas));
      }),
    );
  });

  test('leaves no replica on the host of its master if it could swap with another', () => {
    fc.assert(
      fc.property(cluster, ({ hosts, replicas }) => {
        fc.pre(hosts.length > replicas);
        const groups = [...groupsOf(plan(nodesOn(hosts), replicas))];
        for (const [master, own] of groups) {
          const host = hostOf(master);
          if (!own.some((replica) => hostOf(replica) === host)) continue;
          const better = groups.filter(([other]) => hostOf(other) !== host);
          for (const [other, others] of better) {
            const free = others.filter((replica) => hostOf(replica) !== host);
            assert.deepEqual(free, [], `a replica of ${other} could change places with one of ${master}`);
          }
        }
      }),
    );
  });

  test('separates by zone first, then by host', () => {
    const nodes = nodesOn([1, 2, 3, 4]);
    const zones = Object.fromEntries(
      nodes.map(({ address }, index) => [address, index < 2 ? 'east' : 'west']),
    );
    const made = plan(nodes, 1, zones);
    for (const [master, own] of groupsOf(made)) {
      for (const replica of own) assert.notEqual(zones[master], zones[replica], `${replica} of ${master}`);
    }
    assert.deepEqual(made.warnings, []);
    assert.deepEqual(
      new Set(made.draft.masters.map(({ address }) => zones[address])),
      new Set(['east', 'west']),
    );
  });

  test('warns if there is no better place', () => {
    const [warning, ...more] = plan(nodesOn([1, 1]), 1).warnings;
    for (const node of ['10.0.0.1:7000', '10.0.0.1:7001']) assert.ok(warning?.includes(node), warning);
    assert.deepEqual(more, []);
    const { warnings } = plan(nodesOn(Array(20).fill(1)), 1);
    assert.equal(warnings.length, 4);
    assert.match(warnings.at(-1) ?? '', /^7 more replicas /);
  });

  test('keeps the given order if nothing else decides', () => {
    assert.deepEqual(
      plan(nodesOn([1, 1, 1, 1, 1, 1]), 1).draft.masters.map(({ address }) => address),
      ['10.0.0.1:7000', '10.0.0.1:7001', '10.0.0.1:7002'],
    );
  });

  test('refuses too few nodes', () => {
    assert.throws(() => plan(nodesOn([1]), 1), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => plan(nodesOn([1]), -1), { code: 'INVALID_ARGUMENT' });
  });
});
