import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReplaceAuthority } from '../../lib/move/by-migrate/replace-authority.ts';
import { openAtEitherEnd } from '../../lib/move/ends.ts';
import { openSlots } from '../../lib/move/open-slots.ts';
import { ReplyError } from '../../resp/index.ts';
import {
  openScriptedEnds,
  type Script,
  type ScriptedOptions,
  SOURCE,
  TARGET,
} from '../helpers/scripted-ends.ts';

const granted = (authority: ReplaceAuthority, slots: readonly number[]) =>
  slots.filter((slot) => authority.isGranted(slot));
const foundOpen = (authority: ReplaceAuthority, slots: readonly number[]) =>
  slots.filter((slot) => authority.isFoundOpen(slot));

describe('ReplaceAuthority', () => {
  test('grants nothing for a slot about which nothing is known', () => {
    assert.deepEqual(granted(new ReplaceAuthority(), [0, 1]), []);
    assert.deepEqual(granted(new ReplaceAuthority([1]), [0, 1]), []);
  });

  test('grants REPLACE in slots that this run opened empty, and in no others', () => {
    const authority = new ReplaceAuthority();
    authority.grantOpenedEmpty([1, 2]);
    assert.deepEqual(granted(authority, [0, 1, 2, 3]), [1, 2]);
  });

  test('never grants it in a slot that was found open', () => {
    const authority = new ReplaceAuthority([1]);
    authority.grantOpenedEmpty([1, 2]);
    assert.deepEqual(granted(authority, [1, 2]), [2]);
    authority.noteFoundOpen([2]);
    assert.deepEqual(granted(authority, [1, 2]), []);
    authority.grantOpenedEmpty([2]);
    assert.deepEqual(granted(authority, [1, 2]), []);
    assert.deepEqual(foundOpen(authority, [1, 2]), [1, 2]);
  });

  test('grants nothing once slots have changed hands', () => {
    const authority = new ReplaceAuthority();
    authority.grantOpenedEmpty([1, 2]);
    authority.withdraw([1]);
    assert.deepEqual(granted(authority, [1, 2]), [2]);
  });

  test('gives up values of the target only if told to, and of no slot that it owns', () => {
    const given = (authority: ReplaceAuthority) => [1, 2, 3].filter((slot) => authority.overwrites(slot));
    assert.deepEqual(given(new ReplaceAuthority([1, 2, 3])), []);
    const authority = new ReplaceAuthority([1, 2], true);
    assert.deepEqual(given(authority), [1, 2, 3]);
    authority.noteOfTarget([1]);
    authority.withdraw([3]);
    assert.deepEqual(given(authority), [2]);
    assert.deepEqual(foundOpen(authority, [1, 2, 3]), [1, 2]);
  });
});

describe('openSlots()', () => {
  async function open(
    script: Script,
    { isResumed = false, ...options }: ScriptedOptions & { isResumed?: boolean } = {},
  ) {
    const { ends } = openScriptedEnds({ script, ...options });
    const authority = new ReplaceAuthority(openAtEitherEnd(ends));
    const slots = [1, 2, 3];
    const error = await openSlots(ends, slots, authority, isResumed).catch((reason: unknown) => reason);
    return { granted: granted(authority, slots), foundOpen: foundOpen(authority, slots), error };
  }

  test('grants REPLACE in slots of which the target has no key', async () => {
    const { error, ...authority } = await open(() => undefined);
    assert.equal(error, undefined);
    assert.deepEqual(authority, { granted: [1, 2, 3], foundOpen: [] });
  });

  for (const node of [SOURCE, TARGET])
    test(`does not grant it in a slot that node ${node} had open, even if the target has no key of it`, async () => {
      const mark = [node, 2, node === SOURCE ? 'migrating' : 'importing'] as const;
      const { error, ...authority } = await open(() => undefined, { open: [mark] });
      assert.equal(error, undefined);
      assert.deepEqual(authority, { granted: [1, 3], foundOpen: [2] });
    });

  test('does not grant it in a slot that the target already owns', async () => {
    const { error, ...authority } = await open((node, words) => {
      if (words[2] !== '2') return undefined;
      if (node === TARGET && words[3] === 'IMPORTING')
        return new ReplyError("ERR I'm already the owner of hash slot 2");
      return words[3] === 'MIGRATING' ? new ReplyError("ERR I'm not the owner of hash slot 2") : undefined;
    });
    assert.equal(error, undefined);
    assert.deepEqual(authority, { granted: [1, 3], foundOpen: [2] });
  });

  const holdsKeys: Script = (node, words) =>
    node === TARGET && words[1] === 'COUNTKEYSINSLOT' && words[2] === '2' ? 4 : undefined;

  test('does not grant it in a resumed move if the target holds keys of the slot', async () => {
    const { error, ...authority } = await open(holdsKeys, { isResumed: true });
    assert.equal(error, undefined);
    assert.deepEqual(authority, { granted: [1, 3], foundOpen: [2] });
  });

  test('grants nothing when the target holds keys of a slot it does not own', async () => {
    const { error, granted: all } = await open(holdsKeys);
    assert.equal((error as { code?: string }).code, 'NODE_NOT_EMPTY');
    assert.deepEqual(all, []);
  });

  test('grants nothing when the source refuses to open a slot', async () => {
    const { error, granted: all } = await open((_, words) =>
      words[3] === 'MIGRATING' && words[2] === '3' ? new ReplyError('NOPERM on purpose') : undefined,
    );
    assert.equal((error as { code?: string }).code, 'MIGRATE_FAILED');
    assert.deepEqual(all, []);
  });
});
