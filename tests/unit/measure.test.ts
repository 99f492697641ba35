import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readHotkeys } from '../../lib/measure/hotkeys-reply.ts';
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
