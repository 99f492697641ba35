import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readHotkeys } from '../../lib/measure/hotkeys-reply.ts';
import { loadOf } from '../../lib/measure/measure-node.ts';
import { FrequentKeys, keysInLine, readKeyPlaces } from '../../lib/measure/monitor-line.ts';
import { readSlotStats } from '../../lib/nodes/slot-stats.ts';
import type { Reply } from '../../resp/index.ts';

describe('readHotkeys()', () => {
  const common = [
    ...['tracking-active', 0, 'sample-ratio', 1, 'selected-slots', [[0, 16383]]],
    ...['net-bytes-all-commands-all-slots', 201],
    ...['collection-start-time-unix-ms', 1_795_969_771_276, 'collection-duration-ms', 69],
    ...['by-net-bytes', ['foo', 201]],
  ];
  const inMicroseconds = [
    ...common,
    'all-commands-all-slots-us',
    5000,
    'by-cpu-time-us',
    ['foo', 4000, '\xff', 7],
  ];
  const inMilliseconds = [...common, 'all-commands-all-slots-ms', 5, 'by-cpu-time', ['foo', 4000, '\xff', 7]];

  test('reads the replies of all releases', () => {
    for (const reply of [inMicroseconds, inMilliseconds, [inMicroseconds]] as Reply[]) {
      assert.deepEqual(readHotkeys(reply), {
        ...{ isActive: false, startedAt: 1_795_969_771_276, durationMs: 69, cpuUs: 5000, networkBytes: 201 },
        cpu: new Map([
          ['foo', 4000],
          ['\xff', 7],
        ]),
        network: new Map([['foo', 201]]),
      });
    }
  });

  test('takes nothing else for a session', () => {
    // No session; Valkey 9.2, without and with hot keys; nonsense.
    const others: Reply[] = [null, [], [['key', 'foo', 'db', 0, 'qps', 12]], 'OK', 1, [[]], ['a']];
    for (const reply of others) assert.equal(readHotkeys(reply), undefined);
  });
});

describe('readSlotStats()', () => {
  test('reads what servers count', () => {
    const reply: Reply = [
      [1, ['key-count', 2, 'cpu-usec', 3]],
      [5, ['key-count', 0]],
    ];
    assert.deepEqual(
      readSlotStats(reply),
      new Map([
        [
          1,
          new Map([
            ['key-count', 2],
            ['cpu-usec', 3],
          ]),
        ],
        [5, new Map([['key-count', 0]])],
      ]),
    );
    assert.deepEqual(readSlotStats([]), new Map());
  });

  test('takes nothing else', () => {
    for (const reply of [null, 'OK', 1, [1], [[]], [['x', []]], [[99999, []]], [[1, 'x']]] as Reply[])
      assert.equal(readSlotStats(reply), undefined);
  });
});

describe('keysInLine()', () => {
  const places = readKeyPlaces([
    ['get', 2, ['readonly'], 1, 1, 1],
    ['mset', -3, ['write'], 1, -1, 2],
    ['eval', -3, ['movablekeys'], 0, 0, 0],
    ['auth', -2, [], 0, 0, 0],
    'nonsense',
  ]);
  const keysIn = (words: string) => keysInLine(`1339518083.107412 [0 127.0.0.1:60866] ${words}`, places);

  test('finds keys, and nothing but keys', () => {
    assert.deepEqual(keysIn('"GET" "user:1"'), ['user:1']);
    assert.deepEqual(keysIn('"mset" "a" "secret" "b" "secret"'), ['a', 'b']);
    assert.deepEqual(keysIn('"get" "\\xff\\n\\"q\\" \\\\ \\a"'), ['\xff\n"q" \\ \x07']);
    assert.deepEqual(keysIn('"GET" "] \\"x"'), ['] "x']);
  });

  test('finds none where there are none', () => {
    for (const words of [
      '"AUTH" "(redacted)"',
      '"eval" "return 1" "1" "key"',
      '"unknown" "x"',
      '"GET"',
      '',
      '"GET" "cut of',
    ])
      assert.equal(keysIn(words), undefined, words);
    assert.equal(keysInLine('+OK', places), undefined);
  });
});

describe('FrequentKeys', () => {
  test('finds a key that makes more than its part of many, and counts it almost whole', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), (seed) => {
        const frequent = new FrequentKeys();
        let state = seed;
        const count = 30_000;
        let hot = 0;
        for (let index = 0; index < count; index++) {
          state = (state * 1103515245 + 12345) % 2147483648;
          if (state % 10 === 0) {
            hot += 1;
            frequent.add('hot');
          } else frequent.add(`cold-${state % 20_011}`);
        }
        const [[key, found]] = frequent.top(1) as [[string, number]];
        assert.equal(key, 'hot');
        assert.ok(found <= hot && found >= hot - count / 2000 - 1);
      }),
      { numRuns: 10 },
    );
  });
});

describe('loadOf()', () => {
  /** Readings, half a second from each other, of a counter of microseconds and one of bytes. */
  const readings = (...counts: readonly (readonly [us: number, bytes: number] | undefined)[]) =>
    counts.map((one, index) => ({
      at: 500 * index,
      stats: one && new Map([...statsOf(one), ['key-count', 3]]),
    }));
  const statsOf = ([us, bytes]: readonly [us: number, bytes: number]): [string, number][] => [
    ['cpu-usec', us],
    ['network-bytes-in', bytes],
    ['network-bytes-out', 0],
  ];
  const load = (...counts: readonly (readonly [us: number, bytes: number] | undefined)[]) => {
    const { cpuUsPerSecond, networkBytesPerSecond } = loadOf(5, readings(...counts));
    return [cpuUsPerSecond, networkBytesPerSecond];
  };

  test('is the rate of a steady load', () => {
    assert.deepEqual(load([0, 0], [10, 100], [20, 200], [30, 300], [40, 400]), [20, 200]);
  });

  test('leaves out the part of the most processor time, and no bytes', () => {
    assert.deepEqual(load([0, 0], [10, 100], [20_020, 200], [20_030, 700], [20_040, 800]), [20, 400]);
  });

  test('counts from 0 a slot that came, and counters that were reset', () => {
    assert.deepEqual(load(undefined, undefined, [10, 10], [20, 20], [40, 40]), [(10 + 10) / 1.5, 20]);
    assert.deepEqual(load([90, 90], [100, 100], [10, 10], [20, 20], [30, 30]), [20, 20]);
  });

  test('is not known without the counters', () => {
    const none = { stats: new Map([['key-count', 2]]), at: 0 };
    assert.deepEqual(loadOf(5, [none, { ...none, at: 500 }]), {
      slot: 5,
      cpuUsPerSecond: null,
      networkBytesPerSecond: null,
      keys: 2,
    });
  });
});
