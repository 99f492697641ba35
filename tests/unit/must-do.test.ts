import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ClusterError, ReplyError } from '../../lib/errors.ts';
import type { Next } from '../../lib/model/next.ts';
import { Account } from '../../lib/nodes/account.ts';
import { Connections } from '../../lib/nodes/connections.ts';
import type { Context } from '../../lib/nodes/context.ts';
import { mustDo } from '../../lib/nodes/must-do.ts';
import { settingsOf } from '../../lib/settings.ts';
import { startMadeUp } from '../helpers/made-up-server.ts';

const RETRY: Next = { do: 'retry', when: 'repaired' };

/** What a node answers to FORGET, and what is advised then, `NODE` for its address. */
const rows: readonly [reply: string, next: readonly Next[]][] = [
  [
    "NOPERM User me has no permissions to run the 'cluster|forget' command",
    [{ do: 'command', node: 'NODE', command: ['ACL', 'SETUSER', 'me', '+cluster|forget'] }, RETRY],
  ],
  [
    "NOPERM this user has no permissions to run the 'cluster|forget' command",
    [{ do: 'command', node: 'NODE', command: ['ACL', 'SETUSER', 'default', '+cluster|forget'] }, RETRY],
  ],
  ['NOPERM no', [RETRY]],
  [
    "ERR Can't forget my master!",
    [{ do: 'command', node: 'NODE', command: ['CLUSTER', 'REPLICATE', 'NODE_ID'] }, RETRY],
  ],
  [
    "ERR CLUSTER RESET can't be called with master nodes containing keys",
    [{ do: 'command', node: 'NODE', command: ['FLUSHALL'] }, RETRY],
  ],
  [
    'ERR To set a master the node must be empty and without assigned slots.',
    [{ do: 'command', node: 'NODE', command: ['FLUSHALL'] }, RETRY],
  ],
  ['ERR I can only replicate a master, not a replica.', [RETRY]],
  ["ERR unknown command 'CLUSTER'", [RETRY]],
  ['ERR something else', [RETRY]],
];

describe('`mustDo()` rejects with COMMAND_REFUSED, and says what to do, where a node answers', () => {
  for (const [reply, next] of rows) {
    test(reply, async () => {
      await using server = await startMadeUp(([word = '']) =>
        word === 'CLUSTER' ? `-${reply}\r\n` : '+OK\r\n',
      );
      const { context, connections } = made();
      const node = { id: 'a', address: server.address };
      const error = (await mustDo(context, node, ['CLUSTER', 'FORGET', 'b'], 'make A forget B').catch(
        (caught: unknown) => caught,
      )) as ClusterError;
      await connections.close();
      const { code, message, address, resumable, cause } = error;
      assert.deepEqual([code, message], ['COMMAND_REFUSED', `Cannot make A forget B: ${reply}`]);
      assert.deepEqual([address, resumable], [server.address, 'same-call']);
      assert.ok(cause instanceof ReplyError);
      assert.deepEqual(
        error.next,
        next.map((one) => (one.node === undefined ? one : { ...one, node: server.address })),
      );
    });
  }

  test('unless the refusal means that there is nothing to do', async () => {
    await using server = await startMadeUp(([word = '']) =>
      word === 'CLUSTER' ? '-ERR Unknown node b\r\n' : '+OK\r\n',
    );
    const { context, connections } = made();
    await mustDo(
      context,
      { id: 'a', address: server.address },
      ['CLUSTER', 'FORGET', 'b'],
      'forget',
      'Unknown node',
    );
    await connections.close();
  });
});

function made(): { readonly context: Context; readonly connections: Connections } {
  const connections = new Connections({});
  const rest = {
    settings: settingsOf({}),
    options: {},
    emit: () => {},
    signal: undefined,
    account: new Account(),
  };
  return { context: { connections, ...rest }, connections };
}
