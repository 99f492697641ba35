import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClusterNode } from '../../lib/model/cluster-node.ts';
import {
  countSlots,
  isFailed,
  isInHandshake,
  isSuspected,
  type NodeRecord,
  slotsOf,
} from '../../lib/model/node.ts';
import { parseClusterNodes } from '../../lib/model/node-lines.ts';

const idA = 'a'.repeat(40);
const idB = 'b'.repeat(40);
const idC = 'c'.repeat(40);

function parseOne(line: string): NodeRecord {
  const [record, ...more] = parseClusterNodes(line);
  assert.ok(record);
  assert.equal(more.length, 0);
  return record;
}

describe('parseClusterNodes()', () => {
  test('reads lines of Redis 3, without bus port', () => {
    const records = parseClusterNodes(
      [
        `${idA} 127.0.0.1:8001 master - 0 1414033928009 3 connected 0-2729 8192-10921`,
        `${idB} 127.0.0.1:8000 master - 0 1414033929011 2 connected 2730-8191`,
        `${idC} 127.0.0.1:7999 myself,master - 0 0 1 connected 10922-16383`,
        '',
      ].join('\n'),
    );
    assert.deepEqual(
      records.map(({ id, address, role, masterId }) => ({ id, address, role, masterId })),
      [
        { id: idA, address: { host: '127.0.0.1', port: 8001 }, role: 'master', masterId: null },
        { id: idB, address: { host: '127.0.0.1', port: 8000 }, role: 'master', masterId: null },
        { id: idC, address: { host: '127.0.0.1', port: 7999 }, role: 'master', masterId: null },
      ],
    );
    assert.deepEqual(records[0]?.slots, [
      [0, 2729],
      [8192, 10921],
    ]);
    assert.deepEqual(
      records.map(({ configEpoch }) => configEpoch),
      [3, 2, 1],
    );
    assert.ok(records.every((record) => !isFailed(record) && !isSuspected(record)));
  });

  test('reads lines of Redis 4 to 6, with bus port and a replica', () => {
    const [master, replica] = parseClusterNodes(
      `${idA} 127.0.0.1:7100@17100 myself,master - 0 1508960514000 2 connected 8192-16383\n` +
        `${idB} 127.0.0.1:7102@17102 slave ${idA} 0 1508960516286 2 connected\n`,
    );
    assert.deepEqual(master?.address, { host: '127.0.0.1', port: 7100, busPort: 17100 });
    assert.deepEqual(master?.flags, ['myself', 'master']);
    assert.equal(replica?.role, 'replica');
    assert.equal(replica?.masterId, idA);
    assert.deepEqual(replica?.slots, []);
    assert.equal(replica?.linkState, 'connected');
  });

  test('reads lines of Redis 7 and later, with host name and further fields of the address', () => {
    const named = parseOne(
      `${idA} 10.0.0.1:6379@16379,node-1.example.com,shard-id=${'d'.repeat(40)},tls-port=6380 master - 0 1 5 connected 0`,
    );
    assert.deepEqual(named.address, { host: '10.0.0.1', port: 6379, busPort: 16379 });
    assert.equal(named.hostname, 'node-1.example.com');
    assert.deepEqual(named.slots, [[0, 0]]);
    const nameless = parseOne(
      `${idA} 10.0.0.1:6379@16379,,tls-port=0,shard-id=${'d'.repeat(40)} master - 0 1 5 connected`,
    );
    assert.equal(nameless.hostname, null);
    assert.deepEqual(nameless.address, { host: '10.0.0.1', port: 6379, busPort: 16379 });
    assert.equal(parseOne(`${idA} 10.0.0.1:6379@16379, master - 0 1 5 connected`).hostname, null);
  });

  test('reads what Redis 8 and Valkey 9 write', () => {
    const redis = parseOne(`${idA} 127.0.0.1:13352@23352 myself,master - 0 0 2 connected 5462-10922\r\n`);
    assert.deepEqual(redis.slots, [[5462, 10922]]);
    const valkey = parseOne(
      `${idA} 127.0.0.1:16352@26352,,availability-zone=az1 master,nofailover - 0 1795372974089 3 connected 0-99`,
    );
    assert.deepEqual(valkey.flags, ['master', 'nofailover']);
    assert.equal(valkey.hostname, null);
  });

  test('reads IPv6 addresses, which servers write bare', () => {
    assert.deepEqual(parseOne(`${idA} ::1:7000@17000 myself,master - 0 0 1 connected`).address, {
      host: '::1',
      port: 7000,
      busPort: 17000,
    });
  });

  test('reads a node that does not know its own host', () => {
    const record = parseOne(`${idA} :7000@17000 myself,master - 0 0 0 connected 0-16383`);
    assert.deepEqual(record.address, { host: '', port: 7000, busPort: 17000 });
  });

  test('keeps nodes in handshake and nodes without an address, and marks them', () => {
    const [shaking, lost] = parseClusterNodes(
      `${idA} 127.0.0.1:7001@17001 handshake - 1700000000000 0 0 disconnected\n` +
        `${idB} :0@0 master,fail,noaddr - 1700000000000 1700000000000 4 disconnected 5-6\n`,
    );
    assert.ok(shaking && isInHandshake(shaking));
    assert.equal(shaking.linkState, 'disconnected');
    assert.ok(lost && !isInHandshake(lost));
    assert.deepEqual(lost.flags, ['master', 'fail', 'noaddr']);
    assert.deepEqual(lost.address, { host: '', port: 0, busPort: 0 });
    assert.deepEqual(lost.slots, [[5, 6]]);
  });

  test('distinguishes failed nodes from suspected ones', () => {
    const failed = parseOne(`${idA} 127.0.0.1:1@2 master,fail - 0 0 1 disconnected`);
    const suspected = parseOne(`${idA} 127.0.0.1:1@2 master,fail? - 0 0 1 connected`);
    assert.deepEqual([isFailed(failed), isSuspected(failed)], [true, true]);
    assert.deepEqual([isFailed(suspected), isSuspected(suspected)], [false, true]);
  });

  test('reads open slots separately from served ones', () => {
    const record = parseOne(
      `${idA} 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-5 7 [93-<-${idB}] [7->-${idC}]`,
    );
    assert.deepEqual(record.slots, [
      [0, 5],
      [7, 7],
    ]);
    assert.deepEqual(record.openSlots, [
      { slot: 93, direction: 'importing', peer: idB },
      { slot: 7, direction: 'migrating', peer: idC },
    ]);
  });

  test('gives no records for an empty reply', () => assert.deepEqual(parseClusterNodes('\n'), []));

  for (const line of [
    'ERR something',
    `${idA} 127.0.0.1:1 master - 0 0 1`,
    `${idA} nonsense master - 0 0 1 connected`,
    `${idA} 127.0.0.1:1@2 master - 0 0 1 connected x`,
    `${idA} 127.0.0.1:1@2 master - 0 0 NaN connected`,
    `${idA} 127.0.0.1:1@2 master - 0 0 ${'9'.repeat(400)} connected`,
    `${idA} 127.0.0.1:1@2 slave ../${idA} 0 0 1 connected`,
    `${idA} 127.0.0.1:1@2 master - 0 0 1 connected [16384->-${idA}]`,
    `../${idA} 127.0.0.1:1@2 master - 0 0 1 connected`,
    `${idA} 127.0.0.1:1@2 master - 0 0 1 connected 5-`,
    `${idA} 127.0.0.1:1@2 master - 0 0 1 connected 16384`,
    `${idA} 127.0.0.1:1@2 master - 0 0 1 connected [5-<-]`,
  ]) {
    test(`refuses ${JSON.stringify(line.replaceAll(idA, 'a…'))}`, () => {
      assert.throws(() => parseClusterNodes(line), {
        name: 'TypeError',
      });
    });
  }
});

describe('slotsOf()', () => {
  test('lists every slot of the ranges, and countSlots() counts as many', () => {
    const record = parseOne(`${idA} 127.0.0.1:1@2 master - 0 0 1 connected 0-2 9`);
    assert.deepEqual(slotsOf(record), [0, 1, 2, 9]);
    assert.equal(countSlots(record), 4);
  });
});

describe('ClusterNode', () => {
  test('has the fields of redis-trib.py in camel case', () => {
    const node = new ClusterNode(
      parseOne(`${idA} 10.0.0.1:7000@17000 myself,master - 0 0 7 connected 0-2 [5-<-${idB}]`),
    );
    assert.deepEqual(
      { ...node, roleInCluster: node.roleInCluster },
      {
        nodeId: idA,
        host: '10.0.0.1',
        port: 7000,
        flags: ['myself', 'master'],
        masterId: null,
        configEpoch: 7,
        assignedSlots: [0, 1, 2],
        slotsMigrating: true,
        roleInCluster: 'master',
      },
    );
    assert.deepEqual([node.myself, node.master, node.slave, node.fail], [true, true, false, false]);
    assert.equal(node.addr(), '10.0.0.1:7000');
  });

  test('calls a replica a slave, and a suspected node failed, as redis-trib.py does', () => {
    const node = new ClusterNode(parseOne(`${idA} ::1:1@2 slave,fail? ${idB} 0 0 1 connected`));
    assert.equal(node.roleInCluster, 'slave');
    assert.deepEqual([node.myself, node.master, node.slave, node.fail], [false, false, true, true]);
    assert.equal(node.masterId, idB);
    assert.equal(node.slotsMigrating, false);
    assert.equal(node.addr(), '[::1]:1');
  });

  test('uses the default host if the server does not know its own', () => {
    const record = parseOne(`${idA} :7000@17000 myself,master - 0 0 0 connected`);
    assert.equal(new ClusterNode(record, '10.0.0.9').addr(), '10.0.0.9:7000');
    assert.equal(
      new ClusterNode(parseOne(`${idA} 10.0.0.1:7000 master - 0 0 0 connected`), 'x').host,
      '10.0.0.1',
    );
  });
});
