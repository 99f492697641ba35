import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Arrivals, bulkOf, KeyMemory, memoryOfKey, partAtEnd } from '../../lib/move/by-servers/arrivals.ts';
import { parseInfo } from '../../lib/nodes/node-info.ts';
import { fc } from '../helpers/properties.ts';

const MB = 1e6;
const bulk = (megabytes: number, keys = 0) => ({ keys, memory: megabytes * MB });
const infoOf = (used: number, keys: number) =>
  parseInfo(`used_memory:${used}\r\nused_memory_startup:1000\r\ndb0:keys=${keys},expires=0,avg_ttl=0`);

describe('Arrivals', () => {
  test('are the part of what is expected by which the memory of the target has grown', () => {
    const arrivals = new Arrivals();
    arrivals.begin(bulk(100));
    for (const [used, part] of [
      [500 * MB, 0],
      // Too little to tell the pace by.
      [500.5 * MB, 0],
      [550 * MB, 0.5],
      // A server may free memory of its own.
      [490 * MB, 0],
      // More than was expected.
      [700 * MB, 1],
    ] as const)
      assert.equal(arrivals.partAt(used), part, `${used}`);
  });

  test('are those of all moves that run, without those that have brought theirs', () => {
    const arrivals = new Arrivals();
    arrivals.begin(bulk(100));
    assert.equal(arrivals.partAt(10 * MB), 0);
    arrivals.begin(bulk(300));
    assert.equal(arrivals.partAt(110 * MB), 0.25);
    arrivals.end(bulk(100), true);
    assert.equal(arrivals.partAt(260 * MB), 0.5);
    arrivals.end(bulk(300), true);
    arrivals.begin(bulk(100));
    assert.equal(arrivals.partAt(410 * MB), 0);
    assert.equal(arrivals.partAt(460 * MB), 0.5);
  });

  test('are those of the others if a move has failed: the target drops what it brought', () => {
    const arrivals = new Arrivals();
    arrivals.begin(bulk(100));
    arrivals.begin(bulk(300));
    assert.equal(arrivals.partAt(0), 0);
    arrivals.end(bulk(100), false);
    assert.equal(arrivals.partAt(150 * MB), 0.5);
  });

  test('are none if nothing is expected', () => {
    const arrivals = new Arrivals();
    arrivals.begin(bulk(0));
    assert.deepEqual([arrivals.partAt(5), arrivals.partAt(5)], [0, 0]);
  });

  test('of moves that run at the same time add up to what has arrived, when one of them ends, too', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(sizes, fc.double({ min: 0.05, max: 0.95, noNaN: true }), (all, part) => {
        const arrivals = new Arrivals();
        for (const size of all) arrivals.begin(bulk(size));
        arrivals.partAt(0);
        const [first = 0, ...rest] = all;
        const left = rest.reduce((sum, size) => sum + size, 0);
        arrivals.end(bulk(first), true);
        const arrived = arrivals.partAt((first + part * left) * MB) * left;
        assert.ok(Math.abs(arrived - part * left) < 1e-6 * left);
      }),
    );
  });
});

describe('memoryOfKey()', () => {
  test('is that of all keys of a node on average, and nothing without any', () => {
    for (const [used, keys, expected] of [
      [101_000, 1000, 100],
      [101_000, 0, 0],
      [900, 10, 0],
    ] as const)
      assert.equal(memoryOfKey(infoOf(used, keys)), expected);
    assert.equal(memoryOfKey(new Map()), 0);
  });
});

describe('bulkOf()', () => {
  test('goes by the mean of the source, unless a sample finds much more', () => {
    for (const [sampled, expected] of [
      [0, 1000],
      // With what a sample cannot see, or with what servers make of it.
      [1400, 1000],
      [9000, 9000],
    ] as const)
      assert.deepEqual(bulkOf(10, sampled, 100), { keys: 10, memory: expected });
    assert.equal(bulkOf(10, 500, 0).memory, 500);
  });
});

describe('KeyMemory', () => {
  test('asks a source once: afterwards it has given keys away, and may not have freed their memory', async () => {
    const memory = new KeyMemory();
    let asked = 0;
    const ask = async (used: number, keys: number) => {
      asked += 1;
      return infoOf(used, keys);
    };
    assert.equal(await memory.of('a', () => ask(101_000, 1000)), 100);
    assert.equal(await memory.of('a', () => ask(101_000, 100)), 100);
    assert.equal(await memory.of('b', () => ask(101_000, 100)), 1000);
    assert.equal(asked, 2);
  });

  test('is not known of a source that does not say it', async () => {
    assert.equal(await new KeyMemory().of('a', () => Promise.reject(new Error('NOPERM'))), 0);
  });
});

describe('partAtEnd()', () => {
  const bulks = fc.record({ keys: fc.nat(1e8), memory: fc.nat(1e12) });

  test('is a small part, of a source that deletes later', () => {
    fc.assert(fc.property(bulks, (one) => partAtEnd(one, false) === partAtEnd({ keys: 0, memory: 0 }, true)));
  });

  test('is more for small keys than for the same memory in big ones, and never as much as a third', () => {
    fc.assert(
      fc.property(bulks, (one) => {
        const part = partAtEnd(one, true);
        assert.ok(part >= partAtEnd(one, false) && part < 1 / 3);
        assert.ok(part >= partAtEnd({ ...one, keys: one.keys / 2 }, true));
      }),
    );
  });

  test('is within a twelfth of what was measured on Valkey 9.1', () => {
    for (const [keys, memory, arrivedMs, wholeMs] of [
      [972_000, 62.3, 1009, 1212],
      [972_000, 142.5, 950, 1166],
      [972_000, 188.3, 1672, 2048],
      [108_000, 5170, 891, 975],
      [108_000, 819, 751, 792],
      [5400, 65_400, 5088, 5224],
    ] as const) {
      const part = partAtEnd({ keys, memory: keys * memory }, true);
      assert.ok(Math.abs(part - (1 - arrivedMs / wholeMs)) < 1 / 12, `${part} ${arrivedMs}/${wholeMs}`);
    }
  });
});
