import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { check, type Finding, joinNoLoad, replicate, startCluster } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { addressesOf } from '../helpers/cli-runs.ts';
import { assertAlone, assertLayout, at, snapshot, startMasters, tell } from '../helpers/clusters.ts';
import { follow, refusalOf } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

describe('replicate()', { concurrency: true }, () => {
  it('adds a replica that has copied its master when it resolves', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await tell(second, ...Array.from({ length: 1000 }, (_, index) => ['SET', `${index}:{foo}`, 'value']));
    const result = await replicate(second.address, replica.address);
    assert.equal(result.applied, true);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
      [replica, `replica of ${second.address}`],
    ]);
    assert.match(String(await ask(replica, 'INFO', 'replication')), /^master_link_status:up/m);
    assert.equal(await ask(replica, 'DBSIZE'), 1000);
    assert.deepEqual((await replicate(second.address, replica.address)).plan.steps, []);
  });

  it('is done the second time, as add_node is', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [first, second, replica, empty] = addressesOf(nodes) as [string, string, string, string];
    const asReplica = ['--replica', '--of', second];
    for (const [words, says] of [
      [['replicate', second, replica], /^\S+ is a replica of /],
      [['replicate', second, replica], /is already a replica of /],
      [['add_node', replica, first, ...asReplica], /is already a replica of /],
      [['add_node', empty, first], /^Added /],
      [['add_node', empty, first], /is already a master without slots/],
    ] as const) {
      const { code, stdout, stderr } = await runMain(words);
      assert.deepEqual([code, stderr], [0, ''], `${words.join(' ')}: ${stdout}`);
      assert.match(stdout, says);
    }
    for (const words of [
      ['add_node', replica, second, '--replica', '--of', first],
      ['add_node', second, first],
      ['--cluster', 'add-node', empty, first],
      ['--cluster', 'add-node', replica, first, '--cluster-slave'],
    ])
      assert.equal((await runMain(words)).code, 1, words.join(' '));
  });

  it('keeps a replica that leaves another master from being elected with the keys of that, until it has copied', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await replicate(first.address, replica.address);
    const setting = async (name: string) => ((await ask(replica, 'CONFIG', 'GET', name)) as string[])[1];
    const barred = async () => [
      await setting('cluster-replica-no-failover'),
      await setting('replica-priority'),
    ];
    const before = await barred();
    // The copy begins after this many seconds.
    await ask(second, 'CONFIG', 'SET', 'repl-diskless-sync', 'yes');
    await ask(second, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '3');
    const during: unknown[] = [];
    const moving = replicate(second.address, replica.address, {
      onEvent: (event) => event.type === 'replica-set' && during.push(barred()),
    });
    await moving;
    assert.equal(((await during[0]) as string[])[0], 'yes');
    assert.deepEqual(await barred(), before);

    // What a run leaves that is killed before that.
    const [, mark] = (await during[0]) as string[];
    await ask(replica, 'CONFIG', 'SET', 'replica-priority', mark ?? '');
    await ask(replica, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'yes');
    // A master of Redis 6.0 calls a replica online only once it has acknowledged what it copied: until then it is still copying.
    let found: Finding | undefined;
    await eventually('the replica is found barred', async () => {
      found = (await check(first.address)).findings.find(({ kind }) => kind === 'replica-barred');
      return found !== undefined;
    });
    assert.deepEqual(found?.next, [{ do: 'replicate', node: second.address, target: replica.address }]);
    for (const next of found.next) await follow(next, { nodes });
    assert.deepEqual(await barred(), before);
  });

  it('takes a replica for its master, and accepts a member that is an empty master', async () => {
    const nodes = await startMasters(bed, 1, 2);
    const [master, one, other] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await replicate(master.address, one.address);
    await joinNoLoad(master.address, other.address);
    await replicate(one.address, other.address);
    await assertLayout([
      [master, '0-16383'],
      [one, `replica of ${master.address}`],
      [other, `replica of ${master.address}`],
    ]);
  });

  it('says how a master without slots that has replicas becomes a replica', async () => {
    const nodes = await startMasters(bed, 1, 2);
    const [master, empty, follower] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(master.address, empty.address);
    await replicate(empty.address, follower.address);
    const again = () => replicate(master.address, empty.address);
    const error = await refusalOf(again());
    assert.equal(error.code, 'HAS_REPLICAS');
    assert.deepEqual(error.next, [
      { do: 'replicate', node: master.address, target: follower.address },
      { do: 'retry', when: 'after-that' },
    ]);
    for (const next of error.next) await follow(next, { nodes, again });
    await assertLayout([
      [master, '0-16383'],
      [empty, `replica of ${master.address}`],
      [follower, `replica of ${master.address}`],
    ]);
  });

  it('changes nothing in a dry run, or if it refuses', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [first, second, fresh, alone] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const standalone = at(await bed.start(1, { cluster: false }), 0);
    await startCluster(alone.address);
    const before = await snapshot(nodes);
    const dry = await replicate(first.address, fresh.address, { dryRun: true });
    assert.deepEqual(
      dry.plan.steps.map(({ type }) => type),
      ['meet', 'replicate'],
    );
    const cases: [string, string, string][] = [
      [first.address, first.address, 'SAME_NODE'],
      [first.address, second.address, 'ALREADY_IN_CLUSTER'],
      [first.address, alone.address, 'ALREADY_IN_CLUSTER'],
      [first.address, standalone.address, 'NOT_CLUSTER_ENABLED'],
      [fresh.address, alone.address, 'NOT_IN_CLUSTER'],
      [first.address, '127.0.0.1:1', 'ECONNREFUSED'],
      ['127.0.0.1:1', fresh.address, 'ECONNREFUSED'],
    ];
    for (const [master, replica, code] of cases) {
      await assert.rejects(replicate(master, replica), { code }, `${master} ${replica}`);
    }
    assert.deepEqual(await snapshot(nodes), before);
    await assertAlone(fresh);
  });
});
