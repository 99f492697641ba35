import assert from 'node:assert/strict';
import { hasSubscribers, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, test } from 'node:test';
import type { CommandMessage } from '../../lib/index.ts';
import { parseAddress } from '../../lib/model/address.ts';
import { Connections } from '../../lib/nodes/connections.ts';
import type { ConnectionOptions } from '../../lib/options.ts';
import { type Answer, startMadeUp } from '../helpers/made-up-server.ts';

const CHANNEL = 'redis-trib:command';
const SECRET = 'hunter2';

/** The messages while a node that answers like this is asked. */
async function messagesOf(
  answer: (words: readonly string[]) => Answer,
  body: (
    ask: (...words: string[]) => Promise<unknown>,
    connections: Connections,
    address: string,
  ) => Promise<unknown>,
  options: ConnectionOptions = {},
): Promise<{ readonly messages: CommandMessage[]; readonly address: string }> {
  await using server = await startMadeUp(answer);
  const messages: CommandMessage[] = [];
  const listen = (message: unknown): void => {
    messages.push(message as CommandMessage);
  };
  const connections = new Connections(options);
  const address = parseAddress(server.address);
  subscribe(CHANNEL, listen);
  try {
    await body((...words) => connections.ask(address, words), connections, server.address);
  } finally {
    unsubscribe(CHANNEL, listen);
    connections.destroy();
  }
  return { messages, address: server.address };
}

describe('The channel redis-trib:command', () => {
  test('has a message for each call: node, names of commands, time, and the code of an error', async () => {
    const { messages, address } = await messagesOf(
      ([name]) => (name === 'GET' ? '-NOPERM no\r\n' : '+OK\r\n'),
      async (ask, connections, at) => {
        await ask('CLUSTER', 'MEET', 'host', '7000');
        await assert.rejects(ask('GET', 'key'));
        await connections.askAll(parseAddress(at), [['PING'], ['GET', 'key'], ['CLUSTER', 'INFO']]);
      },
    );
    assert.deepEqual(
      messages.map(({ commands, code }) => [commands, code]),
      [
        [['CLIENT SETNAME'], null],
        [['CLUSTER MEET'], null],
        [['GET'], 'NOPERM'],
        [['PING', 'GET', 'CLUSTER INFO'], 'NOPERM'],
      ],
    );
    for (const { node, ms } of messages) {
      assert.equal(node, address);
      assert.ok(ms >= 0 && ms < 10_000, `${ms}`);
    }
  });

  test('says how a call ended that was not answered', async () => {
    const { messages } = await messagesOf(
      ([name]) => (name === 'DIE' ? (socket) => socket.destroy() : '+OK\r\n'),
      (ask) => assert.rejects(ask('DIE')),
    );
    const last = messages.at(-1);
    assert.deepEqual(last?.commands, ['DIE']);
    assert.match(`${last?.code}`, /^(?:CLOSED|ECONNRESET)$/);
  });

  test('has the code or the name of a reason for which a call was aborted', async () => {
    const { messages } = await messagesOf(
      ([name]) => (name === 'SLEEP' ? () => {} : '+OK\r\n'),
      async (_, connections, at) => {
        for (const reason of [undefined, new Error('enough'), 'enough']) {
          const stop = new AbortController();
          const asked = connections.ask(parseAddress(at), ['SLEEP'], { signal: stop.signal });
          await connections.ask(parseAddress(at), ['PING'], { lane: 1 });
          stop.abort(reason);
          // A reason may be anything, and assert.rejects() takes errors only.
          await assert.rejects(asked.catch((cause) => Promise.reject(new Error('aborted', { cause }))));
        }
      },
    );
    const codes = messages.filter(({ commands }) => commands[0] === 'SLEEP').map(({ code }) => code);
    assert.deepEqual(codes, ['AbortError', 'Error', 'ABORTED']);
  });

  test('never holds an argument: no password, no key, no value', async () => {
    let isOpen = false;
    const { messages } = await messagesOf(
      () => (isOpen ? `-ERR unknown command, with args beginning with: '${SECRET}'\r\n` : '+OK\r\n'),
      async (ask) => {
        await ask('PING');
        isOpen = true;
        for (const words of [
          ['AUTH', SECRET],
          ['HELLO', '2', 'AUTH', 'me', SECRET],
          ['MIGRATE', 'host', '1', '', '0', '9', 'AUTH2', 'me', SECRET, 'KEYS', SECRET],
          ['CONFIG', 'SET', 'requirepass', SECRET],
          ['CONFIG', SECRET],
          ['SET', SECRET, SECRET],
          ['ACL', 'SETUSER', 'me', `>${SECRET}`],
        ])
          await assert.rejects(ask(...words));
      },
      { username: 'me', password: SECRET },
    );
    assert.deepEqual(
      messages.flatMap(({ commands }) => commands),
      [
        ...[
          'AUTH',
          'CLIENT SETNAME',
          'PING',
          'AUTH',
          'HELLO',
          'MIGRATE',
          'CONFIG SET',
          'CONFIG',
          'SET',
          'ACL SETUSER',
        ],
      ],
    );
    assert.doesNotMatch(JSON.stringify(messages), new RegExp(SECRET));
  });

  test('is silent without a subscriber, and onCommands is called either way', async () => {
    let calls = 0;
    const onCommands = (): void => {
      calls++;
    };
    const { messages } = await messagesOf(
      () => '+OK\r\n',
      async (ask) => {
        assert.equal(hasSubscribers(CHANNEL), true);
        await ask('PING');
      },
      { onCommands },
    );
    assert.equal(hasSubscribers(CHANNEL), false);
    assert.equal(calls, messages.length);
  });
});
