import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClusterError } from '../../lib/errors.ts';
import { settleStrayKeys } from '../../lib/move/by-migrate/stray-keys.ts';
import type { StrayAnswer } from '../../lib/plan/plan.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';
import { openScriptedEnds, type Script, SOURCE } from '../helpers/scripted-ends.ts';

const SLOT = 9000;
const BUSY = 'ERR Target instance replied with error: BUSYKEY Target key name already exists.';

interface World {
  readonly stray: Readonly<Record<string, string>>;
  readonly owned: Readonly<Record<string, string>>;
  /** What clients write to the owner, one before each MIGRATE; an empty value deletes the key. */
  readonly writes?: readonly (readonly [key: string, value: string])[];
  readonly strangerGets?: boolean;
}

function worldOf({ stray, owned, writes = [], strangerGets = false }: World) {
  const [there, here] = [new Map(Object.entries(stray)), new Map(Object.entries(owned))];
  const left = [...writes];
  const migrate = (words: readonly string[]): Reply => {
    const [key, value] = left.shift() ?? [];
    if (key !== undefined && value) here.set(key, value);
    else if (key !== undefined) here.delete(key);
    const target = strangerGets ? new Map<string, string>() : here;
    let isBusy = false;
    for (const name of words.slice(words.indexOf('KEYS') + 1)) {
      const sent = there.get(name);
      if (sent === undefined) continue;
      if (target.has(name) && !words.includes('REPLACE')) isBusy = true;
      else {
        target.set(name, sent);
        if (!words.includes('COPY')) there.delete(name);
      }
    }
    return isBusy ? new ReplyError(BUSY) : 'OK';
  };
  const script: Script = (node, words): Reply | undefined => {
    const keys = node === SOURCE ? there : here;
    const [word, key = ''] = words;
    if (word === 'MIGRATE') return migrate(words);
    if (words[1] === 'COUNTKEYSINSLOT') return words[2] === `${SLOT}` ? keys.size : 0;
    if (words[1] === 'GETKEYSINSLOT') return words[2] === `${SLOT}` ? [...keys.keys()] : [];
    if (word === 'DUMP') return keys.get(key) ?? null;
    if (word === 'PTTL') return keys.has(key) ? -1 : -2;
    if (word === 'EXISTS') return keys.has(key) ? 1 : 0;
    if (word === 'UNLINK') return keys.delete(key) ? 1 : 0;
    return undefined;
  };
  const { ends, sent } = openScriptedEnds({ script });
  return { ends, sent, there, here };
}

const named = (keys: readonly { readonly key: string }[]) => keys.map(({ key }) => key);

describe('settleStrayKeys()', { timeout: 60_000 }, () => {
  const mixed = { stray: { a: '1', b: 'old', c: '3', d: '4' }, owned: { a: '1', b: 'new' } };

  test('deletes equal copies, and names the others', async () => {
    const { ends, sent, there, here } = worldOf(mixed);
    const outcome = await settleStrayKeys(ends, [SLOT]);
    assert.deepEqual([outcome.dropped, outcome.brought], [1, 0]);
    assert.deepEqual([named(outcome.differing), named(outcome.alone)], [['b'], ['c', 'd']]);
    assert.deepEqual([[...there.keys()], [...here]], [['b', 'c', 'd'], Object.entries(mixed.owned)]);
    assert.ok(!sent.some((text) => text.includes('MIGRATE')));
  });

  test('proves the owner with a copy of one key before any key leaves the node', async () => {
    const { ends, sent, there, here } = worldOf(mixed);
    const outcome = await settleStrayKeys(ends, [SLOT], 'bring');
    assert.deepEqual([outcome.dropped, outcome.brought, named(outcome.differing)], [1, 2, ['b']]);
    assert.deepEqual([[...there.keys()], [...here.keys()]], [['b'], ['a', 'b', 'c', 'd']]);
    const migrates = sent.filter((text) => text.includes('MIGRATE'));
    assert.deepEqual(
      migrates.map((text) => text.includes(' COPY ')),
      [true, false],
    );
  });

  test('sends no key if another server answers where the owner should be', async () => {
    const { ends, there, here } = worldOf({ ...mixed, strangerGets: true });
    const error: ClusterError = await settleStrayKeys(ends, [SLOT], 'bring').then(
      () => assert.fail('a stranger gets the keys'),
      (reason) => reason,
    );
    assert.equal(error.code, 'TARGET_NOT_PROVEN');
    assert.deepEqual([[...there.keys()], [...here]], [['b', 'c', 'd'], Object.entries(mixed.owned)]);
  });

  test('drops all of them on request', async () => {
    const { ends, there, here } = worldOf(mixed);
    assert.equal((await settleStrayKeys(ends, [SLOT], 'drop')).dropped, 4);
    assert.deepEqual([[...there.keys()], [...here]], [[], Object.entries(mixed.owned)]);
  });

  const values = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('1', '2'));
  const writes = fc.array(
    fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('1', '2', 'written')),
    { maxLength: 8 },
  );
  const answers = fc.constantFrom<(StrayAnswer | undefined)[]>(undefined, 'bring', 'drop');

  test('loses no key without being told so, and no write of a client to the owner', async () => {
    await fc.assert(
      fc.asyncProperty(values, values, writes, answers, async (stray, owned, written, answer) => {
        const { ends, sent, there, here } = worldOf({ stray, owned, writes: written });
        const outcome = await settleStrayKeys(ends, [SLOT], answer);
        const count = sent.filter((text) => text.includes('MIGRATE')).length;
        const expected = new Map([...Object.entries(owned), ...written.slice(0, count)]);
        // What the owner had, or was written since, is what it has.
        for (const [key, value] of expected) assert.equal(here.get(key), value, key);
        for (const [key, value] of here)
          if (!expected.has(key)) assert.deepEqual([answer, stray[key]], ['bring', value], key);
        const left = [...named(outcome.differing), ...named(outcome.alone)];
        assert.deepEqual(left.toSorted(), [...there.keys()].toSorted());
        for (const [key, value] of Object.entries(stray)) {
          if (there.has(key)) assert.equal(there.get(key), value);
          else if (answer !== 'drop') assert.ok(here.has(key), `${key} is lost`);
        }
        assert.equal(outcome.dropped + outcome.brought + left.length, Object.keys(stray).length);
        assert.ok(!sent.some((text) => text.includes('REPLACE')));
      }),
      { numRuns: 100 },
    );
  });
});
