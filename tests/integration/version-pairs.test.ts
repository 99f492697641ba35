// Pairs of servers of two versions, which are started here: the server under test is none of them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newcomerFaults } from '../../lib/findings/newcomer-faults.ts';
import { joinCluster, startCluster } from '../../lib/index.ts';
import { parseAddress } from '../../lib/model/address.ts';
import { Connections } from '../../lib/nodes/connections.ts';
import { askNodeFacts } from '../../lib/nodes/node-facts.ts';
import { ReplyError } from '../../resp/index.ts';
import { ask, connectTo } from '../bed/client.ts';
import { openBed, type ServerNode } from '../bed/index.ts';
import { findFetched, type ServerName, serverNames } from '../bed/servers.ts';
import { assertAlone, at, keysOfSlot, quick, tell } from '../helpers/clusters.ts';

describe('preflight() between two versions', { concurrency: true }, () => {
  const pairs: [ServerName, ServerName, refused: boolean][] = [
    ['redis-8.0', 'redis-7.0', true],
    ['redis-7.0', 'redis-6.0', true],
    ['valkey-9.1', 'valkey-8.1', true],
    ['redis-7.0', 'redis-8.0', false],
    ['valkey-8.1', 'valkey-9.1', false],
  ];
  for (const [from, to, isRefused] of pairs) {
    it(`${isRefused ? 'refuses' : 'allows'} keys of ${from} on ${to}`, async (test) => {
      const programs = await Promise.all([findFetched(from), findFetched(to)]);
      if (programs.some((program) => program === undefined)) return test.skip('servers are not fetched');
      await using sourceBed = await openBed({ server: from, backend: 'unpacked' });
      await using targetBed = await openBed({ server: to, backend: 'unpacked' });
      const [[source], [target]] = await Promise.all([sourceBed.start(1, quick), targetBed.start(1, quick)]);
      assert.ok(source && target);
      await startCluster(source.address);
      await tell(source, ['SET', 'foo', 'bar'], ...keysOfSlot(0, 10).map((key) => ['SET', key, 'value']));
      const joining = joinCluster(source.address, target.address);
      if (isRefused) {
        await assert.rejects(joining, { code: 'TARGET_TOO_OLD' });
        await assertAlone(target);
      } else {
        await joining;
        assert.ok(Number(await ask(target, 'DBSIZE')) >= 10);
      }
    });
  }
});

/** Long enough for a replica to connect and load a snapshot of one key. */
const COPY_MS = 5000;

describe('What a node can read of another', () => {
  it('is what newcomerFaults() says of each pair of the servers', async (test) => {
    const programs = await Promise.all(serverNames.map(findFetched));
    if (programs.includes(undefined)) return test.skip('servers are not fetched');
    const connections = new Connections({});
    const factsOf = async (...nodes: ServerNode[]) =>
      askNodeFacts(
        { connections },
        nodes.map(({ address }) => ({ id: '', address })),
      );
    const open = await Promise.all(serverNames.map((server) => openBed({ server, backend: 'unpacked' })));
    test.after(() => Promise.all(open.map((own) => own.close())));
    const start = async (): Promise<ServerNode[]> =>
      Promise.all(open.map(async (own) => at(await own.start(1, { cluster: false }), 0)));
    const found: string[] = [];
    const expected: string[] = [];
    for (const [index, name] of serverNames.entries()) {
      // New ones for each: those that have copied one another before have a common history, and need no snapshot.
      const nodes = await start();
      const source = at(nodes, index);
      await ask(source, 'SET', 'key', 'value');
      const dump = await dumpOf(source);
      await Promise.all(
        nodes.map(async (node, at) => {
          if (node === source) return;
          const pair = `${name} to ${serverNames[at]}`;
          const facts = await factsOf(source, node);
          const [member, own] = facts;
          assert.ok(member && own);
          const copies = newcomerFaults(own, [member], { kind: 'replica', master: member });
          const keys = newcomerFaults(own, [member], { kind: 'master' });
          expected.push(
            `${pair}: ${copies.every(({ how }) => how !== 'refused')} ${keys.every(({ how }) => how !== 'forced')}`,
          );
          const isRestored = await restores(node, dump);
          found.push(`${pair}: ${await copiesFrom(node, source)} ${isRestored}`);
        }),
      );
      await Promise.all(nodes.map((node) => node.kill()));
    }
    await connections.close();
    assert.deepEqual(found.sort(), expected.sort());
  });
});

async function dumpOf(node: ServerNode): Promise<Buffer> {
  const connection = await connectTo(node);
  const dump = await connection.command(['DUMP', 'key'], { as: 'buffer' });
  await connection.close();
  assert.ok(dump instanceof Uint8Array);
  return Buffer.from(dump);
}

async function restores(node: ServerNode, dump: Buffer): Promise<boolean> {
  const connection = await connectTo(node);
  const reply = await connection.command(['RESTORE', 'copy', 0, dump]).catch((error: Error) => error);
  await connection.close();
  assert.ok(reply === 'OK' || reply instanceof ReplyError);
  return reply === 'OK';
}

async function copiesFrom(node: ServerNode, source: ServerNode): Promise<boolean> {
  const { host, port } = parseAddress(source.address);
  await ask(node, 'REPLICAOF', host, String(port));
  for (const ends = Date.now() + COPY_MS; Date.now() < ends; await sleep(50)) {
    if (String(await ask(node, 'INFO', 'replication')).includes('master_link_status:up')) return true;
  }
  return false;
}
