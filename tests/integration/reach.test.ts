import assert from 'node:assert/strict';
import diagnostics from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import {
  type ConnectionError,
  check,
  findSeed,
  joinCluster,
  migrateSlots,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { takePorts } from '../bed/ports.ts';
import { at, quick, seenBy, startMasters } from '../helpers/clusters.ts';
import { type Forwarder, openForwarder } from '../helpers/forwarder.ts';
import { runMain } from '../helpers/made-up-io.ts';

/** Ports that this process connected to while `work` ran. */
async function portsReached(work: () => Promise<unknown>): Promise<Set<number>> {
  const ports = new Set<number>();
  const note = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    socket.once('connect', () => ports.add(socket.remotePort ?? 0));
  };
  diagnostics.subscribe('net.client.socket', note);
  try {
    await work();
  } finally {
    diagnostics.unsubscribe('net.client.socket', note);
  }
  return ports;
}

describe('An address map', () => {
  let bed: Bed;
  let nodes: ServerNode[];
  let outside: Forwarder[];
  before(async () => {
    bed = await openBed();
    nodes = await bed.start(3, quick);
    outside = await Promise.all(nodes.map((node) => openForwarder(node)));
  });
  after(async () => {
    for (const forwarder of outside) forwarder.close();
    await bed.close();
  });

  test('maps every connection, while nodes use the announced addresses among themselves', async () => {
    const addressMap = Object.fromEntries(
      nodes.map(({ address }, index) => [address, at(outside, index).address]),
    );
    const asked: string[] = [];
    const through = (announced: { host: string; port: number }): string => {
      const key = `${announced.host}:${announced.port}`;
      asked.push(key);
      return addressMap[key] ?? key;
    };
    await startClusterOnMulti([at(nodes, 0).address, at(nodes, 1).address], { addressMap });
    await joinCluster(at(nodes, 0).address, at(nodes, 2).address, { addressMap: through });
    await migrateSlots(at(nodes, 0).address, at(nodes, 2).address, [[8000, 8003]], { addressMap });
    assert.deepEqual(new Set(asked), new Set(nodes.map(({ address }) => address)));
    const seen = await seenBy(at(nodes, 1));
    assert.deepEqual(Object.keys(seen).sort(), nodes.map(({ address }) => address).sort());
  });

  test('is given by --map, and also maps an outside address back to its node', async () => {
    const maps = nodes.flatMap(({ address }, index) => ['--map', `${address}=${at(outside, index).address}`]);
    const { code, stdout, stderr } = await runMain(['check', at(outside, 1).address, ...maps, '--json']);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`"${at(nodes, 1).address.replaceAll('.', '\\.')}"`));
    for (const { address } of outside) assert.equal(stdout.includes(address), false, `${address} is shown`);
  });

  test('keeps the announced address in errors, with the mapped one in the message', async () => {
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const [port = 0] = await takePorts(1, '127.0.0.1');
    const addressMap = {
      [first.address]: at(outside, 0).address,
      [second.address]: `127.0.0.1:${port}`,
    };
    const { findings } = await check(first.address, { addressMap });
    const found = findings.find(({ kind }) => kind === 'node-unreachable');
    assert.deepEqual(found?.nodes, [second.address]);
    assert.ok(found?.message.includes(`127.0.0.1:${port}`), found?.message);
    const error = await check(second.address, { addressMap }).then(
      () => assert.fail('nothing listens there'),
      (reason: ConnectionError) => reason,
    );
    assert.deepEqual([error.code, error.address], ['ECONNREFUSED', second.address]);
    assert.ok(error.message.includes(`127.0.0.1:${port}`), error.message);
  });

  test('may be a map of hosts', async () => {
    const ports = await portsReached(() =>
      check(at(nodes, 0).address, { addressMap: { '127.0.0.1': 'localhost' } }),
    );
    assert.deepEqual(ports, new Set(nodes.map(({ port }) => port)));
  });

  test('refuses an entry that is not an address', async () => {
    for (const map of ['a', '=b:1', 'a:1=', 'a:1=b:99999', 'a:1=b:2=c:3']) {
      const { code } = await runMain(['check', 'a:1', '--map', map]);
      assert.equal(code, 2, map);
    }
  });
});

describe('Several nodes of one cluster', () => {
  let bed: Bed;
  let nodes: ServerNode[];
  before(async () => {
    bed = await openBed();
    nodes = await startMasters(bed, 2);
  });
  after(() => bed.close());

  test('are tried until one answers, with a warning for each that does not', async () => {
    const seeds = `127.0.0.1:1,${at(nodes, 1).address},${at(nodes, 0).address}`;
    const { code, stderr } = await runMain(['check', seeds]);
    assert.equal(code, 0);
    assert.match(stderr, /^Warning: 127\.0\.0\.1:1 .*\n$/);
    assert.equal(await findSeed(['127.0.0.1:1', at(nodes, 1).address]), at(nodes, 1).address);
  });

  test('are all named if none answers', async () => {
    const { code, stdout } = await runMain(['check', '127.0.0.1:1,127.0.0.1:2', '--json']);
    const { error } = JSON.parse(stdout);
    assert.deepEqual([code, error.code], [1, 'NODE_UNREACHABLE']);
    for (const seed of ['127.0.0.1:1', '127.0.0.1:2']) assert.ok(error.message.includes(seed), error.message);
  });

  test('may stand for a cluster, but not for a node', async () => {
    const { code } = await runMain(['quit', `${at(nodes, 0).address},${at(nodes, 1).address}`]);
    assert.equal(code, 2);
  });
});
