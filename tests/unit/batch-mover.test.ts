import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { ClusterError } from '../../lib/errors.ts';
import type { Batch, BatchEnd, BatchOptions, Lane } from '../../lib/move/by-migrate/batch.ts';
import { BatchMover } from '../../lib/move/by-migrate/batch-mover.ts';
import { TargetProof } from '../../lib/move/by-migrate/prove-target.ts';
import { ReplaceAuthority } from '../../lib/move/by-migrate/replace-authority.ts';
import { SharedLock } from '../../lib/move/shared-lock.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import {
  brokenConnection,
  openScriptedEnds,
  type Script,
  type ScriptedEnds,
  SOURCE,
  TARGET,
} from '../helpers/scripted-ends.ts';
import { idOf } from '../helpers/views.ts';

const SLOT = 7;
const KEYS = ['a', 'b', 'c'];

const moved: BatchEnd = { type: 'moved', gone: 1, stallMs: 2 };
const failed = (message: string, gone = 0, isLate = false): BatchEnd => ({
  ...{ type: 'failed', error: new ReplyError(message), gone, stallMs: 2, isLate },
});
const unanswered = (gone: number) => failed('IOERR error or timeout reading to target instance', gone, true);
const busyKey = (gone = 0, isLate = false) =>
  failed('ERR Target instance replied with error: BUSYKEY', gone, isLate);
const refused = (message: string): BatchEnd => ({ type: 'refused', error: new ReplyError(message) });
const lost: BatchEnd = { type: 'lost', error: brokenConnection(SOURCE) };

interface Options {
  /** How each attempt ends. */
  readonly ends: readonly BatchEnd[];
  /** Values on each end, for EXISTS, DUMP and PTTL. */
  readonly source?: string;
  readonly target?: string;
  readonly isGranted?: boolean;
  readonly overwrites?: boolean;
  /** True if the target owns the slot. */
  readonly isTargets?: boolean;
  /** Takes precedence over the values. */
  readonly script?: Script;
  readonly lock?: SharedLock;
  /** True if a key has been seen on the target before. @default true */
  readonly isProven?: boolean;
}

/** A mover, a lane whose attempts end as scripted, and everything sent, in order. */
function moverOf({
  ends: attempts,
  source = '',
  target = '',
  isGranted = true,
  overwrites = false,
  isTargets = false,
  script,
  lock,
  isProven = true,
}: Options) {
  const valuesOf = (text: string) =>
    new Map(text.split(' ').map((item) => item.split('=') as [string, string]));
  const held = new Map([
    [SOURCE, valuesOf(source)],
    [TARGET, valuesOf(target)],
  ]);
  const answer: Script = async (node, words) => {
    const [word, key = ''] = words;
    const given = await script?.(node, words);
    if (given !== undefined) return given;
    const value = held.get(node)?.get(key);
    if (word === 'EXISTS') return value === undefined ? 0 : 1;
    if (word === 'DUMP') return value ?? null;
    if (word === 'PTTL') return value === undefined ? -2 : -1;
    return undefined;
  };
  const scripted = openScriptedEnds({ script: answer });
  const left = [...attempts];
  const timeouts: number[] = [];
  const lane = {
    async send({ keys }: Batch, { replace, timeoutMs }: BatchOptions): Promise<BatchEnd> {
      timeouts.push(timeoutMs);
      scripted.sent.push(`MIGRATE ${keys.join(' ')}${replace ? ' REPLACE' : ''}`);
      await turn();
      return left.shift() ?? moved;
    },
    async fence() {
      scripted.sent.push('fence at the source');
    },
  } as unknown as Lane;
  const authority = new ReplaceAuthority([], overwrites);
  if (isTargets) authority.noteOfTarget([SLOT]);
  if (isGranted) authority.grantOpenedEmpty([SLOT]);
  const mover = new BatchMover(
    scripted.ends,
    authority,
    new TargetProof(scripted.ends, lock, isProven),
    lock,
  );
  const move = () => mover.move(lane, { slot: SLOT, db: 0, keys: KEYS, lanes: 4 });
  return { ...scripted, leftovers: mover.leftovers, timeouts, move };
}

/** What was sent, without the requests for sizes after a failure. */
const sentBy = ({ sent }: Pick<ScriptedEnds, 'sent'>) =>
  sent.filter((text) => !text.includes('MEMORY USAGE'));

const exists = (end: string, keys: string) => [...keys].map((key) => `${end} EXISTS ${key}`);
const ALL = 'MIGRATE a b c';

describe('BatchMover', { concurrency: true, timeout: 20_000 }, () => {
  test('sends a batch once when it moves', async () => {
    const mover = moverOf({ ends: [moved] });
    assert.deepEqual(await mover.move(), { gone: 1, stallMs: 2 });
    assert.deepEqual(sentBy(mover), [ALL]);
  });

  test('hands back a batch that was not sent', async () => {
    const mover = moverOf({ ends: [{ type: 'held' }] });
    assert.equal(await mover.move(), undefined);
    assert.deepEqual(sentBy(mover), [ALL]);
  });

  test('copies a key first if none has been seen on the target, and overwrites the copy if the slot is ours', async () => {
    let isCopied = false;
    const copies: Script = (node, words): Reply | undefined => {
      if (words[0] === 'MIGRATE') isCopied = true;
      return node === TARGET && words.join(' ') === 'DUMP a' && isCopied ? 'dump of a' : undefined;
    };
    const mover = moverOf({ ends: [moved], isProven: false, script: copies });
    await mover.move();
    assert.deepEqual(sentBy(mover), [
      ...exists('target', 'abc'),
      'source MIGRATE 127.0.0.1 7002  0 2000 COPY KEYS a',
      'target DUMP a',
      `${ALL} REPLACE`,
    ]);
  });

  test('sends only equal copies if the target holds all keys and none has been seen to arrive', async () => {
    const values = { source: 'a=1 b=1 c=1', target: 'a=1 b=2 c=1' };
    const mover = moverOf({ ends: [moved], isProven: false, isGranted: false, ...values });
    await mover.move();
    assert.deepEqual(sentBy(mover).at(-1), 'MIGRATE a c REPLACE');
    assert.deepEqual(mover.leftovers.conflicts, [{ slot: SLOT, keys: ['b'] }]);
  });

  describe('if the source writes the key again that was copied to an open slot', () => {
    /** What the target has of `a` each time that it is asked for its value, when the copy has arrived. */
    const moverWith = (dumps: readonly string[], ends: readonly BatchEnd[] = [moved]) => {
      const [left, values] = [[...dumps], { source: 'a=2 b=1 c=1', isProven: false, isGranted: false }];
      let isCopied = false;
      const script: Script = (node, [word, key, ...more]): Reply | undefined => {
        if (word === 'MIGRATE') isCopied = true;
        if (node !== TARGET || key !== 'a' || !isCopied || more.length > 0) return undefined;
        if (word === 'EXISTS') return 1;
        if (word === 'DUMP') return left.shift() ?? null;
        return word === 'PTTL' ? -1 : undefined;
      };
      return moverOf({ ends, ...values, script });
    };

    test('overwrites the copy if it is on the target as it was, at the first attempt or later', async () => {
      for (const [dumps, ends] of [
        [['1', '1'], [moved]],
        [
          ['1', '1', '1'],
          [unanswered(0), busyKey(), moved],
        ],
      ] as const) {
        const mover = moverWith(dumps, ends);
        await mover.move();
        assert.deepEqual(mover.leftovers.conflicts, []);
        const batches = sentBy(mover).filter((text) => text.startsWith('MIGRATE'));
        assert.equal(batches[0], `${ALL} REPLACE`);
        assert.equal(batches.at(-1), `${ALL} REPLACE`);
      }
    });

    test('leaves the key if the target has written it, too', async () => {
      const mover = moverWith(['1', '3']);
      await mover.move();
      assert.deepEqual(mover.leftovers.conflicts, [{ slot: SLOT, keys: ['a'] }]);
      assert.equal(sentBy(mover).at(-1), 'MIGRATE b c');
    });
  });

  test('overwrites values that differ if they are given up, unless the target owns the slot', async () => {
    const values = { source: 'a=1 b=1 c=1', target: 'a=1 b=2', isGranted: false, overwrites: true };
    const given = moverOf({ ends: [busyKey()], ...values });
    await given.move();
    assert.equal(sentBy(given).at(-1), `${ALL} REPLACE`);
    assert.deepEqual(given.leftovers.conflicts, []);
    const owned = moverOf({ ends: [busyKey()], ...values, isTargets: true });
    await owned.move();
    assert.equal(sentBy(owned).at(-1), 'MIGRATE a c REPLACE');
    assert.deepEqual(owned.leftovers.conflicts, [{ slot: SLOT, keys: ['b'] }]);
  });

  test('sends no key to a stranger', async () => {
    const mover = moverOf({
      ends: [],
      isProven: false,
      source: 'a=1',
      script: (_, [word]) => (word === 'PTTL' ? -1 : undefined),
    });
    await assert.rejects(mover.move(), { code: 'TARGET_NOT_PROVEN', keys: ['a'] });
    assert.ok(!sentBy(mover).some((text) => text.startsWith('MIGRATE')));
  });

  test('sends no key again once another server has taken the address of an end', async () => {
    const cases = [
      [TARGET, idOf(9), 'TARGET_NOT_PROVEN'],
      [TARGET, new ReplyError('ERR This instance has cluster support disabled'), 'TARGET_NOT_PROVEN'],
      [SOURCE, idOf(9), 'MIGRATE_FAILED'],
    ] as const;
    for (const [end, answer, code] of cases) {
      const script: Script = (node, words) =>
        node === end && words.join(' ') === 'CLUSTER MYID' ? answer : undefined;
      const mover = moverOf({ ends: [unanswered(1)], source: 'b=1 c=1', script });
      await assert.rejects(mover.move(), { code, resumable: 'same-call' });
      assert.deepEqual(sentBy(mover), [ALL]);
    }
  });

  test('sends again to an end that refuses to say its id', async () => {
    const script: Script = (_, words) =>
      words.join(' ') === 'CLUSTER MYID'
        ? new ReplyError('LOADING loading the dataset in memory')
        : undefined;
    const mover = moverOf({ ends: [unanswered(1)], source: 'b=1 c=1', script });
    assert.deepEqual(await mover.move(), { gone: 2, stallMs: 2 });
  });

  test('gives up on an error that does not pass, and asks nothing more', async () => {
    const mover = moverOf({ ends: [failed('ERR Target instance replied with error: OOM')] });
    await assert.rejects(mover.move(), ({ code, openSlots, keys, resumable }: ClusterError) => {
      assert.deepEqual([code, openSlots, keys, resumable], ['MIGRATE_FAILED', [SLOT], [], 'same-call']);
      return true;
    });
    assert.deepEqual(sentBy(mover), [ALL]);
  });

  test('fences before it looks, names keys that may come back, and sends the rest with REPLACE', async () => {
    const mover = moverOf({ ends: [unanswered(1)], source: 'c=1', target: 'a=1 b=1' });
    assert.deepEqual(await mover.move(), { gone: 3, stallMs: 2 });
    assert.deepEqual(sentBy(mover), [
      ...[ALL, 'fence at the source', 'target CLIENT LIST'],
      // The first was acknowledged.
      ...[...exists('source', 'abc'), ...exists('target', 'b'), 'MIGRATE c REPLACE'],
    ]);
    assert.deepEqual(mover.leftovers.inDoubt, ['b']);
    assert.deepEqual(
      mover.events.map(({ type }) => type),
      ['retry', 'warning'],
    );
  });

  test('names nothing that is on neither end', async () => {
    const mover = moverOf({ ends: [unanswered(0)], source: 'c=1', target: 'a=1' });
    await mover.move();
    assert.deepEqual(mover.leftovers.inDoubt, ['a']);
  });

  test('asks a target again that cannot say whether it has a copy', async () => {
    for (const end of [unanswered(0), refused('ASK 7 127.0.0.1:7002')]) {
      const answers = ['LOADING loading the dataset in memory', 'CLUSTERDOWN The cluster is down'];
      const script: Script = (node, [word]) => {
        if (node !== TARGET || word !== 'EXISTS') return undefined;
        const answer = answers.shift();
        return answer === undefined ? undefined : new ReplyError(answer);
      };
      const mover = moverOf({ ends: [end], source: '', target: 'a=1', isGranted: false, script });
      await mover.move();
      assert.deepEqual(mover.leftovers.inDoubt, ['a']);
    }
  });

  test('takes a key for gone if the target does not show keys of the slot', async () => {
    const script: Script = (node, [word]) =>
      node === TARGET && word === 'EXISTS' ? new ReplyError('MOVED 7 127.0.0.1:7003') : undefined;
    const mover = moverOf({ ends: [unanswered(0)], source: 'c=1', script });
    await mover.move();
    assert.deepEqual(mover.leftovers.inDoubt, []);
  });

  test('is done when nothing is left, without another MIGRATE', async () => {
    const mover = moverOf({ ends: [unanswered(3)], target: 'a=1 b=1 c=1' });
    assert.deepEqual(await mover.move(), { gone: 3, stallMs: 0 });
    assert.deepEqual(mover.leftovers.inDoubt, []);
    assert.equal(sentBy(mover).filter((text) => text.startsWith('MIGRATE')).length, 1);
  });

  test('sends without REPLACE in a slot that was found open', async () => {
    const mover = moverOf({ ends: [unanswered(0)], source: 'a=1 b=1 c=1', isGranted: false });
    await mover.move();
    assert.equal(sentBy(mover).at(-1), ALL);
  });

  test('overwrites equal copies in such a slot, and leaves keys that differ on both ends', async () => {
    const mover = moverOf({
      ...{ ends: [busyKey()], source: 'a=1 b=1 c=1', target: 'a=1 b=2', isGranted: false },
    });
    await mover.move();
    assert.equal(sentBy(mover).at(-1), 'MIGRATE a c REPLACE');
    assert.deepEqual(mover.leftovers.conflicts, [{ slot: SLOT, keys: ['b'] }]);
  });

  test('sends without REPLACE in such a slot if no copy is equal', async () => {
    const mover = moverOf({
      ...{ ends: [busyKey()], source: 'a=1 b=1 c=1', target: 'a=2', isGranted: false },
    });
    await mover.move();
    assert.equal(sentBy(mover).at(-1), 'MIGRATE b c');
    assert.deepEqual(mover.leftovers.conflicts, [{ slot: SLOT, keys: ['a'] }]);
  });

  test('compares again after another failure, before it uses REPLACE again', async () => {
    const mover = moverOf({
      ...{ ends: [busyKey(), unanswered(0)], source: 'a=1 b=1 c=1', target: 'a=1', isGranted: false },
    });
    await mover.move();
    const migrates = sentBy(mover).filter((text) => text.startsWith('MIGRATE'));
    assert.deepEqual(migrates, [ALL, `${ALL} REPLACE`, ALL]);
  });

  test('uses REPLACE on busy keys of a slot that this run opened, without comparing', async () => {
    const mover = moverOf({ ends: [busyKey()], source: 'a=1 b=1 c=1', target: 'a=0' });
    await mover.move();
    assert.deepEqual(sentBy(mover), [ALL, ...exists('source', 'abc'), `${ALL} REPLACE`]);
    assert.deepEqual(mover.leftovers.conflicts, []);
    assert.deepEqual(mover.events, [], 'a busy key is no failure');
  });

  test('fences after a busy key if the target may have stopped answering after that', async () => {
    for (const isGranted of [true, false]) {
      const values = { source: 'a=1 b=1 c=1', target: 'a=1' };
      const mover = moverOf({ ends: [busyKey(0, true)], isGranted, ...values });
      await mover.move();
      const sent = sentBy(mover);
      assert.deepEqual(sent.slice(0, 6), [
        ...[ALL, 'fence at the source', 'target CLIENT LIST', ...exists('source', 'abc')],
      ]);
      assert.equal(sent.at(-1), `${ALL} REPLACE`);
    }
  });

  test('names the keys if it gives up on an error that may hide that the target stopped answering', async () => {
    const mover = moverOf({ ends: [failed('ERR Target instance replied with error: OOM', 0, true)] });
    await assert.rejects(mover.move(), { code: 'MIGRATE_FAILED', keys: KEYS });
  });

  test('after a lost answer fences the source too, and names no missing key as doubtful', async () => {
    const mover = moverOf({ ends: [lost], source: 'b=1', target: 'a=1 c=1' });
    await mover.move();
    assert.deepEqual(sentBy(mover), [
      ...[ALL, 'fence at the source', 'target CLIENT LIST'],
      ...[...exists('source', 'abc'), 'MIGRATE b REPLACE'],
    ]);
    assert.deepEqual(mover.leftovers.inDoubt, []);
  });

  test('sends all again, without looking at keys, when nothing ran', async () => {
    const mover = moverOf({ ends: [refused('CLUSTERDOWN The cluster is down')] });
    await mover.move();
    assert.deepEqual(sentBy(mover), [ALL, `${ALL} REPLACE`]);
  });

  test('drops keys that clients have deleted, and makes the source sweep them', async () => {
    const mover = moverOf({
      ...{ ends: [refused('TRYAGAIN Multiple keys request')], source: 'a=1 c=1', target: 'b=1' },
    });
    assert.deepEqual(await mover.move(), { gone: 1, stallMs: 2 });
    const sweep = 'source MIGRATE 127.0.0.1 7002  0 2000 KEYS b';
    assert.deepEqual(sentBy(mover), [ALL, ...exists('source', 'abc'), sweep, 'MIGRATE a c']);
    assert.deepEqual(mover.leftovers.inDoubt, [], 'the target never had a copy');
  });

  test('names keys that are deleted between a failed attempt and the next', async () => {
    let looks = 0;
    const mover = moverOf({
      ends: [unanswered(0), refused('TRYAGAIN Multiple keys request')],
      ...{ source: 'a=1 b=1 c=1', target: 'b=1' },
      // The first look finds it, the second does not.
      script: (node, [word, key]) =>
        node === SOURCE && word === 'EXISTS' && key === 'b' && ++looks > 1 ? 0 : undefined,
    });
    await mover.move();
    assert.equal(sentBy(mover).at(-1), 'MIGRATE a c REPLACE');
    assert.deepEqual(mover.leftovers.inDoubt, ['b']);
  });

  test('waits again for an end that breaks while it looks', async () => {
    let [looks, pings] = [0, 0];
    const mover = moverOf({
      ...{ ends: [unanswered(0)], source: 'a=1 b=1 c=1' },
      script: (node, [word, what]): Reply | undefined => {
        if (what === 'MYID' && node === TARGET && ++pings === 1) throw brokenConnection(TARGET);
        if (word === 'EXISTS' && node === SOURCE && ++looks === 1) throw brokenConnection(SOURCE);
        return undefined;
      },
    });
    await mover.move();
    const sent = sentBy(mover);
    assert.equal(sent.filter((text) => text === 'target CLIENT LIST').length, 2);
    assert.equal(sent.at(-1), `${ALL} REPLACE`);
    assert.equal(pings, 3);
  });

  test('stops if it may not fence, and sends nothing more', async () => {
    const mover = moverOf({
      ends: [unanswered(0)],
      script: (_, words) =>
        words.join(' ') === 'CLIENT LIST' ? new ReplyError('NOPERM this user has no permissions') : undefined,
    });
    await assert.rejects(mover.move(), ({ code, openSlots }: ClusterError) => {
      assert.deepEqual([code, openSlots], ['MIGRATE_FAILED', [SLOT]]);
      return true;
    });
    assert.deepEqual(sentBy(mover), [ALL, 'fence at the source', 'target CLIENT LIST']);
  });

  test('ends connections of earlier attempts until there are none', async () => {
    let lists = 0;
    const restoring =
      'id=5 addr=127.0.0.1:4000 name= cmd=restore-asking\nid=6 addr=127.0.0.1:4001 name= cmd=NULL\n';
    const mover = moverOf({
      ...{ ends: [unanswered(0)], source: 'a=1' },
      script: (_, words) => (words.join(' ') === 'CLIENT LIST' && ++lists === 1 ? restoring : undefined),
    });
    await mover.move();
    const clients = sentBy(mover).filter((text) => text.includes('CLIENT'));
    const kills = ['target CLIENT KILL ID 5', 'target CLIENT KILL ID 6'];
    assert.deepEqual(clients, ['target CLIENT LIST', ...kills, 'target CLIENT LIST']);
  });

  test('divides the time that a frozen target may block the source among the batches in flight', async () => {
    const mover = moverOf({ ends: [busyKey()], source: 'a=1 b=1 c=1' });
    await mover.move();
    assert.deepEqual(mover.timeouts, [500, 2000]);
  });

  for (const [how, end, before] of [
    ['settles a batch', unanswered(0), [ALL]],
    ['sends a batch again', busyKey(), [ALL, ...exists('source', 'abc')]],
  ] as const)
    test(`${how} only when no other batch to the target is in flight`, async () => {
      const lock = new SharedLock();
      let leave = (): void => undefined;
      const other = lock.shared(
        () =>
          new Promise<void>((resolve) => {
            leave = resolve;
          }),
      );
      let answered = (): void => undefined;
      const both = new Promise<void>((resolve) => {
        answered = resolve;
      });
      const mover = moverOf({
        ...{ ends: [end], source: 'a=1 b=1 c=1', lock },
        script: (node, [, what]) => {
          if (what === 'MYID' && node === TARGET) answered();
          return undefined;
        },
      });
      const moving = mover.move();
      await both;
      // The next actions take some turns of the event loop, but no time.
      for (let turns = 0; turns < 100; turns++) await turn();
      assert.deepEqual(sentBy(mover), before);
      leave();
      await other;
      await moving;
      assert.equal(sentBy(mover).at(-1), `${ALL} REPLACE`);
    });
});

describe('BatchMover, when an end stays away for 30 s', { timeout: 20_000 }, () => {
  for (const [how, end, keys] of [
    ['and the target may have copies', unanswered(1), KEYS],
    ['and the source did not answer', lost, KEYS],
    ['though nothing ran', refused('CLUSTERDOWN The cluster is down'), []],
    ['though the target has no copy', failed('ERR Target instance replied with error: LOADING'), []],
  ] as const)
    test(`names ${keys.length > 0 ? 'the keys of the batch' : 'no key'} ${how}`, async ({ mock }) => {
      let now = 0;
      mock.method(performance, 'now', () => now);
      const mover = moverOf({
        ends: [end],
        script: (_, [, what]) => {
          if (what !== 'MYID') return undefined;
          now += 16_000;
          throw brokenConnection(TARGET);
        },
      });
      await assert.rejects(mover.move(), ({ code, openSlots, keys: named, resumable }: ClusterError) => {
        assert.deepEqual([code, openSlots, named, resumable], ['MIGRATE_FAILED', [SLOT], keys, 'same-call']);
        return true;
      });
      assert.deepEqual(sentBy(mover), [ALL]);
    });

  test('reports what made a key busy: the attempt before that was not answered', async ({ mock }) => {
    let now = 0;
    mock.method(performance, 'now', () => now);
    const mover = moverOf({
      ...{ ends: [unanswered(0), busyKey()], source: 'a=1 b=1 c=1', isGranted: false },
      script: (_, [, what]) => {
        if (what === 'MYID') now += 16_000;
        return undefined;
      },
    });
    await assert.rejects(mover.move(), ({ code, cause }: ClusterError) => {
      assert.equal(code, 'MIGRATE_FAILED');
      assert.match(String(cause), /IOERR/);
      return true;
    });
  });
});
