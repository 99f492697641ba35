import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClusterError } from '../../lib/errors.ts';
import { closeSlots } from '../../lib/move/close-moved-slots.ts';
import { ReplyError } from '../../resp/index.ts';
import {
  brokenConnection,
  openScriptedEnds,
  type Script,
  type ScriptedEnds,
  type ScriptedOptions,
  SOURCE,
  TARGET,
  THIRD,
} from '../helpers/scripted-ends.ts';
import { idOf } from '../helpers/views.ts';

const SLOTS = [1, 2, 3];
const NO_REPLICAS = new ReplyError('NOREPLICAS Not enough good replicas to write.');
const VALKEY = { isValkey: true, waitsForReplicas: true };
const owner = (end: string, slot: number) => `${end} CLUSTER SETSLOT ${slot} NODE ${idOf(TARGET)}`;

type Closed = ScriptedEnds & { readonly error: ClusterError | undefined };

async function close(given: ScriptedOptions, attempts = 1): Promise<Closed> {
  const scripted = openScriptedEnds(given);
  const error = await closeSlots(scripted.ends, SLOTS, scripted.others, attempts).then(
    () => undefined,
    (reason: ClusterError) => reason,
  );
  return { ...scripted, error };
}

const answering = (node: number, reply: ReplyError): Script => {
  return (asked, words) => (asked === node && words[1] === 'SETSLOT' ? reply : undefined);
};
const warned = ({ events }: Closed) => events.filter(({ type }) => type === 'warning').length;

describe('closeSlots()', () => {
  test('tells the target first, then the source and the others', async () => {
    const { error, sent, nodes } = await close({});
    assert.equal(error, undefined);
    assert.deepEqual(
      sent.slice(0, 3),
      SLOTS.map((slot) => owner('target', slot)),
    );
    assert.deepEqual(
      sent.slice(3).toSorted(),
      ['source', 'third'].flatMap((end) => SLOTS.map((slot) => owner(end, slot))).toSorted(),
    );
    assert.ok(SLOTS.every((slot) => nodes.get(TARGET)?.owned.has(slot)));
  });

  test('tells no other node if the target refuses, and names all slots', async () => {
    const { error, sent } = await close({ script: answering(TARGET, new ReplyError('ERR no')) });
    assert.equal(error?.code, 'MIGRATE_FAILED');
    assert.deepEqual(error?.openSlots, SLOTS);
    assert.equal(error?.resumable, 'same-call');
    assert.ok(sent.every((text) => text.startsWith('target ')));
  });

  test('sends a target with a hung replica one slot per attempt', async () => {
    const { error, sent } = await close({ script: answering(TARGET, NO_REPLICAS), traits: VALKEY }, 2);
    assert.deepEqual(sent, [owner('target', 1), owner('target', 1)]);
    assert.match(`${error}`, /NOREPLICAS/);
    assert.deepEqual(error?.openSlots, SLOTS);
  });

  test('asks the target again after a lost answer', async () => {
    let asked = 0;
    const script: Script = (node, words) => {
      if (node === TARGET && words[1] === 'SETSLOT' && ++asked === 1) throw brokenConnection(TARGET);
      return undefined;
    };
    const { error, sent } = await close({ script }, 2);
    assert.equal(error, undefined);
    assert.deepEqual(
      sent.slice(1, 4),
      SLOTS.map((slot) => owner('target', slot)),
    );
  });

  test('succeeds without a warning if the source has become a replica of the target', async () => {
    const reply = new ReplyError('ERR Please use SETSLOT only with masters.');
    const closed = await close({ script: answering(SOURCE, reply) });
    assert.equal(closed.error, undefined);
    assert.equal(warned(closed), 0);
  });

  test('succeeds with a warning if another master refuses, even because its replica hangs', async () => {
    for (const reply of [new ReplyError('ERR no'), NO_REPLICAS]) {
      const closed = await close({ script: answering(THIRD, reply), traits: VALKEY });
      assert.equal(closed.error, undefined);
      assert.equal(warned(closed), 1);
      const told = closed.sent.filter((text) => text.startsWith('third '));
      assert.equal(told.length, reply === NO_REPLICAS ? 1 : SLOTS.length);
    }
  });

  for (const [name, node] of [
    ['source', SOURCE],
    ['third', THIRD],
  ] as const)
    test(`tells nobody if the ${name} does not know the target`, async () => {
      const unknown = new ReplyError(`ERR Unknown node ${idOf(TARGET)}`);
      const script: Script = (asked, words) =>
        asked === node && words[1] === 'COUNT-FAILURE-REPORTS' ? unknown : undefined;
      const { error, sent } = await close({ script });
      assert.deepEqual(
        [error?.code, error?.openSlots, error?.resumable],
        ['NODES_DISAGREE', SLOTS, 'same-call'],
      );
      assert.deepEqual(
        error?.next.map((next) => next.do),
        ['command', 'retry'],
      );
      assert.ok(!sent.some((text) => text.includes('SETSLOT')));
    });

  test('is an error if another says only then that it does not know the target', async () => {
    const closed = await close({ script: answering(THIRD, new ReplyError('ERR Unknown node 2')) });
    assert.deepEqual([closed.error?.code, closed.error?.openSlots], ['NODES_DISAGREE', []]);
    assert.equal(warned(closed), 0);
    assert.ok(SLOTS.every((slot) => closed.nodes.get(TARGET)?.owned.has(slot)));
  });

  test('does not close slots that neither end owns any more', async () => {
    const scripted = openScriptedEnds();
    scripted.nodes.get(SOURCE)?.owned.delete(2);
    await assert.rejects(closeSlots(scripted.ends, SLOTS, scripted.others, 1), {
      code: 'MIGRATE_FAILED',
      openSlots: [2],
      resumable: 'same-call',
    });
    assert.deepEqual(scripted.sent, []);
  });
});
