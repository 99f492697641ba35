import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { after, before, describe, test } from 'node:test';
import {
  type Connection,
  ConnectionError,
  type ConnectOptions,
  connect,
  Decoder,
  ReplyError,
} from '../../resp/index.ts';
import { eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode, type StartOptions } from '../bed/index.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

async function start(options?: StartOptions): Promise<ServerNode> {
  const [node] = await bed.start(1, { cluster: false, ...options });
  assert.ok(node);
  return node;
}

async function withConnection(
  options: ConnectOptions,
  body: (connection: Connection) => Promise<void>,
): Promise<void> {
  const connection = await connect(options);
  try {
    await body(connection);
  } finally {
    await connection.close();
  }
}

describe('connect() to a real server', () => {
  test('authenticates with a password, and as a user, in any script', async () => {
    const password = 'pässwörd \u{1f511}';
    const { host, port } = await start({ password });
    await assert.rejects(connect({ host, port }), { name: 'ReplyError', code: 'NOAUTH' });
    await assert.rejects(connect({ host, port, password: 'wrong' }), {
      name: 'ReplyError',
      code: 'WRONGPASS',
    });
    for (const encoding of ['utf8', 'latin1'] as const) {
      await withConnection(
        { host, port, password, encoding, clientName: 'resp-test' },
        async (connection) => {
          assert.equal(await connection.command(['CLIENT', 'GETNAME']), 'resp-test');
          assert.equal(
            await connection.command(['ACL', 'SETUSER', 'operator', 'on', '>s3cret', '+@all', '~*']),
            'OK',
          );
        },
      );
      await withConnection({ host, port, username: 'operator', password: 's3cret' }, async (connection) => {
        assert.equal(await connection.command(['ACL', 'WHOAMI']), 'operator');
      });
    }
    const refused = { name: 'ReplyError', code: 'WRONGPASS', command: 'AUTH' };
    await assert.rejects(connect({ host, port, username: 'nobody', password }), refused);
  });

  test('rejects with the reply if there are too many clients', async () => {
    const { host, port } = await start({ config: { maxclients: '1' } });
    // The connection that waited for the server to start may not be closed yet.
    let first: Connection | undefined;
    await eventually('the server accepts a client', async () => {
      first = await connect({ host, port });
      return true;
    });
    for (const options of [{}, { clientName: 'second' }]) {
      await assert.rejects(connect({ host, port, ...options }), { name: 'ReplyError', code: 'ERR' });
    }
    await first?.close();
  });

  test('works over a Unix socket', async (t) => {
    const { unixSocket } = await start({ unixSocket: true });
    if (unixSocket === undefined) return t.skip('no Unix socket');
    await withConnection({ path: unixSocket }, async (connection) => {
      assert.equal(await connection.command(['PING']), 'PONG');
      assert.equal(connection.address, unixSocket);
    });
  });

  test('works over TLS, and rejects if only one side speaks it', async (t) => {
    const secure = await start({ tls: true }).catch(() => undefined);
    if (secure?.tls === undefined) return t.skip('no TLS');
    const { host, port, tls } = secure;
    await withConnection({ host, port, tls }, async (connection) => {
      const body = Buffer.alloc(5_000_000, 'tls');
      assert.equal(await connection.command(['SET', 'k', body]), 'OK');
      assert.deepEqual(await connection.command(['GET', 'k'], { as: 'buffer' }), body);
    });
    await assert.rejects(connect({ host, port, tls: true }), {
      name: 'ConnectionError',
      code: /CERT|SELF_SIGNED|ISSUER/,
    });
    await assert.rejects(connect({ host, port }), ConnectionError);
    const plain = await start();
    const options = { host: plain.host, port: plain.port, tls, connectTimeout: 1000 };
    await assert.rejects(connect(options), { name: 'ConnectionError' });
  });
});

describe('Connection to a real server', () => {
  let node: ServerNode;
  before(async () => {
    node = await start();
  });

  test('keeps keys and values of any bytes', async () => {
    const { host, port } = node;
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await withConnection({ host, port, encoding: 'latin1' }, async (connection) => {
      const key = all.toString('latin1');
      await connection.command(['SET', key, all]);
      assert.deepEqual(await connection.command(['KEYS', '*']), [key]);
      assert.deepEqual(await connection.command(['GET', all], { as: 'buffer' }), all);
      assert.equal(await connection.command(['DEL', key]), 1);
    });
  });

  test('carries bulks of 64 MB both ways', async () => {
    const { host, port } = node;
    const body = Buffer.alloc(64 << 20, 'abcdefg');
    await withConnection({ host, port, encoding: 'latin1' }, async (connection) => {
      assert.equal(await connection.command(['SET', 'big', body]), 'OK');
      const [as, string] = await Promise.all([
        connection.command(['GET', 'big'], { as: 'buffer' }),
        connection.command(['GET', 'big']),
      ]);
      assert.ok(body.equals(as as Buffer));
      assert.equal(string, body.toString('latin1'));
      await connection.command(['DEL', 'big']);
    });
  });

  test('pipelines 100,000 commands, errors among them', async () => {
    const { host, port } = node;
    await withConnection({ host, port }, async (connection) => {
      const commands = Array.from({ length: 100_000 }, (_, index) =>
        index % 1000 === 999 ? ['LPUSH', 'counter', 'x'] : ['INCR', 'counter'],
      );
      const replies = await connection.pipeline(commands);
      assert.equal(
        replies.filter((reply) => reply instanceof ReplyError && reply.code === 'WRONGTYPE').length,
        100,
      );
      assert.equal(replies.at(-2), 99_900);
      await connection.command(['DEL', 'counter']);
    });
  });

  test('gives integers exactly', async () => {
    const { host, port } = node;
    await withConnection({ host, port }, async (connection) => {
      await connection.command(['SET', 'n', 9007199254740991n]);
      assert.equal(await connection.command(['INCRBY', 'n', 0]), 9007199254740991);
      assert.equal(await connection.command(['INCR', 'n']), 9007199254740992n);
      await connection.command(['SET', 'n', 2n ** 63n - 2n]);
      assert.equal(await connection.command(['INCR', 'n']), 2n ** 63n - 1n);
      await connection.command(['DEL', 'n']);
    });
  });

  test('times out on a node that is frozen, and cannot be connected to', async () => {
    const { host, port } = node;
    const connection = await connect({ host, port });
    await node.freeze();
    try {
      const timedOut = { name: 'ConnectionError', code: 'TIMEOUT', sent: true };
      await assert.rejects(connection.command(['PING'], { timeout: 50 }), timedOut);
      await assert.rejects(connect({ host, port, connectTimeout: 50 }), { code: 'TIMEOUT' });
    } finally {
      await node.thaw();
    }
  });

  test('rejects what is in flight when the node is killed', async () => {
    const { host, port, kill } = await start();
    const connection = await connect({ host, port });
    const pending = connection.command(['BLPOP', 'never', 0], { timeout: 0 });
    const [error] = await Promise.all([pending.catch((reason: unknown) => reason), kill()]);
    assert.ok(error instanceof ConnectionError);
    assert.equal(error.command, 'BLPOP');
    assert.equal(error.sent, true);
    assert.ok((await connection.whenClosed) instanceof Error);
  });
});

describe('Decoder', () => {
  test('replaces a bulk too long for a string by an error, and continues', () => {
    const length = 2 ** 29;
    const chunk = Buffer.alloc(64 << 20, 'x');
    const replies: unknown[] = [];
    const decoder = new Decoder({ onReply: (reply) => replies.push(reply) });
    decoder.write(Buffer.from(`*2\r\n$${length}\r\n`));
    for (let at = 0; at < length; at += chunk.length) decoder.write(chunk);
    decoder.write(Buffer.from('\r\n:1\r\n+OK\r\n'));
    const [[error, one], ok] = replies as [[ReplyError, number], string];
    assert.ok(error instanceof ReplyError);
    assert.equal(error.code, 'STRINGTOOLONG');
    assert.deepEqual([one, ok], [1, 'OK']);
  });
});
