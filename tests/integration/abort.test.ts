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
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  settled,
  slotsOpenAt,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

// Atomic migration has no windows.
const method = 'migrate';

/** Aborts at the nth event of a type, with a reason of its own. */
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
  it('stops every operation before it begins, which rejects with its reason', async () => {
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
    it(`stops migrateSlots() after window ${which}, with no slot open, and the same call continues`, async () => {
      const nodes = await startMasters(bed, 2);
      const [first, second] = [at(nodes, 0), at(nodes, 1)];
      const client = new ClusterClient(first);
      const keys = Array.from({ length: 2000 }, (_, index) => `key:${index}`);
      await Promise.all(keys.map((key) => client.set(key, key)));
      const { reason, signal, onEvent } = abortAt('slots-closed', which);
      let closed = 0;
      const moving = migrateSlots(first.address, second.address, [[0, 3999]], {
        signal,
        method: 'migrate',
        onEvent: (event) => {
          if (event.type === 'slots-closed') closed += event.slots.length;
          onEvent(event);
        },
      });
      const { moved, openSlots } = await abortOf(moving, reason);
      assert.deepEqual([moved.slots, moved.planned, openSlots], [closed, 4000, []]);
      assert.deepEqual(await openSlotsAt(nodes), []);
      // While a window is closed, one is drained and one is opened: the first is finished, the second is taken back.
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

  it('stops migrateSlots() in a window only after that window is closed', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const client = new ClusterClient(first);
    const keys = Array.from({ length: 5000 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    await client.close();
    const { reason, ...control } = abortAt('move-progress');
    const moving = migrateSlots(first.address, second.address, [[0, 7999]], { ...control, method });
    const { openSlots } = await abortOf(moving, reason);
    assert.deepEqual(openSlots, []);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  it('is what ended migrateSlots(), though its target falls silent just then', async () => {
    const nodes = await startMasters(bed, 2);
    const [source, target] = [at(nodes, 0), at(nodes, 1)];
    const keys = keysOfSlot(7, 400);
    await tell(source, ...keys.map((key) => ['SET', key, key]));
    const { reason, signal, onEvent } = abortAt('move-progress');
    const move = [source.address, target.address, [7]] as const;
    const moving = migrateSlots(...move, {
      ...{ method, signal, limits: { keysPerSecond: 200 } },
      ...{ connectTimeout: 500, commandTimeout: 500, agreeTimeout: 1000 },
      onEvent: (event) => {
        if (event.type === 'move-progress') void target.freeze();
        onEvent(event);
      },
    });
    const { openSlots } = await abortOf(moving, reason).finally(() => target.thaw());
    assert.deepEqual(openSlots, [7]);
    await eventually('the source serves again', async () =>
      String(await ask(source, 'CLUSTER', 'INFO')).includes('cluster_state:ok'),
    );
    await migrateSlots(...move, { method });
    assert.deepEqual(await openSlotsAt(nodes), []);
    assert.equal(await ask(target, 'DBSIZE'), keys.length);
  });

  it('stops joinCluster() between moves from several sources, with no slot open', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, , , fourth] = nodes as [(typeof nodes)[number], unknown, unknown, (typeof nodes)[number]];
    const { reason, ...control } = abortAt('slots-closed', 5);
    // In parallel, all of them would have their last window open by then.
    const options = { ...control, method, concurrency: 1 } as const;
    const { moved } = await abortOf(joinCluster(first.address, fourth.address, options), reason);
    assert.ok(moved.slots > 0 && moved.slots < moved.planned, `${moved.slots} of ${moved.planned}`);
    assert.deepEqual(await openSlotsAt(nodes), []);
    await joinCluster(first.address, fourth.address);
    await settled(nodes);
    const { nodes: listed } = await listNodes(first.address);
    assert.deepEqual(
      listed.map(({ assignedSlots }) => assignedSlots.length),
      [4096, 4096, 4096, 4096],
    );
  });

  it('stops quitCluster() between windows, and the same call continues', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const { reason, ...control } = abortAt('slots-closed', 4);
    const { moved } = await abortOf(quitCluster(third.address, { ...control, method }), reason);
    assert.ok(moved.slots > 0 && moved.slots < moved.planned, `${moved.slots} of ${moved.planned}`);
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

  /** Three masters, of which the second and third are each importing a slot from the first. */
  async function twoOpen(): Promise<readonly [ServerNode, ServerNode, ServerNode]> {
    const nodes = await startMasters(bed, 3);
    const [source, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    for (const [slot, target] of [[3, second] as const, [7, third] as const]) {
      await tell(source, ...keysOfSlot(slot, 5).map((key) => ['SET', key, 'value']));
      await tell(target, ['CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', await idOfNode(source)]);
      await tell(source, ['CLUSTER', 'SETSLOT', `${slot}`, 'MIGRATING', await idOfNode(target)]);
    }
    return [source, second, third];
  }

  it('stops fixMigrating() after a slot, reports what is still open, and the same call continues', async () => {
    const nodes = await twoOpen();
    const [source] = nodes;
    const { reason, ...control } = abortAt('slots-closed');
    const { openSlots, message } = await abortOf(fixMigrating(source.address, control), reason);
    const open = await slotsOpenAt(nodes);
    assert.equal(open.length, 1);
    assert.deepEqual(openSlots, open);
    assert.ok(message.includes(`slot ${open[0]} is open`), message);
    await fixMigrating(source.address);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  it('what fix left open is reported as text and as JSON', async () => {
    const nodes = await twoOpen();
    const [source, second, third] = nodes;
    // No key leaves the source: each attempt ends at the first slot. Before the question, it would not begin.
    const fixRefused = async (...options: string[]) => {
      const ask = async () => {
        await tell(source, ['ACL', 'SETUSER', 'default', '-migrate']);
        return 'yes';
      };
      const ran = await runMain(['fix', source.address, ...options], { canAsk: () => true, ask });
      await tell(source, ['ACL', 'SETUSER', 'default', '+migrate']);
      return ran;
    };
    const failed = await fixRefused();
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^Slots left open: 3 7$/m);
    const { stdout } = await fixRefused('--json');
    assert.deepEqual(JSON.parse(stdout).error.openSlots, [3, 7]);
    assert.equal((await runMain(['fix', source.address, '--yes'])).code, 0);
    assert.deepEqual(await openSlotsAt([source, second, third]), []);
  });

  it('ends a wait for agreement at once', async () => {
    // A node that joined serves after five seconds, unless it was started less than two seconds before.
    const nodes = await startMasters(bed, 1, 1, { config: { 'cluster-node-timeout': '15000' } });
    await eventually('the new node has been up for four seconds', async () => {
      const info = String(await ask(at(nodes, 1), 'INFO', 'server'));
      return Number(/^uptime_in_seconds:(\d+)/m.exec(info)?.[1]) >= 4;
    });
    const { reason, ...control } = abortAt('waiting');
    let at0 = 0;
    control.signal.addEventListener('abort', () => {
      at0 = performance.now();
    });
    const { moved } = await abortOf(joinCluster(at(nodes, 0).address, at(nodes, 1).address, control), reason);
    assert.equal(moved.slots, 0);
    assert.ok(performance.now() - at0 < 2500);
    await joinCluster(at(nodes, 0).address, at(nodes, 1).address);
    await assertLayout([
      [at(nodes, 0), '8192-16383'],
      [at(nodes, 1), '0-8191'],
    ]);
  });
});
