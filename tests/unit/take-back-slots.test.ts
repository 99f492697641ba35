import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { takeBackSlots } from '../../lib/move/take-back-slots.ts';
import { ReplyError } from '../../resp/index.ts';
import {
  openScriptedEnds,
  type Script,
  type ScriptedEnds,
  type ScriptedOptions,
  SOURCE,
  TARGET,
} from '../helpers/scripted-ends.ts';
import { idOf } from '../helpers/views.ts';

const SLOTS = [1, 2, 3];
const NO_REPLICAS = new ReplyError('NOREPLICAS Not enough good replicas to write.');
const VALKEY = { isValkey: true, waitsForReplicas: true };

type Back = ScriptedEnds & { readonly back: readonly number[]; readonly set: readonly string[] };

async function takeBack(given: ScriptedOptions): Promise<Back> {
  const open = SLOTS.flatMap(
    (slot) =>
      [
        [SOURCE, slot, 'migrating'],
        [TARGET, slot, 'importing'],
      ] as const,
  );
  const scripted = openScriptedEnds({ open, ...given });
  const back = await takeBackSlots(scripted.ends, SLOTS);
  return { ...scripted, back, set: scripted.sent.filter((text) => text.includes('SETSLOT')) };
}

const openAt = ({ nodes }: Back, node: number): number[] => [...(nodes.get(node)?.open.keys() ?? [])].sort();
const at = (end: string, slot: number, ...state: string[]) =>
  [end, 'CLUSTER', 'SETSLOT', slot, ...state].join(' ');

describe('takeBackSlots()', () => {
  test('closes the target, then the source, and one slot before the others', async () => {
    const outcome = await takeBack({});
    assert.deepEqual(outcome.back, SLOTS);
    assert.deepEqual(outcome.set, [
      at('target', 1, 'STABLE'),
      at('source', 1, 'STABLE'),
      at('target', 2, 'STABLE'),
      at('target', 3, 'STABLE'),
      at('source', 2, 'STABLE'),
      at('source', 3, 'STABLE'),
    ]);
    assert.deepEqual([openAt(outcome, SOURCE), openAt(outcome, TARGET)], [[], []]);
  });

  test('does not touch a slot of which the target holds a key', async () => {
    const script: Script = (node, words) =>
      node === TARGET && words[1] === 'COUNTKEYSINSLOT' && words[2] === '2' ? 1 : undefined;
    const outcome = await takeBack({ script });
    assert.deepEqual(outcome.back, [1, 3]);
    assert.ok(!outcome.set.some((text) => text.includes(' 2 ')));
    assert.deepEqual([openAt(outcome, SOURCE), openAt(outcome, TARGET)], [[2], [2]]);
  });

  test('makes the target import a slot again if a key arrived just before it closed', async () => {
    for (const targetHidesKeys of [false, true]) {
      let counted = 0;
      const script: Script = (node, words) => {
        if (node !== TARGET || words[1] !== 'COUNTKEYSINSLOT' || words[2] !== '2') return undefined;
        counted += 1;
        return counted === 1 ? 0 : 1;
      };
      const outcome = await takeBack({ script, traits: { targetHidesKeys } });
      assert.deepEqual(outcome.back, [1, 3]);
      assert.equal(outcome.set.at(-1), at('target', 2, 'IMPORTING', idOf(SOURCE)));
      assert.deepEqual([openAt(outcome, SOURCE), openAt(outcome, TARGET)], [[2], [2]]);
    }
  });

  test('makes the target import slots again that the source refuses to close', async () => {
    const script: Script = (node, words) =>
      node === SOURCE && words[1] === 'SETSLOT' && words[2] === '3' ? new ReplyError('ERR no') : undefined;
    const outcome = await takeBack({ script });
    assert.deepEqual(outcome.back, [1, 2]);
    assert.equal(outcome.set.at(-1), at('target', 3, 'IMPORTING', idOf(SOURCE)));
    assert.deepEqual([openAt(outcome, SOURCE), openAt(outcome, TARGET)], [[3], [3]]);
  });

  test('tries only one slot if an end has a hung replica, and leaves all open on both', async () => {
    for (const hung of [SOURCE, TARGET]) {
      const script: Script = (node, words) =>
        node === hung && words[1] === 'SETSLOT' ? NO_REPLICAS : undefined;
      const outcome = await takeBack({ script, traits: VALKEY });
      assert.deepEqual(outcome.back, []);
      assert.deepEqual([openAt(outcome, SOURCE), openAt(outcome, TARGET)], [SLOTS, SLOTS]);
      assert.deepEqual(
        outcome.set.filter((text) => !text.includes(' 1 ')),
        [],
      );
      // Two attempts of two seconds at most.
      const vain = outcome.set.filter((text) => text.startsWith(hung === SOURCE ? 'source' : 'target'));
      assert.ok(vain.length <= 2, vain.join());
    }
  });

  const databases = [
    { says: ['cluster-databases', '16'], isValkey: true, back: [] },
    { says: ['cluster-databases', '1'], isValkey: true, back: SLOTS },
    { says: new ReplyError('NOPERM no'), isValkey: true, back: [] },
    { says: new ReplyError('NOPERM no'), isValkey: false, back: SLOTS },
  ];
  for (const { says, isValkey, back } of databases) {
    const name = `${isValkey ? 'Valkey' : 'Redis'} that answers ${Array.isArray(says) ? says[1] : says.code}`;
    test(`takes back ${back.length === 0 ? 'nothing' : 'all'} from a ${name} about its databases`, async () => {
      const script: Script = (_, words) => (words[0] === 'CONFIG' ? says : undefined);
      assert.deepEqual((await takeBack({ script, traits: { isValkey } })).back, back);
    });
  }
});
