import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  addNode,
  type ClusterEvent,
  check,
  fixMigrating,
  joinNoLoad,
  listNodes,
  migrateSlots,
  openCluster,
  startClusterOnMulti,
} from '../../lib/index.ts';
import type { Connection } from '../../resp/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { runOperation } from '../helpers/child.ts';
import { assertLayout, at, keysOfSlot, snapshot, startMasters, tell } from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** The names of redis-trib's connections to a node. */
async function namesAt(node: ServerNode): Promise<string[]> {
  const list = String(await ask(node, 'CLIENT', 'LIST', 'TYPE', 'normal'));
  return [...list.matchAll(/ name=(redis-trib\S*)/g)].map(([, name = '']) => name).sort();
}

/** A connection whose name says that it changes the cluster. */
async function otherOperatorAt(node: ServerNode, id = '00000000'): Promise<Connection> {
  const connection = await connectTo(node);
  await connection.command(['CLIENT', 'SETNAME', `redis-trib:change:${id}`]);
  return connection;
}

const refused = ({ address }: ServerNode) => ({
  code: 'OTHER_OPERATOR',
  address,
  next: [
    { do: 'wait', when: 'other-operator-done' },
    { do: 'retry', options: { force: true }, when: 'no-other-operator' },
  ],
});

describe('Of two operators at once,', { concurrency: true }, () => {
  it('the second is refused on any master, with nothing changed', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [a, b, c, spare] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const earlier = await snapshot(nodes);
    const other = await otherOperatorAt(c);
    await assert.rejects(migrateSlots(a.address, b.address, [0]), refused(c));
    await assert.rejects(joinNoLoad(a.address, spare.address), refused(c));
    assert.deepEqual(await snapshot(nodes), earlier);
    for (const node of nodes.slice(0, 3)) {
      const own = (await namesAt(node)).filter((name) => name !== 'redis-trib:change:00000000');
      assert.deepEqual(own, [], 'no name is left behind');
    }
    // Looking is allowed
    await migrateSlots(a.address, b.address, [0], { dryRun: true });
    await Promise.all([check(a.address), listNodes(a.address)]);
    other.destroy();
    await migrateSlots(a.address, b.address, [0]);
  });

  it('the second is refused in the middle of a real move of the first, which is not disturbed', async () => {
    const nodes = await startMasters(bed, 3);
    const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await tell(a, ...keysOfSlot(0, 3000).map((key) => ['SET', key, 'value']));
    const limits: { keysPerSecond?: number } = { keysPerSecond: 200 };
    let isDone = false;
    const events: string[] = [];
    const moving = migrateSlots(a.address, b.address, [0], {
      method: 'migrate',
      limits,
      onEvent: (event) => events.push(event.type === 'warning' ? `warning: ${event.message}` : event.type),
    }).finally(() => {
      isDone = true;
    });
    await eventually('keys are moving', async () => Number(await ask(b, 'DBSIZE')) > 0);
    await assert.rejects(migrateSlots(b.address, c.address, [6000]), { code: 'OTHER_OPERATOR' });
    // It sees the open slot, but leaves it alone
    await assert.rejects(fixMigrating(c.address), { code: 'OTHER_OPERATOR' });
    assert.equal(isDone, false);
    delete limits.keysPerSecond;
    assert.equal((await moving).keys, 3000);
    assert.deepEqual(
      events.filter((event) => event.startsWith('warning')),
      [],
    );
    await assertLayout([
      [a, '1-5461'],
      [b, '0 5462-10922'],
      [c, '10923-16383'],
    ]);
  });

  it('only one starts a cluster', async () => {
    const nodes = await bed.start(2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    const other = await otherOperatorAt(b);
    await assert.rejects(startClusterOnMulti([a.address, b.address]), refused(b));
    assert.match(String(await ask(a, 'CLUSTER', 'INFO')), /^cluster_slots_assigned:0\r$/m);
    other.destroy();
  });

  it('neither finishes open slots while the other is active', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    await tell(b, ['CLUSTER', 'SETSLOT', '5', 'IMPORTING', String(await ask(a, 'CLUSTER', 'MYID'))]);
    await tell(a, ['CLUSTER', 'SETSLOT', '5', 'MIGRATING', String(await ask(b, 'CLUSTER', 'MYID'))]);
    const earlier = await snapshot(nodes);
    const other = await otherOperatorAt(a);
    await assert.rejects(fixMigrating(a.address), refused(a));
    await assert.rejects(migrateSlots(a.address, b.address, [5, 6]), refused(a));
    assert.deepEqual(await snapshot(nodes), earlier);
    other.destroy();
    await fixMigrating(a.address);
  });

  it('the second proceeds with `force`, and warns', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    const other = await otherOperatorAt(b);
    const warnings: unknown[] = [];
    await migrateSlots(a.address, b.address, [0], {
      force: true,
      onEvent: (event) => event.type === 'warning' && warnings.push(event.node),
    });
    assert.deepEqual(warnings, [b.address]);
    other.destroy();
    await assertLayout([
      [a, '1-8191'],
      [b, '0 8192-16383'],
    ]);
  });

  it('the second waits for a first whose connection lingers', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    for (const id of ['00000000', 'ffffffff']) {
      const other = await otherOperatorAt(b, id);
      const timer = setTimeout(() => other.destroy(), 300);
      const slot = id === '00000000' ? 0 : 1;
      await migrateSlots(a.address, b.address, [slot], { wait: 30_000 });
      clearTimeout(timer);
    }
    await assertLayout([
      [a, '2-8191'],
      [b, '0-1 8192-16383'],
    ]);
  });

  it('the second waits as long as it is told to, and plans after the first is done', async () => {
    const nodes = await startMasters(bed, 3, 2);
    const [a, , c, one, two] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3), at(nodes, 4)];
    const waits: string[] = [];
    const add = (node: ServerNode) =>
      addNode(a.address, node.address, {
        replicaOf: true,
        wait: 60_000,
        onEvent: (event) => event.type === 'waiting' && waits.push(event.what),
      });
    const other = await otherOperatorAt(c);
    const adding = [add(one), add(two)];
    await eventually('both wait', async () => waits.length >= 2);
    assert.deepEqual(new Set(waits), new Set(['another operator to finish']));
    other.destroy();
    await Promise.all(adding);
    const masters = await Promise.all([one, two].map(async (node) => (await listNodes(node.address)).myself));
    const [first, second] = masters.map(({ masterId }) => masterId);
    assert.notEqual(first, second, 'the second saw the replica that the first had added');
    await assert.rejects(
      async () => {
        const again = await otherOperatorAt(c);
        await migrateSlots(a.address, c.address, [0], { wait: 0 }).finally(() => again.destroy());
      },
      { code: 'OTHER_OPERATOR' },
    );
  });

  it('the second can start at once after the first was killed', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    await tell(a, ...keysOfSlot(3, 500).map((key) => ['SET', key, 'value']));
    const args = [a.address, b.address, [[0, 9]], { resume: true }];
    for (const killAt of [12, 14, 16, 18, 20]) {
      await runOperation('migrateSlots', args, killAt);
    }
    const outcome = await runOperation('migrateSlots', args);
    assert.ok(!outcome.killed && outcome.ok, JSON.stringify(outcome));
    await assertLayout([
      [a, '10-8191'],
      [b, '0-9 8192-16383'],
    ]);
  });

  it('only one at a time proceeds if both begin at the same moment, and wait', async () => {
    const nodes = await startMasters(bed, 3);
    const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    for (let round = 0; round < 5; round++) {
      const working = new Set<number>();
      const seen = new Set<number>();
      const run = async (number: number, source: ServerNode, target: ServerNode, slot: number) => {
        const onEvent = ({ type }: ClusterEvent) => {
          if (type !== 'plan' && type !== 'slots-closed') return;
          working.add(number);
          assert.equal(working.size, 1, 'only one is active');
        };
        try {
          await migrateSlots(source.address, target.address, [slot], { onEvent, wait: 30_000 });
          seen.add(number);
        } finally {
          working.delete(number);
        }
      };
      await Promise.all([run(1, a, c, round), run(2, b, c, 5500 + round)]);
      assert.equal(seen.size, 2);
      await eventually('no operator is active', async () => (await namesAt(c)).length === 0);
    }
  });

  it('an open cluster is one, and drops its name when it is done', async () => {
    const nodes = await startMasters(bed, 3);
    const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await using cluster = await openCluster(a.address);
    assert.deepEqual(await namesAt(a), ['redis-trib']);
    const names = new Set<string>();
    let looking: Promise<unknown> = Promise.resolve();
    const onEvent = (event: ClusterEvent) => {
      if (event.type !== 'move-start') return;
      looking = Promise.all([a, b, c].map(namesAt)).then((all) => {
        for (const name of all.flat()) names.add(name);
      });
    };
    await tell(a, ...keysOfSlot(0, 20_000).map((key) => ['SET', key, 'value']));
    await Promise.all([
      migrateSlots(cluster, b.address, [0], { onEvent }),
      migrateSlots(cluster, c.address, [1]),
    ]);
    await looking;
    assert.equal(names.size, 1);
    assert.match([...names][0] ?? '', /^redis-trib:change:[0-9a-f]{8}$/);
    for (const node of nodes) assert.deepEqual(await namesAt(node), ['redis-trib']);
    // A cluster that only stays open blocks nobody
    await migrateSlots(a.address, b.address, [2]);
  });

  it('one that may not use CLIENT proceeds with a warning', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    for (const node of nodes)
      await tell(node, ['ACL', 'SETUSER', 'mover', 'on', '>secret', '~*', '+@all', '-client']);
    const warnings: string[] = [];
    await migrateSlots(a.address, b.address, [0], {
      username: 'mover',
      password: 'secret',
      onEvent: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    assert.equal(warnings.length, 2, warnings.join('\n'));
  });
});
