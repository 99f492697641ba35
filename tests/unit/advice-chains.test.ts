// Advice that is followed again and again comes to an end.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Finding } from '../../lib/findings/finding.ts';
import { findingsOf } from '../../lib/findings/findings.ts';
import { createShares } from '../../lib/model/slot.ts';
import { redis } from '../../lib/move/by-servers/redis.ts';
import { valkey } from '../../lib/move/by-servers/valkey.ts';
import { chooseMethod, type KnownEnd, methodByOptions } from '../../lib/move/choose-method.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, portOf } from '../helpers/views.ts';

/** A node by its number, with its zone and the number of its master. */
interface Placed {
  readonly node: number;
  readonly zone: string;
  readonly master?: number;
}

/** Every place of replicas that check advises to change. */
function advised(nodes: readonly Placed[]): readonly Finding[] {
  const masters = nodes.filter(({ master }) => master === undefined);
  const shares = createShares(masters.length);
  const lines = nodes.map(({ node, master }): Line => {
    if (master !== undefined) return { node, flags: 'slave', master, epoch: master };
    const [first, last] = shares[masters.findIndex((one) => one.node === node)] ?? [0, 0];
    return { node, slots: `${first}-${last}` };
  });
  const zones = new Map(nodes.map(({ node, zone }) => [idOf(node), zone]));
  return findingsOf(agreedView(lines), { zones }).filter(({ next = [] }) =>
    next.some(({ do: act }) => act === 'replicate'),
  );
}

const numberOf = (name: string): number => Number(name.split(':')[1]) - portOf(0);

/** Does what a finding advises, where it says, or in any of these zones. */
function follow(
  nodes: readonly Placed[],
  { kind, hint = '', next = [] }: Finding,
  zones: readonly string[],
): readonly Placed[] {
  let after = nodes;
  for (const { do: act, node = '' } of next) {
    const about = numberOf(node);
    if (act === 'del-node') after = after.filter((one) => one.node !== about);
    else {
      assert.equal(act, 'replicate');
      const own = nodes.find((one) => one.node === about)?.zone;
      const named = /in zone (\S+)/.exec(hint)?.[1];
      const zone = named ?? zones.find((one) => kind !== 'same-zone' || one !== own) ?? '';
      after = [...after, { node: Math.max(...after.map((one) => one.node)) + 1, zone, master: about }];
    }
  }
  return after;
}

describe('Advice about where replicas are', () => {
  test('comes to an end wherever nodes are, and does not go in a circle', () => {
    const zone = fc.constantFrom('a', 'b', 'c', 'd');
    let followed = 0;
    fc.assert(
      fc.property(
        fc.array(fc.array(zone, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        fc.shuffledSubarray(['a', 'b', 'c', 'd'], { minLength: 4 }),
        (shards, zones) => {
          let nodes: readonly Placed[] = shards.flatMap((own, shard) =>
            own.map((zone, index) => ({
              ...{ node: 10 * shard + index + 1, zone },
              ...(index === 0 ? {} : { master: 10 * shard + 1 }),
            })),
          );
          for (let steps = 0; ; steps++) {
            const [finding] = advised(nodes);
            if (!finding) return;
            followed++;
            // A replica for each master, one elsewhere, and each of the others in a place of its own.
            assert.ok(steps < 6 * shards.length, `it does not end: ${finding.message}`);
            nodes = follow(nodes, finding, zones);
          }
        },
      ),
      { numRuns: 20 },
    );
    assert.ok(followed > 5, `${followed} findings had advice`);
  });
});

describe('Advice about the method of a move', () => {
  const end = (address: string): fc.Arbitrary<KnownEnd> =>
    fc.record({
      address: fc.constant(address),
      dialect: fc.constantFrom(undefined, redis, valkey),
      openSlots: fc.subarray([1, 2]),
    });

  test('is not refused when it is followed', () => {
    fc.assert(
      fc.property(
        end('a:1'),
        end('b:1'),
        fc.boolean(),
        fc.constantFrom({}, { keysPerSecond: 100 }),
        (source, target, hasKeysInTheWay, limits) => {
          const move = { source, target, hasKeysInTheWay };
          const settings = { method: 'atomic', limits } as const;
          const chosen = methodByOptions(settings, source) ?? chooseMethod(settings, move);
          if (chosen.method !== 'refused') return;
          const [first, ...more] = chosen.why.next ?? [];
          assert.ok(first);
          if (first.do === 'fix') {
            assert.deepEqual(more, [{ do: 'retry', when: 'after-that' }]);
            const repaired = {
              source: { ...source, openSlots: [] },
              target: { ...target, openSlots: [] },
              hasKeysInTheWay: false,
            };
            const then = chooseMethod(settings, repaired);
            // If a server has none, it says so then.
            if (then.method === 'refused') assert.deepEqual(then.why.next?.[0]?.options, { method: 'auto' });
          } else {
            assert.deepEqual([first.do, first.options, more], ['retry', { method: 'auto' }, []]);
            assert.equal(chooseMethod({ ...settings, method: 'auto' }, move).method, 'migrate');
          }
        },
      ),
    );
  });
});
