import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { findHotSpots, type HotSpotResult, migrateSlots, rebalance } from '../../lib/index.ts';
import { readHotkeys } from '../../lib/measure/hotkeys-reply.ts';
import { expandSlots } from '../../lib/model/slot.ts';
import { isAtLeast } from '../../lib/nodes/server.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, keysOfSlot, startMasters, tell } from '../helpers/clusters.ts';
import { CommandLine } from '../helpers/command-line.ts';
import { follow } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
let masters: ServerNode[];
let [hasStats, hasHotkeys] = [false, false];
before(async () => {
  bed = await openBed();
  masters = await startMasters(bed, 2);
  const { kind, version } = bed.server;
  hasStats = isAtLeast({ version }, 8, kind === 'redis' ? 2 : 0);
  hasHotkeys = kind === 'redis' && isAtLeast({ version }, 8, 6);
});
after(() => bed.close());

const SETTING = 'cluster-slot-stats-enabled';
const FOR_MS = 1000;

/** Sends a master GETs of keys, each as often as it is given, until stopped. */
async function loadOn(node: ServerNode, keys: readonly string[]): Promise<() => Promise<void>> {
  const connection = await connectTo(node);
  let isOver = false;
  const run = (async () => {
    while (!isOver) await connection.pipeline(keys.map((key) => ['GET', key]));
  })();
  return async () => {
    isOver = true;
    await run;
    await connection.close();
  };
}

async function under<Result>(
  loads: readonly (readonly [node: ServerNode, keys: readonly string[]])[],
  work: () => Promise<Result>,
): Promise<Result> {
  const stops = await Promise.all(loads.map(([node, keys]) => loadOn(node, keys)));
  try {
    return await work();
  } finally {
    await Promise.all(stops.map((stop) => stop()));
  }
}

/** Writes keys of these slots, in turn, and returns their names. */
async function plant(node: ServerNode, slots: readonly number[]): Promise<string[]> {
  const keys = slots.flatMap((slot) => keysOfSlot(slot, 1, 'hot'));
  await tell(node, ...keys.map((key) => ['SET', key, 'x'.repeat(50)]));
  return keys;
}

const seed = (): ServerNode => at(masters, 0);
const kindsOn = (found: HotSpotResult): Set<string> =>
  new Set(found.nodes.flatMap(({ notes }) => notes.map(({ kind }) => kind)));

/** What the servers count of writes, and what was set on them. */
const stateOf = (): Promise<unknown[]> =>
  Promise.all(
    masters.map(async (node) => {
      const info = String(await ask(node, 'INFO', 'all'));
      const changes = /^rdb_changes_since_last_save:(\d+)/m.exec(info)?.[1];
      const written = [
        ...info.matchAll(/^cmdstat_(set|del|restore|expire|unlink|flushall)\S*:calls=(\d+)/gm),
      ];
      return [changes, written.map(([, name, calls]) => `${name} ${calls}`), await settingOf(node)];
    }),
  );

async function settingOf(node: ServerNode): Promise<string> {
  const reply = await ask(node, 'CONFIG', 'GET', SETTING);
  return Array.isArray(reply) ? String(reply[1] ?? '') : '';
}

/** The reply of HOTKEYS GET: null if nothing runs and nothing is kept. */
const sessionOn = (node: ServerNode): Promise<Reply> =>
  ask(node, 'HOTKEYS', 'GET').catch((error) => {
    assert.ok(error instanceof ReplyError);
    return null;
  });

async function assertNothingLeft(): Promise<void> {
  for (const node of masters) {
    assert.equal(await sessionOn(node), null, node.address);
    if (hasStats) assert.equal(await settingOf(node), 'no', node.address);
  }
}

/** A server counts the time that the machine lets it wait in the middle of a command: on a busy one, that may hide what is planted. */
async function inSomeAttempt(assertions: () => Promise<void>): Promise<void> {
  for (let left = 4; left > 0; left--) {
    try {
      return await assertions();
    } catch (error) {
      if (!(error instanceof assert.AssertionError)) throw error;
    }
  }
  return assertions();
}

describe('findHotSpots()', () => {
  it('finds a planted slot and key, and writes nothing', async () => {
    const [slots, others] = [
      [5, 900, 1800, 2700, 3600],
      [9000, 10_000, 11_000],
    ];
    const [keys, more] = [await plant(seed(), slots), await plant(at(masters, 1), others)];
    for (const [index, slot] of slots.entries()) {
      const hot = at(keys, index);
      const load = [...keys, ...Array.from({ length: 60 }, () => hot)];
      await inSomeAttempt(async () => {
        const before = await stateOf();
        const found = await under(
          [
            [seed(), load],
            [at(masters, 1), more],
          ],
          () => findHotSpots(at(masters, 1).address, { forMs: FOR_MS, enableStats: true }),
        );
        assert.deepEqual(await stateOf(), before);
        await assertNothingLeft();
        assert.ok(found.complete);
        if (hasStats) {
          const [first] = found.slots;
          assert.deepEqual([first?.slot, first?.node, first?.keys], [slot, seed().address, 1]);
          assert.ok(first && first.nodeShare > 0.5 && (first.cpuUsPerSecond ?? 0) > 0);
          assert.ok((first.networkBytesPerSecond ?? 0) > 0);
        } else assert.ok(kindsOn(found).has('no-slot-stats'));
        if (hasStats || hasHotkeys) {
          const [first] = found.keys;
          assert.deepEqual([first?.key, first?.slot], [hot, slot]);
          assert.equal(first?.by, hasHotkeys ? 'hotkeys' : 'only-key');
          assert.ok(first.nodeShare !== null && first.nodeShare > 0.5);
          assert.ok(found.verdicts.some(({ kind }) => kind === 'one-key'));
          assert.ok(!found.verdicts.some(({ kind }) => kind === 'unknown'));
        } else {
          assert.deepEqual([found.slots, found.keys], [[], []]);
          assert.deepEqual(
            found.verdicts.map(({ kind }) => kind),
            ['unknown'],
          );
          assert.ok(kindsOn(found).has('no-key-evidence'));
        }
      });
    }
  });

  it('says what would show more, and that does', async () => {
    const [key = ''] = await plant(seed(), [700]);
    await under([[seed(), Array.from({ length: 20 }, () => key)]], async () => {
      const found = await findHotSpots(seed().address, { forMs: 300 });
      assert.ok(kindsOn(found).has(hasStats ? 'stats-off' : 'no-slot-stats'));
      const advised = found.nodes.flatMap(({ notes }) => notes.flatMap(({ next = [] }) => next));
      const options = Object.assign({}, ...advised.map((next) => next.options));
      assert.deepEqual(options, {
        ...(hasStats ? { enableStats: true } : {}),
        ...(hasHotkeys ? {} : { monitor: 100_000 }),
      });
      const again = await findHotSpots(seed().address, { forMs: 500, ...options });
      assert.ok(
        again.nodes.every(({ notes }) =>
          notes.every(({ kind }) => ['no-slot-stats', 'monitor-stopped'].includes(kind)),
        ),
      );
      assert.equal(again.keys[0]?.key, key);
      if (hasStats) assert.equal(again.slots[0]?.slot, 700);
    });
    await assertNothingLeft();
  });

  it('reads keys with MONITOR on request, so many commands at most, and keeps nothing but keys', async () => {
    const [key = ''] = await plant(seed(), [701]);
    const secret = 'a-secret-value';
    const stop = await loadOn(
      seed(),
      Array.from({ length: 20 }, () => key),
    );
    const connection = await connectTo(seed());
    try {
      await connection.command(['SET', key, secret]);
      const { code, stdout, stderr } = await runMain([
        'hot',
        seed().address,
        '--for',
        '2s',
        '--monitor',
        '500',
        '--json',
      ]);
      assert.deepEqual([code, stderr], [0, '']);
      assert.ok(!stdout.includes(secret));
      const { keys, nodes } = JSON.parse(stdout) as HotSpotResult;
      const monitored = keys.filter(({ by }) => by === 'monitor');
      assert.equal(monitored[0]?.key, key);
      const notes = nodes.find(({ node }) => node === seed().address)?.notes ?? [];
      assert.ok(notes.some(({ kind, message }) => kind === 'monitor-stopped' && message.includes('500')));
    } finally {
      await stop();
      await connection.close();
    }
    for (const node of masters)
      await eventually(`${node.address} has no MONITOR`, async () => {
        const list = String(await ask(node, 'CLIENT', 'LIST'));
        return !/cmd=monitor/.test(list);
      });
  });

  it('uses OBJECT FREQ if the policy is LFU', async () => {
    const [key = ''] = await plant(seed(), [702]);
    await tell(seed(), ['CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu']);
    try {
      await under([[seed(), Array.from({ length: 50 }, () => key)]], async () => {
        const { keys } = await findHotSpots(seed().address, { forMs: FOR_MS, top: 50 });
        const [first] = keys.filter(({ by }) => by === 'frequency');
        assert.equal(first?.key, key);
        assert.ok(first.frequency !== null && first.frequency > 20);
      });
    } finally {
      await tell(seed(), ['CONFIG', 'SET', 'maxmemory-policy', 'noeviction']);
    }
  });

  it('advises to rebalance if that helps, and it does', async () => {
    if (!hasStats) return;
    // Ten slots of one master, evenly busy.
    const keys = await plant(
      seed(),
      Array.from({ length: 10 }, (_, index) => 100 + index),
    );
    const measure = () =>
      under([[seed(), keys.flatMap((key) => Array.from({ length: 20 }, () => key))]], () =>
        findHotSpots(seed().address, { forMs: FOR_MS, enableStats: true }),
      );
    await inSomeAttempt(async () => {
      const [verdict] = (await measure()).verdicts.filter(({ kind }) => kind === 'uneven');
      const next = { do: 'rebalance', cluster: seed().address, options: { by: 'cpu' } };
      assert.deepEqual(verdict?.next, [next]);
    });
    const { code, stdout } = await runMain(['hot', seed().address, '--for', '100ms']);
    assert.deepEqual([code, /undefined|NaN/.test(stdout)], [0, false]);
    for (const node of masters)
      await tell(node, ['CONFIG', 'SET', SETTING, bed.server.kind === 'redis' ? 'cpu net' : 'yes']);
    let moved: number[] = [];
    await inSomeAttempt(async () => {
      for (const node of masters) await tell(node, ['CONFIG', 'RESETSTAT']);
      await under([[seed(), keys]], () => findHotSpots(seed().address, { forMs: 500 }));
      const { plan } = await rebalance(seed().address, { by: 'cpu' });
      moved = plan.steps.flatMap((step) =>
        step.type === 'move-slots' && step.source.address === seed().address ? expandSlots(step.slots) : [],
      );
      assert.ok(moved.some((slot) => slot >= 100 && slot < 110));
    });
    for (const node of masters) await tell(node, ['CONFIG', 'SET', SETTING, 'no']);
    await migrateSlots(at(masters, 1).address, seed().address, moved);
  });

  it('leaves the HOTKEYS session of someone else alone, and the results of one', async () => {
    if (!hasHotkeys) return;
    const [key = ''] = await plant(seed(), [703]);
    await tell(seed(), ['HOTKEYS', 'START', 'METRICS', '1', 'CPU']);
    const theirs = readHotkeys(await sessionOn(seed()));
    const found = await under([[seed(), [key, key, key]]], () =>
      findHotSpots(seed().address, { forMs: 500 }),
    );
    assert.ok(kindsOn(found).has('session-shared'));
    assert.equal(found.keys[0]?.key, key);
    const still = readHotkeys(await sessionOn(seed()));
    assert.deepEqual([still?.isActive, still?.startedAt], [true, theirs?.startedAt]);

    await tell(seed(), ['HOTKEYS', 'STOP']);
    const ran = await runMain(['hot', seed().address, '--for', '300ms', '--json']);
    const notes = (JSON.parse(ran.stdout) as HotSpotResult).nodes.flatMap((node) => node.notes);
    const [kept] = notes.filter(({ kind }) => kind === 'results-kept');
    assert.equal(readHotkeys(await sessionOn(seed()))?.startedAt, theirs?.startedAt);
    assert.ok(kept?.next?.[0]);
    assert.equal(kept.next[0].do, 'command');
    await follow(kept.next[0], { nodes: masters });
    assert.equal(await sessionOn(seed()), null);
    assert.ok(!kindsOn(await findHotSpots(seed().address, { forMs: 100 })).has('results-kept'));
  });

  it('leaves nothing on the servers when it is stopped, and nothing active when it is killed', async () => {
    const stop = new AbortController();
    const reason = new Error('stopped');
    const measured = findHotSpots(seed().address, { forMs: 60_000, enableStats: true, signal: stop.signal });
    measured.catch(() => {});
    if (hasStats) await eventually('it has begun', async () => (await settingOf(at(masters, 1))) !== 'no');
    if (hasHotkeys) await eventually('it counts', async () => (await sessionOn(seed())) !== null);
    stop.abort(reason);
    await assert.rejects(measured, reason);
    await assertNothingLeft();

    if (!hasHotkeys) return;
    const cli = new CommandLine();
    try {
      await cli.build();
      const running = cli.start(['hot', seed().address, '--for', '60s']);
      await running.until('it counts', async () => (await sessionOn(seed())) !== null);
      running.child.kill('SIGINT');
      assert.equal((await running.finished).code, 130);
      await assertNothingLeft();

      const killed = cli.start(['hot', seed().address, '--for', '1s']);
      const isActive = async (node: ServerNode): Promise<boolean> =>
        readHotkeys(await sessionOn(node))?.isActive === true;
      await killed.until('it counts', () => isActive(seed()));
      killed.child.kill('SIGKILL');
      await killed.finished;
      // Each began it when it was asked.
      for (const node of masters) {
        await eventually('the server has ended it on its own', async () => !(await isActive(node)));
        await ask(node, 'HOTKEYS', 'RESET');
      }
    } finally {
      cli.remove();
    }
  });

  it('names a master that fails while it is measured, with what was found on the others', async () => {
    const own = await startMasters(bed, 2);
    const [lost, stays] = [at(own, 1), at(own, 0)];
    const [key = ''] = await plant(stays, [5]);
    await under([[stays, Array.from({ length: 20 }, () => key)]], async () => {
      const measured = findHotSpots(stays.address, { forMs: 1500, enableStats: true });
      if (hasStats) await eventually('it has begun', async () => (await settingOf(lost)) !== 'no');
      await lost.kill();
      const found = await measured;
      assert.equal(found.complete, false);
      assert.deepEqual(
        found.nodes.filter(({ error }) => error !== null).map(({ node }) => node),
        [lost.address],
      );
      if (hasStats) assert.equal(found.slots[0]?.slot, 5);
      if (hasHotkeys) assert.equal(found.keys[0]?.key, key);
      const { code, stdout } = await runMain(['hot', stays.address, '--for', '100ms']);
      assert.equal(code, 1);
      assert.ok(stdout.includes(lost.address));
    });
  });

  it('refuses times and numbers that are none', async () => {
    for (const options of [{ forMs: 0 }, { forMs: Number.NaN }, { top: 0 }, { monitor: 0 }])
      await assert.rejects(findHotSpots(seed().address, options), { code: 'INVALID_ARGUMENT' });
    for (const time of ['0', 'abc', '10x', '-1s', '25h'])
      assert.equal((await runMain(['hot', seed().address, `--for=${time}`])).code, 2, time);
  });
});
