import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createCluster, delNode, failover, joinNoLoad } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertAlone, at, idOfNode, keysOfSlot, quick, recordsOf, seenBy } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Three masters and a replica of each, in this order. */
async function startSix(): Promise<ServerNode[]> {
  const nodes = await bed.start(6, quick);
  await createCluster(
    nodes.map(({ address }) => address),
    { replicas: 1 },
  );
  return nodes;
}

async function assertForgotten(by: readonly ServerNode[], id: string): Promise<void> {
  for (const node of by) {
    const known = (await recordsOf(node)).map((record) => record.id);
    assert.equal(known.includes(id), false, `${node.address} still knows ${id}`);
  }
}

describe('failover()', () => {
  test('hands over gracefully with every key, and does nothing where there is nothing to do', async () => {
    const nodes = await startSix();
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    for (const key of keysOfSlot(5, 50)) await ask(master, 'SET', key, 'value');
    const result = await failover(replica.address);
    assert.equal(result.applied, true);
    for (const node of nodes) {
      const seen = await seenBy(node);
      assert.equal(seen[replica.address], '0-5460', node.address);
      assert.equal(seen[master.address], `replica of ${replica.address}`, node.address);
    }
    assert.equal(Number(await ask(replica, 'CLUSTER', 'COUNTKEYSINSLOT', '5')), 50);
    assert.deepEqual((await failover(replica.address)).plan.steps, []);
  });

  test('refuses where the master gives no answer, and does it by force', async () => {
    const nodes = await startSix();
    const [master, replica] = [at(nodes, 1), at(nodes, 4)];
    await master.freeze();
    const options = { commandTimeout: 1000, agreeTimeout: 20_000 };
    await assert.rejects(failover(replica.address, options), {
      code: 'NODE_UNREACHABLE',
      hint: /--mode force/,
    });
    await failover(replica.address, { ...options, mode: 'force' });
    assert.equal((await seenBy(at(nodes, 0)))[replica.address], '5461-10922');
    await master.thaw();
  });

  test('takes over where no majority lives', async () => {
    const nodes = await startSix();
    await Promise.all([at(nodes, 1).kill(), at(nodes, 2).kill(), at(nodes, 5).kill()]);
    const { code, stdout, stderr } = await runMain(['failover', at(nodes, 4).address, '--mode', 'takeover']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, / is the master now \(/);
    assert.equal((await seenBy(at(nodes, 0)))[at(nodes, 4).address], '5461-10922');
  });
});

describe('delNode()', () => {
  test('refuses a master with slots, moves them away on request, and gives its replicas to others', async () => {
    const nodes = await startSix();
    const leaver = at(nodes, 0);
    const id = await idOfNode(leaver);
    for (const key of keysOfSlot(5, 30)) await ask(leaver, 'SET', key, 'value');
    await assert.rejects(delNode(at(nodes, 1).address, id.slice(0, 12)), {
      code: 'NODE_NOT_EMPTY',
      message: /owns 5461 slots$/,
      hint: /--drain/,
    });
    const stayed = nodes.slice(1);
    await delNode(at(nodes, 1).address, id.slice(0, 12), { drain: true });
    await assertForgotten(stayed, id);
    await assertAlone(leaver);
    const seen = Object.values(await seenBy(at(nodes, 1)));
    assert.equal(seen.filter((text) => text.startsWith('replica of')).length, 3);
    const sizes = await Promise.all(
      [1, 2].map(async (index) => Number(await ask(at(nodes, index), 'DBSIZE'))),
    );
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      30,
    );
    // It can come back at once.
    await joinNoLoad(at(nodes, 1).address, leaver.address);
  });

  test('takes out a replica, and one that is dead', async () => {
    const nodes = await startSix();
    const [replica, dead] = [at(nodes, 3), at(nodes, 4)];
    const [replicaId, deadId] = [await idOfNode(replica), await idOfNode(dead)];
    await delNode(at(nodes, 0).address, replica.address);
    await assertAlone(replica);
    await dead.kill();
    await assert.rejects(delNode(at(nodes, 0).address, deadId), {
      code: 'NODE_UNREACHABLE',
      hint: /--force/,
    });
    await eventually('the dead node is held for failed', async () => {
      const record = (await recordsOf(at(nodes, 0))).find(({ id }) => id === deadId);
      return record?.flags.includes('fail') ?? false;
    });
    await delNode(at(nodes, 0).address, deadId);
    const stayed = [0, 1, 2, 5].map((index) => at(nodes, index));
    await assertForgotten(stayed, replicaId);
    await assertForgotten(stayed, deadId);
  });

  test('refuses a dead master that owns slots, and says what to do', async () => {
    const nodes = await bed.start(3, quick);
    await createCluster(nodes.map(({ address }) => address));
    const dead = at(nodes, 2);
    const id = await idOfNode(dead);
    await dead.kill();
    await assert.rejects(delNode(at(nodes, 0).address, id, { force: true }), {
      code: 'NODE_NOT_EMPTY',
      hint: /rescue/,
    });
  });

  test('finishes what was stopped after all had forgotten the node', async () => {
    const nodes = await startSix();
    const leaver = at(nodes, 5);
    const stop = new AbortController();
    let forgotten = 0;
    const first = delNode(at(nodes, 0).address, leaver.address, {
      signal: stop.signal,
      onEvent: ({ type }) => {
        if (type !== 'node-forget') return;
        forgotten += 1;
        if (forgotten === 5) stop.abort(new Error('Stopped'));
      },
    });
    await assert.rejects(first, { message: 'Stopped' });
    await delNode(at(nodes, 0).address, leaver.address);
    await assertAlone(leaver);
  });

  test('takes out an id by which nobody answers any more, though nobody holds it for failed', async () => {
    const nodes = await bed.start(3, quick);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await createCluster([first.address, second.address]);
    await joinNoLoad(first.address, third.address);
    const id = await idOfNode(third);
    await Promise.all([ask(first, 'CLUSTER', 'FORGET', id), ask(third, 'CLUSTER', 'RESET', 'HARD')]);
    await eventually('the second has no address for it, or was told to forget it', async () => {
      const record = (await recordsOf(second)).find((one) => one.id === id);
      return !record || record.flags.includes('noaddr');
    });
    // Redis 7.2 and Valkey tell one another of what was forgotten: then there is nothing left to take out.
    await delNode(first.address, id).catch((error: Error & { code?: string }) => {
      assert.equal(error.code, 'NOT_SAME_CLUSTER', error.message);
    });
    await assertForgotten([first, second], id);
  });

  test('names a node that is not there', async () => {
    const nodes = await bed.start(2, quick);
    await createCluster(nodes.map(({ address }) => address));
    const { code, stderr } = await runMain(['del-node', at(nodes, 0).address, 'ffffffffffff']);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: No such node: /);
  });
});
