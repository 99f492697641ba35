import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { runOperation } from '../helpers/child.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  quick,
  startMasters,
  tell,
} from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/**
 * Runs an operation that is killed at some write, again and again, and at last lets it finish. It may say one of `done`
 * when a killed run had done all and only had not said so.
 */
async function killAgainAndAgain(
  context: TestContext,
  name: string,
  args: readonly unknown[],
  done: readonly string[] = [],
): Promise<void> {
  const points = [3, 8, 13, 20, 28].map((least) => least + Math.floor(Math.random() * 6));
  for (const killAt of [...points, 0]) {
    const outcome = await runOperation(name, args, killAt);
    context.diagnostic(`${name} killed at write ${killAt}: ${JSON.stringify(outcome)}`);
    if (outcome.killed) continue;
    assert.ok(outcome.ok || done.includes(outcome.code ?? ''), JSON.stringify(outcome));
    return;
  }
}

async function fill(node: ServerNode): Promise<(from: ServerNode) => Promise<void>> {
  const client = new ClusterClient(node);
  const keys = Array.from({ length: 3000 }, (_, index) => `key:${index}`);
  await Promise.all(keys.map((key) => client.set(key, `value of ${key}`)));
  await client.close();
  return async (from) => {
    const reader = new ClusterClient(from);
    const values = await Promise.all(keys.map((key) => reader.get(key)));
    assert.deepEqual(
      values,
      keys.map((key) => `value of ${key}`),
    );
    await reader.close();
  };
}

async function assertCovered(nodes: readonly ServerNode[]): Promise<void> {
  assert.deepEqual(await openSlotsAt(nodes), []);
  for (const node of nodes) {
    assert.match(
      String(await ask(node, 'CLUSTER', 'INFO')),
      /^cluster_state:ok[\s\S]*cluster_slots_ok:16384/m,
    );
  }
}

describe('the same call after SIGKILL', { concurrency: 3 }, () => {
  it('finishes a start', async (context) => {
    const nodes = await bed.start(3, quick);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const addresses = nodes.map(({ address }) => address);
    await killAgainAndAgain(
      context,
      'startClusterOnMulti',
      [addresses, { maxSlots: 1000 }],
      ['ALREADY_IN_CLUSTER'],
    );
    await assertLayout([
      [first, '0-5461'],
      [second, '5462-10922'],
      [third, '10923-16383'],
    ]);
  });

  it('finishes a join, with all keys', async (context) => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, , third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const check = await fill(first);
    await killAgainAndAgain(context, 'joinCluster', [first.address, third.address], ['ALREADY_IN_CLUSTER']);
    await assertCovered(nodes);
    for (const node of nodes) {
      const slots = String(await ask(node, 'CLUSTER', 'NODES'))
        .split('\n')
        .filter((line) => line.includes('myself'))
        .flatMap((line) => line.split(' ').slice(8))
        .map((range) => range.split('-').map(Number))
        .reduce((sum, [from = 0, to = from]) => sum + to - from + 1, 0);
      assert.ok(slots === 5461 || slots === 5462, `${node.address} has ${slots}`);
    }
    await check(first);
  });

  it('finishes a migration, with all keys', async (context) => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const check = await fill(first);
    await killAgainAndAgain(context, 'migrateSlots', [
      first.address,
      second.address,
      [[0, 2999]],
      { resume: true },
    ]);
    await assertCovered(nodes);
    await assertLayout([
      [first, '3000-8191'],
      [second, '0-2999 8192-16383'],
    ]);
    await check(second);
  });

  it('finishes a quit, with all keys', async (context) => {
    const nodes = await startMasters(bed, 3);
    const [first, second, leaver] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const check = await fill(first);
    await killAgainAndAgain(context, 'quitCluster', [leaver.address], ['NOT_IN_CLUSTER']);
    await assertAlone(leaver);
    await assertCovered([first, second]);
    assert.equal(
      String(await ask(first, 'CLUSTER', 'NODES'))
        .trim()
        .split('\n').length,
      2,
    );
    await check(second);
  });

  it('finishes a replicate', async (context) => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await tell(first, ...keysOfSlot(1, 100).map((key) => ['SET', key, 'value']));
    await killAgainAndAgain(context, 'replicate', [first.address, replica.address], ['ALREADY_IN_CLUSTER']);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
      [replica, `replica of ${first.address}`],
    ]);
    assert.equal(await ask(replica, 'DBSIZE'), 100);
  });

  it('finishes a rescue', async (context) => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, second, lost, taker] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await lost.kill();
    await eventually('it is held for failed', async () =>
      /master,fail /.test(String(await ask(first, 'CLUSTER', 'NODES'))),
    );
    await killAgainAndAgain(context, 'rescueCluster', [first.address, taker.address]);
    for (const node of [first, second, taker]) {
      const view = String(await ask(node, 'CLUSTER', 'NODES'));
      assert.match(view, new RegExp(`:${taker.port}@\\S+ \\S*master - .* connected 10923-16383$`, 'm'));
    }
    await assertCovered([first, second, taker]);
  });

  it('finishes a fix, with all keys', async (context) => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const check = await fill(first);
    const [a, b] = [await idOfNode(first), await idOfNode(second)];
    const slots = Array.from({ length: 500 }, (_, index) => `${index}`);
    await tell(second, ...slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', a]));
    await tell(first, ...slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', b]));
    await killAgainAndAgain(context, 'fixMigrating', [first.address]);
    await assertCovered(nodes);
    await assertLayout([
      [first, '500-8191'],
      [second, '0-499 8192-16383'],
    ]);
    await check(second);
  });
});
