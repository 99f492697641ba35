import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  compareReadings,
  type Reading,
  readingCommands,
  readingsIn,
} from '../../lib/copy/compare/reading.ts';
import { dumpOf } from '../../lib/rdb/dump.ts';
import { RDB_TYPE } from '../../lib/rdb/rdb-values.ts';
import { lengthOf, stringOf, timeOf } from '../../lib/rdb/write.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import { at } from '../helpers/clusters.ts';

const dump = (text: string, version = 13) => dumpOf(0, Buffer.from(stringOf(text), 'latin1'), version);
const value: Reading = { dump: dump('x'), expiresAt: undefined, serverExpiresAt: undefined, slackMs: 0 };
const gone: Reading = { ...value, dump: undefined };
const [HOUR, SKEW] = [3_600_000, 60_000];
/** A hash whose fields expire at these times. */
const hash = (...times: number[]): Reading => {
  const fields = times.map((time, index) => stringOf(`${index}`) + stringOf('value') + timeOf(time));
  const text = lengthOf(fields.length) + fields.join('');
  return { ...value, dump: dumpOf(RDB_TYPE.hash2, Buffer.from(text, 'latin1'), 80) };
};

function read(
  replies: readonly Reply[],
  expiry: 'PTTL' | 'PEXPIRETIME',
  sentAt = 0,
  answeredAt = 0,
): Reading {
  const [reading] = readingsIn(replies, expiry, sentAt, answeredAt);
  assert.ok(reading !== undefined && !(reading instanceof ReplyError));
  return reading;
}

describe('compareReadings()', () => {
  const cases: readonly [what: string, one: Reading, other: Reading, state: string | undefined][] = [
    ['the same', value, { ...value, dump: dump('x', 80) }, undefined],
    ['another value', value, { ...value, dump: dump('y') }, 'value'],
    ['gone from both', gone, gone, undefined],
    ['gone from the second', value, gone, 'missing'],
    ['gone from the first', gone, value, 'surplus'],
    ['gone from the second, and of no more fields on the first', hash(1), gone, undefined],
    ['gone from the first, and of no more fields on the second', gone, hash(1), undefined],
    ['gone from the second, and of fields on the first', hash(1, Date.now() + HOUR), gone, 'missing'],
    ['an expiry on one side', value, { ...value, expiresAt: 5 }, 'expiry'],
    ['the value before the expiry', value, { ...value, dump: dump('y'), expiresAt: 5 }, 'value'],
    [
      'an expiry within a second',
      { ...value, expiresAt: HOUR },
      { ...value, expiresAt: HOUR + 999 },
      undefined,
    ],
    ['one second off', { ...value, expiresAt: HOUR }, { ...value, expiresAt: HOUR + 1001 }, 'expiry'],
    [
      'as far off as the replies took',
      { ...value, expiresAt: HOUR, slackMs: 300 },
      { ...value, expiresAt: HOUR + 1500, slackMs: 300 },
      undefined,
    ],
    [
      'the same time by clocks that differ, as after a restore',
      { ...value, expiresAt: HOUR, serverExpiresAt: 9_000_000 },
      { ...value, expiresAt: HOUR - SKEW, serverExpiresAt: 9_000_000 },
      undefined,
    ],
    [
      'the same time left by clocks that differ, as after an import',
      { ...value, expiresAt: HOUR, serverExpiresAt: 9_000_000 },
      { ...value, expiresAt: HOUR, serverExpiresAt: 9_000_000 + SKEW },
      undefined,
    ],
  ];
  for (const [what, one, other, state] of cases)
    test(`${what}: ${state ?? 'the same'}`, () => assert.equal(compareReadings(one, other), state));
});

describe('readingsIn()', () => {
  test('asks for the time, then for the expiry and the value of each key', () => {
    assert.deepEqual(readingCommands(['a'], 'PTTL'), [['TIME'], ['PTTL', 'a'], ['DUMP', 'a']]);
  });

  test('takes an expiry by the clock of the server that names it', () => {
    const now: Reply = ['1000', '500000'];
    const found = read([now, 1_060_500, 'dump'], 'PEXPIRETIME', 10, 30);
    assert.deepEqual(found, { dump: 'dump', expiresAt: 60_020, serverExpiresAt: 1_060_500, slackMs: 10 });
    assert.equal(read([now, 60_000, 'dump'], 'PTTL', 10, 30).expiresAt, 60_020);
    for (const none of [-1, -2]) assert.equal(read([now, none, 'dump'], 'PTTL').expiresAt, undefined);
    assert.deepEqual(read([now, -2, null], 'PTTL', 0, 0), gone);
  });

  test('keeps what a node refuses for each key alone', () => {
    const moved = new ReplyError('MOVED 1 127.0.0.1:7001');
    const readings = readingsIn([['1', '0'], moved, moved, -1, 'dump'], 'PTTL', 0, 0);
    assert.equal(readings[0], moved);
    assert.equal((at(readings, 1) as Reading).dump, 'dump');
  });
});
