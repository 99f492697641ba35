import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  askUnveiled,
  closeWithoutKeys,
  type Receiver,
  refusalBut,
  type SlotState,
  setSlots,
  setSlotsAt,
  willWaitForReplicas,
} from '../../lib/move/set-slot.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import { parseInfo } from '../../lib/nodes/node-info.ts';
import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';
import { brokenConnection, openScriptedEnds, type Script, TARGET } from '../helpers/scripted-ends.ts';
import { idOf, portOf } from '../helpers/views.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const NO_REPLICAS = 'NOREPLICAS Not enough good replicas to write.';
const refused = (message: string): ReplyError => new ReplyError(message);
const slotsUpTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

interface Pipeline {
  readonly lane: number;
  /** Each as `slot state`. */
  readonly commands: readonly string[];
}

/** A node that records what it is sent and answers each command by its slot and state. */
function receiverThat(
  answer: (slot: number, state: string) => Reply,
  waitsForReplicas: boolean,
  commandTimeout = 10_000,
): { receiver: Receiver; pipelines: Pipeline[]; timeouts: (number | undefined)[] } {
  const pipelines: Pipeline[] = [];
  const timeouts: (number | undefined)[] = [];
  const askAll = async (
    _: unknown,
    commands: readonly Command[],
    { lane = 0, timeout }: { lane?: number; timeout?: number } = {},
  ): Promise<Reply[]> => {
    const words = commands.map((command) => command.map(String));
    timeouts.push(timeout);
    pipelines.push({ lane, commands: words.map(([, , slot, state]) => `${slot} ${state}`) });
    await turn();
    return words.map(([, , slot, state]) => answer(Number(slot), state ?? ''));
  };
  const connections = { askAll } as unknown as Connections;
  const address = { host: 'h', port: 1 };
  return { receiver: { connections, address, waitsForReplicas, commandTimeout }, pipelines, timeouts };
}

describe('setSlots()', () => {
  test('sends everything in one write to a node that does not wait, before it returns', async () => {
    const { receiver, pipelines } = receiverThat(() => 'OK', false);
    const setting = setSlots(receiver, [3, 1, 2], ['STABLE']);
    assert.deepEqual(pipelines, [{ lane: 0, commands: ['3 STABLE', '1 STABLE', '2 STABLE'] }]);
    assert.deepEqual(await setting, { set: [3, 1, 2], refusals: [] });
  });

  test('gives a node that waits the time of a failover more, unless there is no limit', async () => {
    for (const [waits, given, expected] of [
      [false, 10_000, 10_000],
      [true, 10_000, 17_000],
      [true, 0, 0],
    ] as const) {
      const { receiver, timeouts } = receiverThat(() => 'OK', waits, given);
      await setSlots(receiver, [1], ['STABLE']);
      assert.deepEqual(timeouts, [expected]);
    }
  });

  test('sends nothing for no slots', async () => {
    for (const waits of [false, true]) {
      const { receiver, pipelines } = receiverThat(() => 'OK', waits);
      assert.deepEqual(await setSlots(receiver, [], ['STABLE']), { set: [], refusals: [] });
      assert.deepEqual(pipelines, []);
    }
  });

  test('tries one slot first on a node that waits, and spreads the others over connections', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1200 }), async (count) => {
        const { receiver, pipelines } = receiverThat(() => 'OK', true);
        const { set, refusals } = await setSlots(receiver, slotsUpTo(count), ['NODE', 'id']);
        assert.deepEqual(set, slotsUpTo(count));
        assert.deepEqual(refusals, []);
        assert.deepEqual(pipelines[0], { lane: 0, commands: ['0 NODE'] });
        const sent = pipelines.flatMap(({ commands }) => commands);
        assert.deepEqual(
          sent,
          slotsUpTo(count).map((slot) => `${slot} NODE`),
        );
        for (const { lane, commands } of pipelines) assert.ok(lane < 16 && commands.length <= 32);
        // A handful is not worth a connection.
        assert.ok(pipelines.length <= 1 + Math.ceil((count - 1) / 8));
      }),
      { numRuns: 50 },
    );
  });

  test('sends a node with a hung replica only one slot and one state', async () => {
    const { receiver, pipelines } = receiverThat(() => refused(NO_REPLICAS), true);
    const states: SlotState[] = [
      ['IMPORTING', 'id'],
      ['NODE', 'id'],
    ];
    const { set, refusals } = await setSlots(receiver, slotsUpTo(500), () => states);
    assert.deepEqual(pipelines, [{ lane: 0, commands: ['0 IMPORTING'] }]);
    assert.deepEqual(set, []);
    assert.deepEqual(
      refusals.map(({ slot, reason }) => [slot, reason]),
      [[0, 'no-replicas']],
    );
  });

  test('sends that slot once more, and then the others, if the link of the replica that hangs was ended', async () => {
    for (const helps of [true, false]) {
      let ended = 0;
      const { receiver, pipelines } = receiverThat(
        () => (helps && ended > 0 ? 'OK' : refused(NO_REPLICAS)),
        true,
      );
      const endHungLinks = async (): Promise<boolean> => {
        ended++;
        return true;
      };
      const { set } = await setSlots({ ...receiver, endHungLinks }, slotsUpTo(100), ['STABLE']);
      assert.equal(ended, 1);
      assert.deepEqual(set, helps ? slotsUpTo(100) : []);
      const sent = pipelines.flatMap(({ commands }) => commands);
      assert.deepEqual(sent.slice(0, 2), ['0 STABLE', '0 STABLE']);
      assert.equal(sent.length, helps ? 101 : 2);
    }
  });

  test('sends nothing beyond what is in flight once a replica hangs', async () => {
    const { receiver, pipelines } = receiverThat((slot) => (slot === 0 ? 'OK' : refused(NO_REPLICAS)), true);
    const { set, refusals } = await setSlots(receiver, slotsUpTo(5000), ['STABLE']);
    assert.equal(pipelines.length, 17);
    assert.deepEqual(set, [0]);
    assert.deepEqual([...new Set(refusals.map(({ reason }) => reason))], ['no-replicas']);
  });

  test('continues with the other slots after any other refusal', async () => {
    for (const waits of [false, true]) {
      const { receiver } = receiverThat((slot) => (slot === 0 ? refused('ERR no') : 'OK'), waits);
      const { set, refusals } = await setSlots(receiver, slotsUpTo(30), ['STABLE']);
      assert.deepEqual(set, slotsUpTo(30).slice(1));
      assert.deepEqual(
        refusals.map(({ slot, reason }) => [slot, reason]),
        [[0, 'other']],
      );
    }
  });

  test('sends the states of a slot one after the other, and counts it as set only if all were accepted', async () => {
    for (const waits of [false, true]) {
      const answer = (slot: number, state: string): Reply =>
        slot === 1 && state === 'NODE' ? refused('ERR no') : 'OK';
      const { receiver, pipelines } = receiverThat(answer, waits);
      const { set } = await setSlots(receiver, [0, 1, 2], (slot) => [
        ['IMPORTING', `from ${slot}`],
        ['NODE', 'id'],
      ]);
      assert.deepEqual(
        pipelines.flatMap(({ commands }) => commands),
        ['0 IMPORTING', '0 NODE', '1 IMPORTING', '1 NODE', '2 IMPORTING', '2 NODE'],
      );
      assert.deepEqual(set, [0, 2]);
    }
  });

  const said = [
    [NO_REPLICAS, 'no-replicas'],
    ['ERR Please use SETSLOT only with masters.', 'is-replica'],
    ["ERR I'm already the owner of hash slot 7", 'owns-already'],
    ["ERR I'm not the owner of hash slot 7", 'does-not-own'],
    ['ERR Unknown node 0123', 'unknown-node'],
    ["ERR I don't know about node 0123", 'unknown-node'],
    ["ERR Can't assign hashslot 7 to a different node while I still hold keys for this hash slot.", 'other'],
    ['NOPERM this user has no permissions', 'other'],
  ] as const;
  for (const [message, reason] of said) {
    test(`reads "${message}" as ${reason}`, async () => {
      const { receiver } = receiverThat(() => refused(message), false);
      const outcome = await setSlots(receiver, [7], ['STABLE']);
      assert.equal(outcome.refusals[0]?.reason, reason);
      assert.equal(refusalBut(outcome, reason), undefined);
      assert.equal(refusalBut(outcome)?.error.message, message);
    });
  }
});

describe('setSlotsAt()', () => {
  test('asks the node whether it waits, and ends the connections that it opened, even after a failure', async () => {
    for (const breaks of [false, true]) {
      const log: string[] = [];
      const script: Script = (_, words) => {
        if (words[0] === 'INFO') return 'valkey_version:9.1.0\r\nconnected_slaves:1';
        if (breaks) throw brokenConnection(TARGET);
        if (words[1] !== 'SETSLOT') return undefined;
        log.push(words.slice(2).join(' '));
        return refused(NO_REPLICAS);
      };
      const { ends } = openScriptedEnds({ script });
      const { connections } = ends.context;
      connections.closeLanes = async ({ port }) => void log.push(`closed ${port}`);
      const setting = setSlotsAt(ends.context, ends.target, [1, 2], ['STABLE']);
      const failed = await setting.then(
        () => false,
        () => true,
      );
      assert.equal(failed, breaks);
      assert.deepEqual(log, [...(breaks ? [] : ['1 STABLE']), `closed ${portOf(TARGET)}`]);
    }
  });
});

describe('willWaitForReplicas()', () => {
  const waits = (info: string): boolean => willWaitForReplicas(parseInfo(info.replaceAll(' ', '\r\n')));

  test('is true only of a Valkey with replicas', () => {
    assert.equal(waits('redis_version:7.2.4 valkey_version:8.1.0 connected_slaves:1'), true);
    assert.equal(waits('redis_version:7.2.4 valkey_version:8.1.0 connected_slaves:0'), false);
    assert.equal(waits('redis_version:8.6.0 connected_slaves:2'), false);
  });
});

describe('closeWithoutKeys()', () => {
  const slots = [1, 2, 3];
  const sends = (command: string, script: Script): { script: Script; seen: string[] } => {
    const seen: string[] = [];
    return {
      seen,
      script: (node, words) => {
        if (words.join(' ').startsWith(command)) seen.push(words.join(' '));
        return script(node, words);
      },
    };
  };
  const oneHasKeys: Script = (_, words) =>
    words[1] === 'COUNTKEYSINSLOT' && words[2] === '2' ? 5 : undefined;

  test('counts once per slot, in the transaction that closes it, on a target that hides keys', async () => {
    const { script, seen } = sends('MULTI', oneHasKeys);
    const { ends, sent } = openScriptedEnds({ script, traits: { targetHidesKeys: true } });
    assert.deepEqual(await closeWithoutKeys(ends, slots), [1, 3]);
    assert.equal(seen.length, 3);
    assert.deepEqual(sent.slice(0, 2), [
      'target CLUSTER COUNTKEYSINSLOT 1',
      'target CLUSTER SETSLOT 1 STABLE',
    ]);
  });

  test('uses no transaction on another target, and counts after closing', async () => {
    const { script, seen } = sends('MULTI', oneHasKeys);
    const { ends, sent } = openScriptedEnds({ script, traits: { isValkey: true } });
    assert.deepEqual(await closeWithoutKeys(ends, slots), [1, 3]);
    assert.deepEqual(seen, []);
    assert.deepEqual(sent.slice(0, 2), [
      'target CLUSTER SETSLOT 1 STABLE',
      'target CLUSTER COUNTKEYSINSLOT 1',
    ]);
  });

  test('leaves out slots that the target refuses to close, even in a transaction', async () => {
    for (const targetHidesKeys of [false, true]) {
      const script: Script = (_, words) =>
        words[1] === 'SETSLOT' && words[2] === '3' ? refused('ERR no') : undefined;
      const { ends } = openScriptedEnds({ script, traits: { targetHidesKeys } });
      assert.deepEqual(await closeWithoutKeys(ends, slots), [1, 2]);
    }
  });
});

describe('askUnveiled()', () => {
  const question = (slot: number): Command => ['CLUSTER', 'COUNTKEYSINSLOT', slot];
  const asked = async (info: string): Promise<{ replies: readonly Reply[]; words: string[] }> => {
    const words: string[] = [];
    const script: Script = (_, command) => {
      words.push(command.join(' '));
      if (command[0] === 'INFO') return info;
      return command[1] === 'COUNTKEYSINSLOT' ? Number(command[2]) * 10 : undefined;
    };
    const { ends } = openScriptedEnds({ script });
    const { connections } = ends.context;
    const replies = await askUnveiled(connections, ends.targetReport, 0, [1, 2], question);
    return { replies, words: words.slice(1) };
  };

  test('makes a server that hides keys import each slot from itself while it is asked', async () => {
    const { replies, words } = await asked('redis_version:8.4.0');
    assert.deepEqual(replies, [10, 20]);
    assert.equal(words[0], 'MULTI');
    const own = idOf(TARGET);
    assert.deepEqual(
      words.filter((text) => text.includes('SETSLOT')),
      [
        `CLUSTER SETSLOT 1 IMPORTING ${own}`,
        'CLUSTER SETSLOT 1 STABLE',
        `CLUSTER SETSLOT 2 IMPORTING ${own}`,
        'CLUSTER SETSLOT 2 STABLE',
      ],
    );
  });

  for (const info of ['redis_version:7.2.4\r\nvalkey_version:9.1.0', 'redis_version:8.2.1']) {
    test(`changes nothing at ${info.split('\r\n').at(-1)}`, async () => {
      const { replies, words } = await asked(info);
      assert.deepEqual(replies, [10, 20]);
      assert.deepEqual(words, ['CLUSTER COUNTKEYSINSLOT 1', 'CLUSTER COUNTKEYSINSLOT 2']);
    });
  }
});

describe('SETSLOT', () => {
  test('is sent from one file', () => {
    const files = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .filter((name) => /['"`](?:CLUSTER )?SETSLOT\b/.test(readFileSync(join(root, 'lib', name), 'utf8')));
    // `demo --break` leaves slots open on purpose.
    const rest = files.filter((name) => name !== join('cli', 'practise', 'slot-breaks.ts'));
    assert.deepEqual(rest, [join('move', 'set-slot.ts')]);
  });
});
