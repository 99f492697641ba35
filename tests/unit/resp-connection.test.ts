import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import * as net from 'node:net';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { Deadline } from '../../resp/deadline.ts';
import {
  type Command,
  Connection,
  ConnectionError,
  type ConnectOptions,
  connect,
  Decoder,
  ProtocolError,
  prepareCommands,
  type Reply,
  ReplyError,
} from '../../resp/index.ts';

/** Sends what it returns, if that is a string. */
type Handler = (command: string[], socket: net.Socket) => unknown;

interface Peer {
  /** Commands received on all connections. */
  readonly commands: string[][];
  /** Chunks received. */
  readonly chunks: Buffer[];
  readonly sockets: net.Socket[];
  connect(options?: ConnectOptions): Promise<Connection>;
}

/** A peer that passes each command to a handler, answers PING with PONG, and is silent without a handler. */
async function withPeer(handler: Handler, body: (peer: Peer) => Promise<void>): Promise<void> {
  const commands: string[][] = [];
  const chunks: Buffer[] = [];
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    const decoder = new Decoder({
      encoding: 'latin1',
      onReply: (reply: Reply) => {
        const command = reply as string[];
        commands.push(command);
        const answer = command[0] === 'PING' ? '+PONG\r\n' : handler(command, socket);
        if (typeof answer === 'string') socket.write(answer, 'latin1');
      },
    });
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      decoder.write(chunk);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as net.AddressInfo;
  const open: Connection[] = [];
  try {
    await body({
      commands,
      chunks,
      sockets,
      async connect(options) {
        const connection = await connect({ port, ...options });
        open.push(connection);
        return connection;
      },
    });
  } finally {
    for (const connection of open) connection.destroy();
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

const echo: Handler = ([name, argument = '']) => {
  if (name === 'ECHO') return `$${argument.length}\r\n${argument}\r\n`;
  if (name === 'FAIL') return `-${argument}\r\n`;
  return undefined;
};

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
  throw new assert.AssertionError({ message: 'Expected a rejection' });
}

describe('Connection.command()', () => {
  test('resolves to the reply, matched in order', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const replies = await Promise.all(['a', 'b', 'c'].map((text) => connection.command(['ECHO', text])));
      assert.deepEqual(replies, ['a', 'b', 'c']);
    }));

  test('joins commands of one tick into one write', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const before = peer.chunks.length;
      await Promise.all([
        connection.command(['ECHO', 'a']),
        connection.pipeline([
          ['ECHO', 'b'],
          ['ECHO', Buffer.from('c')],
        ]),
        connection.command(['ECHO', 'd']),
      ]);
      assert.equal(peer.chunks.length, before + 1);
    }));

  test('gives strings or Buffers, as each command asks', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const forms = ['buffer', 'string', 'buffer', undefined, 'string'] as const;
      const replies = await Promise.all(forms.map((as) => connection.command(['ECHO', 'x'], { as })));
      assert.deepEqual(replies, [Buffer.from('x'), 'x', Buffer.from('x'), 'x', 'x']);
      assert.deepEqual(await connection.command(['ECHO', 'y'], { as: 'buffer' }), Buffer.from('y'));
      assert.deepEqual(await connection.pipeline([['ECHO', 'y']]), ['y']);
    }));

  test('keeps any bytes as they are in latin1', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect({ encoding: 'latin1' });
      const key = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('latin1');
      assert.equal(await connection.command(['ECHO', key]), key);
    }));

  test('rejects with the ReplyError of the node, and stays usable', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const [failed, good] = await Promise.allSettled([
        connection.command(['FAIL', 'MOVED 42 127.0.0.1:7001']),
        connection.command(['ECHO', 'a']),
      ]);
      assert.equal(failed.status, 'rejected');
      assert.ok(failed.reason instanceof ReplyError);
      const { code, command, address, message } = failed.reason;
      assert.deepEqual(
        { code, command, address, message },
        { code: 'MOVED', command: 'FAIL', address: connection.address, message: 'MOVED 42 127.0.0.1:7001' },
      );
      assert.deepEqual(good, { status: 'fulfilled', value: 'a' });
    }));

  test('removes the arguments from an error about an unknown command', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const text = "ERR unknown command 'MIGRATE', with args beginning with: 'h' 'secret'";
      const error = await failureOf(connection.command(['FAIL', text]));
      assert.equal(error.message, "ERR unknown command 'MIGRATE'");
      assert.ok(!inspect(error).includes('secret'));
    }));

  test('rejects what cannot be encoded, and only that', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect({ encoding: 'latin1' });
      const outcomes = await Promise.allSettled([
        connection.command(['ECHO', 'a']),
        connection.command(['ECHO', '\u20ac']),
        connection.command([]),
        connection.command(['ECHO', undefined as unknown as string]),
        connection.command(['ECHO', 'b']),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.name)),
        ['a', 'TypeError', 'TypeError', 'TypeError', 'b'],
      );
    }));
});

describe('Connection.pipeline()', () => {
  test('resolves to all replies with errors among them', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const replies = await connection.pipeline([
        ['ECHO', 'a'],
        ['FAIL', 'ERR no'],
        ['ECHO', 'c'],
      ]);
      assert.equal(replies[0], 'a');
      assert.ok(replies[1] instanceof ReplyError);
      assert.equal(replies[1].command, 'FAIL');
      assert.equal(replies[2], 'c');
    }));

  test('resolves to nothing for no commands', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      assert.deepEqual(await connection.pipeline([]), []);
    }));

  test('sends prepared commands in order', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const prepared = prepareCommands([
        ['ECHO', 'b'],
        ['FAIL', 'ERR no'],
        ['ECHO', 'c'],
      ]);
      const [first, replies, last, none] = await Promise.all([
        connection.command(['ECHO', 'a']),
        connection.pipeline(prepared),
        connection.command(['ECHO', 'd']),
        connection.pipeline(prepareCommands([])),
      ]);
      assert.deepEqual([first, replies[0], replies[2], last, none], ['a', 'b', 'c', 'd', []]);
      assert.ok(replies[1] instanceof ReplyError);
      assert.equal(replies[1].command, 'FAIL');
    }));

  test('writes prepared commands before it returns, after commands issued before them', () => {
    const written: Buffer[] = [];
    const socket = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        written.push(chunk);
        done();
      },
    }) as net.Socket;
    const connection = new Connection(socket, { address: 'nowhere' });
    const unanswered = [connection.command(['FIRST'])];
    assert.equal(written.length, 0);
    unanswered.push(connection.pipeline(prepareCommands([['SECOND'], ['THIRD']])).then(() => null));
    assert.equal(
      Buffer.concat(written).toString(),
      '*1\r\n$5\r\nFIRST\r\n*1\r\n$6\r\nSECOND\r\n*1\r\n$5\r\nTHIRD\r\n',
    );
    connection.destroy();
    return Promise.all(unanswered.map(failureOf)).then(() => undefined);
  });

  test('never sends prepared commands that are aborted before their turn, and drops replies to those in flight', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const prepared = prepareCommands([
        ['ECHO', 'a'],
        ['ECHO', 'b'],
      ]);
      const stop = new AbortController();
      const dropped = failureOf(connection.pipeline(prepared, { signal: stop.signal }));
      stop.abort();
      const never = failureOf(connection.pipeline(prepared, { signal: stop.signal }));
      assert.equal((await dropped).name, 'AbortError');
      assert.equal((await never).name, 'AbortError');
      assert.equal(await connection.command(['ECHO', 'c']), 'c');
      assert.deepEqual(
        peer.commands.filter(([name]) => name === 'ECHO').map(([, text]) => text),
        ['a', 'b', 'c'],
      );
    }));

  test('sends 100,000 commands in order', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const commands = Array.from({ length: 100_000 }, (_, index): Command => ['ECHO', index]);
      const replies = await connection.pipeline(commands);
      assert.ok(replies.every((reply, index) => reply === String(index)));
    }));

  test('writes long byte arrays among text in order', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const bodies = Array.from({ length: 50 }, (_, index) => Buffer.alloc(index * 1000, index));
      const replies = await connection.pipeline(
        bodies.map((body) => ['ECHO', body]),
        { as: 'buffer' },
      );
      // The peer counts chars and writes UTF-8, so only bytes below 0x80 come back unchanged.
      assert.deepEqual(replies, bodies);
    }));
});

describe('Connection, if the peer', () => {
  const breaks: [string, Handler, object][] = [
    ['resets', (_, socket) => socket.resetAndDestroy(), { code: 'ECONNRESET' }],
    ['ends', (_, socket) => socket.end(), { code: 'CLOSED' }],
    [
      'ends in the middle of a bulk',
      (_, socket) => socket.end('$10\r\nabc'),
      { name: 'ConnectionError', code: 'CLOSED' },
    ],
  ];
  for (const [name, handler, expected] of breaks) {
    test(`${name}, rejects commands in flight with command and address, but no arguments`, () =>
      withPeer(handler, async (peer) => {
        const connection = await peer.connect();
        const pending = [
          connection.command(['SET', 'key', 'secret']),
          connection.pipeline([
            ['GET', 'secret'],
            ['TTL', 'secret'],
          ]),
        ];
        for (const [index, command] of ['SET', 'GET'].entries()) {
          const error = await failureOf(pending[index] as Promise<unknown>);
          assert.ok(error instanceof ConnectionError);
          assert.equal(error.command, command);
          assert.equal(error.address, connection.address);
          assert.equal(error.sent, true);
          assert.ok(error.cause instanceof Error);
          assert.ok(error.message.includes(command) && error.message.includes(connection.address));
          assert.ok(!inspect(error).includes('secret'));
          assert.throws(() => {
            throw error;
          }, expected);
        }
        assert.ok((await connection.whenClosed) instanceof Error);
        assert.equal(connection.closed, true);
        const late = await failureOf(connection.command(['PING']));
        assert.ok(late instanceof ConnectionError);
        assert.equal(late.sent, false);
        assert.equal(peer.sockets.length, 1);
        assert.equal(peer.commands.filter(([command]) => command === 'SET').length, 1);
      }));
  }

  test('ends at any byte of any reply, rejects only that command, and tells whether it was within a reply', async () => {
    const first = '+OK\r\n';
    const replies = ['-ERR no\r\n', ':12\r\n', '$3\r\nabc\r\n', '*2\r\n$1\r\na\r\n*1\r\n:1\r\n', '$-1\r\n'];
    const [between, inside] = [new Set<string>(), new Set<string>()];
    for (const reply of replies) {
      const wire = first + reply;
      for (let length = 0; length < wire.length; length++) {
        let asked = 0;
        const handler: Handler = (_, socket) => {
          // Both commands have arrived before the first reply.
          if (++asked === 2) socket.end(wire.slice(0, length));
        };
        await withPeer(handler, async (peer) => {
          const connection = await peer.connect({ commandTimeout: 5000 });
          const ends = await Promise.allSettled([connection.command(['A']), connection.command(['B'])]);
          const isAnswered = length >= first.length;
          assert.equal(
            ends[0].status,
            isAnswered ? 'fulfilled' : 'rejected',
            `${length} of ${JSON.stringify(wire)}`,
          );
          assert.ok(ends[1].status === 'rejected' && ends[1].reason instanceof ConnectionError);
          assert.equal(ends[1].reason.code, 'CLOSED');
          const isBetween = length === 0 || length === first.length;
          (isBetween ? between : inside).add(ends[1].reason.message.replaceAll(connection.address, 'peer'));
        });
      }
    }
    assert.equal(between.size, 1);
    for (const message of inside) assert.ok(!between.has(message), message);
  });

  test('sends one byte at a time, still reads it, but no longer than the timeout', () =>
    withPeer(
      ([name = ''], socket) => {
        const wire = name === 'LONG' ? `$200\r\n${'x'.repeat(200)}\r\n` : '*2\r\n$2\r\nab\r\n:12\r\n';
        let at = 0;
        const timer = setInterval(() => {
          if (at < wire.length && !socket.destroyed) socket.write(wire.charAt(at++));
          else clearInterval(timer);
        }, 2);
      },
      async (peer) => {
        const connection = await peer.connect({ commandTimeout: 5000 });
        assert.deepEqual(await connection.command(['SHORT']), ['ab', 12]);
        const error = await failureOf(connection.command(['LONG'], { timeout: 100 }));
        assert.ok(error instanceof ConnectionError);
        assert.equal(error.code, 'TIMEOUT');
      },
    ));

  test('closes an idle connection, resolves whenClosed', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      peer.sockets[0]?.end();
      const error = await connection.whenClosed;
      assert.ok(error instanceof ConnectionError);
      assert.equal(error.code, 'CLOSED');
    }));

  test('sends garbage, rejects all with ProtocolErrors', () =>
    withPeer(
      () => '+OK\r\nwhat?\r\n',
      async (peer) => {
        const connection = await peer.connect();
        const [first, second, third] = await Promise.allSettled([
          connection.command(['GET', 'a']),
          connection.command(['GET', 'b']),
          connection.command(['TTL', 'c']),
        ]);
        assert.deepEqual(first, { status: 'fulfilled', value: 'OK' });
        for (const outcome of [second, third]) {
          assert.equal(outcome.status, 'rejected');
          assert.ok(outcome.reason instanceof ProtocolError);
          assert.equal(outcome.reason.code, 'RESP_TYPE');
          assert.equal(outcome.reason.address, connection.address);
          assert.ok(outcome.reason.cause instanceof ProtocolError);
        }
        assert.ok((await connection.whenClosed) instanceof ProtocolError);
      },
    ));

  const extras: [string, string][] = [
    ['a whole reply', '+OK\r\n+OK\r\n'],
    ['half a reply', '+OK\r\n+O'],
    ['an error', '+OK\r\n-ERR idle\r\n'],
  ];
  for (const [name, wire] of extras) {
    test(`sends ${name} too many, closes`, () =>
      withPeer(
        () => wire,
        async (peer) => {
          const connection = await peer.connect();
          assert.equal(await connection.command(['GET', 'a']), 'OK');
          const error = await connection.whenClosed;
          assert.ok(error instanceof ProtocolError);
          assert.equal(error.code, 'RESP_UNREQUESTED');
          if (wire.includes('-ERR')) assert.match(error.message, /ERR idle/);
        },
      ));
  }

  test('sends a reply without a command, closes', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      peer.sockets[0]?.write('+');
      const error = await connection.whenClosed;
      assert.ok(error instanceof ProtocolError);
      assert.equal(error.code, 'RESP_UNREQUESTED');
    }));

  test('passes a limit, rejects', () =>
    withPeer(
      () => '$100\r\n',
      async (peer) => {
        const connection = await peer.connect({ maxBulkLength: 99 });
        await assert.rejects(connection.command(['GET', 'a']), { name: 'ProtocolError', code: 'RESP_LIMIT' });
      },
    ));

  test('does not read, holds back commands, and sends them when it reads again', () =>
    withPeer(
      () => '+OK\r\n',
      async (peer) => {
        const connection = await peer.connect();
        const body = Buffer.alloc(100_000);
        peer.sockets[0]?.pause();
        const pending = Array.from({ length: 300 }, () => connection.command(['SET', 'k', body]));
        const { signal, abort } = abortable();
        const last = connection.command(['SET', 'unsent', 'x'], { signal });
        await new Promise(setImmediate);
        // Far more than kernels buffer, so the last cannot have been sent.
        abort();
        await assert.rejects(last, { name: 'AbortError' });
        peer.sockets[0]?.resume();
        assert.deepEqual(new Set(await Promise.all(pending)), new Set(['OK']));
        assert.ok(!peer.commands.some(([, key]) => key === 'unsent'));
      },
    ));

  test('does not read, tells for each command whether it was sent', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      peer.sockets[0]?.pause();
      const body = Buffer.alloc(100_000);
      const pending = Array.from({ length: 300 }, () => failureOf(connection.command(['SET', 'k', body])));
      await new Promise(setImmediate);
      connection.destroy();
      const errors = (await Promise.all(pending)) as ConnectionError[];
      assert.equal(errors[0]?.sent, true);
      assert.equal(errors.at(-1)?.sent, false);
    }));
});

describe('Connection with a timeout', () => {
  test('rejects a command without a reply by then, and those behind it', () =>
    withPeer(
      () => {},
      async (peer) => {
        const connection = await peer.connect();
        const slow = failureOf(connection.command(['SILENT', 'secret'], { timeout: 30 }));
        const behind = failureOf(connection.command(['ECHO', 'a']));
        const error = await slow;
        assert.ok(error instanceof ConnectionError);
        assert.equal(error.code, 'TIMEOUT');
        assert.equal(error.sent, true);
        assert.equal(error.command, 'SILENT');
        assert.ok((await behind) instanceof ConnectionError);
        assert.equal(((await connection.whenClosed) as ConnectionError).code, 'TIMEOUT');
      },
    ));

  test('takes the default from the connection', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect({ commandTimeout: 30 });
      await assert.rejects(connection.command(['SILENT']), { code: 'TIMEOUT' });
    }));

  test('is not extended by a slow reply', () =>
    withPeer(
      (_, socket) => {
        const timer = setInterval(() => socket.write('x'), 5);
        socket.on('close', () => clearInterval(timer));
        return '+';
      },
      async (peer) => {
        const connection = await peer.connect();
        await assert.rejects(connection.command(['GET', 'a'], { timeout: 60 }), { code: 'TIMEOUT' });
      },
    ));

  test('counts from the moment a command is the oldest, and again for each of a pipeline', () =>
    withPeer(
      (_, socket) => setTimeout(() => socket.write('+OK\r\n'), 40 * peerDelay++),
      async (peer) => {
        peerDelay = 1;
        const connection = await peer.connect();
        const pipeline = connection.pipeline([['A'], ['B'], ['C']], { timeout: 100 });
        const after = connection.command(['D'], { timeout: 100 });
        assert.deepEqual(await pipeline, ['OK', 'OK', 'OK']);
        assert.equal(await after, 'OK');
      },
    ));

  test('fires for a short timeout behind a long one, and behind none', () =>
    withPeer(
      ([name], socket) => name === 'SLOW' && setTimeout(() => socket.write('+OK\r\n'), 20),
      async (peer) => {
        for (const timeout of [5000, 0]) {
          const connection = await peer.connect();
          const slow = connection.command(['SLOW'], { timeout });
          const short = failureOf(connection.command(['SILENT'], { timeout: 30 }));
          assert.equal(await slow, 'OK');
          assert.equal(((await short) as ConnectionError).code, 'TIMEOUT');
        }
      },
    ));

  test('accepts a reply that arrived while the process was busy', () =>
    withPeer(
      (_, socket) => {
        // Peer and client are one process: the reply has been sent when both are busy past the deadline.
        socket.write('+OK\r\n');
        const until = performance.now() + 60;
        while (performance.now() < until);
      },
      async (peer) => {
        const connection = await peer.connect({ commandTimeout: 20 });
        assert.equal(await connection.command(['GET', 'a']), 'OK');
      },
    ));

  test('fires after twice the time, even if something arrives at every check', async () => {
    let looks = 0;
    const started = performance.now();
    const passed = new Promise<number>((resolve) => new Deadline(() => ++looks, resolve).start(30));
    const keepsAlive = setTimeout(() => undefined, 10_000);
    assert.equal(await passed, 30);
    clearTimeout(keepsAlive);
    assert.ok(performance.now() - started >= 60);
    assert.ok(looks > 2, `${looks} looks`);
  });
});

let peerDelay = 1;

function abortable(): { signal: AbortSignal; abort: (reason?: unknown) => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
}

describe('Connection with a signal', () => {
  test('rejects at once if it is already aborted', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      assert.equal(await failureOf(connection.command(['ECHO', 'a'], { signal })), reason);
      assert.equal(await connection.command(['ECHO', 'b']), 'b');
      assert.deepEqual(peer.commands, [['PING'], ['ECHO', 'b']]);
    }));

  test('never sends a command that is aborted before its turn', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const { signal, abort } = abortable();
      const aborted = failureOf(connection.command(['ECHO', 'a'], { signal }));
      const other = connection.command(['ECHO', 'b']);
      abort();
      assert.equal((await aborted).name, 'AbortError');
      assert.equal(await other, 'b');
      assert.deepEqual(peer.commands, [['PING'], ['ECHO', 'b']]);
    }));

  test('drops the reply to a command that is aborted in flight', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const { signal, abort } = abortable();
      const reason = new Error('enough');
      const aborted = [
        failureOf(connection.command(['ECHO', 'a'], { signal })),
        failureOf(
          connection.pipeline(
            [
              ['ECHO', 'b'],
              ['FAIL', 'ERR c'],
            ],
            { signal },
          ),
        ),
      ];
      await new Promise(process.nextTick);
      abort(reason);
      assert.deepEqual(await Promise.all(aborted), [reason, reason]);
      assert.equal(await connection.command(['ECHO', 'd']), 'd');
      assert.equal(peer.commands.length, 5);
    }));

  test('can use one signal for many commands, and removes its listeners', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const { signal, abort } = abortable();
      let warning: Error | undefined;
      const onWarning = (w: Error): void => {
        warning = w;
      };
      process.on('warning', onWarning);
      await Promise.all(Array.from({ length: 50 }, () => connection.command(['ECHO', 'a'], { signal })));
      abort();
      await new Promise(setImmediate);
      process.off('warning', onWarning);
      assert.equal(warning, undefined);
      assert.equal(await connection.command(['ECHO', 'a']), 'a');
    }));
});

describe('Connection.close()', () => {
  test('does not wait for replies that were given up, before or after it', () =>
    withPeer(
      () => {},
      async (peer) => {
        for (const isBefore of [true, false]) {
          const connection = await peer.connect();
          const { signal, abort } = abortable();
          const given = failureOf(connection.command(['ECHO', 'a'], { signal }));
          await new Promise(setImmediate);
          if (isBefore) abort();
          const closing = connection.close();
          abort();
          assert.equal((await given).name, 'AbortError');
          await closing;
          assert.equal(await connection.whenClosed, undefined);
        }
      },
    ));

  test('waits for outstanding replies, and takes no more commands', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const reply = connection.command(['ECHO', 'a']);
      const closing = connection.close();
      assert.equal(connection.closed, true);
      await assert.rejects(connection.command(['ECHO', 'b']), { code: 'CLOSED', sent: false });
      assert.equal(await reply, 'a');
      await closing;
      await connection.close();
      assert.equal(await connection.whenClosed, undefined);
    }));

  test('is what `await using` calls', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      await connection[Symbol.asyncDispose]();
      assert.equal(connection.closed, true);
    }));
});

describe('Connection.destroy()', () => {
  test('rejects pending commands, with the given error as the cause', () =>
    withPeer(echo, async (peer) => {
      const connection = await peer.connect();
      const pending = failureOf(connection.command(['SILENT']));
      await new Promise(process.nextTick);
      const cause = new Error('enough');
      connection.destroy(cause);
      const error = await pending;
      assert.ok(error instanceof ConnectionError);
      assert.equal(error.code, 'CLOSED');
      assert.equal(error.cause, cause);
      assert.equal(await connection.whenClosed, cause);
      connection.destroy();
    }));
});
