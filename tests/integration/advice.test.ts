// What is advised about nodes that live, and to end a cluster, is carried out here, from the situation in which it is given:
// tests/helpers/advice-followed.ts lists every place that gives advice.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  ClusterError,
  check,
  delNode,
  fixMigrating,
  joinNoLoad,
  migrateSlots,
  type Next,
  quitCluster,
  replicate,
  rollbackPlan,
  shutdownCluster,
  startCluster,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertAlone,
  assertFindings,
  assertSoon,
  at,
  idOfNode,
  keysOfSlot,
  quick,
  seenBy,
  sizeOf,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { adviceFor, follow, nextOf, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const keys = keysOfSlot(12_000, 9);

describe('What is advised', { concurrency: 3 }, () => {
  describe('about a node that is to join', { concurrency: true }, () => {
    it('empties it, resets it or ends its cluster, and it joins', async () => {
      const [members, spare] = await Promise.all([startMasters(bed, 2), bed.start(3, quick)]);
      const [first, full, marked, single] = [at(members, 0), at(spare, 0), at(spare, 1), at(spare, 2)];
      const nodes = [...members, ...spare];
      await ask(full, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no');
      await ask(full, 'CLUSTER', 'ADDSLOTS', '12000');
      await eventually('it serves', async () => /_state:ok/.test(String(await ask(full, 'CLUSTER', 'INFO'))));
      await tell(full, ['SET', at(keys, 0), 'value']);
      await ask(full, 'CLUSTER', 'DELSLOTS', '12000');
      await ask(marked, 'CLUSTER', 'SETSLOT', '5', 'IMPORTING', 'f'.repeat(40)).catch(() => {});
      const isMarked = String(await ask(marked, 'CLUSTER', 'NODES')).includes('[5-');
      await startCluster(single.address);
      const cases = [
        [full, 'NODE_NOT_EMPTY', ['command FLUSHALL']],
        ...(isMarked ? [[marked, 'OPEN_SLOT', ['command CLUSTER RESET', 'retry ']] as const] : []),
        [single, 'ALREADY_IN_CLUSTER', ['shutdown ']],
      ] as const;
      for (const [node, code, acts] of cases) {
        const again = () => joinNoLoad(first.address, node.address);
        const error = await refusalOf(again());
        assert.equal(error.code, code);
        assert.deepEqual(
          error.next.map(({ do: act, command = [] }) => `${act} ${command.join(' ')}`),
          acts,
        );
        for (const next of error.next) await follow(next, { nodes, again });
        if (!error.next.some((next) => next.do === 'retry')) await again();
      }
      await assertSoon(async () => assert.equal(Object.keys(await seenBy(first)).length, 2 + cases.length));
    });
  });

  describe('about the roles of nodes that live', { concurrency: true }, () => {
    it('makes a replica again of a master without slots in its shard', async (t) => {
      // A master that was away comes back as a replica, unless it is told not to change its role.
      const config = { ...quick.config, 'cluster-allow-replica-migration': 'no' };
      const nodes = await startMasters(bed, 3, 2, { config }).catch(() => undefined);
      if (!nodes) return t.skip('the setting is not known');
      const [master, second, one, two] = [at(nodes, 0), at(nodes, 1), at(nodes, 3), at(nodes, 4)];
      const takes = async (replica: ServerNode, from: ServerNode): Promise<void> => {
        await from.kill();
        await eventually('the replica has taken over', async () =>
          /^0-5461/.test((await seenBy(second))[replica.address] ?? ''),
        );
      };
      await replicate(master.address, one.address);
      await takes(one, master);
      await replicate(one.address, two.address);
      await takes(two, one);
      await Promise.all([master.restart(), one.restart()]);
      await assertSoon(async () => assert.equal(Object.keys(await seenBy(master)).length, 5));
      let found: readonly Next[] | undefined;
      await eventually('check shows it, or it is a replica', async () => {
        const { findings } = await check(second.address);
        found = findings.find(({ kind }) => kind === 'shard-shared')?.next;
        return found !== undefined || /^replica of/.test((await seenBy(second))[master.address] ?? '');
      });
      if (!found) return t.skip('it became a replica');
      for (const next of found) {
        const again = () => follow(next, { nodes });
        // The one that was away with it may have become its replica in the meantime.
        await again().catch(async (error: unknown) => {
          if (!(error instanceof ClusterError) || error.code !== 'HAS_REPLICAS') throw error;
          for (const one of error.next) await follow(one, { nodes, again });
        });
      }
      await assertSoon(async () => {
        assert.equal((await seenBy(second))[master.address], `replica of ${two.address}`);
        assert.ok((await check(second.address)).findings.every(({ kind }) => kind !== 'shard-shared'));
      });
    });
  });

  describe('about strange keys on the target', { concurrency: true }, () => {
    it('settles them with the owner, and the same call moves the slot', async () => {
      const nodes = await startMasters(bed, 2);
      const [first, second] = [at(nodes, 0), at(nodes, 1)];
      const [equal = '', strange = ''] = keysOfSlot(7, 2);
      await tell(first, ['SET', equal, 'value']);
      await tell(
        second,
        ['CLUSTER', 'SETSLOT', '7', 'IMPORTING', await idOfNode(first)],
        ['ASKING'],
        ['SET', equal, 'value'],
        ['ASKING'],
        ['SET', strange, 'old'],
        ['CLUSTER', 'SETSLOT', '7', 'STABLE'],
      );
      const again = () => migrateSlots(first.address, second.address, [7], { method: 'migrate' });
      const error = await refusalOf(again());
      assert.equal(error.code, 'NODE_NOT_EMPTY');
      const fix = (options: object) => fixMigrating(first.address, options);
      const undecided = await refusalOf(follow(adviceFor(error.next, 'fix', 'otherwise'), { nodes }));
      assert.ok(undecided.message.includes('1'), undecided.message);
      const drop = undecided.next.find(({ options }) => options?.strayKeys === 'drop');
      assert.ok(drop, JSON.stringify(undecided.next));
      await follow(drop, { nodes, again: fix });
      await follow(adviceFor(error.next, 'retry'), { nodes, again });
      assert.deepEqual([await ask(second, 'GET', equal), await ask(second, 'GET', strange)], ['value', null]);
      await assertFindings(first.address, []);
    });
  });

  describe('to end a cluster', { concurrency: true }, () => {
    /** Follows the first advice of each error, and returns how many there were. */
    async function through(
      node: ServerNode,
      end: (address: string) => Promise<unknown>,
      nodes: readonly ServerNode[],
    ): Promise<number> {
      for (let errors = 0; ; errors++) {
        assert.ok(errors < 4, 'it goes in a circle');
        try {
          await end(node.address);
          return errors;
        } catch (thrown) {
          const { next } = await refusalOf(Promise.reject(thrown));
          const { length } = next.filter((one, index) => index === 0 || one.when === 'after-that');
          for (const one of next.slice(0, length)) await follow(one, { nodes, again: async () => {} });
          if (next.slice(0, length).some((one) => one.do === 'shutdown')) return errors + 1;
        }
      }
    }

    for (const [who, index, how] of [
      ['a master', 0, shutdownCluster],
      ['its replica', 1, shutdownCluster],
      ['a master', 0, quitCluster],
    ] as const) {
      it(`ends that of a master and a replica by ${how.name}() of ${who}`, async () => {
        const nodes = await startMasters(bed, 1, 1, quick);
        await replicate(at(nodes, 0).address, at(nodes, 1).address);
        assert.ok((await through(at(nodes, index), how, nodes)) <= 2);
        for (const node of nodes) await assertAlone(node);
      });
    }

    it('ends one of five nodes', async () => {
      const nodes = await startMasters(bed, 1, 4, quick);
      const [first, ...rest] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3), at(nodes, 4)];
      for (const node of rest) await joinNoLoad(first.address, node.address);
      const [one, again] = (await refusalOf(shutdownCluster(first.address))).next;
      assert.ok(one && again);
      await follow(one, { nodes });
      await follow(again, { nodes, again: () => through(first, shutdownCluster, nodes) });
      for (const node of nodes) await assertAlone(node);
    });

    it('gives the replicas of a leaver to another master', async () => {
      const nodes = await startMasters(bed, 2, 1);
      const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
      await replicate(first.address, replica.address);
      assert.equal(await through(first, quitCluster, nodes), 1);
      assert.deepEqual(await seenBy(second), {
        [second.address]: '0-16383',
        [replica.address]: `replica of ${second.address}`,
      });
    });

    it('takes the replicas of a leaver out first', async () => {
      const nodes = await startMasters(bed, 2, 1);
      const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
      await replicate(first.address, replica.address);
      const { next } = await refusalOf(quitCluster(first.address));
      await follow(adviceFor(next, 'quit', 'not-needed'), { nodes });
      await quitCluster(first.address);
      assert.deepEqual(await seenBy(second), { [second.address]: '0-16383' });
    });
  });

  describe('instead of a rollback', { concurrency: true }, () => {
    it('brings back a master that became a replica with its last slot', async (t) => {
      const nodes = await startMasters(bed, 2);
      const [first, second] = [at(nodes, 0), at(nodes, 1)];
      await tell(second, ...keys.map((key) => ['SET', key, 'value']));
      const { plan } = await migrateSlots(second.address, first.address, [[8192, 16383]]);
      await eventually('the roles are settled', async () =>
        /^(replica of .*)?$/.test((await seenBy(first))[second.address] ?? '?'),
      );
      if ((await seenBy(first))[second.address] === '') return t.skip('it stays a master');
      const error = await refusalOf(rollbackPlan(first.address, plan));
      assert.equal(error.code, 'NOT_REVERSIBLE');
      for (const next of error.next) await follow(next, { nodes });
      await assertFindings(first.address, []);
      assert.equal((await sizeOf(first)) + (await sizeOf(second)), keys.length);
      assert.equal((await check(first.address)).ok, true);
    });

    it('brings back a master without slots that was made a replica, and one that left', async () => {
      const nodes = await startMasters(bed, 2, 1);
      const [first, third] = [at(nodes, 0), at(nodes, 2)];
      await joinNoLoad(first.address, third.address);
      const { plan } = await replicate(first.address, third.address);
      const error = await refusalOf(rollbackPlan(first.address, plan));
      assert.equal(error.code, 'NOT_REVERSIBLE');
      for (const next of error.next) await follow(next, { nodes });
      assert.equal((await seenBy(first))[third.address], '');
      // Besides, what check says of such a master.
      await follow(adviceFor(await nextOf(first, 'master-without-slots'), 'del-node'), { nodes });
      await assertAlone(third);
      await joinNoLoad(first.address, third.address);
      const { plan: leaving } = await quitCluster(third.address);
      const gone = await refusalOf(rollbackPlan(first.address, leaving));
      assert.equal(gone.code, 'NOT_REVERSIBLE');
      for (const next of gone.next) await follow({ cluster: first.address, ...next }, { nodes });
      await assertFindings(first.address, []);
    });
  });

  describe('about a node that does not answer', { concurrency: true }, () => {
    it('takes it out by force if it is gone for good, though no majority can say so', async () => {
      const nodes = await startMasters(bed, 2, 2, quick);
      const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
      await replicate(second.address, replica.address);
      await Promise.all([replica.kill(), second.freeze()]);
      const again = (options: object) =>
        delNode(first.address, replica.address, { connectTimeout: 1000, commandTimeout: 1000, ...options });
      const error = await refusalOf(again({}));
      assert.equal(error.code, 'NODE_UNREACHABLE');
      await second.thaw();
      const force = adviceFor(error.next, 'retry', 'gone-for-good');
      await follow(force, { nodes, again });
      await assertFindings(first.address, []);
    });
  });
});
