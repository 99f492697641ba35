import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { applyPlan, prune, verifyPlan } from '../../lib/index.ts';
import { eventually } from '../bed/client.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { assertSoon, at, declaredFailed, idOfNode, recordsOf, startPairs } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

describe('prune()', () => {
  it('makes all forget the dead, for good, and ends with 0 when said again', async () => {
    const nodes = await startPairs(bed);
    const [first, dead, back] = [at(nodes, 0), at(nodes, 3), at(nodes, 4)];
    const ids = await Promise.all([dead, back].map(idOfNode));
    assert.deepEqual((await prune(first.address)).plan.steps, []);
    await Promise.all([dead.kill(), back.kill()]);
    const living = nodes.filter((node) => node !== dead && node !== back);
    for (const node of [dead, back]) await declaredFailed(living, node);
    // A plan is not carried out on a node that has come back since it was made.
    const { plan } = await prune(first.address, { dryRun: true });
    assert.equal(plan.steps.length, 2);
    await back.restart();
    await assertSoon(async () => {
      const [record] = (await recordsOf(first)).filter(({ id }) => id === ids[1]);
      assert.ok(record && !record.flags.includes('fail'));
    });
    await assert.rejects(applyPlan(first.address, plan), { code: 'PLAN_STALE' });
    // One that has just come back has to notice first that another is dead: until then it stays.
    await declaredFailed([back], dead);
    let result = await prune(first.address);
    await eventually('the other is dead to all', async () => {
      if (result.plan.steps.length === 0) result = await prune(first.address);
      return result.plan.steps.length > 0;
    });
    assert.deepEqual(
      result.plan.steps.map((step) => step.type === 'forget' && step.node.id),
      [ids[0]],
    );
    assert.equal((await verifyPlan(first.address, result.plan)).state, 'done');
    for (const node of [...living, back]) {
      const known = (await recordsOf(node)).map(({ id }) => id);
      assert.deepEqual([known.length, known.includes(ids[0] ?? '')], [5, false]);
    }
    const again = await runMain(['prune', first.address]);
    assert.deepEqual([again.code, again.stderr], [0, '']);
  });

  it('keeps a dead master that owns slots, and says so', async () => {
    const nodes = await startPairs(bed);
    const [master, replica, other] = [at(nodes, 0), at(nodes, 3), at(nodes, 1)];
    await Promise.all([replica.kill(), master.kill()]);
    for (const node of [master, replica])
      await declaredFailed(
        nodes.filter((one) => one !== master && one !== replica),
        node,
      );
    const { code, stderr, stdout } = await runMain(['prune', other.address, '--dry-run']);
    assert.equal(code, 0);
    assert.match(stderr, new RegExp(`^Warning: ${master.address} `));
    assert.match(stdout, /^Nothing to do|Forget/);
  });
});
