import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClusterError } from '../../lib/errors.ts';
import { ReplaceAuthority } from '../../lib/move/by-migrate/replace-authority.ts';
import { openSlots } from '../../lib/move/open-slots.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
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
const importing = (slot: number) => `target CLUSTER SETSLOT ${slot} IMPORTING ${idOf(SOURCE)}`;
const migrating = (slot: number) => `source CLUSTER SETSLOT ${slot} MIGRATING ${idOf(TARGET)}`;
const stable = (slot: number) => `target CLUSTER SETSLOT ${slot} STABLE`;
const NO_REPLICAS = 'NOREPLICAS Not enough good replicas to write.';

/** Answers to SETSLOT, by node, slot and state; undefined for OK. */
function refusing(answer: (node: number, slot: number, state: string) => string | undefined): Script {
  return (node, words): Reply | undefined => {
    if (words[1] !== 'SETSLOT') return undefined;
    const said = answer(node, Number(words[2]), words[3] ?? '');
    return said === undefined ? undefined : new ReplyError(said);
  };
}

/** The target holds keys of these slots. */
function holding(...held: readonly number[]): Script {
  return (node, words) =>
    node === TARGET && words[1] === 'COUNTKEYSINSLOT' && held.includes(Number(words[2])) ? 4 : undefined;
}

interface Outcome {
  readonly error: ClusterError | undefined;
  readonly found: readonly number[];
  /** SETSLOT commands, in order. */
  readonly set: readonly string[];
  readonly nodes: ScriptedEnds['nodes'];
}

async function open(
  given: ScriptedOptions,
  { found = [], isResumed = false }: { found?: readonly number[]; isResumed?: boolean } = {},
): Promise<Outcome> {
  const { ends, sent, nodes } = openScriptedEnds(given);
  const authority = new ReplaceAuthority(found);
  const error = await openSlots(ends, SLOTS, authority, isResumed).then(
    () => undefined,
    (reason: ClusterError) => reason,
  );
  const set = sent.filter((text) => text.includes('SETSLOT'));
  return { error, found: SLOTS.filter((slot) => authority.isFoundOpen(slot)), set, nodes };
}

const openAt = ({ nodes }: Outcome, node: number): number[] =>
  [...(nodes.get(node)?.open.keys() ?? [])].sort();

describe('openSlots()', () => {
  test('opens the target, then the source', async () => {
    const outcome = await open({});
    assert.equal(outcome.error, undefined);
    assert.deepEqual(outcome.set, [...SLOTS.map(importing), ...SLOTS.map(migrating)]);
    assert.deepEqual(outcome.found, []);
  });

  test('closes all on the target again if it refuses one, and sends nothing to the source', async () => {
    const script = refusing((node, slot, state) =>
      node === TARGET && slot === 2 && state === 'IMPORTING' ? 'ERR no' : undefined,
    );
    const outcome = await open({ script });
    assert.deepEqual(outcome.set, [...SLOTS.map(importing), ...SLOTS.map(stable)]);
    assert.equal(outcome.error?.code, 'MIGRATE_FAILED');
    assert.match(`${outcome.error}`, /slot 2 .*ERR no/);
    assert.deepEqual(outcome.error?.openSlots, []);
    assert.equal(outcome.error?.resumable, 'same-call');
  });

  test('leaves slots open that were found open if the target refuses another, and names them', async () => {
    const script = refusing((node, slot, state) =>
      node === TARGET && slot === 2 && state === 'IMPORTING' ? 'ERR no' : undefined,
    );
    const outcome = await open({ script, open: [[TARGET, 3, 'importing']] }, { found: [3] });
    assert.deepEqual(outcome.set.slice(3), [stable(1), stable(2)]);
    assert.deepEqual(outcome.error?.openSlots, [3]);
    assert.deepEqual(openAt(outcome, TARGET), [3]);
  });

  test('names slots that the target does not close again', async () => {
    const script = refusing((node, slot, state) => {
      if (node !== TARGET) return undefined;
      return (slot === 2 && state === 'IMPORTING') || (slot === 1 && state === 'STABLE')
        ? 'ERR no'
        : undefined;
    });
    const outcome = await open({ script });
    assert.deepEqual(outcome.error?.openSlots, [1]);
  });

  test('sends a target with a hung replica one slot, and once more to close it', async () => {
    const script = refusing((node) => (node === TARGET ? NO_REPLICAS : undefined));
    const outcome = await open({ script, traits: { isValkey: true, waitsForReplicas: true } });
    assert.deepEqual(outcome.set, [importing(1), stable(1)]);
    assert.match(`${outcome.error}`, /slot 1 .*NOREPLICAS/);
    assert.ok(outcome.error?.hint);
    assert.deepEqual(outcome.error?.openSlots, []);
  });

  test('closes slots on the target again that the source refuses to open', async () => {
    const script = refusing((node, slot) => (node === SOURCE && slot !== 1 ? 'ERR no' : undefined));
    const outcome = await open({ script });
    assert.deepEqual(outcome.set, [
      ...SLOTS.map(importing),
      ...SLOTS.map(migrating),
      // Clients are already redirected to the target for keys of slot 1.
      stable(2),
      stable(3),
    ]);
    assert.match(`${outcome.error}`, /slot 2 /);
    assert.deepEqual(outcome.error?.openSlots, [1]);
    assert.deepEqual([openAt(outcome, SOURCE), openAt(outcome, TARGET)], [[1], [1]]);
  });

  test('keeps slots open that were found open if the source refuses, and names them', async () => {
    const script = refusing((node) => (node === SOURCE ? 'ERR no' : undefined));
    const outcome = await open({ script, open: [[TARGET, 2, 'importing']] }, { found: [2] });
    assert.deepEqual(outcome.set.slice(6), [stable(1), stable(3)]);
    assert.deepEqual(outcome.error?.openSlots, [2]);
  });

  test('names slots that it cannot close on either end: a replica of the source hangs, then one of the target', async () => {
    let isHung = false;
    const script = refusing((node) => {
      isHung ||= node === SOURCE;
      return isHung ? NO_REPLICAS : undefined;
    });
    const outcome = await open({ script, traits: { isValkey: true, waitsForReplicas: true } });
    assert.deepEqual(outcome.set, [...SLOTS.map(importing), migrating(1), stable(1)]);
    assert.deepEqual(outcome.error?.openSlots, SLOTS);
  });

  test('does not move a slot onto keys that the target already holds', async () => {
    const outcome = await open({ script: holding(2) });
    assert.equal(outcome.error?.code, 'NODE_NOT_EMPTY');
    assert.match(`${outcome.error}`, /slot 2 /);
    assert.deepEqual(outcome.set, [...SLOTS.map(importing), ...SLOTS.map(stable)]);
    assert.deepEqual(outcome.error?.openSlots, []);
    assert.deepEqual(openAt(outcome, TARGET), []);
  });

  test('sees keys that the target shows only while it imports the slot', async () => {
    const isOpen = new Set<number>();
    const script: Script = (node, words) => {
      if (node !== TARGET) return undefined;
      if (words[1] === 'SETSLOT' && words[3] === 'IMPORTING') isOpen.add(Number(words[2]));
      return words[1] === 'COUNTKEYSINSLOT' && words[2] === '2' ? (isOpen.has(2) ? 4 : 0) : undefined;
    };
    const outcome = await open({ script, traits: { targetHidesKeys: true } });
    assert.equal(outcome.error?.code, 'NODE_NOT_EMPTY');
  });

  test('continues despite keys on the target if the slot was found open or the move is resumed', async () => {
    const begun = await open({ script: holding(2), open: [[TARGET, 2, 'importing']] }, { found: [2] });
    assert.equal(begun.error, undefined);
    assert.deepEqual(begun.found, [2]);
    const resumed = await open({ script: holding(2) }, { isResumed: true });
    assert.equal(resumed.error, undefined);
    // Their keys on the target must not be replaced.
    assert.deepEqual(resumed.found, [2]);
    assert.deepEqual(resumed.set, [...SLOTS.map(importing), ...SLOTS.map(migrating)]);
  });

  test('does not continue a resumed move of a closed slot of which the target alone has keys', async () => {
    const lists =
      (there: number): Script =>
      (node, words) => {
        if (node === TARGET && words[1] === 'GETKEYSINSLOT' && words[2] === '2') return ['a', 'b'];
        if (node === SOURCE && words[0] === 'EXISTS') return words[1] === 'a' ? 1 : there;
        return holding(2)(node, words);
      };
    const alone = await open({ script: lists(0) }, { isResumed: true });
    assert.deepEqual([alone.error?.code, alone.error?.keys], ['KEYS_IN_DOUBT', ['b']]);
    assert.deepEqual(
      alone.error?.next.map(({ do: act, options }) => [act, options?.strayKeys]),
      [
        ['fix', 'bring'],
        ['fix', 'drop'],
        ['retry', undefined],
      ],
    );
    assert.deepEqual(alone.set, [...SLOTS.map(importing), ...SLOTS.map(stable)]);
    assert.deepEqual(alone.error?.openSlots, []);
    const both = await open({ script: lists(1) }, { isResumed: true });
    assert.deepEqual([both.error, both.found], [undefined, [2]]);
    // If it is open, the target is where its keys belong.
    const begun = await open({ script: lists(0), open: [[TARGET, 2, 'importing']] }, { found: [2] });
    assert.equal(begun.error, undefined);
  });

  test('treats a slot that the target already owns as found open, with its keys there', async () => {
    const script = refusing((node, slot, state) => {
      if (slot !== 2) return undefined;
      if (node === TARGET && state === 'IMPORTING') return "ERR I'm already the owner of hash slot 2";
      return node === SOURCE ? "ERR I'm not the owner of hash slot 2" : undefined;
    });
    const both: Script = (node, words) => script(node, words) ?? holding(2)(node, words);
    const outcome = await open({ script: both });
    assert.equal(outcome.error, undefined);
    assert.deepEqual(outcome.found, [2]);
  });

  test('fails if the source does not own a slot that the target does not own either', async () => {
    const script = refusing((node, slot) =>
      node === SOURCE && slot === 2 ? "ERR I'm not the owner of hash slot 2" : undefined,
    );
    const outcome = await open({ script });
    assert.equal(outcome.error?.code, 'MIGRATE_FAILED');
    assert.deepEqual(outcome.error?.openSlots, [1, 3]);
  });
});
