import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, isReady, replicate, stepDown, waitFor } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertSoon,
  at,
  declaredFailed,
  idOfNode,
  recordsOf,
  seenBy,
  startMasters,
  startPairs,
} from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

describe('stepDown()', () => {
  it('ends when all agree that a replica has taken over, and at once when said again', async () => {
    const nodes = await startPairs(bed);
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    await ask(master, 'SET', 'key', 'value').catch(() => undefined);
    const { plan } = await stepDown(master.address, { within: 20_000 });
    assert.deepEqual(
      plan.steps.map((step) => step.type === 'failover' && step.replica.address),
      [replica.address],
    );
    for (const node of nodes)
      assert.equal((await seenBy(node))[master.address], `replica of ${replica.address}`, node.address);
    const again = await runMain(['step_down', master.address, '--within', '2000']);
    assert.deepEqual([again.code, again.stderr], [0, '']);
    assert.match(again.stdout, /may stop/);
    // Several at once, as when a host is drained: one after the other.
    const results = await Promise.all(
      [replica, at(nodes, 1)].map(({ address }) => stepDown(address, { within: 30_000 })),
    );
    assert.deepEqual(
      results.map((result) => result.plan.steps.length),
      [1, 1],
    );
  });

  it('waits for a replica that is copying, and fails in time if that takes too long', async () => {
    const [master, other, empty] = await startMasters(bed, 2, 1);
    assert.ok(master && other && empty);
    assert.equal((await runMain(['step_down', master.address, '--within', '5000'])).code, 1);
    await ask(master, 'CONFIG', 'SET', 'repl-diskless-sync', 'yes');
    await ask(master, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '4');
    const copying = replicate(master.address, empty.address);
    await eventually('the new one is a replica to its master', async () =>
      (await recordsOf(master)).some(({ role }) => role === 'replica'),
    );
    const started = performance.now();
    await assert.rejects(stepDown(master.address, { within: 700 }), { code: 'NOT_REACHED' });
    assert.ok(performance.now() - started < 2500);
    const { plan } = await stepDown(master.address, { within: 30_000 });
    assert.equal(plan.steps.length, 1);
    await copying;
    assert.equal((await seenBy(other))[master.address], `replica of ${empty.address}`);
  });

  it('warns if the master will refuse writes once the node has stopped', async () => {
    const nodes = await startPairs(bed);
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    const warned = async (node: ServerNode): Promise<string[]> => {
      const warnings: string[] = [];
      const onEvent = (event: ClusterEvent): void => {
        if (event.type === 'warning') warnings.push(event.message);
      };
      await stepDown(node.address, { within: 20_000, dryRun: true, onEvent });
      return warnings;
    };
    for (const [needed, count] of [
      ['0', 0],
      ['1', 1],
    ] as const) {
      await ask(master, 'CONFIG', 'SET', 'min-replicas-to-write', needed);
      assert.equal((await warned(master)).length, count);
    }
    assert.deepEqual(await warned(at(nodes, 1)), []);
    // A hook on a replica asks nothing else: ok_to_stop does.
    assert.deepEqual(await warned(replica), []);
  });

  it('ends in time if the replica hangs', async () => {
    const nodes = await startPairs(bed);
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    await replica.freeze();
    const started = performance.now();
    await assert.rejects(stepDown(master.address, { within: 1500 }), { code: 'NOT_REACHED' });
    assert.ok(performance.now() - started < 3000);
    await replica.thaw();
  });
});

describe('isReady() and waitFor()', () => {
  it('tell a node that serves from one that does not, and wait for it', async () => {
    const nodes = await startPairs(bed);
    const [master, other, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 3)];
    await waitFor([other.address], {
      conditions: [{ nodes: 6 }, 'serving', 'in-sync', 'agreed'],
      timeout: 20_000,
    });
    for (const node of nodes) assert.deepEqual((await isReady(node.address)).missing, [], node.address);
    const fresh = at(await bed.start(1), 0);
    assert.equal((await runMain(['is_ready', fresh.address])).code, 1);
    await assert.rejects(waitFor([other.address, fresh.address], { conditions: ['agreed'], timeout: 500 }), {
      code: 'NOT_REACHED',
    });
    // A node that the others have forgotten, which takes itself for a member.
    const id = await idOfNode(replica);
    await Promise.all(
      nodes.filter((node) => node !== replica).map((node) => ask(node, 'CLUSTER', 'FORGET', id)),
    );
    await assertSoon(async () => assert.equal((await isReady(replica.address)).ok, false));
    await master.kill();
    await assert.rejects(waitFor([other.address], { conditions: ['listening'], timeout: 500 }), {
      code: 'NOT_REACHED',
    });
    await declaredFailed([other], master);
    await assert.rejects(waitFor([other.address], { conditions: ['serving'], timeout: 500 }), {
      code: 'NOT_REACHED',
    });
  });
});
