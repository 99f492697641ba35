import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hotSpotsOf, type KeyLoad, type NodeLoad, type SlotLoad } from '../../lib/findings/hot-spots.ts';

const slotLoad = (slot: number, cpuUsPerSecond: number | null, network: number | null = null): SlotLoad => ({
  ...{ slot, cpuUsPerSecond, networkBytesPerSecond: network, keys: 1 },
});
const keyLoad = (key: string, by: KeyLoad['by'], nodeShare: number | null): KeyLoad => ({
  ...{ key, by, nodeShare, networkShare: null, frequency: nodeShare === null ? 200 : null },
});
const nodeLoad = (
  node: string,
  slots: readonly SlotLoad[] | undefined,
  keys: readonly KeyLoad[] = [],
  commandsPerSecond = 1000,
): NodeLoad => ({ node: { node, id: node, commandsPerSecond, notes: [], error: null }, slots, keys });
const even = (from: number, each: number): SlotLoad[] =>
  Array.from({ length: 50 }, (_, index) => slotLoad(from + index, each));

const kindsOf = (measured: readonly NodeLoad[]): string[] =>
  hotSpotsOf(measured, 10, 'a:1').verdicts.map(({ kind }) => kind);

describe('hotSpotsOf()', () => {
  test('finds the load even', () => {
    const found = hotSpotsOf([nodeLoad('a:1', even(0, 1000)), nodeLoad('b:1', even(100, 1000))], 10, 'a:1');
    assert.deepEqual(
      found.verdicts.map(({ kind }) => kind),
      ['even'],
    );
    assert.deepEqual(
      found.nodes.map(({ share }) => share),
      [0.5, 0.5],
    );
    assert.equal(found.slots.length, 10);
  });

  test('advises to move slots if that helps, by what was measured', () => {
    const busy = [nodeLoad('a:1', even(0, 5000)), nodeLoad('b:1', even(100, 1000))];
    const { verdicts } = hotSpotsOf(busy, 10, 's:1');
    assert.deepEqual(verdicts.at(-1)?.next, [{ do: 'rebalance', cluster: 's:1', options: { by: 'cpu' } }]);
    const network = busy.map((one) => ({
      ...one,
      slots: one.slots?.map(({ slot, cpuUsPerSecond }) => slotLoad(slot, null, cpuUsPerSecond)),
    }));
    const [verdict] = hotSpotsOf(network, 10, 's:1').verdicts;
    assert.deepEqual(verdict?.next, [{ do: 'rebalance', cluster: 's:1', options: { by: 'network' } }]);
  });

  test('says that no move spreads one slot or one key', () => {
    const slots = [slotLoad(12182, 50_000), ...even(0, 10)];
    const rest = nodeLoad('b:1', even(100, 10));
    assert.deepEqual(kindsOf([nodeLoad('a:1', slots), rest]), ['one-slot']);
    // `foo` is in that slot.
    assert.deepEqual(kindsOf([nodeLoad('a:1', slots, [keyLoad('foo', 'hotkeys', 0.9)]), rest]), ['one-key']);
    assert.deepEqual(kindsOf([nodeLoad('a:1', slots, [keyLoad('foo', 'frequency', null)]), rest]), [
      'one-slot',
    ]);
  });

  test('says both if the rest of the node would be better elsewhere', () => {
    const slots = [slotLoad(12182, 60_000), ...even(0, 1000)];
    assert.deepEqual(kindsOf([nodeLoad('a:1', slots), nodeLoad('b:1', even(100, 10))]), [
      'one-slot',
      'uneven',
    ]);
  });

  test('says nothing of moves if loads of slots are not known', () => {
    const known = nodeLoad('a:1', even(0, 5000));
    assert.deepEqual(kindsOf([known, nodeLoad('b:1', undefined)]), ['unknown']);
    assert.deepEqual(kindsOf([nodeLoad('b:1', undefined, [keyLoad('foo', 'hotkeys', 0.8)])]), ['one-key']);
    assert.deepEqual(kindsOf([nodeLoad('b:1', undefined, [keyLoad('foo', 'hotkeys', 0.8)], 3)]), ['unknown']);
  });

  test('says that nothing is done', () => {
    assert.deepEqual(kindsOf([nodeLoad('a:1', [slotLoad(1, 30)]), nodeLoad('b:1', [])]), ['idle']);
    assert.deepEqual(kindsOf([nodeLoad('a:1', []), nodeLoad('b:1', [])]), ['idle']);
    assert.deepEqual(kindsOf([nodeLoad('a:1', [slotLoad(1, null, 0)]), nodeLoad('b:1', [])]), ['idle']);
  });

  test('puts the key of a busy node before that of an idle one', () => {
    const measured = [
      nodeLoad('a:1', undefined, [keyLoad('idle', 'hotkeys', 1)], 2),
      nodeLoad('b:1', undefined, [keyLoad('busy', 'hotkeys', 0.4), keyLoad('lfu', 'frequency', null)], 9000),
    ];
    const { keys } = hotSpotsOf(measured, 10, 'a:1');
    assert.deepEqual(
      keys.map(({ key }) => key),
      ['busy', 'idle', 'lfu'],
    );
  });

  test('keeps shares in order and within bounds, and advises a move only if it can help', () => {
    const loads = fc.array(fc.array(fc.integer({ min: 0, max: 100_000 }), { minLength: 1, maxLength: 8 }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(loads, (all) => {
        const measured = all.map((own, node) =>
          nodeLoad(
            `n${node}:1`,
            own.map((cpu, index) => slotLoad(100 * node + index, cpu)),
          ),
        );
        const { slots, nodes, verdicts } = hotSpotsOf(measured, 1000, 'a:1');
        const total = all.flat().reduce((sum, cpu) => sum + cpu, 0);
        const sum = slots.reduce((rest, { share }) => rest + share, 0);
        assert.ok(total === 0 || Math.abs(sum - 1) < 1e-9);
        for (const [index, { share }] of slots.entries()) assert.ok(share >= (slots[index + 1]?.share ?? 0));
        assert.ok(verdicts.length > 0);
        if (!verdicts.some(({ kind }) => kind === 'uneven')) return;
        const busiest = Math.max(...nodes.map(({ share }) => share ?? 0));
        assert.ok(busiest > 1.19 / nodes.length);
      }),
    );
  });
});
