import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { check, execute, keySlot, listMasters, listNodes, openCluster, replicate } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertFindings,
  assertSoon,
  at,
  declaredFailed,
  idOfNode,
  quick,
  startMasters,
  tell,
} from '../helpers/clusters.ts';

let bed: Bed;
let nodes: ServerNode[];
let first: ServerNode;
let second: ServerNode;
let replica: ServerNode;
before(async () => {
  bed = await openBed();
  nodes = await startMasters(bed, 2, 1, quick);
  [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  await replicate(second.address, replica.address);
});
after(() => bed.close());

describe('keySlot()', () => {
  it('agrees with the server for any bytes', async () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => byte);
    const random = Array.from({ length: 200 }, (_, seed) =>
      Buffer.from(
        Array.from({ length: seed % 23 }, (_, index) =>
          '{}ab\0\xff\r\n'.charCodeAt((seed * 31 + index * 17 + ((seed * index) % 5)) % 8),
        ),
      ),
    );
    const keys = [
      ...bytes.map((byte) => Buffer.from([byte])),
      ...random,
      ...[
        '',
        '123456789',
        'foo{}{bar}',
        'foo{{bar}}zap',
        'foo{bar}{zap}',
        '{',
        '}',
        '{}',
        '}{',
        '{a',
        'é',
      ].map((text) => Buffer.from(text)),
    ];
    const replies = await tell(first, ...keys.map((key) => ['CLUSTER', 'KEYSLOT', key.toString('latin1')]));
    assert.deepEqual(
      keys.map((key) => keySlot(key)),
      replies,
    );
  });
});

describe('listNodes()', () => {
  it('lists all nodes by address, and names the one that was asked', async () => {
    const { nodes: listed, myself } = await listNodes(first.address);
    assert.deepEqual(
      listed.map((node) => [
        node.addr(),
        node.roleInCluster,
        node.assignedSlots.length,
        node.myself,
        node.fail,
      ]),
      [
        [first.address, 'master', 8192, true, false],
        [second.address, 'master', 8192, false, false],
        [replica.address, 'slave', 0, false, false],
      ],
    );
    assert.equal(myself.nodeId, await idOfNode(first));
    assert.equal(listed[2]?.masterId, await idOfNode(second));
    assert.equal((await listNodes(replica.address)).myself.addr(), replica.address);
  });

  it('filters, and listMasters() leaves replicas out', async () => {
    const { nodes: some, myself } = await listNodes(first.address, { filter: (node) => !node.myself });
    assert.deepEqual(
      some.map((node) => node.addr()),
      [second.address, replica.address],
    );
    assert.equal(myself.addr(), first.address);
    const { nodes: masters } = await listMasters(replica.address, {
      filter: ({ port }) => port !== first.port,
    });
    assert.deepEqual(
      masters.map((node) => node.addr()),
      [second.address],
    );
  });

  it('reports open slots of the node that is asked', async () => {
    await ask(first, 'CLUSTER', 'SETSLOT', '5', 'MIGRATING', await idOfNode(second));
    assert.deepEqual(
      (await listNodes(first.address)).nodes.map(({ slotsMigrating }) => slotsMigrating),
      [true, false, false],
    );
    await ask(first, 'CLUSTER', 'SETSLOT', '5', 'STABLE');
    assert.equal((await listNodes(first.address)).myself.slotsMigrating, false);
  });

  it('uses the given address for a node that does not know its own', async () => {
    const alone = at(await bed.start(1), 0);
    assert.equal((await listNodes(alone.address)).myself.addr(), alone.address);
    const { myself } = await listNodes(`localhost:${alone.port}`, { defaultHost: '10.0.0.1' });
    assert.equal(myself.host, '10.0.0.1');
  });
});

describe('execute()', () => {
  it('runs a command on every node, in the order of addresses', async () => {
    const results = await execute(second.address, ['CLUSTER', 'MYID']);
    assert.deepEqual(
      results.map(({ node, result, error }) => [node.addr(), node.nodeId === result, error]),
      nodes.map(({ address }) => [address, true, null]),
    );
  });

  it('leaves masters or replicas out', async () => {
    const names = async (options: Parameters<typeof execute>[2]) =>
      (await execute(first.address, ['PING'], options)).map(({ node }) => node.addr());
    assert.deepEqual(await names({ mastersOnly: true }), [first.address, second.address]);
    assert.deepEqual(await names({ replicasOnly: true }), [replica.address]);
  });

  it('gives replies unchanged, and bytes that are not text as bytes', async () => {
    await tell(first, ['SET', '{a}', 'x'], ['SET', '1{b}', 'x']).catch(() => undefined);
    const [result] = await execute(first.address, ['ECHO', 'ü']);
    assert.equal(result?.result, 'ü');
    const [bytes] = await execute(first.address, ['ECHO', Buffer.from([0xff, 0x00])]);
    assert.deepEqual(bytes?.result, Buffer.from([0xff, 0x00]));
    const [list] = await execute(first.address, ['CONFIG', 'GET', 'maxmemory']);
    assert.deepEqual(list?.result, ['maxmemory', '0']);
    const [number] = await execute(first.address, ['DBSIZE']);
    assert.equal(typeof number?.result, 'number');
    const [nil] = await execute(first.address, ['CONFIG', 'GET', 'no-such-thing']);
    assert.deepEqual(nil?.result, []);
  });

  it('gives errors of nodes and of connections as entries', async () => {
    const results = await execute(first.address, ['NOSUCHCOMMAND']);
    assert.equal(results.length, 3);
    for (const { result, error } of results) {
      assert.equal(result, null);
      assert.ok(error && 'code' in error && error.code === 'ERR', String(error));
    }
    await assert.rejects(execute(first.address, []), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(execute('127.0.0.1:1', ['PING']), { code: 'ECONNREFUSED' });
  });
});

describe('check()', () => {
  it('finds nothing in a healthy cluster', async () => {
    await assertFindings(first.address, ['master-without-replica']);
    const result = await check(first.address);
    assert.equal(result.ok, true);
    assert.equal(result.view.nodes.length, 3);
    assert.equal(result.view.reports.size, 3);
  });

  it('finds open slots', async () => {
    await ask(first, 'CLUSTER', 'SETSLOT', '5', 'MIGRATING', await idOfNode(second));
    const { ok, findings } = await check(replica.address);
    assert.equal(ok, false);
    const found = findings.filter(({ kind }) => kind !== 'settings-differ');
    assert.deepEqual(
      found.map(({ kind, nodes, slots }) => [kind, nodes, slots]),
      [
        ['slot-open', [first.address], [[5, 5]]],
        ['master-without-replica', [first.address], undefined],
      ],
    );
    await ask(first, 'CLUSTER', 'SETSLOT', '5', 'STABLE');
    assert.equal((await check(first.address)).ok, true);
  });
});

describe('openCluster()', () => {
  it('keeps one connection for each node, even for many calls at once, and closes them all', async () => {
    const connectionsOf = async (node: ServerNode) =>
      String(await ask(node, 'CLIENT', 'LIST'))
        .split('\n')
        .filter((line) => line.includes(' name=redis-trib ')).length;
    const cluster = await openCluster(first.address);
    const views = await Promise.all(Array.from({ length: 8 }, () => cluster.view()));
    for (const view of views) assert.equal(view.reports.size, 3);
    assert.deepEqual(await Promise.all(nodes.map(connectionsOf)), [1, 1, 1]);
    await assertFindings(cluster, ['master-without-replica']);
    await cluster.close();
    await eventually('all are closed', async () =>
      (await Promise.all(nodes.map(connectionsOf))).every((count) => count === 0),
    );
    await assert.rejects(cluster.view());
  });

  it('reopens a connection that broke', async () => {
    await using cluster = await openCluster(first.address);
    await cluster.view();
    await ask(second, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually('it is seen again', async () => (await cluster.view()).reports.size === 3);
  });

  it('rejects if the node cannot be used', async () => {
    await assert.rejects(openCluster('127.0.0.1:1'), { code: 'ECONNREFUSED' });
    await assert.rejects(openCluster('nonsense'), { code: 'INVALID_ARGUMENT' });
  });
});

describe('A dead node', () => {
  it('is an entry with an error in execute(), and a finding in check()', async () => {
    await replica.kill();
    await declaredFailed([first], replica);
    const results = await execute(first.address, ['PING']);
    assert.deepEqual(
      results.map(({ result, error }) => [result, error !== null]),
      [
        ['PONG', false],
        ['PONG', false],
        [null, true],
      ],
    );
    await assertSoon(async () => {
      const { ok, findings } = await check(first.address);
      assert.equal(ok, true);
      const found = findings.filter(({ kind }) => kind !== 'settings-differ');
      assert.deepEqual(
        found.map(({ kind, severity, nodes }) => [kind, severity, nodes]),
        [['node-failed', 'warning', [replica.address]]],
      );
    });
    const { nodes: listed } = await listNodes(first.address);
    assert.deepEqual(
      listed.map(({ fail }) => fail),
      [false, false, true],
    );
  });
});
