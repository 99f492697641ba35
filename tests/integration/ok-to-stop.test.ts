import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { okToStop, replicate, type StopReason } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertSoon,
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  quick,
  recordsOf,
  startPairs,
  tell,
} from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

describe('okToStop()', () => {
  it('says yes before a node stops without harm, and no before slots are lost', async () => {
    const nodes = await startPairs(bed);
    const [first, second, third, replica, other] = [0, 1, 2, 3, 4].map((index) => at(nodes, index));
    assert.ok(first && second && third && replica && other);
    const kindsOf = async (...stopped: ServerNode[]): Promise<StopReason['kind'][]> => {
      const { ok, reasons } = await okToStop(
        third.address,
        stopped.map(({ address }) => address),
      );
      assert.equal(ok, reasons.length === 0);
      return reasons.map(({ kind }) => kind);
    };
    await assertSoon(async () => assert.deepEqual(await kindsOf(first, other), []));
    assert.deepEqual(await kindsOf(first, replica), ['no-copy']);
    assert.deepEqual((await kindsOf(first, second)).toSorted(), ['no-copy', 'no-copy', 'no-majority']);
    const told = await runMain(['ok_to_stop', third.address, first.address, replica.address]);
    assert.equal(told.code, 1);
    assert.match(told.stdout, new RegExp(`^No, .*[^]*\n    ${first.address}\n    ${replica.address}\n$`));

    // What it said yes to: the cluster serves again without a person.
    assert.equal((await runMain(['ok_to_stop', third.address, first.address, other.address])).code, 0);
    await Promise.all([first.kill(), other.kill()]);
    await declaredFailed([second, third], first);
    await eventually('every slot is served again', async () =>
      /^cluster_state:ok/m.test(String(await ask(third, 'CLUSTER', 'INFO'))),
    );
    // Each shard has one copy left, and one more master may not go.
    await assertSoon(async () => assert.deepEqual(await kindsOf(second), ['no-copy']));
    assert.deepEqual(await kindsOf(first, other), []);
  });

  it('says no while a master needs the replica to take writes, until it has another or needs none', async () => {
    const nodes = await startPairs(bed);
    const [first, third, replica] = [0, 2, 3].map((index) => at(nodes, index));
    assert.ok(first && third && replica);
    const settings = ['min-replicas-to-write'];
    const require = (count: string) =>
      Promise.all(
        [first, replica].map((node) => tell(node, ['CONFIG', 'SET', 'min-replicas-to-write', count])),
      );
    const judged = (node: ServerNode) => okToStop(third.address, [node.address]);
    const mayStop = (node: ServerNode) => assertSoon(async () => assert.ok((await judged(node)).ok));
    const refuses = async (node: ServerNode, master: ServerNode) =>
      assertSoon(async () => {
        const { ok, reasons } = await judged(node);
        assert.deepEqual([ok, reasons.map(({ kind }) => kind)], [false, ['writes-refused']]);
        assert.deepEqual(reasons[0]?.next, [
          { do: 'replicate', node: master.address },
          { do: 'configure', node: master.address, settings },
        ]);
      });
    const ownSlot =
      (await recordsOf(first)).find(({ flags }) => flags.includes('myself'))?.slots[0]?.[0] ?? 0;
    await mayStop(replica);
    await require('1');
    await refuses(replica, first);
    // It would be the master, without a replica of its own.
    await refuses(first, replica);
    await mayStop(third);
    const told = await runMain(['ok_to_stop', third.address, replica.address]);
    assert.equal(told.code, 1);
    assert.match(told.stdout, /\n {4}Next: .*replicate .*\n/);
    await require('0');
    await mayStop(replica);
    await require('1');
    const second = at(await bed.start(1, quick), 0);
    await replicate(first.address, second.address);
    await mayStop(replica);
    await mayStop(first);
    // Both, to which it says no.
    const { reasons } = await okToStop(third.address, [replica.address, second.address]);
    assert.deepEqual(
      reasons.map(({ kind }) => kind),
      ['writes-refused'],
    );
    const write = () => tell(first, ['SET', at(keysOfSlot(ownSlot, 1), 0), 'x']);
    await write();
    await Promise.all([replica.kill(), second.kill()]);
    await eventually('writes are refused', async () => {
      const refusal = await write().then(
        () => '',
        (error: unknown) => `${error}`,
      );
      return refusal.includes('NOREPLICAS');
    });
  });

  it('says no while the only replica that stays is copying its master', async () => {
    const nodes = await startPairs(bed);
    const [first, third, replica, other] = [0, 2, 3, 4].map((index) => at(nodes, index));
    assert.ok(first && third && replica && other);
    // The copy begins after this many seconds.
    await ask(first, 'CONFIG', 'SET', 'repl-diskless-sync', 'yes');
    await ask(first, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '5');
    await ask(other, 'CLUSTER', 'REPLICATE', await idOfNode(first));
    const judged = () => okToStop(third.address, [first.address, replica.address]);
    await assertSoon(async () => {
      const { reasons } = await judged();
      assert.deepEqual(
        reasons.map(({ kind }) => kind),
        ['no-copy'],
      );
      assert.ok(reasons[0]?.nodes.includes(other.address));
    });
    await assertSoon(async () => assert.equal((await judged()).ok, true), 30_000);
  });
});
