import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BaseBalancer,
  type ClusterNode,
  joinCluster,
  joinNoLoad,
  migrateSlots,
  openCluster,
  quitCluster,
  replicate,
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
  quick,
  recordsOf,
  seenBy,
  settled,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** False where the server knows no functions, as before Redis 7.0. */
async function loadFunction(node: ServerNode, name: string, answer: string): Promise<boolean> {
  const code = `#!lua name=${name}\nredis.register_function('${name}', function() return '${answer}' end)`;
  try {
    return (await ask(node, 'FUNCTION', 'LOAD', code)) === name;
  } catch (error) {
    assert.match(String(error), /unknown command/);
    return false;
  }
}

const libraryOf = (node: ServerNode, name: string) =>
  ask(node, 'FUNCTION', 'LIST', 'LIBRARYNAME', name, 'WITHCODE');

const owned = async (node: ServerNode) => (await seenBy(node))[node.address];

describe('joinCluster()', { concurrency: true }, () => {
  it('adds a master and brings all to their share, keys and all', async () => {
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
    // A byte that is no UTF-8 is kept as it is
    await loadFunction(second, 'bytes', '\xff\xfe');
    await loadFunction(first, 'trib', 'one');
    await loadFunction(third, 'trib', 'two');
    const before = await snapshot(nodes);
    for (const join of [joinCluster, joinNoLoad]) {
      await assert.rejects(join(first.address, third.address), {
        code: 'NODE_NOT_EMPTY',
        address: third.address,
        message: `Node ${third.address} is not empty: its library of functions "trib" is not that of ${second.address}`,
        hint: /FUNCTION DELETE trib$/,
      });
    }
    assert.deepEqual(await snapshot(nodes), before);
    await ask(third, 'FUNCTION', 'DELETE', 'trib');
    await loadFunction(third, 'own', 'own');
    const warnings: string[] = [];
    const result = await joinCluster(first.address, third.address, {
      onEvent: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    assert.deepEqual(
      result.plan.steps.flatMap((step) => (step.type === 'load-functions' ? step.libraries : [step.type])),
      ['bytes', 'trib', 'meet', 'move-slots', 'move-slots'],
    );
    assert.deepEqual(warnings, [
      `${first.address} has other functions than ${second.address}: ${third.address} gets those of ${second.address}`,
    ]);
    const [key = ''] = keysOfSlot(0, 1);
    assert.equal(String(await ask(third, 'FCALL', 'trib', '1', key)), 'one');
    assert.deepEqual(await libraryOf(third, 'bytes'), await libraryOf(second, 'bytes'));
    assert.equal(String(await ask(third, 'FCALL', 'own', '1', key)), 'own', 'what it had besides is kept');

    await loadFunction(fourth, 'trib', 'one');
    await loadFunction(fourth, 'bytes', '\xff\xfe');
    await loadFunction(fourth, 'own', 'own');
    const { plan } = await joinNoLoad(first.address, fourth.address);
    assert.deepEqual(
      plan.steps.map(({ type }) => type),
      ['meet'],
      'it has them all',
    );
  });

  it('says ALREADY_IN_CLUSTER when there is nothing left to do, and finishes what is', async () => {
    const nodes = await startMasters(bed, 1, 1);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await joinNoLoad(first.address, second.address);
    await joinCluster(first.address, second.address);
    await assertLayout([
      [first, '8192-16383'],
      [second, '0-8191'],
    ]);
    const before = await snapshot(nodes);
    await assert.rejects(joinCluster(first.address, second.address), {
      code: 'ALREADY_IN_CLUSTER',
      address: second.address,
      message: `Node ${second.address} is already in a cluster`,
    });
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('is done, and says so, where all that an earlier attempt had left was open slots', async () => {
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

  it('goes by the weights of a balancer, and by its plan', async () => {
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

  it('refuses a balance plan that asks for more than there is, before anything is changed', async () => {
    const nodes = await startMasters(bed, 1, 1);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const before = await snapshot(nodes);
    await assert.rejects(
      joinCluster(first.address, second.address, {
        balancer: { balancePlan: ([a, b]) => [[a as ClusterNode, b as ClusterNode, 16385]] },
      }),
      RangeError,
    );
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('changes nothing in a dry run, and tells the moves', async () => {
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

  it('changes nothing where the node, or the cluster, is not fit', async () => {
    const nodes = await startMasters(bed, 1, 3);
    const [first, fresh, other, full] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const standalone = at(await bed.start(1, { cluster: false }), 0);
    const all = Array.from({ length: 16384 }, (_, slot) => `${slot}`);
    for (const node of [other, full]) await tell(node, ['CLUSTER', 'ADDSLOTS', ...all]);
    await eventually('it serves', async () => (await ask(full, 'SET', 'key', 'value')) === 'OK');
    await tell(full, ['CLUSTER', 'DELSLOTS', ...all]);
    const before = await snapshot(nodes);
    const cases: [string, string, string, RegExp][] = [
      [first.address, other.address, 'ALREADY_IN_CLUSTER', /is already in a cluster/],
      [first.address, full.address, 'NODE_NOT_EMPTY', /still contains keys \(1\)/],
      [first.address, standalone.address, 'NOT_CLUSTER_ENABLED', /is not cluster enabled/],
      [standalone.address, fresh.address, 'NOT_CLUSTER_ENABLED', /is not cluster enabled/],
      [fresh.address, full.address, 'NOT_IN_CLUSTER', /is not in a cluster/],
      [first.address, first.address, 'SAME_NODE', /Same node/],
      [first.address, `localhost:${first.port}`, 'SAME_NODE', /Same node/],
      [first.address, '127.0.0.1:1', 'ECONNREFUSED', /127\.0\.0\.1:1/],
      ['127.0.0.1:1', fresh.address, 'ECONNREFUSED', /127\.0\.0\.1:1/],
    ];
    for (const [cluster, node, code, message] of cases) {
      for (const join of [joinCluster, joinNoLoad]) {
        await assert.rejects(join(cluster, node), (error) => {
          assert.ok(error instanceof Error && 'code' in error);
          assert.equal(error.code, code, error.message);
          assert.match(error.message, message);
          return true;
        });
      }
    }
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('refuses a cluster that leaves slots uncovered, with the code SLOTS_UNCOVERED', async () => {
    const nodes = await startMasters(bed, 1, 1, {
      config: { ...quick.config, 'cluster-require-full-coverage': 'no' },
    });
    await tell(at(nodes, 0), ['CLUSTER', 'DELSLOTS', '5', '6', '9']);
    await assert.rejects(joinCluster(at(nodes, 0).address, at(nodes, 1).address), {
      code: 'SLOTS_UNCOVERED',
      message: /3 slots are not served by any node: 5-6 9$/,
    });
    await assertAlone(at(nodes, 1));
  });

  it('takes a node back that has just quit, at once', async () => {
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

  it('takes a node back that was forgotten seconds ago, under a new id since the old one is banned', async () => {
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
    // Those that have forgotten it go on telling each other for a minute
    await sleep(1500);
    await assertLayout(layout);
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
  it('adds a master without slots, and says ALREADY_IN_CLUSTER of one that is there', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const result = await joinNoLoad(second.address, third.address);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
      [third, ''],
    ]);
    assert.deepEqual([result.applied, result.slots, result.keys], [true, 0, 0]);
    await assert.rejects(joinNoLoad(first.address, third.address), { code: 'ALREADY_IN_CLUSTER' });
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
