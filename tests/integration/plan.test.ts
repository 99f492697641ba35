import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  applyPlan,
  ClusterError,
  failover,
  type Plan,
  parsePlan,
  replicate,
  rollbackPlan,
  verifyPlan,
} from '../../lib/index.ts';
import { parseAddress } from '../../lib/model/address.ts';
import { formatRanges } from '../../lib/model/slot.ts';
import { lookForPlan } from '../../lib/nodes/look-for-plan.ts';
import { requireReady } from '../../lib/operations/apply-plan.ts';
import { withContext } from '../../lib/operations/cluster.ts';
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
/** The name of a file that does not exist yet. */
const newFile = () => join(dir, `plan-${++files}.json`);

/** Runs a command line that must end with this code. */
async function run(code: number, ...argv: string[]): Promise<Ran> {
  const ran = await runMain(argv);
  assert.equal(ran.code, code, `${argv[0]}: ${ran.stdout}${ran.stderr}`);
  return ran;
}

/** Saves the plan of a command, with nothing changed. Resolves to its file and what is in it. */
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

// Two masters that took slots at once may have the same config epoch, until one of them takes another.
async function epochsSettled(nodes: readonly ServerNode[]): Promise<void> {
  await eventually('each master has a config epoch of its own', async () => {
    const seen = await Promise.all(nodes.map(recordsOf));
    // What nodes say of others may be outdated.
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

/** Fails unless the attempt rejects with this code, and the nodes are as before. */
async function assertRefused(
  nodes: readonly ServerNode[],
  attempt: () => Promise<unknown>,
  code: string,
): Promise<void> {
  await epochsSettled(nodes);
  const was = await snapshot(nodes);
  await assert.rejects(attempt, (error: unknown) => {
    assert.ok(error instanceof ClusterError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
  assert.deepEqual(await snapshot(nodes), was, 'nothing was changed');
}

/** Fails unless a cluster differs from a plan in this field of this node. */
async function assertDiffers(
  cluster: ServerNode,
  plan: Plan,
  node: ServerNode,
  field: string,
): Promise<void> {
  const { state, differences } = await verifyPlan(cluster.address, plan);
  assert.equal(state, 'differs');
  const fields = differences.filter((one) => one.node === node.address).map((one) => one.field);
  assert.ok(fields.includes(field as (typeof fields)[number]), JSON.stringify(differences));
}

// One after the other on one cluster: each leaves it as it was.
describe('A plan of moves', () => {
  let [first, second, third, fourth]: ServerNode[] = [];
  let members: readonly ServerNode[];
  let check: (from: ServerNode | undefined) => Promise<void>;
  let file: string;
  let plan: Plan;
  const reshard = () => [
    ...['reshard', addressOf(first), '--from', 'all', '--to', addressOf(third), '--slots', '600'],
  ];
  before(async () => {
    const nodes = await startMasters(bed, 3, 1);
    [first, second, third, fourth] = nodes;
    members = nodes.slice(0, 3);
    const checkKeys = await fill(at(nodes, 0));
    check = (from) => checkKeys(from as ServerNode);
    ({ file, plan } = await planOf(...reshard()));
  });

  const addressOf = (node: ServerNode | undefined): string => node?.address ?? '';
  const asBefore = () =>
    assertLayout(
      ['0-5461', '5462-10922', '10923-16383'].map((slots, index) => [at(members, index), slots] as const),
    );
  const slotsMoved = async (...argv: string[]): Promise<number> =>
    JSON.parse((await run(0, ...argv, '--yes', '--json')).stdout).slots;

  it('changes nothing when it is saved, and needs approval', async () => {
    await asBefore();
    await run(1, 'verify', file);
    assert.equal((await verifyPlan(addressOf(first), plan)).state, 'not-begun');
    await run(2, 'apply', file);
    await asBefore();
  });

  it('does not overwrite a file', async () => {
    await run(2, ...reshard(), '--yes', '--plan', file);
    await asBefore();
  });

  it('is applied once, with all keys, and then verified', async () => {
    assert.equal(await slotsMoved('apply', file), 600);
    const planned = nodesAfter(plan).map(({ slots }) => formatRanges(slots));
    await assertLayout(members.map((node, index) => [node, planned[index] ?? '']));
    assert.equal((await verifyPlan(addressOf(first), plan)).state, 'done');
    await run(0, 'verify', file);
    assert.equal(await slotsMoved('apply', file), 0);
    await check(second);
  });

  it('is undone once by rollback, whose own plan can be verified', async () => {
    const undone = newFile();
    await run(0, 'rollback', file, '--yes', '--plan', undone);
    await asBefore();
    await run(1, 'verify', file);
    await run(0, 'verify', undone);
    await check(third);
    assert.equal(await slotsMoved('rollback', file), 0);
  });

  it('is saved by a command that carries it out', async () => {
    const saved = newFile();
    const weight = `${addressOf(second)}=3`;
    await run(0, 'rebalance', addressOf(first), '--weight', weight, '--yes', '--plan', saved);
    await run(0, 'verify', saved);
    await run(0, 'rollback', saved, '--yes');
    await asBefore();
    await check(first);
  });

  it('is finished by apply after it was killed', async () => {
    for (const killAt of [12, 30]) {
      const args = [addressOf(first), plan, { method: 'migrate' }];
      const outcome = await runOperation('applyPlan', args, killAt);
      if (!outcome.killed) break;
      const { state } = await verifyPlan(addressOf(second), plan);
      assert.notEqual(state, 'differs');
    }
    await run(0, 'apply', file, '--yes');
    assert.deepEqual(await openSlotsAt(members), []);
    await run(0, 'verify', file);
    await check(second);
  });

  it('is finished by rollback after that was killed', async () => {
    for (const killAt of [14, 40]) {
      const args = [addressOf(first), plan, { method: 'migrate' }];
      const outcome = await runOperation('rollbackPlan', args, killAt);
      if (!outcome.killed) break;
    }
    await run(0, 'rollback', file, '--yes');
    await asBefore();
    await check(third);
  });

  it('is stale if another operator has moved its slots', async () => {
    assert.ok(first && second);
    const [one, two] = [first, second];
    await run(0, 'migrate-slots', one.address, two.address, '5000');
    await assertRefused(members, () => applyPlan(two.address, plan), 'PLAN_STALE');
    await assertDiffers(two, plan, two, 'slots');
    await run(1, 'verify', file);
    await assertRefused(members, () => rollbackPlan(two.address, plan), 'PLAN_STALE');
    await run(0, 'migrate-slots', two.address, one.address, '5000');
  });

  it('is stale if a slot is open that is not its own', async () => {
    assert.ok(first && second);
    const one = first;
    await tell(one, ['CLUSTER', 'SETSLOT', '5001', 'MIGRATING', await idOfNode(second)]);
    await assertRefused(members, () => applyPlan(one.address, plan), 'PLAN_STALE');
    await assertDiffers(one, plan, one, 'open slots');
    await tell(one, ['CLUSTER', 'SETSLOT', '5001', 'STABLE']);
  });

  it('is stale after a node has joined; the plan of the join is undone, but cannot be applied again', async () => {
    assert.ok(first && fourth);
    const [one, joiner] = [first, fourth];
    const joining = await planOf('join', one.address, joiner.address);
    await run(0, 'apply', joining.file, '--yes');
    await run(0, 'verify', joining.file);
    await settled([...members, joiner]);
    await check(joiner);
    await assertRefused([...members, joiner], () => applyPlan(one.address, plan), 'PLAN_STALE');
    await assertDiffers(one, plan, joiner, 'membership');
    await runOperation('rollbackPlan', [one.address, joining.plan], 45);
    await run(0, 'rollback', joining.file, '--yes');
    await assertAlone(joiner);
    await asBefore();
    await check(one);
    assert.equal(await slotsMoved('rollback', joining.file), 0);
    // The node has another id now.
    await assertRefused(members, () => applyPlan(one.address, joining.plan), 'PLAN_STALE');
    await assertDiffers(one, joining.plan, joiner, 'id');
  });

  it('of a node that quits is not reversible', async () => {
    assert.ok(first && fourth);
    const one = first;
    const joining = await planOf('join-no-load', one.address, fourth.address);
    await run(0, 'apply', joining.file, '--yes');
    const quit = newFile();
    await run(0, 'quit', fourth.address, '--plan', quit);
    await run(0, 'verify', quit);
    const quitting = parsePlan(readFileSync(quit, 'utf8'));
    await assertRefused(members, () => rollbackPlan(one.address, quitting), 'NOT_REVERSIBLE');
  });

  it('is stale if one of its nodes does not answer', async () => {
    assert.ok(first && third);
    const one = first;
    await third.kill();
    await assertRefused(
      members.slice(0, 2),
      () => applyPlan(one.address, plan, { agreeTimeout: 1000 }),
      'PLAN_STALE',
    );
    await assertDiffers(one, plan, third, 'answer');
  });
});

describe('Plans', { concurrency: 2 }, () => {
  it('of a new cluster are applied and undone, but not if keys would be lost', async () => {
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
    // A new replica has to copy its master first
    await assertSoon(async () => void (await run(0, 'rollback', swapped, '--yes')));
    await assertSoon(async () => void (await run(0, 'verify', file)));

    const [key = ''] = keysOfSlot(5, 1);
    await tell(first, ['SET', key, 'value']);
    await assertRefused(nodes, () => rollbackPlan(first.address, plan), 'NODE_NOT_EMPTY');
    assert.equal(await ask(first, 'GET', key), 'value');
    await tell(first, ['DEL', key]);
    await run(0, 'rollback', file, '--yes');
    for (const node of nodes) await assertAlone(node);
    await run(0, 'rollback', file, '--yes');
  });

  it('are not refused if a failover that was asked for comes just after the look', async () => {
    const nodes = await startMasters(bed, 1, 1, quick);
    const [master, replica] = [at(nodes, 0).address, at(nodes, 1).address];
    await replicate(master, replica);
    const { plan } = await failover(replica, { dryRun: true });
    await withContext(master, {}, async (context) => {
      const seen = await lookForPlan(context, plan, parseAddress(master), true);
      await failover(replica);
      await requireReady(context, plan, seen);
    });
  });

  it('made for one cluster are refused by another', async () => {
    const [one, two] = await Promise.all([startMasters(bed, 2), startMasters(bed, 2)]);
    const [first, second, other] = [at(one, 0), at(one, 1), at(two, 0)];
    const { plan } = await planOf('migrate-slots', first.address, second.address, '0-9');
    await assertRefused([...one, ...two], () => applyPlan(other.address, plan), 'NOT_SAME_CLUSTER');
    // The same servers, now in another cluster
    await tell(first, ['CLUSTER', 'RESET', 'HARD']);
    await tell(second, ['CLUSTER', 'RESET', 'HARD']);
    await run(0, 'start-multi', first.address, second.address);
    await assertRefused(one, () => applyPlan(first.address, plan), 'NOT_SAME_CLUSTER');
  });
});
