import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { explain } from '../../lib/index.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertSoon,
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  startPairs,
  tell,
} from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

describe('explain()', () => {
  it('says where a key, a slot and a node are, while a slot moves and after its owner has died', async () => {
    const nodes = await startPairs(bed);
    const [first, second, third, replica] = [0, 1, 2, 3].map((index) => at(nodes, index));
    assert.ok(first && second && third && replica);
    const client = new ClusterClient(second);
    const [stays = '', moves = '', none = ''] = keysOfSlot(5, 3);
    await client.set(stays, 'value');
    await tell(first, ['PEXPIRE', stays, '600000']);
    const key = await explain(second.address, { key: stays });
    assert.ok(key.kind === 'key');
    assert.deepEqual([key.slot, key.owner, key.isServed], [5, first.address, true]);
    assert.deepEqual([key.at, key.exists, key.type], [first.address, true, 'string']);
    assert.ok(key.ttlMs !== null && key.ttlMs > 500_000 && key.bytes !== null && key.bytes > 0);
    assert.deepEqual(key.replicas, [replica.address]);

    const slot = await explain(second.address, { word: '5' });
    assert.ok(slot.kind === 'slot');
    assert.deepEqual([slot.slot, slot.keys, slot.owner], [5, 1, first.address]);
    const id = await idOfNode(first);
    for (const word of [first.address, id, id.slice(0, 12)]) {
      const node = await explain(second.address, { word });
      assert.ok(node.kind === 'node', word);
      assert.deepEqual([node.id, node.role, node.slots, node.condition], [id, 'master', '0-5460', 'healthy']);
      assert.deepEqual(node.replicas, [replica.address]);
    }
    // A key that looks like an address.
    assert.equal((await explain(second.address, { word: 'user:42' })).kind, 'key');
    await assert.rejects(explain(second.address, { node: '127.0.0.1:1' }), { code: 'NOT_SAME_CLUSTER' });
    await assert.rejects(explain(second.address, { slot: 16384 }), { code: 'INVALID_ARGUMENT' });

    const target = await idOfNode(second);
    await tell(second, ['CLUSTER', 'SETSLOT', '5', 'IMPORTING', id]);
    await tell(first, ['CLUSTER', 'SETSLOT', '5', 'MIGRATING', target]);
    await tell(second, ['ASKING'], ['SET', moves, 'value']);
    const where = async (name: string) => {
      const found = await explain(third.address, { key: name });
      assert.ok(found.kind === 'key');
      return [found.at, found.exists];
    };
    assert.deepEqual(await where(moves), [second.address, true]);
    assert.deepEqual(await where(stays), [first.address, true]);
    assert.deepEqual(await where(none), [null, false]);
    const moving = await explain(third.address, { slot: 5 });
    assert.ok(moving.kind === 'slot');
    assert.deepEqual(
      new Map(moving.open.map(({ node, direction, peer }) => [node, `${direction} ${peer}`])),
      new Map([
        [first.address, `migrating ${second.address}`],
        [second.address, `importing ${first.address}`],
      ]),
    );
    assert.ok(moving.findings.some(({ kind }) => kind === 'slot-open'));
    for (const node of [first, second]) await tell(node, ['CLUSTER', 'SETSLOT', '5', 'STABLE']);

    const text = await runMain(['explain', third.address, stays, '--as', 'key']);
    assert.equal(text.code, 0);
    assert.match(
      text.stdout,
      new RegExp(`in slot 5.*\nSlot 5 belongs to ${first.address}\n  Replicas: ${replica.address}\n`),
    );
    assert.equal((await runMain(['explain', third.address, 'x', '--as', 'slot'])).code, 2);
    for (const word of ['16384', '127.0.0.1:1', 'f'.repeat(40)]) {
      assert.match((await runMain(['explain', third.address, word])).stdout, /taken for a key/);
      const asKey = await runMain(['explain', third.address, word, '--as', 'key']);
      assert.doesNotMatch(asKey.stdout, /taken for a key/);
    }
    const told = await runMain(['explain', third.address, first.address, '--json']);
    assert.equal(JSON.parse(told.stdout).id, id);

    // Nobody takes the place of the dead.
    await replica.kill();
    await first.kill();
    await declaredFailed([second, third], first);
    await assertSoon(async () => {
      const lost = await explain(third.address, { key: stays });
      assert.ok(lost.kind === 'key');
      assert.deepEqual([lost.owner, lost.isServed, lost.exists, lost.at], [first.address, false, null, null]);
      assert.ok(lost.findings.some(({ kind }) => kind === 'slots-uncovered'));
    });
    const dead = await explain(third.address, { node: first.address });
    assert.ok(dead.kind === 'node');
    assert.deepEqual([dead.condition, dead.keys], ['dead', null]);
    await client.close();
  });
});
