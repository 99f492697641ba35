import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  check,
  failover,
  fixMigrating,
  migrateSlots,
  type OperationResult,
  rebalance,
  rejoinCluster,
  replicate,
  rescueCluster,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  quick,
  recordsOf,
  seenBy,
  startMasters,
  tell,
} from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

async function findingOf(seed: ServerNode, kind: string) {
  const { ok, findings } = await check(seed.address);
  return { ok, finding: findings.find((one) => one.kind === kind), kinds: findings.map((one) => one.kind) };
}

/** Everything that gives slots away, with and without force. */
function givingAway(
  seed: ServerNode,
  taker: ServerNode,
): (readonly [string, () => Promise<OperationResult>])[] {
  return [false, true].flatMap((force) => [
    [`rescue, force ${force}`, () => rescueCluster(seed.address, taker.address, { force })] as const,
    [
      `fix, force ${force}`,
      () => fixMigrating(seed.address, { withUnreachableMasters: true, force }),
    ] as const,
  ]);
}

describe('A master that does not answer as itself', { concurrency: true }, () => {
  it('keeps its slots while it is loading, and check says how far it is', async (t) => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [first, second, loading, spare] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    // A loading server looks after its clients each time it has read so many bytes of its file.
    const text = () => randomBytes(800).toString('base64');
    await tell(loading, ...keysOfSlot(12000, 400).map((key) => ['SET', key, text()]));
    await ask(loading, 'SAVE');
    await loading.kill();
    const delay = 'key-load-delay 25000\nloading-process-events-interval-bytes 1024\n';
    await appendFile(join(loading.dir, 'server.conf'), `\n${delay}`);
    const back = loading.restart();
    back.catch(() => {});
    await declaredFailed([first, second], loading);
    const answer = await ask(loading, 'PING').catch((error: Error) => error.message);
    if (!String(answer).startsWith('LOADING')) return t.skip(`it answers PING with ${answer}`);
    const { ok, finding } = await findingOf(first, 'node-loading');
    assert.equal(ok, false, 'its slots are not served');
    assert.match(finding?.message ?? '', /\d+ % done, about \d+ s left/);
    assert.deepEqual(finding?.next, [{ do: 'wait', node: loading.address, when: 'answers' }]);
    for (const [name, give] of givingAway(first, spare)) {
      // A Valkey answers what it is asked about the cluster: it owns its slots.
      if (bed.server.kind === 'valkey') {
        await give().catch(() => {});
        assert.match((await seenBy(first))[loading.address] ?? '', /^10923-16383/);
        continue;
      }
      await assert.rejects(give, (error: { code?: string; message?: string }) => {
        assert.ok(
          ['NODE_UNREACHABLE', 'SLOTS_UNCOVERED'].includes(error.code ?? ''),
          `${name}: ${error.message}`,
        );
        assert.match(error.message ?? '', /loading/, name);
        return true;
      });
    }
    // What is advised: wait until it answers.
    await back;
    await eventually('its slots are served', async () => (await check(first.address)).ok);
    assert.equal(await ask(loading, 'DBSIZE'), 400);
    assert.equal((await seenBy(first))[loading.address], '10923-16383');
  });

  it('keeps its slots while it refuses us, and is named by every command', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, second, closed, spare] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await ask(closed, 'CONFIG', 'SET', 'requirepass', 'secret');
    const { ok, finding, kinds } = await findingOf(first, 'node-refuses');
    assert.equal(ok, false);
    assert.match(finding?.message ?? '', /NOAUTH/);
    assert.ok(!kinds.includes('slots-uncovered'), 'others reach it');
    const refused = { code: 'NODE_UNREACHABLE', address: closed.address };
    await assert.rejects(rescueCluster(first.address, spare.address), refused);
    await assert.rejects(rebalance(first.address), refused);
    await assert.rejects(rescueCluster(first.address, spare.address, { force: true }), refused);
    assert.equal((await seenBy(second))[closed.address], '10923-16383');
  });

  it('keeps its slots while it runs without cluster support, and has them and its keys when it is restarted with it', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [first, second, alone, spare] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const conf = join(alone.dir, 'server.conf');
    const inCluster = (value: string) => appendFile(conf, `\ncluster-enabled ${value}\n`);
    await tell(alone, ...keysOfSlot(12000, 50).map((key) => ['SET', key, 'value']));
    await ask(alone, 'SAVE');
    await alone.kill();
    await inCluster('no');
    await alone.restart();
    await declaredFailed([first, second], alone);
    assert.equal(await ask(alone, 'DBSIZE'), 50);
    const { ok, finding } = await findingOf(first, 'node-refuses');
    assert.equal(ok, false);
    assert.match(finding?.hint ?? '', /cluster-enabled yes/);
    for (const [name, give] of givingAway(first, spare)) {
      await assert.rejects(give, (error: { code?: string; message?: string }) => {
        assert.ok(
          ['NODE_UNREACHABLE', 'SLOTS_UNCOVERED'].includes(error.code ?? ''),
          `${name}: ${error.message}`,
        );
        return true;
      });
    }
    // What is advised.
    await alone.stop();
    await inCluster('yes');
    await alone.restart();
    await eventually('its slots are served', async () => (await check(first.address)).ok);
    assert.equal(await ask(alone, 'DBSIZE'), 50);
    assert.equal((await seenBy(first))[alone.address], '10923-16383');
  });

  it('keeps its slots when it has swapped addresses with another, and check says who does not find it', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [first, one, two, spare] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const [idOne, idTwo] = [await idOfNode(one), await idOfNode(two)];
    await Promise.all([one.kill(), two.kill()]);
    const texts = await Promise.all([one, two].map(({ dir }) => readFile(join(dir, 'nodes.conf'), 'latin1')));
    await Promise.all([
      one.restart({ nodesConf: { text: texts[1] ?? '' } }),
      two.restart({ nodesConf: { text: texts[0] ?? '' } }),
    ]);
    await eventually('the first finds both again', async () => {
      const records = await recordsOf(first);
      return [idOne, idTwo].every((id) =>
        records.some(
          (record) => record.id === id && record.linkState === 'connected' && !record.flags.includes('fail'),
        ),
      );
    });
    await sleep(500);
    const isLost = async () => (await recordsOf(one)).some(({ flags }) => flags.includes('noaddr'));
    if (await isLost()) {
      const { ok, finding } = await findingOf(one, 'node-moved');
      assert.equal(ok, false);
      for (const [, give] of givingAway(one, spare)) await give().catch(() => {});
      const slots = await seenBy(first);
      assert.deepEqual([slots[one.address], slots[two.address]], ['10923-16383', '5462-10922']);
      await assert.rejects(fixMigrating(one.address), { code: 'NODES_DISAGREE' });
      // What is advised.
      const [step] = finding?.next ?? [];
      assert.equal(step?.do, 'rejoin');
      await rejoinCluster(step.nodes ?? []);
    }
    await eventually('all find one another', async () => (await check(one.address)).ok);
  });

  it('that came back empty leaves its slots uncovered, and rescue gives them to what is there now', async () => {
    const nodes = await startMasters(bed, 3, 0, quick);
    const [first, second, wiped] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const old = await idOfNode(wiped);
    await wiped.kill();
    await wiped.restart({ nodesConf: 'empty' });
    await eventually('its slots are uncovered', async () => {
      const records = await Promise.all([first, second].map(recordsOf));
      return records.every((some) =>
        some.find(({ id }) => id === old)?.flags.some((flag) => /^(noaddr|fail)$/.test(flag)),
      );
    });
    const { ok, kinds } = await findingOf(first, 'node-wiped');
    assert.equal(ok, false);
    assert.ok(
      kinds.includes('slots-uncovered') && (kinds.includes('node-wiped') || kinds.includes('node-failed')),
      kinds.join(),
    );
    await assert.rejects(fixMigrating(first.address), { code: 'SLOTS_UNCOVERED' });
    await rescueCluster(first.address, wiped.address);
    assert.equal((await seenBy(first))[wiped.address], '10923-16383');
    await eventually('check is content', async () => (await check(first.address)).ok);
  });
});

describe('failover() without the master', { concurrency: true }, () => {
  it('is refused while the master answers, with the keys of both, unless it is forced', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    const keys = keysOfSlot(100, 7);
    await replicate(master.address, replica.address);
    await tell(master, ...keys.map((key) => ['SET', key, 'value']));
    await eventually('it is copied', async () => (await ask(replica, 'DBSIZE')) === 7);
    for (const mode of ['force', 'takeover'] as const) {
      await assert.rejects(
        failover(replica.address, { mode }),
        (error: { code?: string; message?: string }) => {
          assert.equal(error.code, 'KEYS_IN_DOUBT');
          assert.match(error.message ?? '', /holds 7 keys, the replica 7 keys/);
          return true;
        },
      );
    }
    assert.equal((await seenBy(master))[master.address], '0-5461');
    // What is advised: the graceful way.
    await failover(replica.address);
    assert.equal((await seenBy(replica))[replica.address], '0-5461');
    await failover(master.address, { mode: 'takeover', force: true });
    assert.equal((await seenBy(master))[master.address], '0-5461');
    await migrateSlots(master.address, at(nodes, 1).address, [0]);
  });
});
