import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  ClusterError,
  createCluster,
  delNode,
  failover,
  fixMigrating,
  joinNoLoad,
  quitCluster,
  replicate,
  shutdownCluster,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  at,
  becomes,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  quick,
  recordsOf,
  seenBy,
  startMasters,
  startPairs,
  tell,
} from '../helpers/clusters.ts';
import { abortOf, failureOf } from '../helpers/errors.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';
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

/** Takes a dead target out. Follows what is advised if that is refused, and resolves to the refusal. */
async function finishToHeir(
  again: () => Promise<unknown>,
  nodes: readonly ServerNode[],
): Promise<ClusterError | undefined> {
  const refused = await again().then(
    () => undefined,
    (error: ClusterError) => error,
  );
  if (!refused) return undefined;
  assert.equal(refused.code, 'OPEN_SLOT');
  // Servers without shards do not show whose replica it was.
  await follow(adviceFor(refused.next, 'fix'), { nodes }).catch((error: ClusterError) =>
    follow(adviceFor(error.next, 'migrate-slots', 'took-its-place'), { nodes }),
  );
  await follow(adviceFor(refused.next, 'retry'), { nodes, again });
  return refused;
}

describe('failover()', () => {
  test('hands over gracefully with every key, and does nothing the second time', async () => {
    const nodes = await startSix();
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    await tell(master, ...keysOfSlot(5, 50).map((key) => ['SET', key, 'value']));
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

  test('refuses if the master does not answer, unless forced', async () => {
    const nodes = await startSix();
    const [master, replica] = [at(nodes, 1), at(nodes, 4)];
    // Otherwise the replica may have replaced its master before it is asked to.
    await ask(replica, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'yes');
    await master.freeze();
    const options = { commandTimeout: 1000, agreeTimeout: 20_000 };
    await assert.rejects(failover(replica.address, options), {
      code: 'NODE_UNREACHABLE',
      next: [{ do: 'failover', node: replica.address, options: { mode: 'force' } }],
    });
    await failover(replica.address, { ...options, mode: 'force' });
    assert.equal((await seenBy(at(nodes, 0)))[replica.address], '5461-10922');
    await master.thaw();
  });

  test('takes over without a majority', async () => {
    const nodes = await startSix();
    await Promise.all([at(nodes, 1).kill(), at(nodes, 2).kill(), at(nodes, 5).kill()]);
    const { code, stderr } = await runMain(['failover', at(nodes, 4).address, '--mode', 'takeover']);
    assert.equal(code, 0, stderr);
    assert.equal((await seenBy(at(nodes, 0)))[at(nodes, 4).address], '5461-10922');
  });
});

describe('delNode()', () => {
  test('refuses a master with slots, moves them away on request, and gives its replicas to other masters', async () => {
    const nodes = await startSix();
    const leaver = at(nodes, 0);
    const id = await idOfNode(leaver);
    await tell(leaver, ...keysOfSlot(5, 30).map((key) => ['SET', key, 'value']));
    await assert.rejects(delNode(at(nodes, 1).address, id.slice(0, 12)), {
      code: 'NODE_NOT_EMPTY',
      next: [{ do: 'retry', options: { drain: true } }],
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

  test('removes a replica, and a dead one', async () => {
    const nodes = await startSix();
    const [replica, dead] = [at(nodes, 3), at(nodes, 4)];
    const [replicaId, deadId] = [await idOfNode(replica), await idOfNode(dead)];
    await delNode(at(nodes, 0).address, replica.address);
    await assertAlone(replica);
    await dead.kill();
    await assert.rejects(delNode(at(nodes, 0).address, deadId), {
      code: 'NODE_UNREACHABLE',
      next: [
        { do: 'wait', when: 'declared-failed' },
        { do: 'retry', options: { force: true }, when: 'gone-for-good' },
      ],
    });
    await eventually('the dead node is declared failed', async () => {
      const record = (await recordsOf(at(nodes, 0))).find(({ id }) => id === deadId);
      return record?.flags.includes('fail') ?? false;
    });
    const warnings: string[] = [];
    await delNode(at(nodes, 0).address, deadId, {
      onEvent: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    assert.match(warnings.join(), /does not answer and was not reset/);
    const stayed = [0, 1, 2, 5].map((index) => at(nodes, index));
    await assertForgotten(stayed, replicaId);
    await assertForgotten(stayed, deadId);
  });

  test('refuses a dead master that owns slots', async () => {
    const nodes = await bed.start(3, quick);
    await createCluster(nodes.map(({ address }) => address));
    const dead = at(nodes, 2);
    const id = await idOfNode(dead);
    await dead.kill();
    await assert.rejects(delNode(at(nodes, 0).address, id, { force: true }), {
      code: 'NODE_NOT_EMPTY',
      next: [{ do: 'rescue', cluster: at(nodes, 0).address }],
    });
  });

  test('keeps what the replica of a dead node has of slots that were moving to it', async () => {
    const nodes = await startMasters(bed, 3, 2, quick);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const [target, replica] = [at(nodes, 3), at(nodes, 4)];
    await joinNoLoad(first.address, target.address);
    await replicate(target.address, replica.address);
    // A Valkey would elect it: it imports a slot.
    await ask(replica, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'yes');
    const [moved = '', left = ''] = keysOfSlot(5, 2);
    await tell(first, ['SET', moved, 'moved'], ['SET', left, 'left']);
    await ask(target, 'CLUSTER', 'SETSLOT', '5', 'IMPORTING', await idOfNode(first));
    await ask(first, 'CLUSTER', 'SETSLOT', '5', 'MIGRATING', await idOfNode(target));
    await ask(first, 'MIGRATE', target.host, `${target.port}`, '', '0', '1000', 'KEYS', moved);
    await eventually('the replica has it', async () => (await ask(replica, 'DBSIZE')) === 1);
    await target.kill();
    const others = [first, second, third, replica];
    await declaredFailed(others, target);
    const refused = await refusalOf(delNode(first.address, target.address));
    assert.deepEqual([refused.code, refused.address], ['KEYS_IN_DOUBT', replica.address]);
    await follow(adviceFor(refused.next, 'failover'), { nodes });
    // A Valkey has passed the mark on to the new master.
    await finishToHeir(() => delNode(first.address, target.address), nodes);
    await fixMigrating(first.address);
    const client = new ClusterClient(first);
    assert.deepEqual([await client.get(moved), await client.get(left)], ['moved', 'left']);
    await client.close();
  });

  test('refuses a dead target whose replica has what had arrived, until the move is finished to that', async () => {
    const nodes = await startPairs(bed);
    const [first, target, third, heir] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 4)];
    const [moved = '', left = ''] = keysOfSlot(5, 2);
    await tell(first, ['SET', moved, 'moved'], ['SET', left, 'left']);
    await ask(target, 'CLUSTER', 'SETSLOT', '5', 'IMPORTING', await idOfNode(first));
    await ask(first, 'CLUSTER', 'SETSLOT', '5', 'MIGRATING', await idOfNode(target));
    await ask(first, 'MIGRATE', target.host, `${target.port}`, '', '0', '1000', 'KEYS', moved);
    assert.equal(await ask(target, 'WAIT', '1', '10000'), 1);
    await target.kill();
    await becomes(heir, 'master');
    await declaredFailed([first, third, heir], target);
    const refused = await finishToHeir(() => delNode(first.address, target.address), nodes);
    assert.deepEqual(refused?.openSlots ?? [5], [5]);
    await fixMigrating(first.address);
    const client = new ClusterClient(first);
    // Redis 8.4 and newer may delete such keys when the replica is promoted.
    const isKept = refused !== undefined || bed.server.kind === 'valkey';
    assert.deepEqual([await client.get(moved), await client.get(left)], [isKept ? 'moved' : null, 'left']);
    assert.ok(isKept || Number.parseFloat(bed.server.version) >= 8.4);
    await client.close();
  });

  test('finishes a removal that was stopped when all had forgotten the node', async () => {
    const nodes = await startSix();
    const leaver = at(nodes, 5);
    const stop = new AbortController();
    const reason = new Error('enough');
    let forgotten = 0;
    const first = delNode(at(nodes, 0).address, leaver.address, {
      signal: stop.signal,
      onEvent: ({ type }) => {
        if (type !== 'node-forget') return;
        forgotten += 1;
        if (forgotten === 5) stop.abort(reason);
      },
    });
    await abortOf(first, reason);
    await delNode(at(nodes, 0).address, leaver.address);
    await assertAlone(leaver);
  });

  test('removes an id that no node has any more, though it was not declared failed', async () => {
    const nodes = await bed.start(3, quick);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await createCluster([first.address, second.address]);
    await joinNoLoad(first.address, third.address);
    const id = await idOfNode(third);
    await Promise.all([ask(first, 'CLUSTER', 'FORGET', id), ask(third, 'CLUSTER', 'RESET', 'HARD')]);
    await eventually('the second has no address for it, or has forgotten it', async () => {
      const record = (await recordsOf(second)).find((one) => one.id === id);
      return !record || record.flags.includes('noaddr');
    });
    // Redis 7.2 and Valkey spread a FORGET among themselves: then there is nothing left to remove.
    await delNode(first.address, id).catch((error: Error & { code?: string }) => {
      assert.equal(error.code, 'NOT_SAME_CLUSTER', error.message);
    });
    await assertForgotten([first, second], id);
  });

  test('is done if there is evidence that the node has left already, and refuses a name that may be mistyped', async () => {
    const nodes = await bed.start(4, quick);
    const [first, leaver, fresh] = [at(nodes, 0), at(nodes, 2), at(nodes, 3)];
    await createCluster(nodes.slice(0, 2).map(({ address }) => address));
    await joinNoLoad(first.address, leaver.address);
    const id = await idOfNode(leaver);
    await delNode(first.address, leaver.address);
    assert.deepEqual((await delNode(first.address, leaver.address)).plan.steps, []);
    assert.deepEqual((await delNode(leaver.address, leaver.address)).plan.steps, []);
    // From Redis 7.2 on, a master says whether it has forgotten an id within the last minute.
    const isTold = await ask(first, 'CLUSTER', 'FORGET', id).then(
      () => true,
      () => false,
    );
    const { code, stderr } = await runMain(['del_node', first.address, id]);
    assert.equal(code, 0, stderr);
    assert.equal(stderr !== '', !isTold, 'it is said if nothing proves that it was a member');
    const mistyped = `${id.slice(0, 38)}${id.endsWith('00') ? '11' : '00'}`;
    for (const name of [fresh.address, id.slice(0, 20), ...(isTold ? [mistyped] : [])])
      await assert.rejects(delNode(first.address, name), { code: 'NOT_SAME_CLUSTER' }, name);
    assert.equal((await recordsOf(first)).length, 2);
    // A member that does not answer may still know it.
    await at(nodes, 1).kill();
    await assert.rejects(delNode(first.address, mistyped), { code: 'NOT_SAME_CLUSTER' });
    await assert.rejects(delNode(first.address, '127.0.0.1:1'), { code: 'NOT_SAME_CLUSTER' });
  });

  test('is done if it is said again of a dead node, by its address, and names members that may be meant', async () => {
    const nodes = await bed.start(4, quick);
    const [first, second, dead] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await createCluster(nodes.slice(0, 2).map(({ address }) => address));
    for (const node of nodes.slice(2)) await joinNoLoad(first.address, node.address);
    await dead.kill();
    await declaredFailed([first, second], dead);
    await delNode(first.address, dead.address);
    const warnings: string[] = [];
    const again = () =>
      delNode(second.address, dead.address, {
        onEvent: (event) => event.type === 'warning' && warnings.push(event.node ?? ''),
      });
    assert.deepEqual((await again()).plan.steps, []);
    assert.deepEqual(warnings, [dead.address]);
    const other = at(nodes, 3);
    const id = await idOfNode(other);
    await other.kill();
    const refused = await failureOf(again());
    assert.equal(refused.code, 'NOT_SAME_CLUSTER');
    assert.ok(refused.hint?.includes(id), refused.hint);
  });

  test('refuses the last master, and its advice dissolves the cluster', async () => {
    const [master, replica] = (await bed.start(2, quick)) as [ServerNode, ServerNode];
    await createCluster([master.address, replica.address], { replicas: 1 });
    const refused = await delNode(replica.address, master.address).catch((error: ClusterError) => error);
    assert.ok(refused instanceof ClusterError);
    assert.deepEqual(
      [refused.code, refused.next],
      [
        'LAST_NODE',
        [
          { do: 'quit', node: replica.address },
          { do: 'shutdown', node: master.address, when: 'after-that' },
        ],
      ],
    );
    const words = ['--cluster', 'del-node', replica.address, await idOfNode(master)];
    const { code, stdout } = await runMain(words);
    assert.equal(code, 1);
    assert.match(stdout, /^\[ERR\] Node \S+ is not empty! Reshard data away and try again\.$/m);
    await quitCluster(replica.address);
    await shutdownCluster(master.address);
    for (const node of [master, replica]) await assertAlone(node);
  });

  test('refuses a node that does not exist', async () => {
    const nodes = await bed.start(2, quick);
    await createCluster(nodes.map(({ address }) => address));
    const { code, stdout } = await runMain(['del-node', at(nodes, 0).address, 'ffffffffffff', '--json']);
    assert.deepEqual([code, JSON.parse(stdout).error.code], [1, 'NOT_SAME_CLUSTER']);
  });
});
