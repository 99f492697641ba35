import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as tls from 'node:tls';
import { inspect, promisify } from 'node:util';
import { ConnectionError, type ConnectOptions, connect, connectEarly, ReplyError } from '../../resp/index.ts';
import { makeCertificate } from '../bed/certificate.ts';

type Accept = (socket: net.Socket) => unknown;

/** Runs `body` with the port or path of a server that passes each socket to `accept`. */
async function withServer(
  accept: Accept,
  body: (port: number) => Promise<void>,
  { server = net.createServer(), event = 'connection', host = '127.0.0.1' } = {},
): Promise<void> {
  const sockets = new Set<net.Socket>();
  server.on(event, (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    accept(socket);
  });
  await once(server.listen(0, host), 'listening');
  try {
    await body((server.address() as net.AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/** Sends this answer to any input. */
function answering(answer: string | Buffer): Accept {
  return (socket) => socket.on('data', () => socket.write(answer));
}

async function refusal(port: number, options: ConnectOptions = {}): Promise<Error> {
  try {
    const connection = await connect({ port, ...options });
    connection.destroy();
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
  throw new assert.AssertionError({ message: 'Expected connect() to reject' });
}

describe('connect() with a client name', () => {
  const named: Accept = (socket) =>
    socket.on('data', (chunk: Buffer) => {
      const text = chunk.toString();
      if (text.includes('SETNAME'))
        socket.write("-NOPERM User mover has no permissions to run the 'client|setname' command\r\n");
      else socket.write('+PONG\r\n');
    });

  test('works without it if the user may not set it', async () => {
    await withServer(named, async (port) => {
      const connection = await connect({ port, clientName: 'n' });
      assert.equal(await connection.command(['PING']), 'PONG');
      connection.destroy();
    });
    const unknown = "-ERR unknown command 'CLIENT', with args beginning with: 'SETNAME' 'n' \r\n";
    await withServer(answering(unknown), async (port) =>
      (await connect({ port, clientName: 'n' })).destroy(),
    );
  });

  test('is refused if the server first wants a password, or anything else', async () => {
    for (const answer of ['NOAUTH Authentication required.', 'ERR max number of clients reached']) {
      await withServer(answering(`-${answer}\r\n`), async (port) => {
        const error = await refusal(port, { clientName: 'n' });
        assert.ok(error instanceof ReplyError);
        assert.equal(error.message, answer);
      });
    }
  });
});

describe('connect() sends', () => {
  const handshakes: [string, ConnectOptions, string][] = [
    ['PING without options', {}, '*1\r\n$4\r\nPING\r\n'],
    ['AUTH with a password', { password: 'p' }, '*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n'],
    [
      'AUTH with a user and a password',
      { username: 'u', password: '' },
      '*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$0\r\n\r\n',
    ],
    [
      'CLIENT SETNAME after AUTH, in one write',
      { password: 'p', clientName: 'n' },
      '*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$1\r\nn\r\n',
    ],
    ['passwords as utf8, in utf8', { password: '\u20ac' }, '*2\r\n$4\r\nAUTH\r\n$3\r\n\u20ac\r\n'],
    [
      'passwords as utf8, in latin1',
      { password: '\u20ac', encoding: 'latin1' },
      '*2\r\n$4\r\nAUTH\r\n$3\r\n\u20ac\r\n',
    ],
  ];
  for (const [name, options, wire] of handshakes) {
    test(name, async () => {
      let received: string | undefined;
      const accept: Accept = (socket) =>
        socket.on('data', (chunk: Buffer) => {
          received = chunk.toString();
          socket.write('+OK\r\n'.repeat(options.clientName ? 2 : 1));
        });
      await withServer(accept, async (port) => {
        const connection = await connect({ port, ...options });
        assert.equal(received, wire);
        await connection.close();
      });
    });
  }
});

describe('connect() rejects with the reply of a server', () => {
  const refusals: [string, ConnectOptions, string][] = [
    ['that has too many clients', {}, '-ERR max number of clients reached\r\n'],
    [
      'that has too many clients, with a password',
      { password: 'p', clientName: 'n' },
      '-ERR max number of clients reached\r\n',
    ],
    ['that protects itself', {}, '-DENIED Redis is running in protected mode\r\n'],
  ];
  for (const [name, options, answer] of refusals) {
    test(name, async () => {
      // Sent without a request, and then closed, as Redis does.
      const accept: Accept = (socket) => socket.end(answer);
      await withServer(accept, async (port) => {
        const error = await refusal(port, options);
        assert.ok(error instanceof ReplyError);
        assert.equal(`-${error.message}\r\n`, answer);
        assert.equal(error.address, `127.0.0.1:${port}`);
      });
    });
  }

  test('that wants a password, or another one', async () => {
    await withServer(answering('-NOAUTH Authentication required.\r\n'), async (port) => {
      assert.equal(((await refusal(port)) as ReplyError).code, 'NOAUTH');
    });
    await withServer(answering('-WRONGPASS invalid username-password pair\r\n'), async (port) => {
      const error = (await refusal(port, { password: 'p' })) as ReplyError;
      assert.equal(error.code, 'WRONGPASS');
      assert.equal(error.command, 'AUTH');
    });
  });

  test('but without the password', async () => {
    for (const text of [
      "-ERR unknown command 'AUTH', with args beginning with: 'sesame' \r\n",
      '-ERR sesame is wrong\r\n',
      'sesame\r\n',
    ]) {
      await withServer(answering(text), async (port) => {
        assert.ok(!inspect(await refusal(port, { password: 'sesame' })).includes('sesame'));
      });
    }
    const error = await refusal(1, { username: 'u', password: 'sesame' });
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes('sesame'));
  });
});

describe('connect() resolves', () => {
  for (const answer of [
    'LOADING Redis is loading',
    'BUSY script',
    'MISCONF disk',
    'NOPERM',
    "ERR unknown command 'PING'",
  ]) {
    test(`even if PING is answered with ${answer}`, async () => {
      await withServer(answering(`-${answer}\r\n`), async (port) => {
        const connection = await connect({ port });
        assert.equal(connection.closed, false);
        await connection.close();
      });
    });
  }

  test('over a Unix socket, with its path as the address', {
    skip: process.platform === 'win32',
  }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'resp-'));
    const path = join(dir, 'socket');
    const server = net.createServer(answering('+PONG\r\n'));
    await once(server.listen(path), 'listening');
    const connection = await connect({ path });
    assert.equal(connection.address, path);
    await connection.close();
    server.close();
    await rm(dir, { recursive: true });
  });

  test('over IPv6, with the address in brackets', async (t) => {
    const hosts = { host: '::1' };
    try {
      await withServer(
        answering('+PONG\r\n'),
        async (port) => {
          const connection = await connect({ port, host: '::1' });
          assert.equal(connection.address, `[::1]:${port}`);
          await connection.close();
        },
        hosts,
      );
    } catch (error) {
      if (!['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error;
      t.skip('no IPv6 here');
    }
  });
});

describe('connect() rejects', () => {
  test('when nobody listens', async () => {
    const error = await refusal(1);
    assert.ok(error instanceof ConnectionError);
    const { code, address, sent } = error;
    assert.deepEqual({ code, address, sent }, { code: 'ECONNREFUSED', address: '127.0.0.1:1', sent: false });
    assert.ok(error.cause instanceof Error);
  });

  test('when the path does not exist', async () => {
    const error = await refusal(0, { path: '/nowhere/socket' });
    assert.equal((error as ConnectionError).code, 'ENOENT');
    assert.equal((error as ConnectionError).address, '/nowhere/socket');
  });

  test('when every address of a host refuses', async () => {
    const error = await refusal(1, { host: 'localhost' });
    assert.equal((error as ConnectionError).code, 'ECONNREFUSED');
  });

  const peers: [string, Accept, object][] = [
    ['ends', (socket) => socket.end(), { name: 'ConnectionError', code: 'CLOSED' }],
    ['resets', (socket) => socket.resetAndDestroy(), { name: 'ConnectionError', code: 'ECONNRESET' }],
    ['speaks HTTP', answering('HTTP/1.1 400 Bad Request\r\n\r\n'), { code: 'RESP_HTTP' }],
    [
      'speaks something else',
      answering('220 mail.example ESMTP\r\n'),
      { name: 'ProtocolError', code: 'RESP_TYPE' },
    ],
    ['answers twice', answering('+PONG\r\n+PONG\r\n'), { name: 'ProtocolError', code: 'RESP_UNREQUESTED' }],
  ];
  for (const [name, accept, expected] of peers) {
    test(`when the peer ${name}`, () =>
      withServer(accept, async (port) => {
        const error = await refusal(port);
        assert.throws(() => {
          throw error;
        }, expected);
        assert.ok(error.message.includes(`127.0.0.1:${port}`), error.message);
      }));
  }

  test('when the peer is silent for connectTimeout', () =>
    withServer(
      () => {},
      async (port) => {
        const error = await refusal(port, { connectTimeout: 30 });
        assert.ok(error instanceof ConnectionError);
        assert.equal(error.code, 'TIMEOUT');
      },
    ));

  test('with the reason of a signal, aborted before or during it', async () => {
    const reason = new Error('enough');
    assert.equal(await refusal(1, { signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const accept: Accept = () => controller.abort(reason);
    await withServer(accept, async (port) => {
      assert.equal(await refusal(port, { signal: controller.signal }), reason);
    });
  });
});

const openssl = ((): boolean => {
  try {
    execFileSync('openssl', ['version']);
    return true;
  } catch {
    return false;
  }
})();

describe('connect() over TLS', { skip: openssl ? false : 'openssl is not installed' }, () => {
  async function withTls(body: (port: number, ca: string) => Promise<void>): Promise<void> {
    const dir = await mkdtemp(join(tmpdir(), 'resp-'));
    try {
      const { ca, cert, key } = await makeCertificate(dir);
      const server = tls.createServer({ cert, key });
      server.on('tlsClientError', () => {});
      await withServer(answering('+PONG\r\n'), (port) => body(port, ca), {
        server,
        event: 'secureConnection',
      });
    } finally {
      await rm(dir, { recursive: true });
    }
  }

  test('verifies the certificate, unless it is told not to', () =>
    withTls(async (port, ca) => {
      for (const options of [{ ca }, { rejectUnauthorized: false }]) {
        const connection = await connect({ port, tls: options });
        assert.equal(await connection.command(['PING']), 'PONG');
        await connection.close();
        assert.equal(await connection.whenClosed, undefined);
      }
      const unknown = (await refusal(port, { tls: true })) as ConnectionError;
      assert.ok(unknown instanceof ConnectionError);
      assert.match(unknown.code, /CERT|ISSUER|SELF_SIGNED|VERIFY/);
      const misnamed = (await refusal(port, {
        tls: { ca, servername: 'elsewhere.example' },
      })) as ConnectionError;
      assert.equal(misnamed.code, 'ERR_TLS_CERT_ALTNAME_INVALID');
    }));

  test('mentions TLS when only one side speaks it', () =>
    withTls(async (port) => {
      const error = await refusal(port);
      assert.match(error.message, /TLS/);
      await withServer(answering('-ERR unknown command\r\n'), async (plain) => {
        const error = await refusal(plain, { tls: true });
        assert.ok(error instanceof ConnectionError);
        assert.match(error.message, /TLS/);
      });
    }));
});

describe('A process', () => {
  const resp = new URL('../../resp/index.ts', import.meta.url).href;

  function run(script: string): Promise<{ stdout: string; stderr: string }> {
    const source = `
      import * as net from 'node:net';
      import { connect } from ${JSON.stringify(resp)};
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.on('data', (data) => {
          if (String(data).includes('PING')) socket.write('+PONG\\r\\n');
          if (String(data).includes('RESET')) socket.resetAndDestroy();
        });
        socket.on('end', () => socket.end());
      });
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address();
      ${script}
      server.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
      // The pipes are standard input and output.
      process.on('exit', () => console.log(JSON.stringify(process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap'))));
    `;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', source];
    return promisify(execFile)(process.execPath, args, { timeout: 10_000 });
  }

  const lives: [string, string][] = [
    ['closed', 'const c = await connect({ port }); await c.command(["PING"]); await c.close();'],
    [
      'destroyed with commands in flight',
      'const c = await connect({ port }); c.command(["X"]).catch(() => {}); c.destroy();',
    ],
    ['reset', 'const c = await connect({ port }); await c.command(["RESET"]).catch(() => {});'],
    [
      'timed out',
      'const c = await connect({ port }); await c.command(["X"], { timeout: 10 }).catch(() => {});',
    ],
    ['never made', 'await connect({ port: 1 }).catch(() => {});'],
    ['given up', 'await connect({ port, connectTimeout: 1, clientName: "x" }).catch(() => {});'],
  ];
  test('ends on its own when its connections are closed, broken or never made', async () => {
    const script = lives.map(([, life]) => `{ ${life} }`).join('\n');
    const { stdout, stderr } = await run(script);
    assert.deepEqual(JSON.parse(stdout), []);
    assert.equal(stderr.replaceAll(/^npm warn.*\n/gm, ''), '');
  });

  test('does not end before the deadline of a command', async () => {
    const { stdout } = await run(`
      const c = await connect({ port });
      server.close();
      console.log((await c.command(['X'], { timeout: 50 }).catch((error) => error)).code);
      process.exit();
    `);
    assert.equal(stdout, 'TIMEOUT\n');
  });
});

describe('connectEarly()', () => {
  const early = { clientName: 'early', password: 'secret' };

  test('sends the first commands in one write with the opening of the connection', async () => {
    const chunks: string[] = [];
    const silentUntilAll: Accept = (socket) =>
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk.toString());
        if (chunks.join('').includes('ECHO')) socket.write('+OK\r\n+OK\r\n$2\r\nhi\r\n');
      });
    await withServer(silentUntilAll, async (port) => {
      const { connection, ready } = await connectEarly({ port, ...early });
      const reply = connection.command(['ECHO', 'hi']);
      assert.equal(await ready, connection);
      assert.equal(await reply, 'hi');
      assert.equal(chunks.length, 1, chunks.join('|'));
      await connection.close();
    });
  });

  test('rejects with the refusal, whatever happens to what was sent', async () => {
    const denying: Accept = (socket) =>
      socket.once('data', () => socket.end('-WRONGPASS invalid username-password pair: secret\r\n'));
    await withServer(denying, async (port) => {
      const { connection, ready } = await connectEarly({ port, ...early });
      const reply = connection.command(['PING']);
      await assert.rejects(ready, { name: 'ReplyError', code: 'WRONGPASS', message: /: \*\*\*$/ });
      await assert.rejects(reply, { name: 'ConnectionError' });
    });
  });
});
