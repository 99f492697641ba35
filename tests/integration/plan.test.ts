import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { applyPlan, ClusterError, type Plan, parsePlan, rollbackPlan, verifyPlan } from '../../lib/index.ts';
import { formatRanges } from '../../lib/model/slot.ts';
import { nodesAfter } from '../../lib/plan/projection.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { runOperation } from '../helpers/child.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  assertSoon,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  quick,
  recordsOf,
  settled,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { type Ran, runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
const dir = mkdtempSync(join(tmpdir(), 'redis-trib-plan-'));
before(async () => {
  bed = await openBed();
});
after(async () => {
  rmSync(dir, { recursive: true, force: true });
  await bed.close();
});

let files = 0;
/** The name of a file that is not there yet. */
const newFile = () => join(dir, `plan-${++files}.json`);

/** Runs a command line that has to end so. */
async function run(code: number, ...argv: string[]): Promise<Ran> {
  const ran = await runMain(argv);
  assert.equal(ran.code, code, `${argv[0]}: ${ran.stdout}${ran.stderr}`);
  return ran;
}

/** Makes a plan of a command, and changes nothing: its file and what is in it. */
async function planOf(...argv: string[]): Promise<{ file: string; plan: Plan }> {
  const file = newFile();
  const { stdout, stderr } = await run(0, ...argv, '--dry-run', '--plan', file);
  assert.equal(stderr.replace(/^Warning: .* is on the same host as its master .*\n/gm, ''), '');
  assert.match(stdout, new RegExp(`^The plan is in ${file}$`, 'm'));
  return { file, plan: parsePlan(readFileSync(file, 'utf8')) };
}

async function fill(node: ServerNode, count = 1500): Promise<(from: ServerNode) => Promise<void>> {
  const client = new ClusterClient(node);
  const keys = Array.from({ length: count }, (_, index) => `key:${index}`);
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

// Two masters that took slots at one time may have the same config epoch, until one of them takes another.
async function epochsSettled(nodes: readonly ServerNode[]): Promise<void> {
  await eventually('each master has a config epoch of its own', async () => {
    const seen = await Promise.all(nodes.map(recordsOf));
    // What nodes say of others may be old.
    const own = new Map(
      seen.flatMap((records) =>
        records
          .filter(({ flags }) => flags.includes('myself'))
          .map(({ id, configEpoch }) => [id, configEpoch]),
      ),
    );
    return seen.every((records) => {
      const masters = records.filter(({ role, slots }) => role === 'master' && slots.length > 0);
      return (
        new Set(masters.map(({ id, configEpoch }) => own.get(id) ?? configEpoch)).size === masters.length
      );
    });
  });
}

/** Rejects with this code, and says all of these; the nodes are as before. */
async function assertRefused(
  nodes: readonly ServerNode[],
  attempt: () => Promise<unknown>,
  code: string,
  ...words: RegExp[]
): Promise<void> {
  await epochsSettled(nodes);
  const was = await snapshot(nodes);
  await assert.rejects(attempt, (error: unknown) => {
    assert.ok(error instanceof ClusterError, String(error));
    assert.equal(error.code, code, error.message);
    for (const word of words) assert.match(`${error.message} ${error.hint}`, word);
    return true;
  });
  assert.deepEqual(await snapshot(nodes), was, 'nothing was changed');
}

describe('plans', { concurrency: 3 }, () => {
  it('of moves are saved, applied, verified and taken back, with all keys; stale ones are refused', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, second, third, fourth] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const members = [first, second, third];
    const check = await fill(first);
    const asBefore = () =>
      assertLayout([
        [first, '0-5461'],
        [second, '5462-10922'],
        [third, '10923-16383'],
      ]);

    const reshard = ['reshard', first.address, '--from', 'all', '--to', third.address, '--slots', '600'];
    const { file, plan } = await planOf(...reshard);
    await asBefore();
    assert.match((await run(1, 'verify', file)).stdout, /^The plan of reshard is not begun$/m);
    assert.match((await run(2, 'apply', file)).stderr, /there is no terminal: add --yes/);
    assert.match((await run(2, ...reshard, '--yes', '--plan', file)).stderr, /the file is there already/);
    await asBefore();

    assert.match(
      (await run(0, 'apply', file, '--yes')).stdout,
      /^Carried out the plan of reshard: 600 slots /,
    );
    const planned = nodesAfter(plan).map(({ slots }) => formatRanges(slots));
    await assertLayout(members.map((node, index) => [node, planned[index] ?? '']));
    assert.equal((await verifyPlan(first.address, plan)).state, 'done');
    await run(0, 'verify', file);
    assert.match((await run(0, 'apply', file, '--yes')).stdout, /^Nothing is left to do of the plan/);
    await check(second);

    const undone = newFile();
    await run(0, 'rollback', file, '--yes', '--plan', undone);
    await asBefore();
    await run(1, 'verify', file);
    await run(0, 'verify', undone);
    await check(third);
    assert.match((await run(0, 'rollback', file, '--yes')).stdout, /^Nothing is to be taken back/);

    // Carried out at once, the plan is there before anything is changed
    const saved = newFile();
    await run(0, 'rebalance', first.address, '--weight', `${second.address}=3`, '--yes', '--plan', saved);
    await run(0, 'verify', saved);
    await run(0, 'rollback', saved, '--yes');
    await asBefore();
    await check(first);

    // Killed at some writes, then finished
    for (const killAt of [12, 30]) {
      const outcome = await runOperation('applyPlan', [first.address, plan, { method: 'migrate' }], killAt);
      if (!outcome.killed) break;
      const { state } = await verifyPlan(second.address, plan);
      assert.notEqual(state, 'differs');
    }
    await run(0, 'apply', file, '--yes');
    assert.deepEqual(await openSlotsAt(members), []);
    await run(0, 'verify', file);
    await check(second);
    for (const killAt of [14, 40]) {
      const outcome = await runOperation(
        'rollbackPlan',
        [first.address, plan, { method: 'migrate' }],
        killAt,
      );
      if (!outcome.killed) break;
    }
    await run(0, 'rollback', file, '--yes');
    await asBefore();
    await check(third);

    // Another has moved slots meanwhile
    await run(0, 'migrate-slots', first.address, second.address, '5000');
    await assertRefused(
      members,
      () => applyPlan(second.address, plan),
      'PLAN_STALE',
      new RegExp(`slots 5000 belong to ${second.address}, where the plan has ${first.address}`),
    );
    assert.match((await run(1, 'verify', file)).stdout, /^What differs:\n {2}slots 5000 belong to /m);
    await assertRefused(members, () => rollbackPlan(second.address, plan), 'PLAN_STALE', /slots 5000/);
    await run(0, 'migrate-slots', second.address, first.address, '5000');
    await tell(first, ['CLUSTER', 'SETSLOT', '5001', 'MIGRATING', await idOfNode(second)]);
    await assertRefused(
      members,
      () => applyPlan(first.address, plan),
      'PLAN_STALE',
      /slots 5001 are open on/,
    );
    await tell(first, ['CLUSTER', 'SETSLOT', '5001', 'STABLE']);

    // A node joins, leaves, and cannot come back by the plan: it has another id
    const joining = await planOf('join', first.address, fourth.address);
    await run(0, 'apply', joining.file, '--yes');
    await run(0, 'verify', joining.file);
    await settled(nodes);
    await check(fourth);
    await assertRefused(
      nodes,
      () => applyPlan(first.address, plan),
      'PLAN_STALE',
      /in the cluster, and not in the plan/,
    );
    for (const killAt of [45]) {
      const outcome = await runOperation('rollbackPlan', [first.address, joining.plan], killAt);
      if (!outcome.killed) break;
    }
    await run(0, 'rollback', joining.file, '--yes');
    await assertAlone(fourth);
    await asBefore();
    await check(first);
    assert.match((await run(0, 'rollback', joining.file, '--yes')).stdout, /^Nothing is to be taken back/);
    await assertRefused(
      members,
      () => applyPlan(first.address, joining.plan),
      'PLAN_STALE',
      new RegExp(`${fourth.address} answers as node [0-9a-f]{40}, where the plan has node`),
    );

    // What was reset cannot be taken back
    const leaving = await planOf('join-no-load', first.address, fourth.address);
    await run(0, 'apply', leaving.file, '--yes');
    const quit = newFile();
    await run(0, 'quit', fourth.address, '--plan', quit);
    await run(0, 'verify', quit);
    await assertRefused(
      members,
      () => rollbackPlan(first.address, parsePlan(readFileSync(quit, 'utf8'))),
      'NOT_REVERSIBLE',
      /it has left the cluster/,
    );

    await third.kill();
    await assertRefused(
      [first, second],
      () => applyPlan(first.address, plan, { agreeTimeout: 1000 }),
      'PLAN_STALE',
      new RegExp(`${third.address} gives no answer`),
    );
  });

  it('of a new cluster are applied and taken back, but not where keys would be lost', async () => {
    const nodes = await bed.start(4, quick);
    const [first] = nodes;
    assert.ok(first);
    const addresses = nodes.map(({ address }) => address);
    const { file, plan } = await planOf('create', ...addresses, '--replicas', '1');
    for (const node of nodes) await assertAlone(node);
    await run(1, 'verify', file);
    for (const killAt of [14]) {
      const outcome = await runOperation('applyPlan', [first.address, plan], killAt);
      if (!outcome.killed) break;
    }
    await run(0, 'apply', file, '--yes');
    await run(0, 'verify', file);
    await settled(nodes);
    const replica = plan.steps.find((step) => step.type === 'replicate');
    assert.ok(replica?.type === 'replicate');

    const swapped = newFile();
    await run(0, 'failover', replica.replica.address, '--plan', swapped);
    await run(0, 'verify', swapped);
    await run(1, 'verify', file);
    // Who has become a replica has to copy its master first
    await assertSoon(async () => void (await run(0, 'rollback', swapped, '--yes')));
    await assertSoon(async () => void (await run(0, 'verify', file)));

    const [key = ''] = keysOfSlot(5, 1);
    await tell(first, ['SET', key, 'value']);
    await assertRefused(
      nodes,
      () => rollbackPlan(first.address, plan),
      'NODE_NOT_EMPTY',
      /still contains keys \(1\)/,
    );
    assert.equal(await ask(first, 'GET', key), 'value');
    await tell(first, ['DEL', key]);
    await run(0, 'rollback', file, '--yes');
    for (const node of nodes) await assertAlone(node);
    await run(0, 'rollback', file, '--yes');
  });

  it('made for one cluster are refused by another', async () => {
    const [one, two] = await Promise.all([startMasters(bed, 2), startMasters(bed, 2)]);
    const [first, second, other] = [at(one, 0), at(one, 1), at(two, 0)];
    const { plan } = await planOf('migrate-slots', first.address, second.address, '0-9');
    await assertRefused(
      [...one, ...two],
      () => applyPlan(other.address, plan),
      'NOT_SAME_CLUSTER',
      new RegExp(`${other.address} knows none of its 2 nodes`),
    );
    // The same servers, in another cluster since
    await tell(first, ['CLUSTER', 'RESET', 'HARD']);
    await tell(second, ['CLUSTER', 'RESET', 'HARD']);
    await run(0, 'start-multi', first.address, second.address);
    await assertRefused(one, () => applyPlan(first.address, plan), 'NOT_SAME_CLUSTER');
  });
});
