import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connections } from '../../lib/nodes/connections.ts';
import { countCommand, countKeys, countOf } from '../../lib/nodes/count-keys.ts';
import { type Command, type Reply, ReplyError } from '../../resp/index.ts';

const ADDRESS = { host: '127.0.0.1', port: 7000 };
const SLOTS = Array.from({ length: 10_000 }, (_, index) => 2 * (index % 8192));

/** Connections to a node that answers with the result of this function for a slot; `asked` collects its writes. */
function nodeWith(countIn: (slot: number) => Reply, onWrite: () => void = () => {}) {
  const asked: (readonly Command[])[] = [];
  const connections = {
    askAll: async (_: unknown, commands: readonly Command[]): Promise<Reply[]> => {
      asked.push(commands);
      onWrite();
      return commands.map(([word, , slot]) => (word === 'SELECT' ? 'OK' : countIn(Number(slot))));
    },
  };
  return { asked, connections: connections as unknown as Connections };
}

describe('`countKeys()`', () => {
  test('gives the slots with keys, for any number of slots', async () => {
    const { asked, connections } = nodeWith((slot) => (slot % 3 === 0 ? slot : 0));
    const counts = await countKeys(connections, ADDRESS, 0, SLOTS);
    assert.deepEqual(
      [...counts],
      [...new Set(SLOTS)].flatMap((slot) => (slot > 0 && slot % 3 === 0 ? [[slot, slot]] : [])),
    );
    assert.deepEqual(asked.flat(), SLOTS.map(countCommand));
    assert.ok(asked.every((commands) => commands.length <= 4096));
  });

  test('asks nothing about no slots', async () => {
    const { asked, connections } = nodeWith(() => 1);
    assert.equal((await countKeys(connections, ADDRESS, 0, [])).size, 0);
    assert.deepEqual(asked, []);
  });

  test('counts in another database, and goes back to 0 after each write', async () => {
    const { asked, connections } = nodeWith(() => 7);
    assert.deepEqual([...(await countKeys(connections, ADDRESS, 3, [5]))], [[5, 7]]);
    assert.deepEqual(asked, [[['SELECT', 3], countCommand(5), ['SELECT', 0]]]);
  });

  test('rejects with the error for a slot', async () => {
    const refusal = new ReplyError('NOPERM no');
    const { connections } = nodeWith((slot) => (slot === 9998 ? refusal : 0));
    await assert.rejects(countKeys(connections, ADDRESS, 0, SLOTS), refusal);
  });

  test('stops between two writes when the signal aborts', async () => {
    const controller = new AbortController();
    const { asked, connections } = nodeWith(
      () => 1,
      () => controller.abort(new Error('enough')),
    );
    await assert.rejects(countKeys(connections, ADDRESS, 0, SLOTS, controller.signal), /enough/);
    assert.equal(asked.length, 1);
  });
});

test('`countOf()` takes numbers only', () => {
  assert.equal(countOf(0), 0);
  for (const reply of ['1', null, undefined, [1]]) {
    assert.throws(() => countOf(reply), { code: 'BAD_REPLY' });
  }
  assert.throws(() => countOf(new ReplyError('ERR no')), { code: 'ERR' });
});
