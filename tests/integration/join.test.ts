import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BaseBalancer,
  ClusterError,
  type ClusterEvent,
  type ClusterNode,
  joinCluster,
  joinNoLoad,
  migrateSlots,
  openCluster,
  quitCluster,
  rejoinCluster,
  replicate,
} from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { calm } from '../helpers/cli-runs.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  recordsOf,
  seenBy,
  settled,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { codesOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Resolves to false if the server has no functions, as before Redis 7.0. */
async function loadFunction(node: ServerNode, name: string, answer: string): Promise<boolean> {
  const code = `#!lua name=${name}\nredis.register_function('${name}', function() return '${answer}' end)`;
  try {
    return (await ask(node, 'FUNCTION', 'LOAD', code)) === name;
  } catch (error) {
    assert.deepEqual(codesOf(error), ['ERR'], String(error));
    return false;
  }
}

const libraryOf = (node: ServerNode, name: string) =>
  ask(node, 'FUNCTION', 'LIST', 'LIBRARYNAME', name, 'WITHCODE');

const owned = async (node: ServerNode) => (await seenBy(node))[node.address];

describe('joinCluster()', { concurrency: true }, () => {
  it('adds a master and gives it its share of the slots, with their keys', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const client = new ClusterClient(first);
    const keys = Array.from({ length: 500 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const result = await joinCluster(second.address, third.address);
    await assertLayout([
      [first, '2730-8191'],
      [second, '10923-16383'],
      [third, '0-2729 8192-10922'],
    ]);
    assert.equal(result.slots, 5461);
    assert.equal(result.keys, Number(String(await ask(third, 'DBSIZE'))));
    assert.ok(result.keys > 100);
    assert.equal(result.applied, true);
    for (const key of keys) assert.equal(await client.get(key), key);
    await client.close();
  });

  it('gives a new master the functions of the others before it owns slots, and refuses one that has others', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [first, second, third, fourth] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    if (!(await loadFunction(second, 'trib', 'one'))) {
      const { plan } = await joinCluster(first.address, third.address, { dryRun: true });
      assert.equal(
        plan.steps.some(({ type }) => type === 'load-functions'),
        false,
      );
      return;
    }
    // Bytes that are not UTF-8 are kept
    await loadFunction(second, 'bytes', '\xff\xfe');
    await loadFunction(first, 'trib', 'one');
    await loadFunction(third, 'trib', 'two');
    const before = await snapshot(nodes);
    for (const join of [joinCluster, joinNoLoad]) {
      await assert.rejects(join(first.address, third.address), {
        code: 'NODE_NOT_EMPTY',
        address: third.address,
      });
    }
    assert.deepEqual(await snapshot(nodes), before);
    await ask(third, 'FUNCTION', 'DELETE', 'trib');
    await loadFunction(third, 'own', 'own');
    await assert.rejects(joinNoLoad(first.address, third.address), {
      code: 'NODE_NOT_EMPTY',
      next: [
        { do: 'command', node: third.address, command: ['FUNCTION', 'DELETE', 'own'], when: 'not-needed' },
        { do: 'retry', options: { functions: 'replace' }, when: 'not-needed' },
      ],
    });
    await ask(third, 'FUNCTION', 'DELETE', 'own');
    const warnings: unknown[] = [];
    const result = await joinCluster(first.address, third.address, {
      onEvent: (event) => event.type === 'warning' && warnings.push(event.node),
    });
    assert.deepEqual(
      result.plan.steps.flatMap((step) => (step.type === 'load-functions' ? step.libraries : [step.type])),
      ['bytes', 'trib', 'meet', 'move-slots', 'move-slots'],
    );
    assert.deepEqual(warnings, [first.address], 'its functions differ from those that the new master gets');
    const [key = ''] = keysOfSlot(0, 1);
    assert.equal(String(await ask(third, 'FCALL', 'trib', '1', key)), 'one');
    assert.deepEqual(await libraryOf(third, 'bytes'), await libraryOf(second, 'bytes'));

    await loadFunction(fourth, 'trib', 'one');
    await loadFunction(fourth, 'bytes', '\xff\xfe');
    const { plan } = await joinNoLoad(first.address, fourth.address);
    assert.deepEqual(
      plan.steps.map(({ type }) => type),
      ['meet'],
      'it has them all',
    );
  });

  it('finishes what is left to do, does nothing if nothing is, and refuses a member with another share', async () => {
    const nodes = await startMasters(bed, 1, 1);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await joinNoLoad(first.address, second.address);
    await joinCluster(first.address, second.address);
    await assertLayout([
      [first, '8192-16383'],
      [second, '0-8191'],
    ]);
    const before = await calm(nodes);
    const again = await joinCluster(first.address, second.address);
    assert.deepEqual([again.applied, again.plan.steps, again.slots], [true, [], 0]);
    const { code, stdout, stderr } = await runMain(['join', first.address, second.address]);
    assert.deepEqual([code, stderr], [0, ''], stdout);
    assert.match(stdout, /is already a member/);
    assert.deepEqual(await snapshot(nodes), before);
    await migrateSlots(second.address, first.address, [[0, 99]]);
    const uneven = await calm(nodes);
    const refused = { code: 'ALREADY_IN_CLUSTER', address: second.address };
    await assert.rejects(joinCluster(first.address, second.address), refused);
    assert.deepEqual(await snapshot(nodes), uneven);
  });

  it('refuses a member by a mistyped address, with slots open between others, and a replica', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, second, third, replica] = nodes as [ServerNode, ServerNode, ServerNode, ServerNode];
    await replicate(first.address, replica.address);
    await migrateSlots(third.address, first.address, [[12_000, 12_999]]);
    const [from, to] = [await idOfNode(first), await idOfNode(second)];
    await tell(second, ['CLUSTER', 'SETSLOT', '5', 'IMPORTING', from]);
    await tell(first, ['CLUSTER', 'SETSLOT', '5', 'MIGRATING', to]);
    const layout = await seenBy(first);
    for (const member of [third, replica])
      await assert.rejects(joinCluster(first.address, member.address), { code: 'ALREADY_IN_CLUSTER' });
    const now = await seenBy(first);
    for (const node of [third, replica]) assert.equal(now[node.address], layout[node.address], node.address);
  });

  it('succeeds if an earlier attempt left only open slots', async () => {
    const nodes = await startMasters(bed, 1, 1);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await joinCluster(first.address, second.address);
    await migrateSlots(second.address, first.address, [8191]);
    const [key = ''] = keysOfSlot(8191, 1);
    await tell(first, ['SET', key, 'value']);
    await tell(second, ['CLUSTER', 'SETSLOT', '8191', 'IMPORTING', await idOfNode(first)]);
    await tell(first, ['CLUSTER', 'SETSLOT', '8191', 'MIGRATING', await idOfNode(second)]);
    const result = await joinCluster(first.address, second.address);
    assert.equal(result.applied, true);
    await assertLayout([
      [first, '8192-16383'],
      [second, '0-8191'],
    ]);
    assert.equal(await ask(second, 'GET', key), 'value');
  });

  it('follows the weights of a balancer, and its plan', async () => {
    const nodes = await startMasters(bed, 1, 2);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    class Quarter extends BaseBalancer {
      override weight(node: ClusterNode): number {
        return node.port === second.port ? 1 : 3;
      }
    }
    await joinCluster(first.address, second.address, { balancer: new Quarter() });
    await assertLayout([
      [first, '4096-16383'],
      [second, '0-4095'],
    ]);
    const asked: string[][] = [];
    await joinCluster(first.address, third.address, {
      balancer: {
        balancePlan(masters) {
          asked.push(masters.map((node) => node.addr()).sort());
          const node = (port: number) => masters.find((one) => one.port === port) as ClusterNode;
          return [
            [node(first.port), node(third.port), 10],
            [node(second.port), node(third.port), 1],
          ];
        },
      },
    });
    assert.deepEqual(asked, [[first, second, third].map(({ address }) => address)]);
    await assertLayout([
      [first, '4106-16383'],
      [second, '1-4095'],
      [third, '0 4096-4105'],
    ]);
  });

  it('refuses a balance plan for more slots than there are, with nothing changed', async () => {
    const nodes = await startMasters(bed, 1, 1);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const before = await snapshot(nodes);
    await assert.rejects(
      joinCluster(first.address, second.address, {
        balancer: { balancePlan: ([a, b]) => [[a as ClusterNode, b as ClusterNode, 16385]] },
      }),
      { code: 'INVALID_ARGUMENT' },
    );
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('changes nothing in a dry run, and lists the moves', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const before = await snapshot(nodes);
    const result = await joinCluster(at(nodes, 0).address, at(nodes, 2).address, { dryRun: true });
    assert.equal(result.applied, false);
    assert.deepEqual(
      result.plan.steps.map(({ type }) => type),
      ['meet', 'move-slots', 'move-slots'],
    );
    assert.deepEqual(await snapshot(nodes), before);
    await assertAlone(at(nodes, 2));
  });

  it('refuses an unsuitable node or cluster, and changes nothing', async () => {
    const nodes = await startMasters(bed, 1, 3);
    const [first, fresh, other, full] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const standalone = at(await bed.start(1, { cluster: false }), 0);
    const all = Array.from({ length: 16384 }, (_, slot) => `${slot}`);
    for (const node of [other, full]) await tell(node, ['CLUSTER', 'ADDSLOTS', ...all]);
    await tell(full, ['SET', 'key', 'value']);
    await tell(full, ['CLUSTER', 'DELSLOTS', ...all]);
    const before = await snapshot(nodes);
    const cases: [cluster: string, node: string, code: string, about: string][] = [
      [first.address, other.address, 'ALREADY_IN_CLUSTER', other.address],
      [first.address, full.address, 'NODE_NOT_EMPTY', full.address],
      [first.address, standalone.address, 'NOT_CLUSTER_ENABLED', standalone.address],
      [standalone.address, fresh.address, 'NOT_CLUSTER_ENABLED', standalone.address],
      [fresh.address, full.address, 'NOT_IN_CLUSTER', fresh.address],
      [first.address, first.address, 'SAME_NODE', first.address],
      [first.address, `localhost:${first.port}`, 'SAME_NODE', `localhost:${first.port}`],
      [first.address, '127.0.0.1:1', 'ECONNREFUSED', '127.0.0.1:1'],
      ['127.0.0.1:1', fresh.address, 'ECONNREFUSED', '127.0.0.1:1'],
    ];
    for (const [cluster, node, code, address] of cases) {
      for (const join of [joinCluster, joinNoLoad])
        await assert.rejects(join(cluster, node), { code, address }, `${cluster} ${node}`);
    }
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('refuses a cluster that leaves slots uncovered, with the code SLOTS_UNCOVERED', async () => {
    const nodes = await startMasters(bed, 1, 1, {
      config: { 'cluster-require-full-coverage': 'no' },
    });
    await tell(at(nodes, 0), ['CLUSTER', 'DELSLOTS', '5', '6', '9']);
    await assert.rejects(joinCluster(at(nodes, 0).address, at(nodes, 1).address), {
      code: 'SLOTS_UNCOVERED',
    });
    await assertAlone(at(nodes, 1));
  });

  it('takes back a node at once after it quit', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const before = await idOfNode(second);
    await quitCluster(second.address);
    await assertAlone(second);
    await assertLayout([[first, '0-16383']]);
    await joinCluster(first.address, second.address);
    await assertLayout([
      [first, '8192-16383'],
      [second, '0-8191'],
    ]);
    assert.notEqual(await idOfNode(second), before);
  });

  it('takes back a node that was just forgotten, under a new id, because the old one is banned', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(first.address, third.address);
    const id = await idOfNode(third);
    for (const node of [first, second]) await ask(node, 'CLUSTER', 'FORGET', id);
    await joinCluster(first.address, third.address);
    assert.notEqual(await idOfNode(third), id);
    const layout = [
      [first, '2730-8191'],
      [second, '10923-16383'],
      [third, '0-2729 8192-10922'],
    ] as const;
    await assertLayout(layout);
    // Nodes that have forgotten it spread this for a minute
    await sleep(1500);
    await assertLayout(layout);
  });

  it('is not undone by a ban that one member alone spreads', async () => {
    const nodes = await startMasters(bed, 3, 2);
    const [first, second, , soft, still] = nodes as [
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
    ];
    for (const { address } of [soft, still]) await joinNoLoad(first.address, address);
    // One keeps its id, and one does not even know that it was forgotten.
    await ask(second, 'CLUSTER', 'FORGET', await idOfNode(soft));
    await ask(soft, 'CLUSTER', 'RESET', 'SOFT');
    await joinNoLoad(first.address, soft.address);
    await ask(second, 'CLUSTER', 'FORGET', await idOfNode(still));
    await joinNoLoad(first.address, still.address);
    // A member that bans an id names it in every packet. With the default node timeout there is one to each node within this time.
    await sleep(7500);
    const now = await Promise.all([soft, still].map(idOfNode));
    for (const node of nodes) {
      const known = (await recordsOf(node)).map(({ id }) => id);
      for (const id of now) assert.ok(known.includes(id), `${node.address} has forgotten ${id} again`);
    }
  });

  it('refuses a member with slots that others have forgotten, and a rejoin brings it back', async (test) => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinCluster(first.address, third.address);
    const owned = async (by: ServerNode) => (await seenBy(by))[third.address];
    const before = await owned(third);
    const id = await idOfNode(third);
    for (const node of [first, second]) await ask(node, 'CLUSTER', 'FORGET', id);
    const refused = await joinCluster(first.address, third.address).catch((error: ClusterError) => error);
    assert.ok(refused instanceof ClusterError);
    assert.equal(refused.code, 'NODES_DISAGREE');
    const [next] = refused.next;
    assert.deepEqual(next, { do: 'rejoin', nodes: [third.address, first.address] });
    assert.equal(await owned(third), before);
    const spreads = await ask(first, 'CLUSTER', 'FORGET', id).then(
      () => true,
      () => false,
    );
    if (spreads) return test.diagnostic('the ban lasts for a minute here');
    await rejoinCluster(next?.nodes ?? []);
    for (const node of nodes) assert.equal(await owned(node), before);
  });

  it('gives a node that was forgotten, reset and is banned a new id, and holds every key', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(first.address, third.address);
    const id = await idOfNode(third);
    await Promise.all([first, second].map((node) => ask(node, 'CLUSTER', 'FORGET', id)));
    await ask(third, 'CLUSTER', 'RESET', 'SOFT');
    const warned: string[] = [];
    const onEvent = (event: ClusterEvent) => event.type === 'warning' && warned.push(event.node ?? '');
    await joinNoLoad(first.address, third.address, { dryRun: true, onEvent });
    assert.deepEqual(warned, [third.address]);
    assert.equal(await idOfNode(third), id, 'a dry run resets nothing');
    await joinCluster(first.address, third.address);
    assert.notEqual(await idOfNode(third), id);
    await settled(nodes);
  });

  it('introduces a node that only some members know to the others', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(first.address, third.address);
    await ask(second, 'CLUSTER', 'FORGET', await idOfNode(third));
    await joinNoLoad(first.address, third.address);
    const layout = [
      [first, '0-8191'],
      [second, '8192-16383'],
      [third, ''],
    ] as const;
    await assertLayout(layout);
    await sleep(1500);
    await assertLayout(layout);
  });
});

describe('joinNoLoad()', { concurrency: true }, () => {
  it('adds a master without slots, has nothing to do the second time, and refuses a member with slots', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const result = await joinNoLoad(second.address, third.address);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
      [third, ''],
    ]);
    assert.deepEqual([result.applied, result.slots, result.keys], [true, 0, 0]);
    const again = await joinNoLoad(first.address, third.address);
    assert.deepEqual([again.applied, again.plan.steps], [true, []]);
    await assert.rejects(joinNoLoad(first.address, second.address), { code: 'ALREADY_IN_CLUSTER' });
  });

  it('takes an open cluster, and any member of it', async () => {
    const nodes = await startMasters(bed, 1, 2);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await using cluster = await openCluster(first.address);
    await replicate(cluster, second.address);
    await joinNoLoad(second.address, third.address);
    await assertLayout([
      [first, '0-16383'],
      [second, `replica of ${first.address}`],
      [third, ''],
    ]);
    await migrateSlots(cluster, third.address, [[0, 99]]);
    assert.equal(await owned(third), '0-99');
    await settled([first, second, third]);
  });

  it('takes a node that was reset while a member still knows its old id', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(first.address, third.address);
    const old = await idOfNode(third);
    await ask(first, 'CLUSTER', 'FORGET', old);
    await ask(third, 'CLUSTER', 'RESET', 'HARD');
    await joinNoLoad(first.address, third.address);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
      [third, ''],
    ]);
    for (const node of [first, second]) {
      assert.equal(
        (await recordsOf(node)).some(({ id }) => id === old),
        false,
        `${node.address} knows the old id`,
      );
    }
  });
});
