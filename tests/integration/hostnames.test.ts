import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type ConnectionOptions,
  check,
  execute,
  importKeys,
  listNodes,
  migrateSlots,
  openCluster,
  reshard,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { signCertificate } from '../bed/certificate.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertFindings, at, bePatient, keysOfSlot, quick, startMasters, tell } from '../helpers/clusters.ts';

let bed: Bed;
let nodes: ServerNode[];
const knowsHostnames = () => bed.server.kind === 'valkey' || bed.server.major >= 7;

before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** A name that does not resolve: connecting to a node by its name fails. */
const nameOf = (index: number): string => `node-${index}.redis-trib.invalid`;

/** Makes all nodes but the last announce names, and waits until all know them. */
async function announceNames(members: readonly ServerNode[], endpoint: string): Promise<void> {
  for (const [index, node] of members.entries()) {
    const name = index < members.length - 1 ? nameOf(index) : '';
    await ask(
      node,
      'CONFIG',
      'SET',
      'cluster-announce-hostname',
      name,
      'cluster-preferred-endpoint-type',
      endpoint,
    );
  }
  await eventually('all know the names', async () => {
    const seen = await Promise.all(members.map((node) => ask(node, 'CLUSTER', 'NODES')));
    return seen.every((text) => String(text).split('.invalid').length === members.length);
  });
}

describe('Nodes that announce a hostname', () => {
  let server: ServerNode;
  before(async () => {
    if (!knowsHostnames()) return;
    nodes = await startMasters(bed, 3);
    server = at(await bed.start(1, { cluster: false, config: {} }), 0);
  });

  for (const endpoint of ['hostname', 'unknown-endpoint']) {
    test(`are reached by their address if MOVED names a ${endpoint}`, async (t) => {
      if (!knowsHostnames()) return t.skip('hostnames came with Redis 7.0');
      const [first, second] = [at(nodes, 0), at(nodes, 1)];
      await announceNames(nodes, endpoint);
      const slot = endpoint === 'hostname' ? 5 : 6;
      const [key = '', ...keys] = keysOfSlot(slot, 20, endpoint);
      const moved = await ask(second, 'GET', key).catch(String);
      const host = endpoint === 'hostname' ? nameOf(0) : '';
      assert.match(String(moved), new RegExp(`MOVED ${slot} ${host}:${first.port}$`));

      await assertFindings(second.address, []);
      const listed = (await listNodes(second.address)).nodes.map((node) => node.addr());
      assert.deepEqual(listed, nodes.map(({ address }) => address).sort());
      await tell(server, ['SET', key, 'value'], ...keys.map((each) => ['SET', each, 'value']));
      assert.equal((await importKeys(second.address, server.address)).keys, 20);
      await ask(server, 'FLUSHALL');
      const result = await migrateSlots(first.address, second.address, [slot], { method: 'migrate' });
      assert.equal(result.keys, 20);
      assert.equal(await ask(second, 'GET', key), 'value');
      assert.ok((await execute(first.address, ['PING'])).every((one) => one.result === 'PONG'));
    });
  }

  test('may be given by hostname', async (t) => {
    if (!knowsHostnames()) return t.skip('hostnames came with Redis 7.0');
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const [from, to] = [`${nameOf(0)}:${first.port}`, `${nameOf(1)}:${second.port}`];
    const { plan } = await reshard(first.address, { from: [from], to, slots: [[10, 11]], dryRun: true });
    assert.deepEqual(
      plan.steps.map((step) => step.type === 'move-slots' && [step.source.address, step.target.address]),
      [[first.address, second.address]],
    );
  });
});

describe('With TLS', () => {
  test('a certificate may be for the hostname that its node announces, or for its address', async (t) => {
    if (!knowsHostnames()) return t.skip('hostnames came with Redis 7.0');
    const members = await bed.start(3, { tls: true, ...quick });
    const authorities = members.map(({ tls }) => tls?.ca ?? '');
    for (const node of members) {
      const file = join(node.dir, 'authorities.crt');
      await writeFile(file, authorities.join('\n'));
      await ask(node, 'CONFIG', 'SET', 'tls-ca-cert-file', file);
    }
    const [first, second, third] = [at(members, 0), at(members, 1), at(members, 2)];
    const loopback: ConnectionOptions = { tls: { ca: authorities } };
    await startClusterOnMulti(
      members.map(({ address }) => address),
      loopback,
    );
    await bePatient(members);
    await announceNames(members, 'hostname');
    const [key = ''] = keysOfSlot(7, 1);
    await tell(first, ['SET', key, 'value']);
    // The last keeps its certificate for loopback addresses
    for (const [index, node] of [first, second].entries()) {
      await signCertificate(node.dir, `DNS:${nameOf(index)}`);
      const [cert, secret] = ['node.crt', 'node.key'].map((name) => join(node.dir, name)) as [string, string];
      await ask(node, 'CONFIG', 'SET', 'tls-cert-file', cert, 'tls-key-file', secret);
    }
    await assert.rejects(listNodes(first.address, loopback), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    await assertFindings(third.address, [], loopback);
    const { keys } = await migrateSlots(third.address, second.address, [[16000, 16001]], loopback);
    assert.equal(keys, 0);
    await using cluster = await openCluster(third.address, loopback);
    const moved = await reshard(cluster, { from: [first.address], to: third.address, slots: [7] });
    assert.equal(moved.keys, 1);
    const strict = { tls: { ca: authorities, servername: 'another.invalid' } };
    await assert.rejects(check(third.address, strict), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });
});
