import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { joinNoLoad, replicate, startCluster } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { assertAlone, assertLayout, at, snapshot, startMasters, tell } from '../helpers/clusters.ts';

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
    await assert.rejects(replicate(second.address, replica.address), {
      code: 'ALREADY_IN_CLUSTER',
      address: replica.address,
    });
  });

  it('takes the master of a replica that is named, and a member that is an empty master', async () => {
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

  it('changes nothing in a dry run, nor where it refuses', async () => {
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
