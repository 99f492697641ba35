import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClusterError } from '../../lib/errors.ts';
import { requireNoStranger, TargetProof } from '../../lib/move/by-migrate/prove-target.ts';
import { ReplaceAuthority } from '../../lib/move/by-migrate/replace-authority.ts';
import { openSlots } from '../../lib/move/open-slots.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import { openScriptedEnds, type Script, SOURCE, TARGET } from '../helpers/scripted-ends.ts';
import { idOf, portOf } from '../helpers/views.ts';

const SLOT = 7;
const IOERR = 'IOERR error or timeout reading to target instance';
const BUSY = 'ERR Target instance replied with error: BUSYKEY Target key name already exists.';

interface World {
  /** How each COPY ends; a text other than OK and NOKEY is an error. Those of OK reach the target, unless a stranger gets them. */
  readonly copies?: readonly string[];
  readonly strangerGets?: boolean;
  /** A key is on the target by the time that its COPY arrives. */
  readonly anotherBrings?: boolean;
  /** PTTL of each key on the source. */
  readonly ttl?: number;
  /** Keys of the slot on the target. */
  readonly held?: readonly string[];
  readonly keys?: readonly string[];
}

function worldOf({
  copies = [],
  strangerGets = false,
  anotherBrings = false,
  ttl = -1,
  held = [],
  keys = ['a', 'b'],
}: World) {
  const left = [...copies];
  const atTarget = new Set(held);
  const script: Script = (node, words): Reply | undefined => {
    const [word, second = ''] = words;
    const key = words.at(-1) ?? '';
    if (word === 'MIGRATE') {
      const said = left.shift() ?? 'OK';
      if ((said === 'OK' && !strangerGets) || anotherBrings) atTarget.add(key);
      return said === 'OK' || said === 'NOKEY' ? said : new ReplyError(said);
    }
    if (words[1] === 'GETKEYSINSLOT') return node === SOURCE ? [...keys] : [];
    if (word === 'PTTL') return ttl;
    if (word === 'DUMP') return node === TARGET && atTarget.has(second) ? `dump of ${second}` : null;
    if (word === 'EXISTS') return node === TARGET && atTarget.has(second) ? 1 : 0;
    if (word === 'DEL') return atTarget.delete(second) ? 1 : 0;
    return undefined;
  };
  const scripted = openScriptedEnds({ script });
  const proof = new TargetProof(scripted.ends);
  return { ...scripted, proof, atTarget };
}

const asked = (sent: readonly string[]): string[] =>
  sent.map((text) => text.replace(/MIGRATE \S+ \S+ {2}0 \d+ /, 'MIGRATE '));

describe('TargetProof, before the source opens slots', { concurrency: true, timeout: 20_000 }, () => {
  const unopened = async (world: World) => {
    const scripted = worldOf(world);
    const { ends, proof } = scripted;
    const authority = new ReplaceAuthority();
    const none = new Map<string, number>();
    const probing = {
      findProbes: (slots: readonly number[]) => proof.findProbes(slots, none),
      give: (probes: Parameters<TargetProof['giveUnopened']>[0]) => proof.giveUnopened(probes, none),
    };
    const error = await openSlots(ends, [SLOT], authority, false, probing).then(
      () => undefined,
      (reason: ClusterError) => reason,
    );
    return { ...scripted, error, isGranted: authority.isGranted(SLOT) };
  };

  test('copies one key, finds it on the target and deletes it there, and only then opens the source', async () => {
    const { sent, error, proof, atTarget, isGranted } = await unopened({});
    assert.equal(error, undefined);
    assert.ok(proof.isGiven && isGranted);
    assert.deepEqual([...atTarget], []);
    assert.deepEqual(asked(sent).slice(-3), [
      ...['source MIGRATE COPY KEYS a', 'target DEL a'],
      `source CLUSTER SETSLOT ${SLOT} MIGRATING ${idOf(TARGET)}`,
    ]);
  });

  const table: readonly (readonly [string, World, { code?: string; given: boolean; keys?: string[] }])[] = [
    ['needs no key if there is none', { keys: [] }, { given: false }],
    ['takes another key if one is gone', { copies: ['NOKEY'] }, { given: true }],
    ['proves nothing with keys that are all gone', { copies: ['NOKEY', 'NOKEY'] }, { given: false }],
    ['proves nothing with keys that expire', { strangerGets: true, ttl: 20 }, { given: false }],
    [
      'stops if a stranger gets the key',
      { strangerGets: true, copies: ['OK', BUSY] },
      { code: 'TARGET_NOT_PROVEN', given: false, keys: ['a'] },
    ],
    [
      'stops if a stranger has the key',
      { copies: [BUSY] },
      { code: 'TARGET_NOT_PROVEN', given: false, keys: [] },
    ],
    [
      'stops if a member of another cluster answers',
      { copies: ['ERR Target instance replied with error: MOVED 7 127.0.0.1:9'] },
      { code: 'TARGET_NOT_PROVEN', given: false, keys: [] },
    ],
    [
      'stops if nobody answers there, and the target does',
      { copies: [IOERR, IOERR] },
      { code: 'TARGET_NOT_PROVEN', given: false, keys: [] },
    ],
    ['tries again after one lost answer', { copies: [IOERR] }, { given: true }],
    ['takes its own late copy for a proof', { copies: [IOERR, BUSY], held: ['a'] }, { given: true }],
    [
      'stops at an error that does not pass',
      { copies: ['ERR Target instance replied with error: OOM'] },
      { code: 'MIGRATE_FAILED', given: false, keys: [] },
    ],
  ];
  for (const [name, world, wanted] of table)
    test(name, async () => {
      const { error, proof, nodes, atTarget } = await unopened(world);
      assert.deepEqual([error?.code, proof.isGiven], [wanted.code, wanted.given]);
      assert.deepEqual([...atTarget], [], 'no copy is left on the target');
      if (!error) return;
      assert.deepEqual([error.openSlots, error.keys, error.resumable], [[], wanted.keys, 'same-call']);
      for (const node of [SOURCE, TARGET]) assert.equal(nodes.get(node)?.open.size, 0);
    });
});

describe('TargetProof, in a slot that is open', { concurrency: true, timeout: 20_000 }, () => {
  const batch = { slot: SLOT, db: 0, keys: ['a', 'b'] };

  test('copies a key that the target lacks, and leaves it there', async () => {
    const { proof, sent, atTarget } = worldOf({ held: ['a'] });
    const copy = { key: 'b', dump: 'dump of b' };
    assert.deepEqual(await proof.giveOpen(batch), { type: 'copied', copy });
    assert.deepEqual([...atTarget], ['a', 'b']);
    assert.ok(!sent.some((text) => / DEL | REPLACE /.test(text)));
    assert.deepEqual(await proof.giveOpen(batch), { type: 'given' });
  });

  test('does not take a key for its own copy that was there before it was copied', async () => {
    const { proof } = worldOf({ copies: [BUSY], anotherBrings: true });
    assert.deepEqual(await proof.giveOpen(batch), { type: 'copied', copy: undefined });
  });

  test('proves nothing with keys that the target holds already, and sends none', async () => {
    const { proof, sent } = worldOf({ held: ['a', 'b'] });
    assert.deepEqual(await proof.giveOpen(batch), { type: 'held', keys: ['a', 'b'] });
    assert.ok(!sent.some((text) => text.includes('MIGRATE')));
    assert.equal(proof.isGiven, false);
  });

  test('is not taken in by a stranger beside a target that holds other keys', async () => {
    const { proof } = worldOf({ held: ['a'], strangerGets: true });
    await assert.rejects(proof.giveOpen(batch), { code: 'TARGET_NOT_PROVEN', keys: ['b'] });
  });

  test('is given once for batches that come at the same time', async () => {
    const { proof, sent } = worldOf({});
    const ends = await Promise.all([proof.giveOpen(batch), proof.giveOpen(batch)]);
    assert.deepEqual(
      ends.map(({ type }) => type),
      ['copied', 'given'],
    );
    assert.equal(sent.filter((text) => text.includes('MIGRATE')).length, 1);
  });
});

describe('requireNoStranger()', () => {
  const other = { host: '127.0.0.1', port: portOf(3) };
  const ask = async (isListed: boolean, answer: Reply) => {
    const scripted = openScriptedEnds({
      script: (_, words) => (words[1] === 'MYID' ? answer : undefined),
    });
    const ends = { ...scripted.ends, migrateTo: other, route: { address: other, isListed } };
    const error = await requireNoStranger(ends).then(
      () => undefined,
      (reason: ClusterError) => reason,
    );
    return { error, sent: scripted.sent };
  };
  const rows: readonly (readonly [string, Reply, string | undefined])[] = [
    ['the target', idOf(TARGET), undefined],
    ['another node', idOf(9), 'TARGET_NOT_PROVEN'],
    [
      'a standalone server',
      new ReplyError('ERR This instance has cluster support disabled'),
      'TARGET_NOT_PROVEN',
    ],
    ['one that refuses us', new ReplyError('NOAUTH Authentication required.'), undefined],
  ];
  for (const [name, answer, code] of rows)
    test(`${code ? 'refuses' : 'goes on'} if ${name} answers at the listed address`, async () => {
      const { error } = await ask(true, answer);
      assert.equal(error?.code, code);
      if (error)
        assert.deepEqual(
          error.next.map((next) => next.do),
          ['configure', 'retry'],
        );
    });

  test('asks nobody at an address that is not for us', async () => {
    const { error, sent } = await ask(false, idOf(9));
    assert.deepEqual([error, sent], [undefined, []]);
  });
});
