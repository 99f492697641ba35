import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  check,
  createCluster,
  fixMigrating,
  type OperationOptions,
  rejoinCluster,
  replicate,
} from '../../lib/index.ts';
import { countSlots } from '../../lib/model/node.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  quick,
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

const addressesOf = (nodes: readonly ServerNode[]) => nodes.map(({ address }) => address);

async function confOf({ dir }: ServerNode): Promise<string> {
  return readFile(join(dir, 'nodes.conf'), 'latin1');
}

/** Starts each of these nodes with the nodes.conf of another: the members wake up elsewhere. */
async function wakeAs(nodes: readonly ServerNode[], former: readonly ServerNode[]): Promise<void> {
  const texts = await Promise.all(former.map(confOf));
  await Promise.all([...nodes, ...former].map((node) => node.kill()));
  await Promise.all(nodes.map((node, index) => node.restart({ nodesConf: { text: at(texts, index) } })));
}

/** Ids by the slots that they own, from one node. */
async function ownersIn(node: ServerNode): Promise<string[]> {
  const records = await recordsOf(node);
  return records
    .filter(({ slots }) => slots.length > 0)
    .map(({ id, slots }) => `${id} ${JSON.stringify(slots)}`)
    .sort();
}

/** What is held after a rejoin: all agree and serve, and said again it is done. */
async function assertWell(nodes: readonly ServerNode[], options: OperationOptions = {}): Promise<void> {
  const addresses = addressesOf(nodes);
  await settled(nodes);
  const { ok, findings } = await check(at(addresses, 0), options);
  assert.ok(ok, JSON.stringify(findings));
  // On a busy machine members may suspect one another for a moment, with a node timeout of a second.
  await eventually('there is nothing to do', async () => {
    const { plan } = await rejoinCluster(addresses, options);
    return plan.steps.length === 0;
  });
}

describe('rejoinCluster()', { concurrency: true }, () => {
  it('brings a cluster together whose addresses are all new, without a change of slots', async () => {
    const former = await bed.start(6, quick);
    await createCluster(addressesOf(former), { replicas: 1 });
    const slots = await ownersIn(at(former, 0));
    const nodes = await bed.start(6, quick);
    await wakeAs(nodes, former);
    await eventually('the first has lost the others', async () =>
      (await recordsOf(at(nodes, 0))).every(
        ({ flags }) => flags.includes('myself') || /fail|noaddr/.test(flags.join()),
      ),
    );
    await assert.rejects(
      rejoinCluster([at(nodes, 0).address]),
      (error: { code?: string; next?: unknown[] }) => {
        assert.equal(error.code, 'NODE_UNREACHABLE');
        assert.deepEqual(error.next?.[0], { do: 'rejoin', nodes: [at(nodes, 0).address], when: 'moved' });
        return true;
      },
    );
    const [seed = '', ...elsewhere] = addressesOf(nodes);
    const { ok, findings } = await check(seed, { elsewhere });
    assert.equal(ok, false);
    const advised = findings.find(({ kind }) => kind === 'node-moved')?.next?.[0];
    assert.equal(advised?.do, 'rejoin');
    assert.deepEqual([...(advised.nodes ?? [])].sort(), addressesOf(nodes).sort());
    const dry = await rejoinCluster(advised.nodes ?? [], { dryRun: true });
    assert.equal(dry.plan.steps[0]?.type, 'meet-again');
    const started = performance.now();
    await rejoinCluster(advised.nodes ?? []);
    assert.ok(performance.now() - started < 20_000, 'it does not take long');
    await assertWell(nodes);
    // A master may have been replaced by its own replica.
    const ranges = (lines: readonly string[]) => lines.map((line) => line.slice(41)).sort();
    assert.deepEqual(ranges(await ownersIn(at(nodes, 0))), ranges(slots));
    await eventually('each replica copies', async () => {
      const infos = await Promise.all(nodes.map((node) => ask(node, 'INFO', 'replication')));
      return infos.filter((info) => String(info).includes('master_link_status:up')).length === 3;
    });
  });

  it('takes masters that have all changed places, and keeps every slot where it is', async () => {
    const timeout = '4000';
    const nodes = await startMasters(bed, 3, 0, { config: { 'cluster-node-timeout': timeout } });
    const ids = await Promise.all(nodes.map(idOfNode));
    const slots = await ownersIn(at(nodes, 0));
    await wakeAs(nodes, [at(nodes, 1), at(nodes, 2), at(nodes, 0)]);
    assert.equal(await idOfNode(at(nodes, 0)), ids[1]);
    await rejoinCluster(addressesOf(nodes));
    assert.deepEqual(await ownersIn(at(nodes, 0)), slots);
    for (const node of nodes) {
      assert.deepEqual(await ask(node, 'CONFIG', 'GET', 'cluster-node-timeout'), [
        'cluster-node-timeout',
        timeout,
      ]);
    }
    await assertWell(nodes);
    // As a run leaves it that is killed.
    await ask(at(nodes, 1), 'CONFIG', 'SET', 'cluster-node-timeout', '2001');
    const warnings: string[] = [];
    await rejoinCluster(addressesOf(nodes), {
      onEvent: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    assert.equal(warnings.length, 1);
    assert.ok(warnings[0]?.includes(at(nodes, 1).address), warnings[0]);
  });

  it('introduces a member that others have forgotten, also through the ban', async (t) => {
    // The ban lasts a minute on servers that spread it.
    if (['redis-8.0', 'redis-8.6', 'valkey-8.1'].includes(bed.server.name))
      return t.skip('tried on valkey-9.1');
    const nodes = await startMasters(bed, 3, 1, quick);
    const [first, second, , spare] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await replicate(first.address, spare.address);
    const id = await idOfNode(spare);
    await ask(second, 'CLUSTER', 'FORGET', id);
    // Where the ban spreads, soon no member lists it any more.
    const result = await rejoinCluster([first.address, spare.address]);
    const known = await Promise.all(nodes.map(recordsOf));
    assert.ok(
      known.every((records) => records.some((record) => record.id === id)),
      JSON.stringify(result.plan.steps),
    );
    await assertWell(nodes);
  });

  it('takes a master that has forgotten all others, as they have it, and nothing gives its slots away that is told of it', async (t) => {
    // The ban lasts a minute on servers that spread it.
    if (['redis-8.0', 'redis-8.6', 'valkey-8.1'].includes(bed.server.name))
      return t.skip('tried on valkey-9.1');
    const nodes = await startMasters(bed, 3, 0, quick);
    const [first, second, lone] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const keys = keysOfSlot(12_000, 20);
    await tell(lone, ...keys.map((key) => ['SET', key, 'v']));
    const id = await idOfNode(lone);
    await eventually('they have forgotten one another', async () => {
      for (const node of nodes) {
        const others = (await recordsOf(node)).filter((one) => node === lone || one.id === id);
        for (const one of others)
          if (!one.flags.includes('myself'))
            await ask(node, 'CLUSTER', 'FORGET', one.id).catch(() => undefined);
      }
      const sizes = await Promise.all(nodes.map(async (node) => (await recordsOf(node)).length));
      return sizes.join() === '2,2,1';
    });
    const before = await ownersIn(lone);
    const options = { agreeTimeout: 1500, elsewhere: [lone.address] };
    const error = await refusalOf(fixMigrating(first.address, options));
    assert.equal(error.code, 'NODES_DISAGREE');
    const alone = await refusalOf(rejoinCluster([lone.address]));
    assert.equal(alone.code, 'NODE_UNREACHABLE');
    assert.deepEqual(await ownersIn(lone), before);
    // Somebody goes on forgetting it for a while: the last ban ends later than a wait of a minute would.
    const until = performance.now() + 5000;
    const forgetting = eventually('nobody forgets it any more', async () => {
      for (const node of [first, second]) await ask(node, 'CLUSTER', 'FORGET', id).catch(() => undefined);
      return performance.now() > until;
    });
    await follow(adviceFor(error.next, 'rejoin', 'stays'), { nodes });
    await forgetting;
    await assertWell(nodes);
    assert.equal(await ask(lone, 'DBSIZE'), keys.length);
    assert.equal((await ownersIn(second)).length, 3);
  });

  it('introduces a master that was emptied and reset, and a repair gives its slots away', async () => {
    const nodes = await startMasters(bed, 2, 0, quick);
    const [first, emptied] = [at(nodes, 0), at(nodes, 1)];
    const id = await idOfNode(emptied);
    await tell(emptied, ['FLUSHALL'], ['CLUSTER', 'RESET', 'SOFT']);
    const { findings } = await check(first.address);
    const advised = findings.flatMap((one) => one.next ?? []).find((one) => one.do === 'rejoin');
    // Valkey 8.1 and newer may have introduced it again on their own.
    await follow(advised ?? { do: 'rejoin', nodes: addressesOf(nodes) }, { nodes });
    await fixMigrating(first.address);
    await settled(nodes);
    assert.equal(await idOfNode(emptied), id);
    const slots = (await recordsOf(first)).reduce((sum, one) => sum + countSlots(one), 0);
    assert.equal(slots, 16384);
  });

  it('leaves out a member that is gone for good, and one that would lose keys, unless forced', async () => {
    const former = await startMasters(bed, 3, 0, quick);
    const old = await confOf(at(former, 2));
    const third = await idOfNode(at(former, 2));
    const nodes = await bed.start(3, quick);
    const [first, second, stale] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await at(former, 2).kill();
    await wakeAs([first, second], former.slice(0, 2));
    const again = (options: object) => rejoinCluster([first.address, second.address], options);
    const missing = await refusalOf(again({}));
    assert.equal(missing.code, 'NODE_UNREACHABLE');
    await follow(adviceFor(missing.next, 'retry', 'gone-for-good'), { nodes, again });
    // Its slots go to the others.
    await declaredFailed([first, second], at(former, 2));
    await fixMigrating(first.address, { withUnreachableMasters: true });
    const owned = await ownersIn(first);
    // It comes back at another address, and looks for the others where they were.
    await stale.kill();
    await stale.restart({ nodesConf: { text: old } });
    assert.equal(await idOfNode(stale), third);
    const all = (options: object) => rejoinCluster(addressesOf(nodes), options);
    const losing = await refusalOf(all({}));
    assert.deepEqual([losing.code, losing.address], ['NODES_DISAGREE', stale.address]);
    await follow(adviceFor(losing.next, 'retry', 'anyway'), { nodes, again: all });
    await settled(nodes);
    assert.deepEqual(await ownersIn(stale), owned);
  });

  it('is what a repair of slots advises if a node has no link to their owner', async () => {
    const nodes = await startMasters(bed, 3, 0, { config: { 'cluster-node-timeout': '30000' } });
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const texts = await Promise.all(nodes.map(confOf));
    await Promise.all(nodes.map((node) => node.kill()));
    // They look for one another where nobody listens, and the second one has not heard of the last move.
    const moved = (text: string) =>
      text.replace(/ 0-5461$/m, ' 0-4 6-5461').replace(/ 10923-16383$/m, ' 5 10923-16383');
    await Promise.all(
      nodes.map((node, index) => {
        const text = at(texts, index).replace(/@\d+/g, '@1');
        return node.restart({ nodesConf: { text: node === second ? text : moved(text) } });
      }),
    );
    const stale = await refusalOf(fixMigrating(first.address, { agreeTimeout: 1500 }));
    assert.equal(stale.code, 'NODES_DISAGREE');
    await follow(adviceFor(stale.next, 'rejoin', 'stays'), { nodes });
    await assertWell(nodes);
    assert.equal((await seenBy(second))[third.address], '5 10923-16383');
  });

  it('settles a config epoch that two masters share, which do not find one another', async () => {
    const nodes = await startMasters(bed, 2, 0, quick);
    const [one, other] = [at(nodes, 0), at(nodes, 1)];
    await Promise.all(nodes.map((node) => node.stop()));
    for (const node of nodes) {
      const away = node === one ? other : one;
      const text = (await confOf(node))
        .replaceAll(/ \d+ (connected|disconnected)/g, ' 7 $1')
        .replace(`${away.address}@${away.busPort}`, '127.0.0.1:1@10001')
        .replace(/currentEpoch \d+/, 'currentEpoch 7');
      await node.restart({ nodesConf: { text } });
    }
    const { findings } = await check(one.address, { elsewhere: [other.address] });
    const shared = findings.find(({ kind }) => kind === 'epoch-collision');
    await follow(adviceFor(shared?.next, 'rejoin', 'stays'), { nodes });
    await assertWell(nodes);
  });

  it('refuses a node of another cluster, and a copy of a member', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [other] = await startMasters(bed, 1, 0, quick);
    assert.ok(other);
    const members = nodes.slice(0, 3);
    await assert.rejects(rejoinCluster([...addressesOf(members), other.address]), {
      code: 'NOT_SAME_CLUSTER',
      address: other.address,
    });
    assert.equal((await recordsOf(other)).length, 1);
    const copy = at(nodes, 3);
    const text = await confOf(at(nodes, 2));
    await copy.kill();
    await copy.restart({ nodesConf: { text } });
    await assert.rejects(rejoinCluster([...addressesOf(members), copy.address]), { code: 'AMBIGUOUS_NODE' });
  });

  it('names the setting that makes a node announce a wrong address', async () => {
    const nodes = await startMasters(bed, 3, 0, { ...quick, password: 'secret' });
    const options = { password: 'secret' };
    const wrong = at(nodes, 2);
    await ask(wrong, 'CONFIG', 'SET', 'cluster-announce-ip', '127.0.0.9');
    await eventually('the others look for it there', async () =>
      (await recordsOf(at(nodes, 0))).some(({ address }) => address.host === '127.0.0.9'),
    );
    await assert.rejects(
      rejoinCluster(addressesOf(nodes), options),
      (error: { code?: string; next?: { do: string; settings?: string[] }[] }) => {
        assert.equal(error.code, 'NODE_UNREACHABLE');
        assert.deepEqual(error.next?.[0]?.settings, ['cluster-announce-ip']);
        return true;
      },
    );
    // What is advised.
    await ask(wrong, 'CONFIG', 'SET', 'cluster-announce-ip', '');
    await rejoinCluster(addressesOf(nodes), options);
    await assertWell(nodes, options);
    await tell(wrong, ...keysOfSlot(12_000, 3).map((key) => ['SET', key, 'value']));
    assert.equal(Object.keys(await seenBy(at(nodes, 0))).length, 3);
  });
});
