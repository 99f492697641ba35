import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ClusterEvent,
  joinCluster,
  joinNoLoad,
  listNodes,
  migrateSlots,
  quitCluster,
  replicate,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  at,
  idOfNode,
  openSlotsAt,
  quick,
  snapshot,
  startMasters,
} from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const patient = { config: { 'cluster-node-timeout': '60000' } };

async function heldForFailed(by: ServerNode, node: ServerNode): Promise<void> {
  await eventually('it is held for failed', async () =>
    new RegExp(`:${node.port}@\\S+ \\S*,fail[ ,]`).test(String(await ask(by, 'CLUSTER', 'NODES'))),
  );
}

describe('a master that is dead', { concurrency: true }, () => {
  it('keeps slots from moving if it had some, and changes nothing', async () => {
    const nodes = await startMasters(bed, 3, 1, {
      config: { ...quick.config, 'cluster-require-full-coverage': 'no' },
    });
    const [first, second, dead, fresh] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await dead.kill();
    await heldForFailed(first, dead);
    await heldForFailed(second, dead);
    const living = [first, second, fresh];
    const before = await snapshot(living);
    const expected = {
      code: 'SLOTS_UNCOVERED',
      message: /5461 slots are not served by any node: 10923-16383$/,
    };
    await assert.rejects(migrateSlots(first.address, second.address, [1]), expected);
    await assert.rejects(joinCluster(first.address, fresh.address), expected);
    await assert.rejects(joinNoLoad(first.address, fresh.address), expected);
    await assert.rejects(replicate(first.address, fresh.address), expected);
    await assert.rejects(quitCluster(second.address), expected);
    assert.deepEqual(await snapshot(living), before);
  });

  it('is in nobody’s way if it had none', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [first, second, dead, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await joinNoLoad(first.address, dead.address);
    await dead.kill();
    await heldForFailed(first, dead);
    await heldForFailed(second, dead);
    await migrateSlots(first.address, second.address, [[0, 199]]);
    await joinCluster(first.address, third.address);
    const events: ClusterEvent[] = [];
    await quitCluster(third.address, { onEvent: (event) => events.push(event) });
    await assertAlone(third);
    assert.ok(
      events.some((event) => event.type === 'warning' && event.message.includes(dead.address)),
      'it says who could not be told',
    );
    assert.deepEqual(await openSlotsAt([first, second]), []);
    const { nodes: listed } = await listNodes(first.address);
    assert.equal(
      listed.reduce((sum, { assignedSlots }) => sum + assignedSlots.length, 0),
      16384,
    );
  });
});

describe('a node that is frozen', { concurrency: true }, () => {
  it('is waited for by nobody: NODE_UNREACHABLE names it, nothing is changed, and all is well when it is back', async () => {
    const nodes = await startMasters(bed, 3, 1, patient);
    const [first, second, frozen, fresh] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await frozen.freeze();
    const before = await snapshot([first, second, fresh]);
    const options = { connectTimeout: 2500, commandTimeout: 2500 };
    const expected = { code: 'NODE_UNREACHABLE', address: frozen.address };
    await assert.rejects(migrateSlots(first.address, second.address, [1], options), expected);
    await assert.rejects(joinCluster(first.address, fresh.address, options), expected);
    await assert.rejects(quitCluster(second.address, options), expected);
    await assert.rejects(listNodes(frozen.address, options), { name: 'ConnectionError', code: 'TIMEOUT' });
    assert.deepEqual(await snapshot([first, second, fresh]), before);
    await frozen.thaw();
    await migrateSlots(first.address, second.address, [1], options);
    await assertLayout([
      [first, '0 2-5461'],
      [second, '1 5462-10922'],
      [frozen, '10923-16383'],
    ]);
  });

  for (const [what, which] of [
    ['the source', 0],
    ['the target', 1],
    ['a master that is neither', 2],
  ] as const) {
    it(`and is ${what} of a move that is under way holds the move up, and does no harm`, async () => {
      const nodes = await startMasters(bed, 3, 0, patient);
      const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
      const client = new ClusterClient(first);
      const keys = Array.from({ length: 6000 }, (_, index) => `key:${index}`);
      await Promise.all(keys.map((key) => client.set(key, key)));
      let frozen: Promise<void> | undefined;
      const freeze = async () => {
        await at(nodes, which).freeze();
        await sleep(1500);
        await at(nodes, which).thaw();
      };
      const result = await migrateSlots(first.address, second.address, [[0, 1999]], {
        commandTimeout: 5000,
        onEvent({ type }) {
          if (type === 'slots-closed') frozen ??= freeze();
        },
      });
      await frozen;
      assert.equal(result.slots, 2000);
      assert.deepEqual(await openSlotsAt(nodes), []);
      await assertLayout([
        [first, '2000-5461'],
        [second, '0-1999 5462-10922'],
        [third, '10923-16383'],
      ]);
      for (const key of keys) assert.equal(await client.get(key), key);
      await client.close();
    });
  }
});

describe('a target that dies while slots move to it', { concurrency: true }, () => {
  it('ends the move with what is left behind, and the same call finishes when it is back', async () => {
    const nodes = await startMasters(bed, 2, 0, patient);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    let killed: Promise<void> | undefined;
    const error = await migrateSlots(first.address, second.address, [[0, 1999]], {
      connectTimeout: 1000,
      commandTimeout: 1000,
      onEvent({ type }) {
        if (type === 'slots-closed') killed ??= second.kill();
      },
    }).catch((error: unknown) => error);
    await killed;
    assert.ok(error instanceof Error && 'code' in error && 'resumable' in error, String(error));
    assert.equal(error.resumable, true);
    assert.ok(error.message.includes(second.address), error.message);
    await second.restart();
    for (const node of nodes) {
      await eventually('it serves', async () =>
        /^cluster_state:ok/m.test(String(await ask(node, 'CLUSTER', 'INFO'))),
      );
    }
    await migrateSlots(first.address, second.address, [[0, 1999]], { resume: true });
    assert.deepEqual(await openSlotsAt(nodes), []);
    await assertLayout([
      [first, '2000-8191'],
      [second, '0-1999 8192-16383'],
    ]);
  });
});

describe('nodes that cannot agree', { concurrency: true }, () => {
  it('end the wait after agreeTimeout, with who says what instead', async () => {
    const first = at(await bed.start(1, quick), 0);
    // It tells others a bus port where nobody listens
    const lost = at(await bed.start(1, { config: { ...quick.config, 'cluster-announce-bus-port': '1' } }), 0);
    const started = performance.now();
    const waiting: ClusterEvent[] = [];
    await assert.rejects(
      startClusterOnMulti([first.address, lost.address], {
        agreeTimeout: 1500,
        onEvent: (event) => event.type === 'waiting' && waiting.push(event),
      }),
      (error) => {
        assert.ok(error instanceof Error && 'code' in error && 'hint' in error && 'resumable' in error);
        assert.equal(error.code, 'NOT_REACHED');
        assert.match(error.message, /^Waited \d+ s for the nodes to know one another: /);
        assert.ok(
          error.message.includes(first.address) && error.message.includes(lost.address),
          error.message,
        );
        assert.equal(error.resumable, true);
        assert.ok(error.hint);
        return true;
      },
    );
    const elapsed = performance.now() - started;
    assert.ok(elapsed >= 1500 && elapsed < 6000, `${elapsed} ms`);
    assert.ok(waiting.length > 0);
  });

  it('are told of before anything is changed: NODES_DISAGREE', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, , third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    // The others go on believing that it is the first one's
    await ask(first, 'CLUSTER', 'DELSLOTS', '1');
    const before = await snapshot(nodes);
    await assert.rejects(migrateSlots(third.address, first.address, [16000], { agreeTimeout: 1000 }), {
      code: 'NODES_DISAGREE',
      message: /^The nodes do not agree: \S+ does not agree with the others who owns slots 1: slot 1 is /,
      hint: `Nothing was changed. Wait a few seconds and check again; if it stays: redis-trib fix ${third.address}`,
    });
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('do not keep a node from quitting that some have forgotten', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, leaver] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(first.address, leaver.address);
    await ask(second, 'CLUSTER', 'FORGET', await idOfNode(leaver));
    await quitCluster(leaver.address);
    await assertAlone(leaver);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
    ]);
  });
});
