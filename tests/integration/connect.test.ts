import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  type ConnectionOptions,
  execute,
  joinCluster,
  listNodes,
  migrateSlots,
  quitCluster,
  replicate,
  shutdownCluster,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode, type StartOptions } from '../bed/index.ts';
import { runOperation } from '../helpers/child.ts';
import {
  assertAlone,
  assertFindings,
  assertLayout,
  at,
  bePatient,
  keysOfSlot,
  optionsFor,
  quick,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Each node has its own certificate authority: on the cluster bus each must trust all of them. */
async function trustOneAnother(nodes: readonly ServerNode[], authorities: string): Promise<void> {
  for (const node of nodes) {
    const file = join(node.dir, 'authorities.crt');
    await writeFile(file, authorities);
    await ask(node, 'CONFIG', 'SET', 'tls-ca-cert-file', file);
  }
}

/** From nothing to a cluster with a replica, and back, with keys that move. */
async function liveThrough(start: StartOptions, extra: ConnectionOptions = {}): Promise<void> {
  const nodes = await bed.start(4, { ...start, config: { ...quick.config, ...start.config } });
  const [first, second, third, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
  const ca = nodes.flatMap(({ tls }) => tls?.ca ?? []);
  if (ca.length > 0) await trustOneAnother(nodes, ca.join('\n'));
  const wantsCertificate = start.config?.['tls-auth-clients'] === 'yes';
  const certificate = wantsCertificate ? { cert: first.tls?.cert, key: first.tls?.key } : {};
  const options = {
    ...optionsFor(first),
    ...(ca.length > 0 ? { tls: { ca, ...certificate } } : {}),
    ...extra,
  };
  if (wantsCertificate) {
    await assert.rejects(listNodes(first.address, { tls: { ca } }), { name: 'ConnectionError' });
  }
  await startClusterOnMulti([first.address, second.address], options);
  await bePatient([first, second]);
  const keys = keysOfSlot(0, 150);
  await tell(first, ...keys.map((key) => ['SET', key, `value of ${key}`]));
  await joinCluster(first.address, third.address, options);
  await replicate(third.address, replica.address, options);
  await assertLayout([
    [first, '2730-8191'],
    [second, '10923-16383'],
    [third, '0-2729 8192-10922'],
    [replica, `replica of ${third.address}`],
  ]);
  assert.equal(await ask(replica, 'DBSIZE'), 150);
  await assertFindings(replica.address, ['master-without-replica', 'master-without-replica'], options);
  const moved = await migrateSlots(third.address, second.address, [[0, 9]], options);
  assert.deepEqual([moved.slots, moved.keys], [10, 150]);
  for (const key of keys.slice(0, 5)) assert.equal(await ask(second, 'GET', key), `value of ${key}`);
  assert.ok((await execute(first.address, ['PING'], options)).every(({ result }) => result === 'PONG'));
  await quitCluster(replica.address, options);
  await assertAlone(replica);
  await quitCluster(first.address, options);
  await assertAlone(first);
  const { nodes: left } = await listNodes(second.address, options);
  assert.deepEqual(
    left.map((node) => node.addr()),
    [second.address, third.address],
  );
}

describe('Every operation', { concurrency: true }, () => {
  it('uses a password, also in MIGRATE', () => liveThrough({ password: 'pässword "with" \\ all' }));

  it('uses a user and a password, also in MIGRATE', () =>
    liveThrough(
      { password: 'default', config: { user: 'admin on >geheim ~* +@all' } },
      { username: 'admin', password: 'geheim' },
    ));

  it('speaks TLS', () => liveThrough({ tls: true }));

  it('shows a client certificate if nodes ask for one', () =>
    liveThrough({ tls: true, config: { 'tls-auth-clients': 'yes' } }));

  it('speaks IPv6', () => liveThrough({ host: '::1' }));

  it('takes an IPv6 address like redis-cli, in one word or two, whether or not -4 or -6 is given', async () => {
    const [node] = await startMasters(bed, 1, 0, { host: '::1' });
    assert.ok(node);
    const port = String(node.port);
    for (const words of [[`[::1]:${port}`], ['::1', port], ['[::1]', port], [`::1:${port}`]]) {
      for (const option of [[], ['-4'], ['-6']]) {
        const argv = [...option, '--cluster', 'check', ...words];
        const { code, stdout, stderr } = await runMain(argv);
        assert.equal(code, 0, `${argv.join(' ')}: ${stdout}${stderr}`);
        assert.match(stdout, new RegExp(`^M: [0-9a-f]{40} ::1:${port}$`, 'm'));
      }
    }
    const called = await runMain(['--cluster', 'call', `[::1]:${port}`, 'PING']);
    assert.deepEqual([called.code, called.stdout.includes('PONG')], [0, true], called.stderr);
  });
});

describe('A node that refuses', { concurrency: true }, () => {
  it('is named, with its own code and without the secret', async () => {
    const [node, other] = await bed.start(2, { password: 'correct-horse' });
    assert.ok(node && other);
    const both = [node.address, other.address];
    await assert.rejects(startClusterOnMulti(both), { code: 'NOAUTH' });
    await assert.rejects(startClusterOnMulti(both, { password: 'battery-staple' }), (error) => {
      assert.ok(error instanceof Error && 'code' in error);
      assert.equal(error.code, 'WRONGPASS');
      assert.ok(!`${error.stack} ${JSON.stringify(error)}`.includes('battery-staple'));
      return true;
    });
    await assertAlone(node);
  });

  it('may speak only TLS, or no TLS', async () => {
    const [tls] = await bed.start(1, { tls: true });
    const [plain] = await bed.start(1);
    assert.ok(tls?.tls && plain);
    const connectTimeout = 2000;
    await assert.rejects(listNodes(tls.address, { connectTimeout }), {
      name: 'ConnectionError',
      address: tls.address,
    });
    // This process does not trust its certificate
    await assert.rejects(listNodes(tls.address, { connectTimeout, tls: true }), { name: 'ConnectionError' });
    await assert.rejects(listNodes(plain.address, { connectTimeout, tls: { ca: tls.tls.ca } }), (error) => {
      assert.ok(error instanceof Error && ['ConnectionError', 'ProtocolError'].includes(error.name));
      return true;
    });
  });
});

describe('A process', { concurrency: 3 }, () => {
  it('ends on its own within a second after a call, whether it succeeded or not', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [first, second, third, fourth] = nodes.map(({ address }) => address) as [
      string,
      string,
      string,
      string,
    ];
    const calls: [string, unknown[], string?][] = [
      ['listNodes', [first]],
      ['check', [first]],
      ['execute', [first, ['PING']]],
      ['joinCluster', [first, third]],
      ['replicate', [first, fourth]],
      ['migrateSlots', [first, second, [[3000, 3009]]]],
      ['fixMigrating', [first]],
      ['quitCluster', [fourth]],
      ['rescueCluster', [first, fourth]],
      ['startCluster', [fourth]],
      ['shutdownCluster', [fourth]],
      ['startCluster', [second], 'ALREADY_IN_CLUSTER'],
      ['joinCluster', [first, '127.0.0.1:1'], 'ECONNREFUSED'],
      ['migrateSlots', [first, fourth, [4000]], 'NOT_SAME_CLUSTER'],
      ['startClusterOnMulti', [[fourth, '127.0.0.1:1']], 'ECONNREFUSED'],
      ['shutdownCluster', [first], 'MORE_NODES'],
    ];
    for (const [name, args, code] of calls) {
      const outcome = await runOperation(name, args);
      assert.ok(!outcome.killed);
      assert.equal(outcome.ok ? undefined : outcome.code, code, `${name} ${JSON.stringify(outcome)}`);
    }
    await shutdownCluster(second).catch(() => undefined);
  });
});
