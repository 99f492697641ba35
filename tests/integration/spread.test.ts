import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type ConnectionOptions,
  check,
  createCluster,
  type Plan,
  replicate,
  rollbackPlan,
  spread,
  verifyPlan,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { chain } from '../helpers/chains.ts';
import { runOperation } from '../helpers/child.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { assertSoon, at, quick, recordsOf, settled, snapshot, tell } from '../helpers/clusters.ts';
import { follow, refusalOf } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const config = {
  ...quick.config,
  // Servers would move replicas on their own.
  'cluster-migration-barrier': '100',
  'repl-diskless-sync-delay': '0',
};

/** So many servers on each of 127.0.0.1, 127.0.0.2 and so on. */
async function startOn(...counts: readonly number[]): Promise<ServerNode[][]> {
  return Promise.all(
    counts.map((count, index) => {
      const host = `127.0.0.${index + 1}`;
      return bed.start(count, { host, config: { ...config, 'cluster-announce-ip': host } });
    }),
  );
}

/** A cluster of these masters, each with its replicas. */
async function clusterOf(
  shards: readonly (readonly ServerNode[])[],
  options: ConnectionOptions = {},
): Promise<ServerNode[]> {
  const masters = shards.map((shard) => at(shard, 0));
  await createCluster(
    masters.map(({ address }) => address),
    options,
  );
  for (const [master, ...replicas] of shards)
    for (const replica of replicas) await replicate(master?.address ?? '', replica.address, options);
  const nodes = shards.flat();
  await settled(nodes);
  return nodes;
}

/** Addresses of masters with slots, sorted. */
async function mastersSeenBy(node: ServerNode): Promise<string[]> {
  const records = await recordsOf(node);
  return records
    .filter(({ role, slots }) => role === 'master' && slots.length > 0)
    .map(({ address }) => `${address.host || node.host}:${address.port}`)
    .sort();
}

async function placesFound(node: ServerNode, zones = {}): Promise<string[]> {
  const { findings } = await check(node.address, { zones });
  return findings.filter(({ severity }) => severity !== 'info').map(({ kind }) => kind);
}

describe('spread()', { concurrency: 3 }, () => {
  it('takes most of the masters off a host under writes, of which none is lost, and back', async () => {
    const [a = [], b = [], c = []] = await startOn(2, 3, 1);
    const nodes = await clusterOf([
      [at(a, 0), at(b, 0)],
      [at(a, 1), at(b, 1)],
      [at(c, 0), at(b, 2)],
    ]);
    const seed = at(nodes, 0);
    const home = await mastersSeenBy(seed);
    await assertSoon(async () => assert.deepEqual(await placesFound(seed), ['masters-same-host']));
    const { findings } = await check(seed.address);
    const advice = findings.flatMap(({ next = [] }) => next);
    assert.deepEqual(advice, [{ do: 'spread', cluster: seed.address }]);

    const before = await snapshot(nodes);
    const dry = await spread(seed.address, { dryRun: true });
    assert.deepEqual([dry.failovers, dry.moved, dry.applied], [1, 0, false]);
    assert.deepEqual(await snapshot(nodes), before);

    const clients = [0, 1, 2, 3].map(() => new ClusterClient(seed));
    const acknowledged = new Map<string, string>();
    let isDone = false;
    const writing = Promise.all(
      clients.map(async (client, lane) => {
        for (let count = 0; !isDone; count++) {
          const key = `${lane}:${count % 500}`;
          await client.set(key, `${count}`);
          acknowledged.set(key, `${count}`);
        }
      }),
    );
    let plan: Plan;
    try {
      const result = await spread(seed.address, { onEvent: () => undefined });
      plan = result.plan;
      assert.deepEqual([result.failovers, result.moved], [1, 0]);
      assert.deepEqual(
        result.masters.map(({ name, before: then, after: now }) => [name, then, now]),
        [
          ['127.0.0.1', 2, 1],
          ['127.0.0.2', 0, 1],
          ['127.0.0.3', 1, 1],
        ],
      );
    } finally {
      isDone = true;
      await writing;
    }
    const client = at(clients, 0);
    for (const [key, value] of acknowledged) assert.equal(await client.get(key), value, key);
    await Promise.all(clients.map((one) => one.close()));
    await assertSoon(async () => assert.deepEqual(await placesFound(seed), []));

    const { code, stdout } = await runMain(['spread', seed.address]);
    assert.equal(code, 0);
    assert.match(stdout, /^Nothing to do/);
    assert.equal((await verifyPlan(seed.address, plan)).state, 'done');
    await rollbackPlan(seed.address, plan);
    assert.deepEqual(await mastersSeenBy(seed), home);
    assert.equal((await verifyPlan(seed.address, plan)).state, 'not-begun');
  });

  it('gives replicas beside their masters to others, and leaves none without a copy', async () => {
    const [a = [], b = [], c = []] = await startOn(3, 2, 2);
    const nodes = await clusterOf([
      [at(a, 0), at(b, 0), at(a, 1)],
      [at(a, 2), at(b, 1)],
      [at(c, 0), at(c, 1)],
    ]);
    const seed = at(nodes, 0);
    await assertSoon(async () =>
      assert.deepEqual((await placesFound(seed)).sort(), ['masters-same-host', 'same-host']),
    );
    const beside = (await check(seed.address)).findings.find(({ kind }) => kind === 'same-host');
    assert.deepEqual(beside?.next, [{ do: 'spread', cluster: seed.address }]);
    // It is the first to leave, and its master has another only once the former one has copied that.
    for (const next of beside.next) await follow(next, { nodes });
    await assertSoon(async () => {
      assert.deepEqual(
        (await check(seed.address)).findings.map(({ kind }) => kind),
        [],
      );
    });
    assert.deepEqual((await spread(seed.address)).plan.steps, []);
  });

  it('moves the only replica of a master once there is another, as advised', async () => {
    const [a = [], b = [], c = []] = await startOn(2, 3, 2);
    const nodes = await clusterOf([
      [at(a, 0), at(a, 1)],
      [at(b, 0), at(c, 0)],
      [at(c, 1), at(b, 1)],
    ]);
    const [seed, spare] = [at(nodes, 0), at(b, 2)];
    await assertSoon(async () => assert.deepEqual(await placesFound(seed), ['same-host']));
    assert.deepEqual((await spread(seed.address)).plan.steps, []);
    for (const act of ['replicate', 'spread']) {
      const [beside] = (await check(seed.address)).findings;
      assert.deepEqual([beside?.kind, beside?.next?.map((one) => one.do)], ['same-host', [act]]);
      for (const next of beside?.next ?? []) await follow(next, { nodes, fresh: spare.address });
      await settled([...nodes, spare]);
    }
    await assertSoon(async () => assert.deepEqual((await check(seed.address)).findings, []));
  });

  it('first gives a master to a replica that still follows its former one, a replica since a failover', async () => {
    const [a = [], b = [], c = []] = await startOn(2, 1, 1);
    const [former, left, taking, bare] = [at(a, 0), at(a, 1), at(b, 0), at(c, 0)];
    await clusterOf([[former, taking, left], [bare]]);
    await chain(former, taking, left);
    await spread(bare.address);
    const records = await recordsOf(bare);
    const masters = records.filter(({ role }) => role === 'master').map(({ id }) => id);
    assert.equal(masters.length, 2);
    const followed = records.flatMap(({ role, masterId }) => (role === 'replica' ? [masterId] : []));
    assert.deepEqual(followed.sort(), masters.sort());
    await assertSoon(async () => assert.deepEqual((await check(bare.address)).findings, []));
  });

  it('gives no replica a master that it could not copy', async () => {
    const password = 'secret';
    const start = (count: number, host: string) =>
      bed.start(count, { host, password, config: { ...config, 'cluster-announce-ip': host } });
    const [a, b, c] = [await start(2, '127.0.0.1'), await start(2, '127.0.0.2'), await start(2, '127.0.0.3')];
    const [beside, options] = [at(a, 1), { password }];
    const nodes = await clusterOf([[at(a, 0), beside, at(b, 1)], [at(b, 0), at(c, 1)], [at(c, 0)]], options);
    // It needs none for the link that it has.
    await ask(beside, 'CONFIG', 'SET', 'masterauth', '');
    const before = await snapshot(nodes);
    const again = () => spread(at(b, 0).address, options);
    const refusal = await refusalOf(again());
    assert.equal(refusal.code, 'NO_REPLICA');
    assert.deepEqual(await snapshot(nodes), before);
    for (const next of refusal.next ?? [])
      await follow(next, { nodes, again, values: { masterauth: password } });
    assert.deepEqual((await again()).plan.steps, []);
    const { findings } = await check(at(b, 0).address, options);
    assert.ok(!findings.some(({ kind }) => kind === 'same-host'));
  });

  it('lets replicas take over again that were moved, also by a run that was killed', async () => {
    const [a = [], b = [], c = []] = await startOn(3, 1, 1);
    const nodes = await clusterOf([[at(a, 0), at(a, 1), at(a, 2)], [at(b, 0)], [at(c, 0)]]);
    const [seed, second] = [at(nodes, 0), at(nodes, 1)];
    const barOf = async (node: ServerNode): Promise<string> => {
      const [bar, priority] = await tell(
        node,
        ['CONFIG', 'GET', 'cluster-replica-no-failover'],
        ['CONFIG', 'GET', 'replica-priority'],
      );
      return [bar, priority].flat().join(' ');
    };
    const lifted = 'cluster-replica-no-failover no replica-priority 100';
    const uneven = async () =>
      (await check(seed.address)).findings.filter(({ kind }) => kind === 'replicas-uneven');
    await assertSoon(async () =>
      assert.deepEqual(
        (await uneven()).map(({ next }) => next),
        [[{ do: 'spread', cluster: seed.address }]],
      ),
    );
    assert.equal((await spread(seed.address)).moved, 1);
    assert.deepEqual(await uneven(), []);
    for (const node of nodes) assert.equal(await barOf(node), lifted);
    await tell(
      second,
      ['CONFIG', 'SET', 'replica-priority', '1000100'],
      ['CONFIG', 'SET', 'cluster-replica-no-failover', 'yes'],
    );
    await eventually('it says that it takes part in no election', async () =>
      (await recordsOf(second)).some(({ flags }) => flags.includes('myself') && flags.includes('nofailover')),
    );
    assert.deepEqual((await spread(seed.address)).plan.steps, []);
    assert.equal(await barOf(second), lifted);
  });

  it('ends in time if a new master freezes in the middle of the copy, and the same call finishes', async () => {
    const [a = [], b = [], c = []] = await startOn(3, 1, 1);
    const nodes = await clusterOf([[at(a, 0), at(a, 1), at(a, 2)], [at(b, 0)], [at(c, 0)]]);
    const seed = at(nodes, 0);
    const client = new ClusterClient(seed);
    const keys = Array.from({ length: 600 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    await settled(nodes);
    const { plan } = await spread(seed.address, { dryRun: true });
    const [step, ...more] = plan.steps;
    assert.ok(step?.type === 'replicate' && more.length === 0);
    const [moved, master] = [step.replica, step.master].map(({ address }) =>
      at(
        nodes.filter((node) => node.address === address),
        0,
      ),
    );
    assert.ok(moved && master);
    await ask(master, 'CONFIG', 'SET', 'rdb-key-save-delay', '20000');
    const frozen = eventually('it copies', async () =>
      /^master_sync_in_progress:1/m.test(String(await ask(moved, 'INFO', 'replication'))),
    ).then(() => master.freeze());
    const options = { agreeTimeout: 4000, commandTimeout: 2000 };
    const refusal = await refusalOf(spread(seed.address, options));
    await frozen;
    assert.deepEqual([refusal.code, refusal.resumable], ['NOT_REACHED', 'same-call'], refusal.message);
    await master.thaw();
    await ask(master, 'CONFIG', 'SET', 'rdb-key-save-delay', '0');
    // Since Redis 8.0, a child of the master sends the copy, and goes on: then the replica may have taken its place, with every key.
    await settled(nodes);
    for (const key of keys) assert.equal(await client.get(key), key);
    await spread(seed.address);
    assert.deepEqual((await spread(seed.address)).plan.steps, []);
    for (const key of keys) assert.equal(await client.get(key), key);
    await client.close();
    await assertSoon(async () =>
      assert.deepEqual(
        (await check(seed.address)).findings.map(({ kind }) => kind),
        ['master-without-replica', 'same-host'],
      ),
    );
  });

  it('brings all masters to a zone, or none if a master has no replica there that is in sync', async () => {
    const [a = [], b = []] = await startOn(3, 4);
    const [one, two, three] = [at(a, 0), at(a, 1), at(a, 2)];
    const [spare, ...others] = b;
    assert.ok(spare);
    const shards = [
      [one, at(others, 0)],
      [two, at(others, 1)],
      [three, at(others, 2)],
    ];
    const nodes = await clusterOf(shards);
    // A Valkey whose masters were never written to may count one byte more on a replica than on its master, which then waits in vain.
    const client = new ClusterClient(one);
    for (let index = 0; index < 30; index++) await client.set(`key:${index}`, 'value');
    await client.close();
    const zones = { '127.0.0.1': 'dc1', '127.0.0.2': 'dc2' };
    const home = await mastersSeenBy(one);
    await assert.rejects(spread(one.address, { zones, toZone: 'dc3' }), { code: 'INVALID_ARGUMENT' });

    // One is out of sync, and one is dead.
    const [stale, dead] = [at(others, 1), at(others, 2)];
    await dead.kill();
    await ask(two, 'ACL', 'SETUSER', 'default', '-psync', '-sync');
    await ask(two, 'CLIENT', 'KILL', 'TYPE', 'replica');
    await eventually('the others declare it failed', async () => {
      const seen = await Promise.all([one, two, three].map(recordsOf));
      return seen.every((records) =>
        records.some(({ address, flags }) => address.port === dead.port && flags.includes('fail')),
      );
    });
    const alive = nodes.filter((node) => node !== dead);
    const before = await snapshot(alive);
    const refusal = await refusalOf(spread(one.address, { zones, toZone: 'dc2' }));
    assert.equal(refusal.code, 'NO_REPLICA');
    for (const { address } of [stale, dead]) assert.ok(refusal.message.includes(address), refusal.message);
    assert.deepEqual(await snapshot(alive), before);

    // What is advised if there is none.
    await dead.restart();
    // PSYNC alone: a replica that was refused it tries SYNC next, and could take over no more after that.
    await ask(two, 'ACL', 'SETUSER', 'default', '+psync');
    const without = { ...zones, [at(others, 0).address]: 'dc1' };
    await settled(nodes);
    const lacking = await refusalOf(spread(one.address, { zones: without, toZone: 'dc2' }));
    assert.deepEqual(lacking.next, [
      { do: 'replicate', node: one.address },
      { do: 'retry', when: 'after-that' },
    ]);
    let plan: Plan | undefined;
    for (const next of lacking.next ?? []) {
      await follow(next, {
        nodes: [...nodes, spare],
        fresh: spare.address,
        again: async () => {
          ({ plan } = await spread(one.address, {
            zones: { ...without, [spare.address]: 'dc2' },
            toZone: 'dc2',
          }));
        },
      });
    }
    assert.ok(plan);
    assert.deepEqual(await mastersSeenBy(one), [spare, stale, dead].map(({ address }) => address).sort());
    assert.equal(plan.zones?.length, 7);
    await rollbackPlan(one.address, plan);
    assert.deepEqual(await mastersSeenBy(one), home);
  });

  it('is finished by the same call if it was killed in the middle', async (context) => {
    const [a = [], b = [], c = []] = await startOn(3, 2, 2);
    const nodes = await clusterOf([
      [at(a, 0), at(b, 0), at(a, 1)],
      [at(a, 2), at(b, 1)],
      [at(c, 0), at(c, 1)],
    ]);
    const seed = at(nodes, 0);
    for (const killAt of [20, 30, 40, 0]) {
      const outcome = await runOperation('spread', [seed.address], killAt);
      context.diagnostic(`killed at write ${killAt}: ${JSON.stringify(outcome)}`);
      if (outcome.killed) continue;
      assert.ok(outcome.ok, JSON.stringify(outcome));
      break;
    }
    await assertSoon(async () => assert.deepEqual(await placesFound(seed), []));
    assert.deepEqual((await spread(seed.address)).plan.steps, []);
  });

  it('spreads over the zones that servers tell, if they do', async (context) => {
    const { kind, major, minor } = bed.server;
    if (kind !== 'valkey' || 10 * major + minor < 81) return context.skip('servers have no zones');
    const nodes = await bed.start(6, quick);
    const zones = ['a', 'a', 'b', 'c', 'c', 'c'];
    for (const [index, node] of nodes.entries())
      await ask(node, 'CONFIG', 'SET', 'availability-zone', zones[index] ?? '');
    const [seed] = nodes;
    assert.ok(seed);
    await clusterOf([0, 1, 2].map((index) => [at(nodes, index), at(nodes, index + 3)]));
    await assertSoon(async () => assert.deepEqual(await placesFound(seed), ['masters-same-zone']));
    const { plan, failovers, masters } = await spread(seed.address);
    assert.deepEqual([failovers, plan.zones?.length], [1, 6]);
    assert.deepEqual(
      masters.filter(({ place }) => place === 'zone').map(({ after: now }) => now),
      [1, 1, 1],
    );
    await assertSoon(async () => assert.deepEqual(await placesFound(seed), []));
    // What is given counts more.
    const { failovers: none } = await spread(seed.address, { zones: { '127.0.0.1': 'a' } });
    assert.equal(none, 0);
  });
});
