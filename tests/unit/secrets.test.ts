import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { Cluster, openCluster } from '../../lib/operations/cluster.ts';
import { connect } from '../../resp/index.ts';
import { startMadeUp } from '../helpers/made-up-server.ts';

const SECRET = 'S3CRET-W0RD';
const KEY = '-----BEGIN PRIVATE KEY-----S3CRET-K3Y';
const options = { username: 'me', password: SECRET, tls: { key: KEY, cert: 'c', passphrase: SECRET } };

/** Whatever anybody prints of a value. */
function printed(value: unknown): string {
  const all = { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true } as const;
  return [inspect(value), inspect(value, all), JSON.stringify(value), String(value)].join('\n');
}

function assertNoSecret(value: unknown): void {
  const text = printed(value);
  assert.ok(!text.includes(SECRET) && !text.includes('S3CRET-K3Y'), text);
}

describe('password and TLS key are not printed', () => {
  test('where they are, they are found', () => {
    assert.throws(() => assertNoSecret({ a: { b: { c: { d: { password: SECRET } } } } }));
    assert.throws(() => assertNoSecret(options));
  });

  test('of a cluster, its connections and a connection that are open', async () => {
    await using server = await startMadeUp(() => '+OK\r\n');
    const { username, password } = options;
    await using cluster = await openCluster(server.address, { username, password });
    assert.ok(
      server.commands.some((words) => words.includes(SECRET)),
      'it authenticated',
    );
    assertNoSecret(cluster);
    assertNoSecret(cluster.connections);
    const connection = await cluster.connections.get(cluster.address);
    assertNoSecret(connection);
    await using own = await connect({ host: '127.0.0.1', port: server.port, username, password });
    assertNoSecret(own);
  });

  test('of a cluster that is reached by TLS', () => {
    assertNoSecret(new Cluster({ host: '127.0.0.1', port: 1 }, options));
  });

  test('of errors: a refusal, a node that is not there, a key that is none', async () => {
    await using server = await startMadeUp(([word = '']) =>
      word === 'AUTH' ? `-WRONGPASS no user me with ${SECRET}\r\n` : '+OK\r\n',
    );
    const { username, password } = options;
    for (const [address, given] of [
      [server.address, { username, password }],
      ['127.0.0.1:1', { username, password }],
      ['127.0.0.1:1', { password, tls: true }],
      ['127.0.0.1:1', options],
    ] as const) {
      const error = await openCluster(address, given).then(
        () => assert.fail('it opened'),
        (caught: unknown) => caught,
      );
      assertNoSecret(error);
    }
  });
});
