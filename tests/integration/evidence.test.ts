import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  check,
  createCluster,
  ensureCluster,
  fixMigrating,
  isReady,
  joinCluster,
  joinNoLoad,
  migrateSlots,
  type Next,
  replicate,
  rescueCluster,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertAlone,
  at,
  idOfNode,
  keysOfSlot,
  quick,
  seenBy,
  settled,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Makes members forget another one, which goes on knowing them. */
async function forget(members: readonly ServerNode[], node: ServerNode): Promise<void> {
  const id = await idOfNode(node);
  // A server that spreads it has told the others by then.
  for (const member of members) await ask(member, 'CLUSTER', 'FORGET', id).catch(() => undefined);
  await eventually('no member lists it', async () => {
    const seen = await Promise.all(members.map(seenBy));
    return seen.every((nodes) => !(node.address in nodes));
  });
}

describe('A living master that all others have forgotten', { concurrency: true }, () => {
  it('keeps its slots and keys, and is introduced again', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, second, third, fresh] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const [key = ''] = keysOfSlot(16383, 1);
    await tell(third, ['SET', key, 'value']);
    const members = [first, second];
    await forget(members, third);
    const before = await snapshot(nodes.slice(0, 3));
    const refusals = [
      await refusalOf(fixMigrating(first.address)),
      await refusalOf(rescueCluster(first.address, fresh.address)),
    ];
    for (const { code, next } of refusals) {
      assert.equal(code, 'SLOTS_UNCOVERED');
      adviceFor(next, 'rejoin', 'forgotten');
    }
    const { findings } = await check(first.address);
    const uncovered = findings.find(({ kind }) => kind === 'slots-uncovered');
    assert.deepEqual(uncovered?.next?.[0], { do: 'rejoin', nodes: [first.address], when: 'forgotten' });
    // An address that the operator names shows it.
    const named = await check(first.address, { elsewhere: [third.address] });
    assert.ok(!named.findings.some(({ kind }) => kind === 'slots-uncovered'));
    assert.ok(named.findings.some(({ kind }) => kind === 'nodes-disagree'));
    const elsewhere = { elsewhere: [third.address], agreeTimeout: 1000 };
    assert.equal((await refusalOf(fixMigrating(first.address, elsewhere))).code, 'NODES_DISAGREE');
    assert.deepEqual(await snapshot(nodes.slice(0, 3)), before);
    // A forced run is for a node that is none of this cluster.
    const forced = await fixMigrating(first.address, { force: true, dryRun: true });
    assert.ok(forced.plan.steps.some(({ type }) => type === 'take-slots'));
    // Where a FORGET spreads, its ban lasts a minute.
    if (!['redis-6.0', 'redis-7.0'].includes(bed.server.name)) return;
    const [advice] = uncovered?.next ?? [];
    const withIt: Next = { do: 'rejoin', nodes: [...(advice?.nodes ?? []), third.address] };
    await follow(withIt, { nodes });
    await settled([...members, third]);
    assert.equal(await ask(third, 'GET', key), 'value');
    assert.ok((await check(first.address)).ok);
  });
});

describe('Two servers with one node id', { concurrency: true }, () => {
  it('that know nobody, as of one machine image: they make no cluster, and neither joins beside the other', async () => {
    const [members, nodes] = await Promise.all([startMasters(bed, 3), bed.start(3, quick)]);
    const [one, other, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await other.stop();
    await copyFile(join(one.dir, 'nodes.conf'), join(other.dir, 'nodes.conf'));
    await other.restart();
    const all = nodes.map(({ address }) => address);
    const begin = [
      () => createCluster(all),
      () => startClusterOnMulti(all),
      () => ensureCluster(all, { masters: 3 }),
    ];
    for (const start of begin) {
      const { code, message } = await refusalOf(start());
      assert.equal(code, 'AMBIGUOUS_NODE');
      for (const { address } of [one, other]) assert.ok(message.includes(address));
    }
    for (const node of nodes) await assertAlone(node);
    // One server by two names is no twin.
    await createCluster([one.address, `localhost:${one.port}`, third.address], { dryRun: true });
    const [first, second] = [at(members, 0), at(members, 1)];
    await joinNoLoad(first.address, one.address);
    await settled([...members, one]);
    for (const add of [joinCluster, joinNoLoad, replicate, rescueCluster])
      assert.equal((await refusalOf(add(second.address, other.address))).code, 'AMBIGUOUS_NODE');
    await assertAlone(other);
  });

  it('of which one has the nodes.conf of a member: it is not ready', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [second, twin] = [at(nodes, 1), at(nodes, 3)];
    await twin.stop();
    await copyFile(join(second.dir, 'nodes.conf'), join(twin.dir, 'nodes.conf'));
    assert.equal((await isReady(second.address)).ok, true);
    await twin.restart();
    await eventually('the others list one of the two', async () => {
      const ready = await Promise.all([isReady(second.address), isReady(twin.address)]);
      return ready.some(({ missing }) => missing.some((text) => text.includes('node id')));
    });
  });

  it('are found, and nothing is changed until one of them is stopped', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [first, second, third, twin] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await twin.stop();
    await copyFile(join(third.dir, 'nodes.conf'), join(twin.dir, 'nodes.conf'));
    await twin.restart();
    const both = [third.address, twin.address].sort();
    // Members list now one, now the other: only if all list the same one at a look, nothing shows.
    await eventually('check names both', async () => {
      const { findings } = await check(first.address);
      const shared = findings.find(({ kind }) => kind === 'duplicate-id');
      return shared !== undefined && both.every((address) => shared.nodes.includes(address));
    });
    await eventually('a move is refused, and names both', async () => {
      const error = await refusalOf(migrateSlots(first.address, second.address, [0], { dryRun: true })).catch(
        () => undefined,
      );
      return error?.code === 'AMBIGUOUS_NODE' && both.every((address) => error.message.includes(address));
    });
    await twin.stop();
    await eventually('the others find the one that is left', async () => {
      return (await check(first.address)).ok;
    });
    await migrateSlots(first.address, second.address, [0]);
  });
});
