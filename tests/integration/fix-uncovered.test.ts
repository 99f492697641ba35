import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ClusterError, check, fixMigrating, replicate } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { runOperation } from '../helpers/child.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  quick,
  recordsOf,
  seenBy,
  settled,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { disown, ownsSlot, strand } from '../helpers/misplaced.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Runs it, and gives the error it ends in. */
async function failureOf(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.then(
    () => assert.fail('it was fixed'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof ClusterError, String(error));
  return error;
}

async function ownerOf(by: ServerNode, slot: number): Promise<number | undefined> {
  return (await recordsOf(by)).find(({ slots }) => ownsSlot(slots, slot))?.address.port;
}

async function assertWell(nodes: readonly ServerNode[]): Promise<void> {
  await settled(nodes);
  assert.deepEqual(await openSlotsAt(nodes), []);
  const { ok, findings } = await check(at(nodes, 0).address);
  assert.ok(ok, JSON.stringify(findings));
  assert.deepEqual(
    findings.filter(({ kind }) => kind === 'keys-stray'),
    [],
  );
}

async function read(from: ServerNode, keys: readonly string[]): Promise<unknown[]> {
  const client = new ClusterClient(from);
  const values = await Promise.all(keys.map((key) => client.get(key)));
  await client.close();
  return values;
}

describe('fixMigrating(), where nobody owns a slot', () => {
  let nodes: ServerNode[];
  before(async () => {
    nodes = await startMasters(bed, 3);
  });
  const three = (): [ServerNode, ServerNode, ServerNode] => [at(nodes, 0), at(nodes, 1), at(nodes, 2)];

  it('gives it back to the one that holds its keys, though others hold it for the owner all along', async () => {
    const [a, b, c] = three();
    const [key = ''] = keysOfSlot(0, 1);
    await ask(a, 'SET', key, 'value');
    await ask(a, 'CLUSTER', 'DELSLOTS', '0', '1', '2');
    const { plan } = await fixMigrating(b.address);
    assert.deepEqual(
      plan.steps.map((step) => step.type),
      plan.steps.map(() => 'take-slots'),
    );
    // Slots without keys go to who has fewest: 5461 and 5461 the others, a has 5460 by then
    assert.equal(await ownerOf(c, 0), a.port);
    assert.deepEqual(await read(c, [key]), ['value']);
    await assertWell(nodes);
  });

  it('gives it to the only one that holds keys of it, be it any master', async () => {
    const [a, b, c] = three();
    const [key = ''] = keysOfSlot(10, 1);
    await strand(b, a, 10, { [key]: 'value' });
    await disown(nodes, a, 10);
    const dry = await fixMigrating(c.address, { dryRun: true });
    assert.equal(dry.applied, false);
    assert.equal(await ownerOf(c, 10), undefined);
    await fixMigrating(c.address);
    assert.equal(await ownerOf(c, 10), b.port);
    assert.deepEqual(await read(c, [key]), ['value']);
    await assertWell(nodes);
  });

  it('brings keys together that lie on several, where no two hold the same', async () => {
    const [a, b, c] = three();
    const keys = keysOfSlot(20, 6);
    const [k0 = '', k1 = '', k2 = '', k3 = '', k4 = '', k5 = ''] = keys;
    await tell(a, ['SET', k0, 'v'], ['SET', k1, 'v']);
    await strand(b, a, 20, { [k2]: 'v', [k3]: 'v', [k4]: 'v' });
    await strand(c, a, 20, { [k5]: 'v' });
    await disown(nodes, a, 20);
    await fixMigrating(a.address);
    assert.deepEqual(
      await read(c, keys),
      keys.map(() => 'v'),
    );
    await assertWell(nodes);
  });

  it('brings them together where one holds more than fit into the arguments of a call', async () => {
    const [a, b, c] = three();
    const [few = '', ...many] = keysOfSlot(25, 150_000);
    await tell(a, ['MSET', ...many.flatMap((key) => [key, 'v'])]);
    await strand(b, a, 25, { [few]: 'v' });
    await disown(nodes, a, 25);
    await fixMigrating(a.address);
    assert.deepEqual(await read(c, [few, many[0] ?? '', many.at(-1) ?? '']), ['v', 'v', 'v']);
    assert.equal(await ask(a, 'CLUSTER', 'COUNTKEYSINSLOT', '25'), many.length + 1);
    await tell(a, ['UNLINK', few, ...many]);
    await assertWell(nodes);
  });

  it('leaves it where two hold one key and nothing says who owned it last', async () => {
    const [a, b, c] = three();
    const [key = ''] = keysOfSlot(30, 1);
    await ask(a, 'SET', key, 'one');
    await strand(b, a, 30, { [key]: 'another' });
    await disown(nodes, a, 30);
    const before = await snapshot(nodes);
    const error = await failureOf(fixMigrating(c.address));
    assert.equal(error.code, 'SLOTS_UNCOVERED', error.message);
    assert.match(
      error.message,
      new RegExp(`^Slot 30 stays as it is: .*${a.address}.*${b.address}.* both hold a key`),
    );
    assert.deepEqual(await snapshot(nodes), before);
    // Who knows better says who is to have it: what the other holds is the older then
    await ask(a, 'CLUSTER', 'ADDSLOTS', '30');
    await settled(nodes);
    const conflict = await failureOf(fixMigrating(c.address));
    assert.deepEqual([conflict.code, conflict.keys, conflict.openSlots], ['KEY_CONFLICT', [key], [30]]);
    assert.deepEqual(await read(c, [key]), ['one']);
    await tell(b, ['ASKING'], ['DEL', key]);
    await fixMigrating(c.address);
    await assertWell(nodes);
  });

  it('goes by who owned it last where two hold one key, and keeps that value', async () => {
    const [a, b, c] = three();
    const [key = '', other = ''] = keysOfSlot(40, 2);
    await ask(a, 'SET', key, 'newer');
    await strand(b, a, 40, { [key]: 'older', [other]: 'only here' });
    // The others go on to hold it for the owner
    await ask(a, 'CLUSTER', 'DELSLOTS', '40');
    const error = await failureOf(fixMigrating(c.address));
    assert.deepEqual([error.code, error.keys], ['KEY_CONFLICT', [key]]);
    assert.equal(await ownerOf(c, 40), a.port);
    assert.deepEqual(await read(c, [key, other]), ['newer', 'only here']);
    const [, older] = await tell(b, ['ASKING'], ['GET', key]);
    assert.equal(older, 'older');
    await tell(b, ['ASKING'], ['DEL', key]);
    await fixMigrating(c.address);
    await assertWell(nodes);
  });

  it('closes it on the node that imports it from one that does not own it any more', async () => {
    const [a, b, c] = three();
    const keys = keysOfSlot(50, 4);
    await tell(a, ...keys.map((key) => ['SET', key, 'v']));
    await ask(c, 'CLUSTER', 'SETSLOT', '50', 'IMPORTING', await idOfNode(b));
    await disown([a, b], a, 50);
    await fixMigrating(b.address);
    assert.deepEqual(
      await read(b, keys),
      keys.map(() => 'v'),
    );
    await assertWell(nodes);
  });

  it('asks first, and without a terminal and --yes changes nothing and says how', async () => {
    const [a, b] = three();
    await disown(nodes, b, 6000);
    const before = await snapshot(nodes);
    const refused = await runMain(['fix', a.address]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /would change who owns slots.*\nNext: .*--dry-run.*--yes/);
    assert.deepEqual(await snapshot(nodes), before);
    const done = await runMain(['fix', a.address, '--yes']);
    assert.deepEqual([done.code, done.stderr], [0, '']);
    assert.match(done.stdout, /^Every slot is served and closed/);
    // Nothing is asked about what is only finished
    await ask(b, 'CLUSTER', 'SETSLOT', '70', 'IMPORTING', await idOfNode(a));
    assert.equal((await runMain(['fix', a.address])).code, 0);
    await assertWell(nodes);
  });

  it('brings keys that lie on a node which does not own them to the owner, who keeps his own', async () => {
    const [a, b, c] = three();
    const [alone = '', same = '', differs = ''] = keysOfSlot(80, 3);
    await tell(a, ['SET', same, 'same'], ['SET', differs, 'newer']);
    await strand(b, a, 80, { [alone]: 'only here', [same]: 'same', [differs]: 'older' });
    const stray = (await check(c.address)).findings.find(({ kind }) => kind === 'keys-stray');
    assert.deepEqual([stray?.severity, stray?.nodes], ['warning', [b.address]]);
    assert.match(stray?.message ?? '', /3 keys/);
    const error = await failureOf(fixMigrating(c.address));
    assert.deepEqual([error.code, error.keys, error.openSlots], ['KEY_CONFLICT', [differs], [80]]);
    assert.deepEqual(await read(c, [alone, same, differs]), ['only here', 'same', 'newer']);
    // What is left open after a crash, too, is no move to the node: the slot stays with its owner
    await tell(b, ['ASKING'], ['DEL', differs]);
    await fixMigrating(c.address);
    assert.equal(await ownerOf(c, 80), a.port);
    await assertWell(nodes);
  });

  it('ends clean when it was killed at any moment', async (context) => {
    const [a, b, c] = three();
    const values = (slot: number, from: number) =>
      Object.fromEntries(
        keysOfSlot(slot, 40)
          .slice(from, from + 20)
          .map((key) => [key, `value of ${key}`]),
      );
    for (let slot = 100; slot < 104; slot++) {
      await tell(a, ...Object.entries(values(slot, 0)).map(([key, value]) => ['SET', key, value]));
      await strand(b, a, slot, values(slot, 20));
    }
    await ask(a, 'CLUSTER', 'DELSLOTS', '102', '103', '104', '105');
    for (const killAt of [12, 16, 19, 23, 27, 32, 38, 0]) {
      const outcome = await runOperation('fixMigrating', [c.address, { agreeTimeout: 20_000 }], killAt);
      context.diagnostic(`killed at write ${killAt}: ${JSON.stringify(outcome)}`);
      if (outcome.killed) continue;
      assert.ok(outcome.ok, JSON.stringify(outcome));
      break;
    }
    await assertWell(nodes);
    for (let slot = 100; slot < 104; slot++) {
      const keys = keysOfSlot(slot, 40);
      assert.deepEqual(
        await read(c, keys),
        keys.map((key) => `value of ${key}`),
      );
      assert.equal(await ownerOf(c, slot), a.port);
    }
  });
});

describe('fixMigrating(), where a master has failed', { concurrency: true }, () => {
  const heldForFailed = (by: ServerNode, node: ServerNode) =>
    eventually('it is held for failed', async () =>
      new RegExp(`:${node.port}@\\S+ \\S*,fail[ ,]`).test(String(await ask(by, 'CLUSTER', 'NODES'))),
    );

  it('gives its slots to nobody unless asked to, and then to all that are left', async () => {
    const nodes = await startMasters(bed, 3);
    const [a, b, lost] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await lost.freeze();
    const options = { connectTimeout: 1500, commandTimeout: 1500 };
    await heldForFailed(a, lost);
    await heldForFailed(b, lost);
    const before = await snapshot([a, b]);
    const error = await failureOf(fixMigrating(a.address, options));
    assert.equal(error.code, 'SLOTS_UNCOVERED', error.message);
    assert.match(
      error.message,
      new RegExp(`^Slots 10923-16383 stay as they are: their owner ${lost.address} has failed`),
    );
    assert.match(error.hint ?? '', /rescue .* --with-unreachable-masters/);
    assert.deepEqual(await snapshot([a, b]), before);
    const asked: string[] = [];
    const { plan } = await fixMigrating(a.address, {
      ...options,
      withUnreachableMasters: true,
      approve: ({ steps }) => {
        asked.push(...steps.map(({ type }) => type));
        return true;
      },
    });
    assert.deepEqual(asked, ['take-slots', 'take-slots']);
    assert.equal(plan.steps.length, 2);
    for (const node of [a, b]) {
      const seen = await seenBy(node);
      assert.deepEqual([seen[a.address], seen[b.address]], ['0-5461 13654-16383', '5462-13653']);
    }
    await lost.thaw();
    await assertLayout([
      [a, '0-5461 13654-16383'],
      [b, '5462-13653'],
      [lost, ''],
    ]).catch(async () => {
      // A master that has lost all its slots may follow the one that took the last
      await settled(nodes);
    });
    assert.deepEqual((await seenBy(a))[a.address], '0-5461 13654-16383');
  });

  it('lets a replica that could take over come first, even where asked to', async () => {
    const nodes = await startMasters(bed, 3, 1, {
      config: { ...quick.config, 'cluster-replica-no-failover': 'yes' },
    });
    const [a, b, lost, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await replicate(lost.address, replica.address);
    await lost.kill();
    await heldForFailed(a, lost);
    await heldForFailed(b, lost);
    const before = await snapshot([a, b, replica]);
    const error = await failureOf(fixMigrating(a.address, { withUnreachableMasters: true }));
    assert.equal(error.code, 'SLOTS_UNCOVERED');
    assert.match(error.message, new RegExp(`its replica ${replica.address} holds their keys`));
    assert.match(error.hint ?? '', new RegExp(`redis-trib failover ${replica.address} --mode force`));
    assert.deepEqual(await snapshot([a, b, replica]), before);
  });
});
