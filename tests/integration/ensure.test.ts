import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { applyPlan, ensureCluster, joinNoLoad, startCluster, startClusterOnMulti } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  at,
  declaredFailed,
  idOfNode,
  openSlotsAt,
  quick,
  seenBy,
  snapshot,
  startMasters,
  startPairs,
  tell,
} from '../helpers/clusters.ts';
import { failureOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const named = (nodes: readonly ServerNode[]): string[] => nodes.map(({ address }) => address);

/** How many masters with slots and replicas a node knows. */
async function shapeAt(node: ServerNode): Promise<[masters: number, replicas: number]> {
  const seen = Object.values(await seenBy(node));
  return [
    seen.filter((text) => /^\d/.test(text)).length,
    seen.filter((text) => text.startsWith('replica of')).length,
  ];
}

describe('ensureCluster()', { concurrency: 2 }, () => {
  it('creates a cluster, does nothing the next time, and grows it', async () => {
    const nodes = await bed.start(6, quick);
    const some = named(nodes.slice(0, 4));
    const dry = await ensureCluster(some, { masters: 2, replicas: 1, dryRun: true });
    assert.deepEqual([dry.did, dry.applied], ['created', false]);
    await assertAlone(at(nodes, 0));
    assert.equal((await ensureCluster(some, { masters: 2, replicas: 1 })).did, 'created');
    assert.deepEqual(await shapeAt(at(nodes, 3)), [2, 2]);
    const client = new ClusterClient(at(nodes, 0));
    for (let key = 0; key < 200; key++) await client.set(`key:${key}`, `${key}`);
    const again = await ensureCluster(some.toReversed(), { masters: 2, replicas: 1 });
    assert.deepEqual([again.did, again.plan.steps], ['nothing', []]);
    const request = { masters: 3, replicas: 1 };
    const { plan, did } = await ensureCluster(named(nodes), { ...request, dryRun: true });
    assert.deepEqual(
      [did, [...new Set(plan.steps.map(({ type }) => type))]],
      ['changed', ['meet', 'replicate', 'move-slots']],
    );
    const grown = await ensureCluster(named(nodes), request);
    assert.deepEqual([grown.did, grown.masters, grown.replicas, grown.addedMasters], ['changed', 3, 3, 1]);
    assert.deepEqual(await shapeAt(at(nodes, 0)), [3, 3]);
    for (let key = 0; key < 200; key++) assert.equal(await client.get(`key:${key}`), `${key}`);
    await client.close();
    const said = await runMain(['ensure', ...named(nodes), '--masters', '3', '--replicas', '1', '--json']);
    assert.deepEqual([said.code, JSON.parse(said.stdout).did], [0, 'nothing']);
    // Fewer masters than own slots are refused.
    const before = await snapshot(nodes);
    assert.equal((await failureOf(ensureCluster(some, { masters: 2 }))).code, 'INVALID_ARGUMENT');
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('finishes a start of which only some nodes have their slots', async () => {
    const nodes = await bed.start(4, quick);
    await ask(at(nodes, 2), 'CLUSTER', 'ADDSLOTSRANGE', '0', '8191').catch(() =>
      ask(at(nodes, 2), 'CLUSTER', 'ADDSLOTS', ...Array.from({ length: 8192 }, (_, slot) => `${slot}`)),
    );
    const { did } = await ensureCluster(named(nodes), { masters: 2, replicas: 1 });
    assert.deepEqual([did, await shapeAt(at(nodes, 0))], ['created', [2, 2]]);
    assert.equal((await seenBy(at(nodes, 0)))[at(nodes, 2).address], '0-8191');
  });

  it('gives roles to nodes that were only introduced, and finishes open slots first', async () => {
    const nodes = await startMasters(bed, 2, 2);
    await joinNoLoad(at(nodes, 0).address, at(nodes, 2).address);
    const [source, target] = [at(nodes, 0), at(nodes, 1)];
    const [from, to] = [await idOfNode(source), await idOfNode(target)];
    await tell(target, ['CLUSTER', 'SETSLOT', '0', 'IMPORTING', from]);
    await tell(source, ['CLUSTER', 'SETSLOT', '0', 'MIGRATING', to]);
    const warnings: string[] = [];
    const dry = await ensureCluster(named(nodes), {
      ...{ masters: 2, replicas: 1, dryRun: true },
      onEvent: (event) => {
        if (event.type === 'warning' && !event.node) warnings.push(event.message);
      },
    });
    assert.equal(dry.addedReplicas, 2);
    assert.ok(warnings.some((message) => message.includes('open')));
    const { did, addedReplicas } = await ensureCluster(named(nodes), { masters: 2, replicas: 1 });
    assert.deepEqual([did, addedReplicas, await shapeAt(source)], ['changed', 2, [2, 2]]);
    assert.deepEqual(await openSlotsAt(nodes), []);
    assert.equal((await seenBy(source))[target.address], '0 8192-16383');
  });

  it('finishes open slots of a master that does not serve because of them', async () => {
    const nodes = await startMasters(bed, 2);
    const [source, target] = [at(nodes, 0), at(nodes, 1)];
    const [from, to] = [await idOfNode(source), await idOfNode(target)];
    // As a Redis 6.0 does with slots of a master that becomes a replica. While it imports them, it learns of no new owner.
    await tell(
      target,
      ...[
        ['CLUSTER', 'DELSLOTS', '0'],
        ['CLUSTER', 'SETSLOT', '0', 'IMPORTING', from],
      ],
    );
    await tell(source, ['CLUSTER', 'SETSLOT', '0', 'MIGRATING', to]);
    assert.equal((await ensureCluster(named(nodes), { masters: 2, agreeTimeout: 15_000 })).did, 'changed');
    assert.deepEqual(await openSlotsAt(nodes), []);
    assert.equal((await seenBy(source))[target.address], '0 8192-16383');
  });

  it('refuses other clusters and nodes with keys, with nothing changed', async () => {
    const nodes = await startMasters(bed, 2, 4);
    const [first, lone, full] = [at(nodes, 0), at(nodes, 4), at(nodes, 5)];
    await startClusterOnMulti(named(nodes.slice(2, 4)));
    await startCluster(lone.address);
    await startCluster(full.address);
    await ask(full, 'SET', 'a key', 'a value');
    await ask(full, 'CLUSTER', 'DELSLOTS', ...Array.from({ length: 16384 }, (_, slot) => `${slot}`));
    const earlier = await snapshot(nodes);
    for (const [others, code] of [
      [nodes.slice(0, 4), 'NOT_SAME_CLUSTER'],
      [[first, lone], 'ALREADY_IN_CLUSTER'],
      [[first, full], 'NODE_NOT_EMPTY'],
      [[first, at(nodes, 1)], 'INVALID_ARGUMENT'],
    ] as const)
      assert.equal((await failureOf(ensureCluster(named(others), { masters: 3 }))).code, code);
    assert.deepEqual(await snapshot(nodes), earlier);
  });

  it('refuses a cluster with a dead member, and advises what is true', async () => {
    const nodes = await startPairs(bed);
    const [first, dead] = [at(nodes, 0), at(nodes, 3)];
    await dead.kill();
    await declaredFailed(
      nodes.filter((node) => node !== dead),
      dead,
    );
    for (const some of [[first], nodes]) {
      const error = await failureOf(ensureCluster(named(some), { masters: 3, replicas: 1 }));
      assert.deepEqual([error.code, error.address], ['NODE_UNREACHABLE', dead.address]);
      assert.deepEqual(
        error.next.map(({ do: act }) => act),
        ['start-node', 'rejoin', 'del-node'],
      );
    }
    await dead.restart();
    await runMain(['wait', first.address, '--for', 'agreed,in-sync']);
    assert.equal((await ensureCluster(named(nodes), { masters: 3, replicas: 1 })).did, 'nothing');
  });

  it('lets two calls at once come through one after the other', async () => {
    const nodes = await bed.start(3, quick);
    const calls = await Promise.all(
      [0, 1].map(() => ensureCluster(named(nodes), { masters: 3, wait: 60_000 })),
    );
    assert.deepEqual(calls.map(({ did }) => did).sort(), ['created', 'nothing']);
  });

  it('makes a plan that can be carried out later', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const request = { masters: 3, replicas: 0 } as const;
    const { plan } = await ensureCluster(named(nodes), { ...request, dryRun: true });
    await applyPlan(at(nodes, 0).address, plan);
    assert.equal((await ensureCluster(named(nodes), request)).did, 'nothing');
  });
});
