import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type ClusterEvent,
  fixMigrating,
  joinCluster,
  listNodes,
  migrateSlots,
  quitCluster,
  replicate,
  rescueCluster,
  shutdownCluster,
  startCluster,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  at,
  openSlotsAt,
  settled,
  snapshot,
  startMasters,
} from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

// Servers that move slots by themselves have no windows.
const method = 'migrate';

/** Aborts at the so-manieth event of a type, with a reason that can be told from all else. */
function abortAt(type: ClusterEvent['type'], which = 1) {
  const reason = new Error('enough');
  const controller = new AbortController();
  let seen = 0;
  const onEvent = (event: ClusterEvent) => {
    if (event.type === type && ++seen === which) controller.abort(reason);
  };
  return { signal: controller.signal, onEvent, reason };
}

describe('an aborted signal', { concurrency: true }, () => {
  it('keeps every operation from beginning, with its reason', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = nodes.map(({ address }) => address) as [string, string, string];
    const before = await snapshot(nodes);
    const reason = new TypeError('not today');
    const signal = AbortSignal.abort(reason);
    const calls = [
      startCluster(third, { signal }),
      startClusterOnMulti([third], { signal }),
      joinCluster(first, third, { signal }),
      replicate(first, third, { signal }),
      migrateSlots(first, second, [1], { signal }),
      quitCluster(second, { signal }),
      fixMigrating(first, { signal }),
      rescueCluster(first, third, { signal }),
      shutdownCluster(first, { signal }),
      listNodes(first, { signal }),
    ];
    for (const call of calls) await assert.rejects(call, reason);
    assert.deepEqual(await snapshot(nodes), before);
  });

  for (const which of [1, 3]) {
    it(`stops migrateSlots() after window ${which}, with no slot open, and the same call goes on`, async () => {
      const nodes = await startMasters(bed, 2);
      const [first, second] = [at(nodes, 0), at(nodes, 1)];
      const client = new ClusterClient(first);
      const keys = Array.from({ length: 2000 }, (_, index) => `key:${index}`);
      await Promise.all(keys.map((key) => client.set(key, key)));
      const { reason, signal, onEvent } = abortAt('slots-closed', which);
      let closed = 0;
      const error = await migrateSlots(first.address, second.address, [[0, 3999]], {
        signal,
        method: 'migrate',
        onEvent: (event) => {
          if (event.type === 'slots-closed') closed += event.slots.length;
          onEvent(event);
        },
      }).catch((error: unknown) => error);
      assert.equal(error, reason);
      assert.deepEqual(await openSlotsAt(nodes), []);
      // One window is drained and one opened while one is closed: the first is finished, the other given back.
      assert.equal(closed, (which + 1) * 500);
      await settled(nodes);
      await assertLayout([
        [first, `${closed}-8191`],
        [second, `0-${closed - 1} 8192-16383`],
      ]);
      for (const key of keys) assert.equal(await client.get(key), key);
      await client.close();
      await migrateSlots(first.address, second.address, [[0, 3999]], { resume: true });
      await assertLayout([
        [first, '4000-8191'],
        [second, '0-3999 8192-16383'],
      ]);
    });
  }

  it('stops migrateSlots() in the middle of a window only when that is closed', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const client = new ClusterClient(first);
    const keys = Array.from({ length: 5000 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    await client.close();
    const reason = new Error('enough');
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(reason), 60);
    const { signal } = controller;
    const error = await migrateSlots(first.address, second.address, [[0, 7999]], { signal, method }).catch(
      (error: unknown) => error,
    );
    clearTimeout(timer);
    assert.equal(error, reason);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  it('stops joinCluster() between moves from several sources, with no slot open', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, , , fourth] = nodes as [(typeof nodes)[number], unknown, unknown, (typeof nodes)[number]];
    const { reason, ...control } = abortAt('slots-closed', 5);
    // Side by side all would have their last windows open by then.
    const options = { ...control, method, concurrency: 1 } as const;
    const error = await joinCluster(first.address, fourth.address, options).catch((error: unknown) => error);
    assert.equal(error, reason);
    assert.deepEqual(await openSlotsAt(nodes), []);
    await joinCluster(first.address, fourth.address);
    await settled(nodes);
    const { nodes: listed } = await listNodes(first.address);
    assert.deepEqual(
      listed.map(({ assignedSlots }) => assignedSlots.length),
      [4096, 4096, 4096, 4096],
    );
  });

  it('stops quitCluster() between windows, and the same call goes on', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const { reason, ...control } = abortAt('slots-closed', 4);
    const error = await quitCluster(third.address, { ...control, method }).catch((error: unknown) => error);
    assert.equal(error, reason);
    assert.deepEqual(await openSlotsAt(nodes), []);
    await quitCluster(third.address);
    await assertAlone(third);
    const { nodes: listed } = await listNodes(first.address);
    assert.equal(
      listed.reduce((sum, { assignedSlots }) => sum + assignedSlots.length, 0),
      16384,
    );
    await settled([first, second]);
  });

  it('ends the wait for nodes to agree at once', async () => {
    // A node that has joined does not serve for five seconds then
    const nodes = await startMasters(bed, 1, 1, { config: { 'cluster-node-timeout': '15000' } });
    const { reason, ...control } = abortAt('waiting');
    let at0 = 0;
    control.signal.addEventListener('abort', () => {
      at0 = performance.now();
    });
    const error = await joinCluster(at(nodes, 0).address, at(nodes, 1).address, control).catch(
      (error: unknown) => error,
    );
    assert.equal(error, reason);
    assert.ok(performance.now() - at0 < 2500);
    await joinCluster(at(nodes, 0).address, at(nodes, 1).address);
    await assertLayout([
      [at(nodes, 0), '8192-16383'],
      [at(nodes, 1), '0-8191'],
    ]);
  });
});
