import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { delNode, failover, fixMigrating, migrateSlots, quitCluster, replicate } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertFindings,
  assertLayout,
  at,
  becomes,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  recordsOf,
  seenBy,
  settled,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const SLOT = 100;
const keys = keysOfSlot(SLOT, 30);

interface Halfway {
  readonly nodes: readonly ServerNode[];
  readonly source: ServerNode;
  readonly target: ServerNode;
  readonly other: ServerNode;
  readonly sourceReplica: ServerNode;
  readonly targetReplica: ServerNode;
}

/** Three masters, the first two with a replica, and slot 100 half moved from the first to the second. */
async function halfway(): Promise<Halfway> {
  const nodes = await startMasters(bed, 3, 2);
  const [source, target, other] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  const [sourceReplica, targetReplica] = [at(nodes, 3), at(nodes, 4)];
  await replicate(source.address, sourceReplica.address);
  await replicate(target.address, targetReplica.address);
  await settled(nodes);
  await tell(source, ...keys.map((key) => ['SET', key, `value of ${key}`]));
  await ask(target, 'CLUSTER', 'SETSLOT', `${SLOT}`, 'IMPORTING', await idOfNode(source));
  await ask(source, 'CLUSTER', 'SETSLOT', `${SLOT}`, 'MIGRATING', await idOfNode(target));
  await ask(source, 'MIGRATE', target.host, `${target.port}`, '', '0', '5000', 'KEYS', ...keys.slice(0, 11));
  return { nodes, source, target, other, sourceReplica, targetReplica };
}

async function failOver(nodes: readonly ServerNode[], replica: ServerNode): Promise<void> {
  await ask(replica, 'CLUSTER', 'FAILOVER');
  await becomes(replica, 'master');
  await settledButOpen(nodes);
}

async function settledButOpen(nodes: readonly ServerNode[]): Promise<void> {
  await eventually('all see the same roles', async () => {
    const roles = await Promise.all(
      nodes.map(async (node) =>
        (await recordsOf(node))
          .map(({ id, role }) => `${id} ${role}`)
          .sort()
          .join(),
      ),
    );
    return new Set(roles).size === 1;
  });
}

async function assertMoved(world: Halfway, source: ServerNode, target: ServerNode): Promise<void> {
  const { nodes, other } = world;
  assert.deepEqual(await openSlotsAt(nodes), []);
  const replicas = nodes.filter((node) => ![source, target, other].includes(node));
  const masterOf = (node: ServerNode) =>
    node === world.source || node === world.sourceReplica ? source.address : target.address;
  await assertLayout([
    [source, '0-99 101-5461'],
    [target, '100 5462-10922'],
    [other, '10923-16383'],
    ...replicas.map((node) => [node, `replica of ${masterOf(node)}`] as const),
  ]);
  const client = new ClusterClient(other);
  for (const key of keys) assert.equal(await client.get(key), `value of ${key}`);
  await client.close();
  assert.equal(await ask(source, 'DBSIZE'), 0);
  assert.equal(await ask(target, 'DBSIZE'), keys.length);
  // The third master never has a replica.
  await assertFindings(other.address, ['master-without-replica']);
}

describe('A failover in the middle of a move', { concurrency: 3 }, () => {
  it('is not needed for fixMigrating() to finish it, replicas or not', async () => {
    const world = await halfway();
    const result = await fixMigrating(world.other.address);
    assert.deepEqual([result.slots, result.keys], [1, 19]);
    await assertMoved(world, world.source, world.target);
  });

  for (const name of ['fixMigrating()', 'migrateSlots()'] as const) {
    // The interrupted command names the nodes by their former roles
    const finish = ({ source, target, other }: Halfway) =>
      name === 'fixMigrating()'
        ? fixMigrating(other.address)
        : migrateSlots(source.address, target.address, [SLOT], { resume: true });

    it(`of the target: ${name} finishes the move to the promoted replica, which has the keys`, async () => {
      const world = await halfway();
      await failOver(world.nodes, world.targetReplica);
      await finish(world);
      await assertMoved(world, world.source, world.targetReplica);
    });

    it(`of the source: ${name} finishes the move from the promoted replica`, async () => {
      const world = await halfway();
      await failOver(world.nodes, world.sourceReplica);
      await finish(world);
      await assertMoved(world, world.sourceReplica, world.target);
    });
  }

  for (const name of ['delNode()', 'quitCluster()'] as const) {
    it(`of a source that is to leave: ${name} finishes the move before it removes what is now a replica`, async () => {
      const world = await halfway();
      const { nodes, source, target, other, sourceReplica, targetReplica } = world;
      await failOver(nodes, sourceReplica);
      if (name === 'delNode()') await delNode(other.address, source.address, { drain: true });
      else await quitCluster(source.address);
      assert.deepEqual(await openSlotsAt(nodes), []);
      await assertLayout([
        [sourceReplica, '0-99 101-5461'],
        [target, '100 5462-10922'],
        [other, '10923-16383'],
        [targetReplica, `replica of ${target.address}`],
      ]);
      assert.equal(await ask(target, 'DBSIZE'), keys.length);
    });
  }

  it('of both ends: migrateSlots() finishes the move between the promoted replicas', async () => {
    const world = await halfway();
    const { nodes, source, target, sourceReplica, targetReplica } = world;
    await failOver(nodes, sourceReplica);
    await failOver(nodes, targetReplica);
    const again = () => migrateSlots(source.address, target.address, [SLOT], { resume: true });
    if (bed.server.kind === 'valkey') await again();
    else {
      // A replica of a Redis has no marks: nothing shows whether keys were moved, or deleted since at their owner.
      const { code, next } = await refusalOf(again());
      assert.equal(code, 'KEYS_IN_DOUBT');
      await follow(adviceFor(next, 'fix', 'keys-wanted'), { nodes });
      await follow(adviceFor(next, 'retry'), { nodes, again });
    }
    await assertMoved(world, sourceReplica, targetReplica);
  });

  it('by failover() finishes the move first, whichever end hands over', async () => {
    const world = await halfway();
    await failover(world.targetReplica.address);
    await assertMoved(world, world.source, world.targetReplica);
    await ask(world.source, 'CLUSTER', 'SETSLOT', '7', 'MIGRATING', await idOfNode(world.targetReplica));
    await failover(world.sourceReplica.address);
    assert.deepEqual(await openSlotsAt(world.nodes), []);
    assert.match((await seenBy(world.other))[world.targetReplica.address] ?? '', /^7 100 /);
  });

  it('of a master that is down is warned of, and fixMigrating() then gets every key back', async () => {
    const { nodes, source, target, other, sourceReplica } = await halfway();
    for (const node of nodes) await ask(node, 'CONFIG', 'SET', 'cluster-node-timeout', '2000');
    await ask(sourceReplica, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'yes');
    await source.kill();
    await declaredFailed([target, other], source);
    const warnings: string[] = [];
    await failover(sourceReplica.address, {
      mode: 'force',
      onEvent: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    assert.match(warnings.join(), new RegExp(`\\b${SLOT}\\b.* open`));
    // A Redis that imports the slot from a master that is gone says CLUSTERDOWN until it is closed. Nothing shows any more that a move was
    // begun, so the keys there are named, and brought only if that is asked for.
    let error: { code?: string } | undefined;
    for (let runs = 0; runs < 3 && (runs === 0 || error); runs++)
      error = await fixMigrating(
        other.address,
        error?.code === 'KEYS_IN_DOUBT' ? { strayKeys: 'bring' } : {},
      ).then(
        () => undefined,
        (reason: { code?: string }) => reason,
      );
    assert.equal(error, undefined);
    assert.deepEqual(await openSlotsAt([target, other, sourceReplica]), []);
    const client = new ClusterClient(other);
    for (const key of keys) assert.equal(await client.get(key), `value of ${key}`);
    await client.close();
  });

  it('makes migrateSlots() use the new master only if it resumes a move', async () => {
    const world = await halfway();
    const { nodes, source, target, targetReplica, other } = world;
    await fixMigrating(other.address);
    await failOver(nodes, targetReplica);
    await assert.rejects(migrateSlots(source.address, target.address, [SLOT + 1]), { code: 'NOT_A_MASTER' });
    await assert.rejects(migrateSlots(source.address, source.address, [SLOT + 1], { resume: true }), {
      code: 'SAME_NODE',
    });
    await assert.rejects(migrateSlots(targetReplica.address, target.address, [SLOT], { resume: true }), {
      code: 'NOT_A_MASTER',
    });
  });
});
