import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { closeOpenSlots } from '../../lib/apply/steps/close-slots.ts';
import { takeSlots } from '../../lib/apply/steps/take-slots.ts';
import type { ClusterError } from '../../lib/errors.ts';
import { redirectImports } from '../../lib/move/redirect-imports.ts';
import type { NodeRef, StepOf } from '../../lib/plan/plan.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
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
import { idOf, portOf } from '../helpers/views.ts';

const SLOTS = [[12300, 12399]] as const;
const COUNT = 100;
const ref = (node: number): NodeRef => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` });
const MASTERS = [SOURCE, TARGET, THIRD].map(ref);

/** Valkeys with one replica each. The replica of `hung` hangs, so that node refuses SETSLOT. */
function beside(hung: number | undefined): Script {
  return (node, words): Reply | undefined => {
    if (words.join(' ') === 'INFO server') return 'valkey_version:9.1.0';
    if (words.join(' ') === 'INFO replication') return 'connected_slaves:1';
    if (words[1] === 'MYID' && node === THIRD) throw brokenConnection(THIRD);
    if (words[1] !== 'SETSLOT' || node !== hung) return undefined;
    return new ReplyError('NOREPLICAS Not enough good replicas to write.');
  };
}

const failureOf = (work: Promise<unknown>): Promise<ClusterError | undefined> =>
  work.then(
    () => undefined,
    (error: ClusterError) => error,
  );
const setSlotsOf = ({ sent }: ScriptedEnds, end: string): string[] =>
  sent.filter((text) => text.startsWith(`${end} CLUSTER SETSLOT`));
const statesOf = (scripted: ScriptedEnds): (string | undefined)[] => [
  ...new Set(setSlotsOf(scripted, 'target').map((text) => text.split(' ')[4])),
];
const warnedOf = ({ events }: ScriptedEnds): (string | undefined)[] =>
  events.flatMap((event) => (event.type === 'warning' ? [event.node] : []));

describe('takeSlots()', () => {
  const take = (scripted: ScriptedEnds, hung = new Set<string>()): Promise<void> => {
    const step: StepOf<'take-slots'> = {
      ...{ type: 'take-slots', node: ref(TARGET), slots: SLOTS, from: [ref(THIRD)] },
    };
    return takeSlots(scripted.ends.context, step, [ref(SOURCE), ref(TARGET)], hung);
  };

  test('bumps the epoch, then takes each slot from its owner, and tells the others', async () => {
    const scripted = openScriptedEnds({ script: beside(undefined) });
    await take(scripted);
    assert.deepEqual(scripted.sent.slice(0, 3), [
      'target CLUSTER BUMPEPOCH',
      `target CLUSTER SETSLOT 12300 IMPORTING ${idOf(THIRD)}`,
      `target CLUSTER SETSLOT 12300 NODE ${idOf(TARGET)}`,
    ]);
    assert.equal(setSlotsOf(scripted, 'target').length, 2 * COUNT);
    assert.equal(setSlotsOf(scripted, 'source').length, COUNT);
    assert.deepEqual(
      scripted.sent.filter((text) => text.includes('ADDSLOTS')),
      [],
    );
  });

  test('adds slots for which the taker knows no owner', async () => {
    const scripted = openScriptedEnds({ script: beside(undefined) });
    for (let slot = 12300; slot < 12310; slot++) scripted.nodes.get(THIRD)?.owned.delete(slot);
    await take(scripted);
    assert.equal(scripted.sent.filter((text) => text.startsWith('target CLUSTER ADDSLOTS')).length, 10);
    assert.equal(setSlotsOf(scripted, 'target').length, 2 * (COUNT - 10));
  });

  test('takes nothing from a node that answers again, whatever it answers', async () => {
    for (const [answer, isBack] of [
      [idOf(THIRD), true],
      [new ReplyError('LOADING loading the dataset in memory'), true],
      [new ReplyError('NOAUTH Authentication required.'), true],
      [idOf(9), false],
      [new ReplyError('ERR This instance has cluster support disabled'), false],
    ] as const) {
      const script: Script = (node, words) =>
        node === THIRD && words[1] === 'MYID' ? answer : beside(undefined)(node, words);
      const scripted = openScriptedEnds({ script });
      const error = await failureOf(take(scripted));
      assert.equal(error?.code, isBack ? 'NODES_DISAGREE' : undefined, `${answer}`);
      assert.equal(setSlotsOf(scripted, 'target').length, isBack ? 0 : 2 * COUNT);
    }
  });

  test('counts a slot as taken if the taker already owns it', async () => {
    const script: Script = (node, words) =>
      node === TARGET && words[2] === '12301' && words[3] === 'IMPORTING'
        ? new ReplyError("ERR I'm already the owner of hash slot 12301")
        : beside(undefined)(node, words);
    assert.equal(await failureOf(take(openScriptedEnds({ script }))), undefined);
  });

  test('sends a taker with a hung replica one slot, and fails', async () => {
    const scripted = openScriptedEnds({ script: beside(TARGET) });
    const error = await failureOf(take(scripted));
    assert.equal(error?.code, 'SLOTS_UNCOVERED');
    assert.equal(error?.resumable, 'same-call');
    assert.equal(setSlotsOf(scripted, 'target').length, 1);
    assert.deepEqual(setSlotsOf(scripted, 'source'), []);
  });

  test('sends another master with a hung replica one slot, once for all steps', async () => {
    const scripted = openScriptedEnds({ script: beside(SOURCE) });
    const hung = new Set<string>();
    for (let step = 0; step < 3; step++) await take(scripted, hung);
    assert.equal(setSlotsOf(scripted, 'source').length, 1);
    assert.deepEqual(warnedOf(scripted), [ref(SOURCE).address]);
  });

  test('warns about another master that refuses, unless it is a replica now', async () => {
    const saying = (message: string): Script => {
      return (node, words) =>
        node === SOURCE && words[1] === 'SETSLOT' ? new ReplyError(message) : beside(undefined)(node, words);
    };
    const refused = openScriptedEnds({ script: saying('ERR no') });
    await take(refused);
    assert.deepEqual(warnedOf(refused), [ref(SOURCE).address]);
    const replica = openScriptedEnds({ script: saying('ERR Please use SETSLOT only with masters.') });
    await take(replica);
    assert.deepEqual(warnedOf(replica), []);
  });
});

describe('closeOpenSlots()', () => {
  const importing: ScriptedOptions['open'] = Array.from({ length: COUNT }, (_, index) => {
    return [TARGET, 12300 + index, 'importing'] as const;
  });
  const close = (
    { ends }: ScriptedEnds,
    more: Partial<StepOf<'close-slots'>> = {},
  ): Promise<ClusterError | undefined> =>
    failureOf(
      closeOpenSlots(ends.context, {
        ...{ type: 'close-slots', node: ref(TARGET), slots: SLOTS, owner: ref(THIRD), ...more },
      }),
    );
  const first = 'target CLUSTER SETSLOT 12300';

  test('names the owner and closes', async () => {
    const scripted = openScriptedEnds({ script: beside(undefined), open: importing });
    assert.equal(await close(scripted), undefined);
    assert.deepEqual(setSlotsOf(scripted, 'target').slice(0, 2), [
      `${first} NODE ${idOf(THIRD)}`,
      `${first} STABLE`,
    ]);
    assert.equal(setSlotsOf(scripted, 'target').length, 2 * COUNT);
    assert.deepEqual([...(scripted.nodes.get(TARGET)?.open.keys() ?? [])], []);
  });

  test('names the owner only if the slots are to stay open, and closes only on the owner', async () => {
    const staying = openScriptedEnds({ open: importing });
    assert.equal(await close(staying, { stayOpen: true }), undefined);
    assert.deepEqual(statesOf(staying), ['NODE']);
    const atOwner = openScriptedEnds();
    assert.equal(await close(atOwner, { owner: ref(TARGET) }), undefined);
    assert.deepEqual(statesOf(atOwner), ['STABLE']);
    assert.equal(setSlotsOf(atOwner, 'target').length, COUNT);
  });

  test('succeeds on a node that has become a replica', async () => {
    const script: Script = (_, words) =>
      words[1] === 'SETSLOT' ? new ReplyError('ERR Please use SETSLOT only with masters.') : undefined;
    assert.equal(await close(openScriptedEnds({ script, open: importing })), undefined);
  });

  test('sends a node with a hung replica one slot, and names all', async () => {
    for (const more of [{}, { stayOpen: true }, { owner: ref(TARGET) }] as const) {
      const scripted = openScriptedEnds({ script: beside(TARGET), open: importing });
      const error = await close(scripted, more);
      assert.equal(error?.code, 'OPEN_SLOT');
      assert.equal(error?.openSlots.length, COUNT);
      assert.equal(error?.resumable, 'same-call');
      assert.equal(setSlotsOf(scripted, 'target').length, 1);
    }
  });

  test('sends it one slot too if it must first open them to compare their keys', async () => {
    const script: Script = (node, words) =>
      node === TARGET && words[1] === 'COUNTKEYSINSLOT' ? 1 : beside(TARGET)(node, words);
    const scripted = openScriptedEnds({ script });
    const error = await close(scripted);
    assert.equal(error?.code, 'OPEN_SLOT');
    assert.equal(error?.openSlots.length, COUNT);
    const set = scripted.sent.filter((text) => text.includes('SETSLOT'));
    assert.deepEqual(set, [`${first} IMPORTING ${idOf(THIRD)}`]);
  });
});

describe('redirectImports()', () => {
  test('sends a node with a hung replica one slot, and names all', async () => {
    // The scripted target reports that it imports from the source, which does not own these slots.
    const open: ScriptedOptions['open'] = [12300, 12301, 12302].map((slot) => [TARGET, slot, 'importing']);
    const plan = { version: 1, operation: 'fix', masters: MASTERS, steps: [], before: [] } as const;
    const healthy = openScriptedEnds({ script: beside(undefined), open });
    await redirectImports(healthy.ends.context, plan);
    assert.deepEqual(
      healthy.sent,
      [12300, 12301, 12302].map((slot) => `target CLUSTER SETSLOT ${slot} IMPORTING ${idOf(THIRD)}`),
    );
    const scripted = openScriptedEnds({ script: beside(TARGET), open });
    const error = await failureOf(redirectImports(scripted.ends.context, plan));
    assert.equal(error?.code, 'OPEN_SLOT');
    assert.deepEqual(error?.openSlots, [12300, 12301, 12302]);
    assert.equal(scripted.sent.length, 1);
  });
});
