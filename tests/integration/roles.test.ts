import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  ClusterError,
  drain,
  failover,
  joinNoLoad,
  quitCluster,
  replicate,
  rollbackPlan,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed } from '../bed/index.ts';
import {
  assertAlone,
  assertLayout,
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  quick,
  seenBy,
  settled,
  startMasters,
  tell,
} from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** The error of a refusal. */
async function refusal(refused: Promise<unknown>): Promise<ClusterError> {
  try {
    await refused;
  } catch (error) {
    if (error instanceof ClusterError) return error;
    throw error;
  }
  throw new Error('It was not refused');
}

describe('Roles', () => {
  it('are given back when a replica that was given to another master is rolled back', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await replicate(first.address, replica.address);
    const messages: string[] = [];
    const { plan } = await replicate(second.address, replica.address, {
      onEvent: (event) => {
        if (event.type === 'warning') messages.push(event.message);
      },
    });
    assert.deepEqual(messages, [`${first.address} is left without a replica`]);
    const layout = (master: string) =>
      assertLayout([
        [first, '0-8191'],
        [second, '8192-16383'],
        [replica, `replica of ${master}`],
      ]);
    await layout(second.address);
    await rollbackPlan(first.address, plan);
    await layout(first.address);
    // Its own master cannot follow it: that is what a failover is for.
    const error = await refusal(replicate(replica.address, first.address));
    assert.equal(error.code, 'SAME_NODE');
    assert.deepEqual(error.next, [{ do: 'failover', node: replica.address }]);
    await failover(replica.address);
    await layout(first.address).then(
      () => assert.fail('the roles are as before'),
      () => undefined,
    );
  });

  it('stay if nobody could follow the new master, until that is repaired', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    await replicate(master.address, replica.address);
    await ask(master, 'CONFIG', 'SET', 'masterauth', 'old');
    for (const refused of [() => failover(replica.address), () => drain(replica.address, master.address)]) {
      const error = await refusal(refused());
      assert.equal(error.code, 'NO_REPLICA');
      assert.equal(error.next[0]?.do, 'configure');
      assert.deepEqual(error.next[0]?.settings, ['masterauth']);
      assert.equal(error.next[0]?.node, master.address);
    }
    assert.equal((await seenBy(replica))[master.address], '0-5461');
    await ask(master, 'CONFIG', 'SET', 'masterauth', '');
    await drain(replica.address, master.address);
    assert.equal((await seenBy(master))[replica.address], '0-5461');
    await eventually('the former master follows', async () =>
      /^master_link_status:up/m.test(String(await ask(master, 'INFO', 'replication'))),
    );
  });

  it('stay if the new master would not let its user follow, on servers that show that', async (t) => {
    const nodes = await startMasters(bed, 1, 1);
    const [master, replica] = [at(nodes, 0), at(nodes, 1)];
    await replicate(master.address, replica.address);
    const canShow = await ask(master, 'ACL', 'DRYRUN', 'default', 'PING').then(
      () => true,
      () => false,
    );
    if (!canShow) return t.skip('no ACL DRYRUN');
    await ask(replica, 'ACL', 'SETUSER', 'rep', 'on', '>pw', '+ping', '+replconf');
    await ask(master, 'CONFIG', 'SET', 'masteruser', 'rep');
    await ask(master, 'CONFIG', 'SET', 'masterauth', 'pw');
    const error = await refusal(failover(replica.address));
    assert.equal(error.code, 'NO_REPLICA');
    const [{ node, command } = { node: '', command: [] }] = error.next;
    assert.equal(node, replica.address);
    await ask(replica, ...(command ?? []));
    await failover(replica.address);
    await eventually('the former master follows', async () =>
      /^master_link_status:up/m.test(String(await ask(master, 'INFO', 'replication'))),
    );
  });

  it('stay in a shard without slots, in every mode', async () => {
    const nodes = await startMasters(bed, 1, 2);
    const [master, empty, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(master.address, empty.address);
    await replicate(empty.address, replica.address);
    for (const mode of ['graceful', 'force', 'takeover'] as const) {
      const error = await refusal(failover(replica.address, { mode, force: true }));
      assert.equal(error.code, 'SLOTS_NOT_HELD');
      assert.equal(error.address, empty.address);
    }
    // It can leave the shard for one that needs it.
    await replicate(master.address, replica.address);
    await assertLayout([
      [master, '0-16383'],
      [empty, ''],
      [replica, `replica of ${master.address}`],
    ]);
  });

  it('are not had by a node that is alone', async () => {
    const alone = at(await bed.start(1, quick), 0);
    for (const mode of ['graceful', 'force'] as const) {
      const error = await refusal(failover(alone.address, { mode }));
      assert.equal(error.code, 'NOT_IN_CLUSTER');
    }
    await assertAlone(alone);
  });

  it('wait for the first copy of a replica', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    await joinNoLoad(master.address, replica.address);
    await ask(master, 'CONFIG', 'SET', 'repl-diskless-sync', 'yes');
    await ask(master, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '3');
    await ask(replica, 'CLUSTER', 'REPLICATE', await idOfNode(master));
    await settled(nodes);
    await eventually('the master knows of it', async () =>
      /^slave0:/m.test(String(await ask(master, 'INFO', 'replication'))),
    );
    await drain(replica.address, master.address);
    assert.equal((await seenBy(master))[replica.address], '0-5461');
  });

  it('go to the replica that has the keys when a master is dead', async () => {
    const nodes = await startMasters(bed, 3, 2, quick);
    const [master, empty, full] = [at(nodes, 0), at(nodes, 3), at(nodes, 4)];
    await replicate(master.address, full.address);
    await joinNoLoad(master.address, empty.address);
    await tell(master, ...keysOfSlot(100, 7).map((key) => ['SET', key, 'value']));
    await eventually('it is copied', async () => (await ask(full, 'DBSIZE')) === 7);
    await ask(empty, 'CONFIG', 'SET', 'masterauth', 'wrong');
    await ask(empty, 'CLUSTER', 'REPLICATE', await idOfNode(master));
    await settled(nodes);
    await Promise.all(
      [empty, full].map((node) => ask(node, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'yes')),
    );
    await master.kill();
    await declaredFailed([at(nodes, 1), at(nodes, 2)], master);
    const error = await refusal(failover(empty.address, { mode: 'force' }));
    assert.equal(error.code, 'KEYS_IN_DOUBT');
    const [next] = error.next;
    assert.deepEqual(next, { do: 'failover', node: full.address, options: { mode: 'force' } });
    await failover(full.address, { mode: 'force' });
    assert.equal((await seenBy(at(nodes, 1)))[full.address], '0-5461');
    assert.equal(await ask(full, 'DBSIZE'), 7);
  });

  it('end for a leaver that all others have forgotten, by its address', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const leaver = at(nodes, 2);
    await replicate(at(nodes, 0).address, leaver.address);
    const id = await idOfNode(leaver);
    for (const node of nodes.slice(0, 2)) await ask(node, 'CLUSTER', 'FORGET', id);
    await quitCluster(leaver.address);
    await assertAlone(leaver);
  });
});
