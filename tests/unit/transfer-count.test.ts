import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { astray, isAstray, TransferCount } from '../../lib/move/by-migrate/transfer-count.ts';
import { fc } from '../helpers/properties.ts';
import { openScriptedEnds, type Script, TARGET } from '../helpers/scripted-ends.ts';
import { idOf } from '../helpers/views.ts';

/** What the servers count. */
interface Counters {
  restored: number;
  expired: number;
  resets: number;
  run: string;
  /** Keys that the target has. */
  held: string[];
  /** Who answers in the place of the target. */
  id: string;
}

function worldOf() {
  const counters: Counters = { restored: 100, expired: 50, resets: 0, run: 'a', held: [], id: idOf(TARGET) };
  const script: Script = (node, words) => {
    const { restored, expired, resets, run, held, id } = counters;
    if (node === TARGET && words[1] === 'MYID') return id;
    if (words[0] === 'EXISTS') return node === TARGET && held.includes(words[1] ?? '') ? 1 : 0;
    if (words[0] !== 'INFO') return undefined;
    if (words[1] === 'server') return `redis_version:7.0.0\r\nrun_id:${run}\r\n`;
    if (words[1] === 'stats') return `expired_keys:${expired}\r\n`;
    return `cmdstat_restore-asking:calls=${restored},usec=1\r\ncmdstat_config|resetstat:calls=${resets},usec=1\r\n`;
  };
  const { ends } = openScriptedEnds({ script });
  return { ends, counters };
}

const last = { slot: 7, db: 0, keys: ['a', 'b'] };

describe('astray()', () => {
  test('is 0 whatever is restored, expires and is deleted, as long as each key that is acknowledged is restored', () => {
    const counts = fc.nat(1000);
    fc.assert(
      fc.property(counts, counts, counts, counts, (moved, expiredInMigrate, expiredElse, others) => {
        const left = moved + expiredInMigrate;
        const expired = expiredInMigrate + expiredElse;
        assert.equal(astray({ left, restored: moved + others, expired }), 0);
      }),
    );
  });

  test('is the number of keys that went elsewhere, if nothing else is restored or expires', () => {
    assert.equal(astray({ left: 128, restored: 100, expired: 0 }), 28);
  });
});

describe('isAstray()', () => {
  test('believes the counters unless they may have been reset and a key has arrived', () => {
    for (const isAnyThere of [true, false])
      for (const mayBeReset of [true, false]) {
        assert.equal(isAstray(0, isAnyThere, mayBeReset), false);
        assert.equal(isAstray(5, isAnyThere, mayBeReset), !(isAnyThere && mayBeReset));
      }
  });
});

describe('TransferCount', () => {
  const cases: readonly [text: string, change: Partial<Counters>, code?: string][] = [
    ['all have arrived', { restored: 110 }],
    ['some had expired', { restored: 106, expired: 54 }],
    ['others restore keys, too', { restored: 1100 }],
    ['one is missing', { restored: 109 }, 'TARGET_NOT_PROVEN'],
    ['none has arrived', {}, 'TARGET_NOT_PROVEN'],
    ['the last have, but not all', { restored: 109, held: ['b'] }, 'TARGET_NOT_PROVEN'],
    ['counters were reset', { restored: 3, held: ['b'] }],
    ['they were, and none is there', { restored: 3, resets: 1 }, 'TARGET_NOT_PROVEN'],
    [
      'another server took its place',
      { run: 'b', restored: 110, held: ['a'], id: idOf(9) },
      'TARGET_NOT_PROVEN',
    ],
    ['the target was restarted', { run: 'b', restored: 105, held: ['a'] }],
  ];
  for (const [text, change, code] of cases)
    test(`${code ? 'refuses' : 'is content'} if ${text}`, async () => {
      const { ends, counters } = worldOf();
      const transfers = new TransferCount();
      await transfers.begin(ends);
      transfers.note(ends, 10);
      Object.assign(counters, change);
      const checking = transfers.check(ends, last);
      await (code ? assert.rejects(checking, { code }) : checking);
    });

  test('forgives what a reset hides, and sees what is missing after that', async () => {
    const { ends, counters } = worldOf();
    const transfers = new TransferCount();
    await transfers.begin(ends);
    transfers.note(ends, 10);
    Object.assign(counters, { resets: 1, restored: 3, held: ['a'] });
    await transfers.check(ends, last);
    transfers.note(ends, 10);
    await transfers.check(ends, last);
    counters.held = [];
    transfers.note(ends, 10);
    await assert.rejects(transfers.check(ends, last), { code: 'TARGET_NOT_PROVEN' });
  });

  test('does not count what leaves a source whose counters were not read', async () => {
    const { ends } = worldOf();
    const transfers = new TransferCount();
    transfers.note(ends, 10);
    await transfers.check(ends, last);
  });
});
