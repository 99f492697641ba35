import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type ClusterError,
  type ClusterEvent,
  check,
  type Finding,
  failover,
  fixMigrating,
  replicate,
  rescueCluster,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  at,
  idOfNode,
  openSlotsAt,
  recordsOf,
  seenBy,
  settled,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { follow } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Looks and agreement take some seconds. Two seconds for each slot would exceed this. */
const MOST_MS = 20_000;
const SLOTS = Array.from({ length: 16 }, (_, index) => 11_000 + index);

interface World {
  readonly a: ServerNode;
  /** Its replica hangs. */
  readonly b: ServerNode;
  readonly c: ServerNode;
  readonly fresh: ServerNode;
  readonly replica: ServerNode;
}

/** Masters with a third of the slots each. The last one owns `SLOTS`. */
async function started(timeout = '1000'): Promise<World> {
  const config = { 'cluster-node-timeout': timeout, 'cluster-replica-no-failover': 'yes' };
  const nodes = await startMasters(bed, 3, 2, { config });
  const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  const [replica, fresh] = [at(nodes, 3), at(nodes, 4)];
  await replicate(b.address, replica.address);
  return { a, b, c, fresh, replica };
}

async function freeze({ a, b, replica }: World): Promise<void> {
  await replica.freeze();
  await heldForFailed([a, b], replica);
}

async function thaw({ replica }: World): Promise<void> {
  await replica.thaw();
  await eventually('the replica follows again', async () =>
    String(await ask(replica, 'INFO', 'replication')).includes('master_link_status:up'),
  );
}

async function heldForFailed(by: readonly ServerNode[], node: ServerNode): Promise<void> {
  for (const one of by) {
    await eventually(`${one.address} considers ${node.address} failed`, async () =>
      new RegExp(`:${node.port}@\\S+ \\S*,fail[ ,]`).test(String(await ask(one, 'CLUSTER', 'NODES'))),
    );
  }
}

/** Runs it within the time that a move beside a hung replica may take. */
async function inTime<Result>(work: Promise<Result>): Promise<Result | ClusterError> {
  const startedAt = performance.now();
  const result = await work.catch((error: ClusterError) => error);
  const elapsedMs = performance.now() - startedAt;
  assert.ok(elapsedMs < MOST_MS, `${elapsedMs} ms`);
  return result;
}

/** Every one of these nodes reports that each owns these slots. */
async function assertOwners(nodes: readonly ServerNode[], owned: readonly string[]): Promise<void> {
  for (const node of nodes) {
    const seen = await seenBy(node);
    assert.deepEqual(
      nodes.map(({ address }) => seen[address]),
      owned,
      `as ${node.address} sees it`,
    );
  }
}

/** The slots are closed beside the hung replica, and on it once it answers again. */
async function assertFixedBeside(world: World): Promise<void> {
  const { a, b, c, replica } = world;
  const warned: (string | undefined)[] = [];
  const onEvent = (event: ClusterEvent) => void (event.type === 'warning' && warned.push(event.node));
  const result = await inTime(fixMigrating(a.address, { onEvent }));
  assert.equal(result instanceof Error, false, String(result));
  assert.ok(warned.includes(b.address), 'it tells that it ended the link');
  assert.deepEqual(await openSlotsAt([a, b, c]), []);
  await thaw(world);
  // While it had no link, its master told it nothing: a Valkey does not keep SETSLOT for a replica that comes back.
  await fixMigrating(a.address);
  await settled([a, b, c, replica]);
  assert.deepEqual(await openSlotsAt([a, b, c, replica]), []);
}

/** Leaves a slot open on the replica alone. Resolves to false if the server does not replicate open slots. */
async function openOnReplica(world: World): Promise<boolean> {
  const { a, b, c, replica } = world;
  await replica.freeze();
  // It is sent to the replica before it is carried out, and is not if the replica does not answer within two seconds.
  const refused = await ask(b, 'CLUSTER', 'SETSLOT', '11000', 'IMPORTING', await idOfNode(c)).then(
    () => false,
    () => true,
  );
  await thaw(world);
  if (!refused) return false;
  await eventually('the replica has it open', async () => (await openSlotsAt([replica])).length > 0);
  assert.deepEqual(await openSlotsAt([a, b, c]), []);
  return true;
}

describe('a master with a hung replica', { concurrency: true }, () => {
  it('is told by failover() to close what the replica alone has open, before that is promoted', async (test) => {
    const world = await started();
    const { a, b, c, replica } = world;
    if (!(await openOnReplica(world))) return test.skip('this server does not replicate open slots');
    await eventually('its master has found it again', async () =>
      (await recordsOf(b)).some(
        ({ address, linkState }) => address.port === replica.port && linkState === 'connected',
      ),
    );
    await failover(replica.address);
    assert.deepEqual(await openSlotsAt([a, b, c, replica]), []);
    await assertOwners([a, replica, c], ['0-5461', '5462-10922', '10923-16383']);
  });

  it('is told by fixMigrating() to close what the replica alone has open since', async (test) => {
    const world = await started();
    const { a, b, c, replica } = world;
    if (!(await openOnReplica(world))) return test.skip('this server does not replicate open slots');
    let errors: readonly Finding[] = [];
    // As long as its master does not answer, nothing can be told to it.
    await b.kill();
    const marked = (await check(a.address)).findings.find(({ kind }) => kind === 'replica-mark');
    for (const next of marked?.next ?? []) {
      assert.deepEqual(next, { do: 'start-node', node: b.address });
      await follow(next, { nodes: [b] });
    }
    assert.equal(marked?.next?.length, 1);
    await eventually('check finds no other error', async () => {
      errors = (await check(a.address)).findings.filter(({ severity }) => severity === 'error');
      return errors.length === 1 && errors[0]?.kind === 'replica-mark';
    });
    assert.deepEqual(errors[0]?.next, [{ do: 'fix', cluster: a.address, when: 'not-moving' }]);
    assert.equal((await runMain(['--cluster', 'check', a.address])).code, 1, 'as valkey-cli');
    await fixMigrating(a.address);
    assert.deepEqual(await openSlotsAt([a, b, c, replica]), []);
    assert.equal((await check(a.address)).ok, true);
  });

  it('is sent one slot by fixMigrating() while the replica may only be late, and the same call closes all later', async (test) => {
    if (bed.server.kind === 'redis') return test.skip('no Redis waits for replicas');
    const world = await started('60000');
    const { a, b, c, replica } = world;
    const other = await idOfNode(a);
    await tell(b, ...SLOTS.map((slot) => ['CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', other]));
    await replica.freeze();
    const error = (await inTime(fixMigrating(a.address, { force: true }))) as ClusterError;
    assert.deepEqual(error.openSlots, SLOTS, String(error));
    assert.equal(error.resumable, 'same-call');
    await thaw(world);
    await fixMigrating(a.address);
    await settled([a, b, c, replica]);
    assert.deepEqual(await openSlotsAt([a, b, c, replica]), []);
  });

  it('closes all beside one that failed, for fixMigrating()', async (test) => {
    if (bed.server.kind === 'redis') return test.skip('no Redis waits for replicas');
    const world = await started();
    const { a, b, c } = world;
    const other = await idOfNode(a);
    await tell(b, ...SLOTS.map((slot) => ['CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', other]));
    await freeze(world);
    await assertFixedBeside(world);
    await assertOwners([a, b, c], ['0-5461', '5462-10922', '10923-16383']);
  });

  it('does not hold up fixMigrating() for long if it begins to hang in the middle', async () => {
    const world = await started('500');
    const { a, b, c, replica } = world;
    const other = await idOfNode(a);
    await tell(b, ...SLOTS.map((slot) => ['CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', other]));
    const warned: (string | undefined)[] = [];
    let freezing: Promise<void> | undefined;
    const onEvent = (event: ClusterEvent): void => {
      if (event.type === 'plan') freezing ??= replica.freeze();
      if (event.type === 'warning') warned.push(event.node);
    };
    const result = await inTime(fixMigrating(a.address, { onEvent }));
    await freezing;
    assert.equal(result instanceof Error, false, String(result));
    assert.ok(warned.includes(replica.address), `${warned}`);
    assert.deepEqual(await openSlotsAt([a, b, c]), []);
    await thaw(world);
    await fixMigrating(a.address);
    await settled([a, b, c, replica]);
    assert.deepEqual(await openSlotsAt([a, b, c, replica]), []);
  });

  it('continues a move beside one that failed, for fixMigrating()', async (test) => {
    if (bed.server.kind === 'redis') return test.skip('no Redis waits for replicas');
    const world = await started();
    const { a, b, c } = world;
    const [from, to] = [await idOfNode(c), await idOfNode(b)];
    await tell(b, ...SLOTS.map((slot) => ['CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', from]));
    await tell(c, ...SLOTS.map((slot) => ['CLUSTER', 'SETSLOT', `${slot}`, 'MIGRATING', to]));
    await freeze(world);
    await assertFixedBeside(world);
    await assertOwners([a, b, c], ['0-5461', '5462-10922 11000-11015', '10923-10999 11016-16383']);
  });

  it('does not keep rescueCluster() from giving lost slots to another, and learns the owner', async () => {
    const world = await started();
    const { a, b, c, fresh } = world;
    await c.kill();
    await heldForFailed([a, b], c);
    await freeze(world);
    const result = (await inTime(rescueCluster(a.address, fresh.address))) as { applied: boolean };
    assert.equal(result.applied, true, String(result));
    await assertOwners([a, b, fresh], ['0-5461', '5462-10922', '10923-16383']);
  });
});
