import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ClusterError,
  type ClusterEvent,
  fixMigrating,
  joinCluster,
  joinNoLoad,
  listNodes,
  migrateSlots,
  prune,
  quitCluster,
  replicate,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  at,
  becomes,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  quick,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const patient = { config: { 'cluster-node-timeout': '60000' } };

describe('A dead master', { concurrency: true }, () => {
  it('with slots prevents every move, with nothing changed', async () => {
    const nodes = await startMasters(bed, 3, 1, {
      config: { ...quick.config, 'cluster-require-full-coverage': 'no' },
    });
    const [first, second, dead, fresh] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await dead.kill();
    await declaredFailed([first, second], dead);
    const living = [first, second, fresh];
    const before = await snapshot(living);
    const expected = { code: 'SLOTS_UNCOVERED' };
    await assert.rejects(migrateSlots(first.address, second.address, [1]), expected);
    await assert.rejects(joinCluster(first.address, fresh.address), expected);
    await assert.rejects(joinNoLoad(first.address, fresh.address), expected);
    await assert.rejects(replicate(first.address, fresh.address), expected);
    await assert.rejects(quitCluster(second.address), expected);
    assert.deepEqual(await snapshot(living), before);
  });

  it('without slots prevents nothing', async () => {
    const nodes = await startMasters(bed, 2, 2, quick);
    const [first, second, dead, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await joinNoLoad(first.address, dead.address);
    await dead.kill();
    await declaredFailed([first, second], dead);
    await migrateSlots(first.address, second.address, [[0, 199]]);
    await joinCluster(first.address, third.address);
    const events: ClusterEvent[] = [];
    await quitCluster(third.address, { onEvent: (event) => events.push(event) });
    await assertAlone(third);
    assert.ok(
      events.some((event) => event.type === 'warning' && event.message.includes(dead.address)),
      'it names the node that could not be reached',
    );
    assert.deepEqual(await openSlotsAt([first, second]), []);
    const { nodes: listed } = await listNodes(first.address);
    assert.equal(
      listed.reduce((sum, { assignedSlots }) => sum + assignedSlots.length, 0),
      16384,
    );
  });

  it('from which a node still imports does not keep that node from other moves', async () => {
    const nodes = await startMasters(bed, 3, 2, quick);
    const [dead, second, third, heir, fresh] = [0, 1, 2, 3, 4].map((index) => at(nodes, index));
    assert.ok(dead && second && third && heir && fresh);
    await joinNoLoad(second.address, fresh.address);
    await replicate(dead.address, heir.address);
    const client = new ClusterClient(second);
    const keys = [5, 6000].flatMap((slot) => keysOfSlot(slot, 20));
    for (const key of keys) await client.set(key, key);
    // After a diskless copy, a replica gets nothing more before its first acknowledgement, up to a second later.
    assert.equal(await ask(dead, 'WAIT', '1', '20000'), 1);
    const [from, other, to] = [await idOfNode(dead), await idOfNode(second), await idOfNode(fresh)];
    await tell(fresh, ['CLUSTER', 'SETSLOT', '5', 'IMPORTING', from]);
    await tell(fresh, ['CLUSTER', 'SETSLOT', '6000', 'IMPORTING', other]);
    await tell(dead, ['CLUSTER', 'SETSLOT', '5', 'MIGRATING', to]);
    await tell(second, ['CLUSTER', 'SETSLOT', '6000', 'MIGRATING', to]);
    await dead.kill();
    await becomes(heir, 'master');
    await fixMigrating(second.address);
    assert.deepEqual(await openSlotsAt([second, third, heir, fresh]), []);
    await prune(second.address);
    // A Valkey imports from the new owner then, which is a move that can be finished.
    const hasFollowed = bed.server.kind === 'valkey';
    await assertLayout([
      [second, '5462-5999 6001-10922'],
      [third, '10923-16383'],
      [heir, hasFollowed ? '0-4 6-5461' : '0-5461'],
      [fresh, hasFollowed ? '5 6000' : '6000'],
    ]);
    for (const key of keys) assert.equal(await client.get(key), key);
    await client.close();
  });
});

describe('A frozen node', { concurrency: true }, () => {
  it('is NODE_UNREACHABLE, with nothing changed, until it is back', async () => {
    const nodes = await startMasters(bed, 3, 1, patient);
    const [first, second, frozen, fresh] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await frozen.freeze();
    const before = await snapshot([first, second, fresh]);
    const options = { connectTimeout: 2500, commandTimeout: 2500 };
    const expected = { code: 'NODE_UNREACHABLE', address: frozen.address };
    await assert.rejects(migrateSlots(first.address, second.address, [1], options), expected);
    await assert.rejects(joinCluster(first.address, fresh.address, options), expected);
    await assert.rejects(quitCluster(second.address, options), expected);
    await assert.rejects(listNodes(frozen.address, options), { name: 'ConnectionError', code: 'TIMEOUT' });
    assert.deepEqual(await snapshot([first, second, fresh]), before);
    await frozen.thaw();
    await migrateSlots(first.address, second.address, [1], options);
    await assertLayout([
      [first, '0 2-5461'],
      [second, '1 5462-10922'],
      [frozen, '10923-16383'],
    ]);
  });

  for (const [what, which] of [
    ['the source', 0],
    ['the target', 1],
    ['neither source nor target', 2],
  ] as const) {
    it(`that is ${what} delays a running move, and does no harm`, async () => {
      const nodes = await startMasters(bed, 3, 0, patient);
      const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
      const client = new ClusterClient(first);
      const keys = Array.from({ length: 6000 }, (_, index) => `key:${index}`);
      await Promise.all(keys.map((key) => client.set(key, key)));
      let frozen: Promise<void> | undefined;
      const freeze = async () => {
        await at(nodes, which).freeze();
        await sleep(1500);
        await at(nodes, which).thaw();
      };
      const result = await migrateSlots(first.address, second.address, [[0, 1999]], {
        commandTimeout: 5000,
        onEvent({ type }) {
          if (type === 'slots-closed') frozen ??= freeze();
        },
      });
      await frozen;
      assert.equal(result.slots, 2000);
      assert.deepEqual(await openSlotsAt(nodes), []);
      await assertLayout([
        [first, '2000-5461'],
        [second, '0-1999 5462-10922'],
        [third, '10923-16383'],
      ]);
      for (const key of keys) assert.equal(await client.get(key), key);
      await client.close();
    });
  }
});

describe('A target that dies while slots move to it', { concurrency: true }, () => {
  it('ends the move with an error, and the same call finishes it when the target is back', async () => {
    const nodes = await startMasters(bed, 2, 0, patient);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    let killed: Promise<void> | undefined;
    const error = await migrateSlots(first.address, second.address, [[0, 1999]], {
      connectTimeout: 1000,
      commandTimeout: 1000,
      onEvent({ type }) {
        if (type === 'slots-closed') killed ??= second.kill();
      },
    }).catch((error: unknown) => error);
    await killed;
    assert.ok(error instanceof ClusterError, String(error));
    assert.equal(error.resumable, 'with-resume');
    await second.restart();
    for (const node of nodes) {
      await eventually('it serves', async () =>
        /^cluster_state:ok/m.test(String(await ask(node, 'CLUSTER', 'INFO'))),
      );
    }
    await migrateSlots(first.address, second.address, [[0, 1999]], { resume: true });
    assert.deepEqual(await openSlotsAt(nodes), []);
    await assertLayout([
      [first, '2000-8191'],
      [second, '0-1999 8192-16383'],
    ]);
  });
});

describe('Nodes that cannot agree', { concurrency: true }, () => {
  it('end the wait after agreeTimeout, with the nodes named', async () => {
    const first = at(await bed.start(1, quick), 0);
    // It announces a bus port where nobody listens
    const lost = at(await bed.start(1, { config: { ...quick.config, 'cluster-announce-bus-port': '1' } }), 0);
    const started = performance.now();
    const waiting: ClusterEvent[] = [];
    await assert.rejects(
      startClusterOnMulti([first.address, lost.address], {
        agreeTimeout: 1500,
        onEvent: (event) => event.type === 'waiting' && waiting.push(event),
      }),
      (error) => {
        assert.ok(error instanceof ClusterError, String(error));
        assert.deepEqual([error.code, error.resumable], ['NOT_REACHED', 'same-call']);
        for (const { address } of [first, lost]) assert.ok(error.message.includes(address), error.message);
        return true;
      },
    );
    const elapsed = performance.now() - started;
    assert.ok(elapsed >= 1500 && elapsed < 20_000, `${elapsed} ms`);
    assert.ok(waiting.length > 0);
  });

  it('are reported as NODES_DISAGREE before anything is changed', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, , third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    // The others still believe that the first owns it
    await ask(first, 'CLUSTER', 'DELSLOTS', '1');
    const before = await snapshot(nodes);
    await assert.rejects(migrateSlots(third.address, first.address, [16000], { agreeTimeout: 1000 }), {
      code: 'NODES_DISAGREE',
      next: [{ do: 'fix', cluster: third.address, when: 'stays' }],
    });
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('do not prevent a node from quitting that some have forgotten', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, leaver] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(first.address, leaver.address);
    await ask(second, 'CLUSTER', 'FORGET', await idOfNode(leaver));
    await quitCluster(leaver.address);
    await assertAlone(leaver);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
    ]);
  });
});
