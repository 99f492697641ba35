import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { connect } from '../../resp/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

async function startOne(options?: Parameters<Bed['start']>[1]): Promise<ServerNode> {
  const [node] = await bed.start(1, options);
  assert.ok(node);
  return node;
}

const info = async (node: ServerNode, section = 'server') => String(await ask(node, 'INFO', section));
const view = async (node: ServerNode) => String(await ask(node, 'CLUSTER', 'NODES'));

function isRefused({ host, port }: Pick<ServerNode, 'host' | 'port'>): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket({ host, port });
    socket.on('connect', () => resolve(false));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
    socket.on('close', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

async function formCluster(nodes: readonly ServerNode[]): Promise<void> {
  const [first] = nodes;
  assert.ok(first);
  for (const [index, node] of nodes.entries()) {
    const slots = Array.from({ length: 16384 }, (_, slot) => slot).filter(
      (slot) => slot % nodes.length === index,
    );
    await ask(node, 'CLUSTER', 'ADDSLOTS', ...slots.map(String));
    if (node !== first) await ask(first, 'CLUSTER', 'MEET', node.host, String(node.port));
  }
  for (const node of nodes) await eventually(`${node.address} says ok`, () => isOk(node));
}

async function isOk(node: ServerNode): Promise<boolean> {
  return String(await ask(node, 'CLUSTER', 'INFO')).startsWith('cluster_state:ok');
}

describe('openBed()', () => {
  it('reports the version that the server reports', async () => {
    const text = await info(await startOne());
    const field = bed.server.kind === 'valkey' ? 'valkey_version' : 'redis_version';
    assert.match(text, new RegExp(`^${field}:${bed.server.version.replaceAll('.', '\\.')}\\r$`, 'm'));
    assert.equal(bed.server.name, `${bed.server.kind}-${bed.server.major}.${bed.server.minor}`);
  });

  it('ends all servers of a killed process, even frozen ones', async () => {
    const script = `
      import { openBed } from ${JSON.stringify(new URL('../bed/index.ts', import.meta.url).href)};
      const bed = await openBed();
      const nodes = await bed.start(2);
      await nodes[0].freeze();
      console.log(JSON.stringify(nodes.map(({ host, port, dir }) => ({ host, port, dir }))));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(createInterface(child.stdout), 'line');
    child.kill('SIGKILL');
    for (const node of JSON.parse(line) as { host: string; port: number; dir: string }[]) {
      await eventually(`port ${node.port} is free`, () => isRefused(node));
      await eventually('the folder is gone', () =>
        access(node.dir).then(
          () => false,
          () => true,
        ),
      );
    }
  });

  it('leaves nothing behind after `close()`', async () => {
    const other = await openBed();
    const nodes = await other.start(2);
    await other.close();
    for (const node of nodes) {
      assert.ok(await isRefused(node));
      await assert.rejects(access(node.dir));
    }
  });
});

describe('start()', () => {
  it('resolves when every node answers, with cluster bus ports open', async () => {
    const nodes = await bed.start(3);
    assert.equal(new Set(nodes.map((node) => node.port)).size, 3);
    for (const node of nodes) {
      assert.match(await info(node, 'cluster'), /cluster_enabled:1/);
      assert.equal(await isRefused({ host: node.host, port: node.busPort }), false);
      assert.match(await node.log(), /ready to accept connections/i);
    }
  });

  it('prefers the configuration that it is given', async () => {
    const node = await startOne({
      config: { 'cluster-node-timeout': '4321', 'maxmemory-policy': 'allkeys-lru' },
    });
    assert.deepEqual(await ask(node, 'CONFIG', 'GET', 'cluster-node-timeout'), [
      'cluster-node-timeout',
      '4321',
    ]);
    assert.deepEqual(await ask(node, 'CONFIG', 'GET', 'maxmemory-policy'), [
      'maxmemory-policy',
      'allkeys-lru',
    ]);
  });

  it('rejects with the reason if a server does not start', async () => {
    await assert.rejects(
      bed.start(1, { config: { 'no-such-option': '1' } }),
      /Cannot start a server.*no-such-option/s,
    );
  });

  it('sets a password', async () => {
    const node = await startOne({ password: 'with "quotes" and \\' });
    assert.equal(await ask(node, 'PING'), 'PONG');
    await assert.rejects(connect({ host: node.host, port: node.port }), { code: 'NOAUTH' });
  });

  it('starts a server without cluster mode', async () => {
    assert.match(await info(await startOne({ cluster: false }), 'cluster'), /cluster_enabled:0/);
  });

  it('listens on a Unix socket', async () => {
    const { unixSocket } = await startOne({ unixSocket: true });
    assert.ok(unixSocket);
    const connection = await connect({ path: unixSocket });
    assert.equal(await connection.command(['PING']), 'PONG');
    connection.destroy();
  });

  it('listens on another loopback address', async () => {
    const node = await startOne({ host: '::1' });
    assert.equal(node.address, `[::1]:${node.port}`);
    assert.equal(await ask(node, 'PING'), 'PONG');
  });

  it('speaks TLS', async () => {
    const node = await startOne({ tls: true });
    assert.equal(await ask(node, 'PING'), 'PONG');
  });
});

describe('A node', () => {
  it('is gone after `kill()`, and comes back with the same id', async () => {
    const node = await startOne();
    const id = await ask(node, 'CLUSTER', 'MYID');
    await node.kill();
    assert.ok(await isRefused(node));
    await node.restart();
    assert.equal(await ask(node, 'CLUSTER', 'MYID'), id);
  });

  it('is saved by `stop()` if its configuration says so', async () => {
    const node = await startOne({ config: { save: '3600 1' } });
    await ask(node, 'CLUSTER', 'ADDSLOTS', ...Array.from({ length: 16384 }, (_, slot) => String(slot)));
    await eventually('the cluster is ok', () => isOk(node));
    await ask(node, 'SET', 'key', 'value');
    await node.stop();
    assert.ok(await isRefused(node));
    await node.restart();
    await eventually('the cluster is ok', () => isOk(node));
    assert.equal(await ask(node, 'GET', 'key'), 'value');
  });

  it('has another id after a restart with an empty nodes.conf', async () => {
    const node = await startOne();
    const id = await ask(node, 'CLUSTER', 'MYID');
    await node.restart({ nodesConf: 'empty' });
    assert.notEqual(await ask(node, 'CLUSTER', 'MYID'), id);
  });

  it('answers only after it is thawed', async () => {
    const node = await startOne();
    const connection = await connectTo(node);
    await node.freeze();
    let isAnswered = false;
    const answer = connection.command(['PING']).finally(() => {
      isAnswered = true;
    });
    // What must not happen cannot be waited for
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(isAnswered, false);
    await node.thaw();
    assert.equal(await answer, 'PONG');
    connection.destroy();
  });

  it('can be stopped while frozen', async () => {
    const node = await startOne();
    await node.freeze();
    await node.stop();
    assert.ok(await isRefused(node));
  });
});

const skip = process.platform !== 'linux' && 'needs loopback addresses of Linux';
describe('relay: true', { concurrency: true, skip }, () => {
  it('cuts a node off, so that the others see it fail, and reconnects it', async () => {
    const nodes = await bed.start(3, { relay: true });
    await formCluster(nodes);
    const [lost, ...others] = nodes;
    assert.ok(lost);
    const id = String(await ask(lost, 'CLUSTER', 'MYID'));
    lost.cutOff();
    for (const node of others) {
      await eventually('others say that it failed', async () =>
        new RegExp(`^${id} \\S+ master,fail `, 'm').test(await view(node)),
      );
    }
    lost.reconnect();
    for (const node of nodes) await eventually(`${node.address} says ok`, () => isOk(node));
    for (const node of nodes) assert.doesNotMatch(await view(node), /fail/);
  });

  it('cuts a node off from one other only', async () => {
    const nodes = await bed.start(3, { relay: true, config: { 'cluster-node-timeout': '1000' } });
    await formCluster(nodes);
    const [one, other, third] = nodes as [ServerNode, ServerNode, ServerNode];
    one.cutOff([other]);
    for (const [by, of] of [
      [one, other],
      [other, one],
    ] as const)
      await eventually(`${by.address} suspects ${of.address}`, async () =>
        new RegExp(`:${of.port}@\\S+ master,fail\\? `).test(await view(by)),
      );
    assert.doesNotMatch(await view(third), /fail/);
    one.reconnect();
    for (const node of nodes)
      await eventually(`${node.address} is healthy`, async () => !/fail/.test(await view(node)));
  });

  it('holds back what a client sends to a node that is cut off', async () => {
    const node = await startOne({ relay: true });
    const connection = await connectTo(node);
    node.cutOff();
    await assert.rejects(connection.command(['PING'], { timeout: 200 }), { code: 'TIMEOUT' });
    node.reconnect();
    assert.equal(await ask(node, 'PING'), 'PONG');
  });

  it('delays clients, but not the nodes among themselves', async () => {
    const [source, target] = await bed.start(2, { relay: true, cluster: false });
    assert.ok(source && target);
    await ask(source, 'SET', 'key', 'value');
    const connection = await connectTo(source);
    source.setDelay(50);
    const start = performance.now();
    assert.equal(await connection.command(['PING']), 'PONG');
    const roundTrip = performance.now() - start;
    assert.ok(roundTrip >= 100, `${roundTrip} ms`);
    source.setDelay(0);
    // The owner of a connection is visible only with access to the server's process
    const isVisible = await access(`/proc/${source.pid}/fd`, constants.R_OK).then(
      () => true,
      () => false,
    );
    if (!isVisible) return;
    target.setDelay(5000);
    assert.equal(
      await connection.command(['MIGRATE', target.host, String(target.port), 'key', '0', '4000']),
      'OK',
    );
    assert.ok(performance.now() - start < 5000);
    connection.destroy();
  });
});
