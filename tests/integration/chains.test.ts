import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type ClusterError,
  check,
  drain,
  ensureCluster,
  failover,
  isReady,
  okToStop,
  replicate,
  restart,
  waitFor,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { chain, follows } from '../helpers/chains.ts';
import {
  assertLayout,
  assertSoon,
  at,
  becomes,
  bePatient,
  idOfNode,
  recordsOf,
  seenBy,
  settled,
  startMasters,
} from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Three masters, and two replicas of the first. */
async function startWithTwo(relay = false): Promise<ServerNode[]> {
  const nodes = await startMasters(bed, 3, 2, relay ? { relay } : {});
  for (const replica of nodes.slice(3)) await replicate(at(nodes, 0).address, replica.address);
  await settled(nodes);
  await bePatient(nodes);
  return nodes;
}

describe('A replica that follows a replica', () => {
  it('is no copy to count on, and gets its master before a plan is made', async () => {
    const nodes = await startWithTwo();
    const [former, second, other, taking, left] = [0, 1, 2, 3, 4].map((index) => at(nodes, index)) as [
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
    ];
    await chain(former, taking, left);
    const { ok } = await isReady(left.address);
    // Some servers end it, now or in the middle of what follows.
    if (await follows(left, former)) assert.equal(ok, false);
    const verdict = await okToStop(other.address, [taking.address, former.address]);
    if (await follows(left, former)) assert.ok(verdict.reasons.some(({ kind }) => kind === 'no-copy'));
    const inSync = await waitFor([other.address], { conditions: ['in-sync'], timeout: 200 }).then(
      () => true,
      () => false,
    );
    if (await follows(left, former)) assert.equal(inSync, false);
    await ensureCluster(
      nodes.map(({ address }) => address),
      { masters: 3 },
    );
    assert.ok(await follows(left, taking));
    await waitFor([other.address], { conditions: ['in-sync', 'agreed', 'serving'], timeout: 20_000 });
    assert.equal((await isReady(left.address)).ok, true);

    await chain(taking, former, left);
    const { restarted } = await restart(other.address, {
      only: left.address,
      restartServer: () => left.restart(),
    });
    assert.equal(restarted, 1);
    assert.ok(await follows(left, former));
    await assertLayout([
      [former, '0-5461'],
      [second, '5462-10922'],
      [other, '10923-16383'],
      [taking, `replica of ${former.address}`],
      [left, `replica of ${former.address}`],
    ]);
  });

  it('takes over from a master that is drained together with the other replica', async () => {
    const start = (count: number, host: string) =>
      bed.start(count, {
        host,
        config: {
          'cluster-announce-ip': host,
          'cluster-migration-barrier': '100',
          'repl-diskless-sync-delay': '0',
        },
      });
    const [[former, taking] = [], [left] = [], [other] = []] = await Promise.all([
      start(2, '127.0.0.1'),
      start(1, '127.0.0.2'),
      start(1, '127.0.0.3'),
    ]);
    assert.ok(former && taking && left && other);
    const nodes = [former, taking, left, other];
    await ensureCluster([former.address, other.address], { masters: 2 });
    for (const replica of [taking, left]) await replicate(former.address, replica.address);
    await settled(nodes);
    await chain(former, taking, left);
    await drain(other.address, '127.0.0.1');
    const id = await idOfNode(left);
    const records = await recordsOf(other);
    assert.ok(records.some((one) => one.id === id && one.slots.length > 0));
    assert.equal(records.filter(({ masterId }) => masterId === id).length, 2);
    await assertSoon(async () => {
      const { findings } = await check(other.address);
      assert.ok(!findings.some(({ kind }) => kind === 'replica-of-replica'));
    });
  });
});

/** A master whose place a replica takes while another of its replicas is cut off. Undefined if that has heard of it. */
async function unheardTakeover() {
  const nodes = await startWithTwo(true);
  const [former, other, third, taking, left] = [0, 1, 2, 3, 4].map((index) => at(nodes, index)) as [
    ServerNode,
    ServerNode,
    ServerNode,
    ServerNode,
    ServerNode,
  ];
  left.cutOff(nodes.filter((node) => node !== left));
  await former.kill();
  await ask(taking, 'CLUSTER', 'FAILOVER', 'TAKEOVER');
  await eventually('others know', async () => (await seenBy(other))[taking.address] === '0-5461');
  const hasHeard = (await seenBy(left))[taking.address] === '0-5461';
  return hasHeard ? undefined : { nodes, other, third, taking, left };
}

describe('A replica that has not heard of a failover', () => {
  it('does not take slots that another serves by now, unless forced', async () => {
    let scene: Awaited<ReturnType<typeof unheardTakeover>>;
    // On a loaded machine it may hear before it is cut off.
    for (let tries = 0; !scene && tries < 3; tries++) scene = await unheardTakeover();
    assert.ok(scene, 'it has not heard of the failover');
    const { nodes, other, third, taking, left } = scene;
    // No other master would vote for it.
    const { code } = await refusalOf(failover(left.address, { mode: 'force' }));
    assert.ok(code === 'SLOTS_NOT_HELD' || code === 'KEYS_IN_DOUBT', code);
    const refused = await refusalOf(failover(left.address, { mode: 'takeover' }));
    assert.equal(refused.code, 'KEYS_IN_DOUBT');
    assert.equal(adviceFor(refused.next, 'check').cluster, taking.address);
    await Promise.all([
      follow(adviceFor(refused.next, 'retry', 'anyway'), {
        nodes,
        again: async (options) => {
          const take = () => failover(left.address, { mode: 'takeover', agreeTimeout: 10_000, ...options });
          // Both may have the same config epoch. Then their ids decide who takes another one, and the slots
          // (clusterHandleConfigEpochCollision): if it loses them, the same call takes them once all know of each other.
          await take().catch(({ code }: ClusterError) => {
            assert.equal(code, 'NOT_REACHED');
            return take();
          });
        },
      }),
      // Both claim the slots until one of them hears of a higher config epoch.
      becomes(left, 'master').then(() => left.reconnect()),
    ]);
    await assertSoon(async () => {
      for (const node of [other, third]) assert.equal((await seenBy(node))[left.address], '0-5461');
      assert.equal((await seenBy(left))[taking.address], `replica of ${left.address}`);
    });
  });
});

describe('A replica that looks for its master', () => {
  for (const [name, act] of [
    ['drain', (other: ServerNode, master: ServerNode) => drain(other.address, master.address)],
    ['failover', (_: ServerNode, __: ServerNode, replica: ServerNode) => failover(replica.address)],
  ] as const)
    it(`is waited for by ${name}`, async () => {
      const nodes = await startMasters(bed, 2, 1);
      const [master, other, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
      await replicate(master.address, replica.address);
      await ask(replica, 'CONFIG', 'SET', 'masterauth', 'wrong');
      await ask(master, 'CLIENT', 'KILL', 'TYPE', 'replica');
      await eventually('it has no link', async () =>
        /^master_link_status:down/m.test(String(await ask(replica, 'INFO', 'replication'))),
      );
      const repaired = new Promise((resolve) => setTimeout(resolve, 1000)).then(() =>
        ask(replica, 'CONFIG', 'SET', 'masterauth', ''),
      );
      await Promise.all([act(other, master, replica), repaired]);
      await assertLayout([
        [replica, '0-8191'],
        [other, '8192-16383'],
        [master, `replica of ${replica.address}`],
      ]);
    });
});
