import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ClusterError,
  fixMigrating,
  type OperationResult,
  replicate,
  rescueCluster,
  startCluster,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  quick,
  seenBy,
  settled,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { disown, strand } from '../helpers/misplaced.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

async function heldForFailed(by: readonly ServerNode[], node: ServerNode): Promise<void> {
  for (const one of by) {
    await eventually('it is held for failed', async () =>
      new RegExp(`:${node.port}@\\S+ \\S*,fail[ ,]`).test(String(await ask(one, 'CLUSTER', 'NODES'))),
    );
  }
}

const patient = { config: { 'cluster-node-timeout': '60000' } };

describe('rescueCluster()', { concurrency: true }, () => {
  it('gives the slots of a failed master to a new one, which keeps them when the old one comes back', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, second, lost, taker] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const library = "#!lua name=lib\nredis.register_function('answer', function() return 'yes' end)";
    const loaded = await ask(second, 'FUNCTION', 'LOAD', library).catch((error) => {
      assert.match(String(error), /unknown command/);
    });
    await lost.kill();
    await heldForFailed([first, second], lost);
    const before = await snapshot([first, second, taker]);
    const dry = await rescueCluster(first.address, taker.address, { dryRun: true });
    assert.deepEqual(
      dry.plan.steps.map(({ type }) => type),
      [...(loaded ? ['load-functions'] : []), 'meet', 'take-slots'],
    );
    assert.deepEqual(await snapshot([first, second, taker]), before);
    const result = await rescueCluster(first.address, taker.address);
    assert.equal(result.applied, true);
    for (const node of [first, second, taker]) {
      const seen = await seenBy(node);
      assert.deepEqual(
        [first, second, taker].map(({ address }) => seen[address]),
        ['0-5461', '5462-10922', '10923-16383'],
        `as ${node.address} sees it`,
      );
    }
    const client = new ClusterClient(first);
    const [key = ''] = keysOfSlot(12000, 1);
    if (loaded) assert.equal(String(await ask(taker, 'FCALL', 'answer', '1', key)), 'yes');
    await client.set(key, 'new');
    await lost.restart();
    await eventually('it follows', async () => (await seenBy(lost))[taker.address] === '10923-16383');
    await sleep(500);
    await settled(nodes);
    const seen = await seenBy(first);
    assert.equal(seen[taker.address], '10923-16383');
    assert.equal(await client.get(key), 'new');
    await client.close();
    const again = await rescueCluster(first.address, taker.address);
    assert.deepEqual([again.applied, again.plan.steps], [true, []]);
  });

  it('does nothing where every slot is served', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const before = await snapshot(nodes);
    const result = await rescueCluster(at(nodes, 0).address, at(nodes, 2).address);
    assert.deepEqual(result.plan.steps, []);
    assert.deepEqual(await snapshot(nodes), before);
    await assertAlone(at(nodes, 2));
  });

  it('takes slots that nobody owns', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, taker] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await Promise.all([
      ask(first, 'CLUSTER', 'DELSLOTS', '7', '8'),
      ask(second, 'CLUSTER', 'DELSLOTS', '16000'),
    ]);
    // Packets that still claim them have to arrive first
    await sleep(300);
    await Promise.all([
      ask(first, 'CLUSTER', 'DELSLOTS', '16000'),
      ask(second, 'CLUSTER', 'DELSLOTS', '7', '8'),
    ]);
    await rescueCluster(first.address, taker.address);
    await assertLayout([
      [first, '0-6 9-8191'],
      [second, '8192-15999 16001-16383'],
      [taker, '7-8 16000'],
    ]);
  });

  it('refuses while a master is only silent, unless forced', async () => {
    const nodes = await startMasters(bed, 3, 1, patient);
    const [first, second, slow, taker] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await slow.freeze();
    const before = await snapshot([first, second, taker]);
    const options = { connectTimeout: 2500, commandTimeout: 2500 };
    await assert.rejects(rescueCluster(first.address, taker.address, options), {
      code: 'NODE_UNREACHABLE',
      address: slow.address,
      message: /but the cluster does not hold it for failed/,
    });
    assert.deepEqual(await snapshot([first, second, taker]), before);
    await rescueCluster(first.address, taker.address, { ...options, force: true });
    for (const node of [first, second, taker])
      assert.equal((await seenBy(node))[taker.address], '10923-16383');
    await slow.thaw();
    await eventually('it follows', async () => (await seenBy(slow))[taker.address] === '10923-16383');
    assert.equal((await seenBy(first))[taker.address], '10923-16383');
  });

  it('refuses while a replica lives that holds the keys', async () => {
    const nodes = await startMasters(bed, 3, 2, {
      config: { ...quick.config, 'cluster-replica-no-failover': 'yes' },
    });
    const [first, second, lost, replica, taker] = nodes as [
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
    ];
    await replicate(lost.address, replica.address);
    await lost.kill();
    await heldForFailed([first, second], lost);
    const before = await snapshot([first, second, replica, taker]);
    await assert.rejects(rescueCluster(first.address, taker.address), {
      code: 'HAS_REPLICAS',
      address: replica.address,
      message: new RegExp(`${replica.address}, a replica of ${lost.address}, is alive and holds its keys$`),
    });
    assert.deepEqual(await snapshot([first, second, replica, taker]), before);
    await replica.kill();
    await heldForFailed([first, second], replica);
    await rescueCluster(first.address, taker.address);
    for (const node of [first, second, taker])
      assert.equal((await seenBy(node))[taker.address], '10923-16383');
  });

  it('rescues one of three masters when two are dead and nobody can declare them failed, if forced', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [living, one, other, taker] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await Promise.all([one.kill(), other.kill()]);
    await eventually('it suspects both', async () => {
      const view = String(await ask(living, 'CLUSTER', 'NODES'));
      return view.split('fail?').length === 3;
    });
    await assert.rejects(rescueCluster(living.address, taker.address), { code: 'NODE_UNREACHABLE' });
    await assertAlone(taker);
    await rescueCluster(living.address, taker.address, { force: true });
    const [key = ''] = keysOfSlot(6000, 1);
    const client = new ClusterClient(living);
    assert.equal(await client.set(key, 'value'), 'OK');
    await client.close();
    for (const node of [living, taker]) {
      const seen = await seenBy(node);
      assert.equal(seen[living.address], '0-5461');
      assert.equal(seen[taker.address], '5462-16383');
    }
    await Promise.all([one.restart(), other.restart()]);
    await settled(nodes);
    const seen = await seenBy(living);
    assert.equal(seen[living.address], '0-5461');
    assert.equal(seen[taker.address], '5462-16383');
  });

  it('refuses a node that is not fit, and changes nothing', async () => {
    const nodes = await startMasters(bed, 3, 2);
    const [first, second, lost, member, fresh] = nodes as [
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
    ];
    const standalone = at(await bed.start(1, { cluster: false }), 0);
    await startCluster(member.address);
    await lost.kill();
    await heldForFailed([first, second], lost);
    const before = await snapshot([first, second, member, fresh]);
    await assert.rejects(rescueCluster(first.address, member.address), { code: 'ALREADY_IN_CLUSTER' });
    await assert.rejects(rescueCluster(first.address, standalone.address), { code: 'NOT_CLUSTER_ENABLED' });
    await assert.rejects(rescueCluster(first.address, first.address), { code: 'SAME_NODE' });
    await assert.rejects(rescueCluster(first.address, '127.0.0.1:1'), { code: 'ECONNREFUSED' });
    await assert.rejects(rescueCluster('127.0.0.1:1', fresh.address), { code: 'ECONNREFUSED' });
    assert.deepEqual(await snapshot([first, second, member, fresh]), before);
  });

  it('refuses to give away a slot of nobody whose keys lie on a node that still imports it', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, taker] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await ask(second, 'CLUSTER', 'SETSLOT', '5', 'IMPORTING', await idOfNode(first));
    await ask(first, 'CLUSTER', 'SETSLOT', '5', 'NODE', await idOfNode(second));
    const outcome = await rescueCluster(second.address, taker.address).catch((error: unknown) => error);
    if (bed.server.kind === 'valkey' && !(outcome instanceof Error)) {
      // It finishes such a move by itself, with the next packet from the source
      assert.deepEqual((outcome as OperationResult).plan.steps, []);
      assert.equal((await seenBy(second))[second.address], '5 8192-16383');
    } else {
      assert.ok(outcome instanceof ClusterError, String(outcome));
      assert.deepEqual([outcome.code, outcome.openSlots], ['OPEN_SLOT', [5]]);
    }
    await assertAlone(taker);
  });

  it('refuses while a living master holds keys of what it would give away, and names them', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, second, lost, taker] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const [one = '', other = ''] = keysOfSlot(5, 2);
    const [moved = ''] = keysOfSlot(12000, 1);
    await tell(first, ['SET', one, 'value'], ['SET', other, 'value']);
    await strand(second, lost, 12000, { [moved]: 'value' });
    await disown([first, second, lost], first, 5);
    await lost.kill();
    await heldForFailed([first, second], lost);
    const before = await snapshot([first, second, taker]);
    await assert.rejects(rescueCluster(first.address, taker.address), (error: ClusterError) => {
      assert.deepEqual([error.code, error.address], ['KEYS_IN_DOUBT', first.address]);
      const holds = `${first.address} holds 2 keys of slots 5, ${second.address} holds 1 keys of slots 12000, `;
      assert.ok(error.message.includes(holds), error.message);
      assert.ok(
        error.hint?.endsWith(`redis-trib fix ${first.address} --with-unreachable-masters`),
        error.hint,
      );
      return true;
    });
    await assert.rejects(rescueCluster(first.address, taker.address, { force: true }), {
      code: 'KEYS_IN_DOUBT',
    });
    assert.deepEqual(await snapshot([first, second, taker]), before);
    await assertAlone(taker);
    await fixMigrating(first.address, { withUnreachableMasters: true });
    const client = new ClusterClient(first);
    for (const key of [one, other, moved]) assert.equal(await client.get(key), 'value');
    await client.close();
  });
});
