import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, joinNoLoad, replicate, reshard } from '../../lib/index.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertLayout,
  at,
  declaredFailed,
  idOfNode,
  openSlotsAt,
  quick,
  snapshot,
  startMasters,
} from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

describe('reshard()', { concurrency: true }, () => {
  it('moves a number of slots from all others, with their keys, and given slots from their owners', async () => {
    const nodes = await startMasters(bed, 3);
    const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const client = new ClusterClient(a);
    const keys = Array.from({ length: 300 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const first = await reshard(a.address, { from: 'all', to: (await idOfNode(c)).slice(0, 12), slots: 100 });
    assert.deepEqual([first.applied, first.slots], [true, 100]);
    await assertLayout([
      [a, '51-5461'],
      [b, '5511-10922'],
      [c, '0-50 5462-5510 10923-16383'],
    ]);
    const ranges = { from: [a.address, await idOfNode(b)], to: c.address, slots: [[0, 99], 6000] as const };
    const second = await reshard(b.address, ranges);
    assert.equal(second.slots, 50);
    assert.equal((await reshard(b.address, ranges)).plan.steps.length, 0, 'all of them are there already');
    await assertLayout([
      [a, '100-5461'],
      [b, '5511-5999 6001-10922'],
      [c, '0-99 5462-5510 6000 10923-16383'],
    ]);
    for (const key of keys) assert.equal(await client.get(key), key);
    await client.close();
  });

  it('refuses nodes that are unknown, ambiguous, replicas or the target, and changes nothing', async () => {
    const nodes = await startMasters(bed, 3, 2);
    const [a, b, c, replica, stranger] = nodes as [
      (typeof nodes)[number],
      (typeof nodes)[number],
      (typeof nodes)[number],
      (typeof nodes)[number],
      (typeof nodes)[number],
    ];
    await replicate(b.address, replica.address);
    const before = await snapshot(nodes);
    const base = { from: 'all' as const, to: c.address, slots: 10 };
    const refused = (options: object, expected: object) =>
      assert.rejects(reshard(a.address, { ...base, ...options }), expected);
    await refused({ to: 'feedbeeffeedbeef' }, { code: 'NOT_SAME_CLUSTER' });
    await refused({ to: stranger.address }, { code: 'NOT_SAME_CLUSTER' });
    await refused({ to: '' }, { code: 'NOT_SAME_CLUSTER' });
    await refused({ from: [replica.address] }, { code: 'NOT_A_MASTER' });
    await refused({ from: [b.address, c.address] }, { code: 'SAME_NODE' });
    await refused({ from: [a.address], slots: 5463 }, { code: 'SLOTS_NOT_HELD' });
    await refused({ from: [a.address], slots: [[5000, 6000]] }, { code: 'SLOTS_NOT_HELD' });
    const ids = await Promise.all(nodes.slice(0, 4).map(idOfNode));
    const digits = ids.map((id) => id.slice(0, 1));
    const twice = digits.find((digit, index) => digits.indexOf(digit) !== index);
    if (twice !== undefined) await refused({ to: twice }, { code: 'AMBIGUOUS_NODE' });
    assert.deepEqual(await snapshot(nodes), before);
    assert.equal((await reshard(a.address, { ...base, dryRun: true })).applied, false);
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('counts a source that is given twice once', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    const result = await reshard(a.address, {
      from: [a.address, await idOfNode(a)],
      to: b.address,
      slots: 8192,
    });
    assert.equal(result.slots, 8192);
  });

  it('stops with no slot open when it is aborted, and the same call with given slots finishes it', async () => {
    const nodes = await startMasters(bed, 3);
    const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const client = new ClusterClient(a);
    const keys = Array.from({ length: 1000 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const stop = new AbortController();
    const reason = new Error('enough');
    const options = {
      from: 'all' as const,
      to: c.address,
      slots: [
        [0, 2999],
        [6000, 8999],
      ] as const,
      method: 'migrate' as const,
    };
    const running = reshard(a.address, {
      ...options,
      signal: stop.signal,
      onEvent: ({ type }) => {
        if (type === 'slots-closed') stop.abort(reason);
      },
    });
    const { moved } = await abortOf(running, reason);
    assert.deepEqual(await openSlotsAt(nodes), []);
    const rest = await reshard(a.address, options);
    assert.ok(rest.slots > 0 && rest.slots < 6000, `${rest.slots} were left`);
    assert.equal(moved.slots, 6000 - rest.slots);
    await assertLayout([
      [a, '3000-5461'],
      [b, '5462-5999 9000-10922'],
      [c, '0-2999 6000-8999 10923-16383'],
    ]);
    for (const key of keys) assert.equal(await client.get(key), key);
    await client.close();
  });

  it('refuses while slots of a dead master are not served, and warns of a dead one without slots', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [a, b, c, empty] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await joinNoLoad(a.address, empty.address);
    await empty.kill();
    await declaredFailed([a], empty);
    const options = { from: [a.address], to: b.address, slots: 5 };
    await assert.rejects(reshard(a.address, { ...options, to: empty.address }), {
      code: 'NODE_UNREACHABLE',
      address: empty.address,
    });
    const warnings: unknown[] = [];
    const onEvent = (event: ClusterEvent) => {
      if (event.type === 'warning') warnings.push(event.node);
    };
    assert.equal((await reshard(a.address, { ...options, onEvent })).slots, 5);
    assert.ok(warnings.includes(empty.address), `${warnings}`);
    await c.kill();
    await declaredFailed([a], c);
    await assert.rejects(reshard(a.address, options), { code: 'SLOTS_UNCOVERED' });
  });
});

describe('redis-trib reshard', { concurrency: true }, () => {
  it('asks on a terminal for missing options, shows the plan, and does nothing on a no', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    for (const [last, code, layout] of [
      ['no', 1, '0-8191'],
      ['yes', 0, '10-8191'],
    ] as const) {
      const answers = ['10', b.address, 'all', last];
      const questions: string[] = [];
      const ask = async (question: string) => {
        questions.push(question);
        return answers.shift();
      };
      const ran = await runMain(['reshard', a.address], { canAsk: () => true, ask });
      assert.equal(ran.code, code, ran.stderr);
      assert.deepEqual(
        questions.map((question) => question.split(' ').slice(0, 2).join(' ')),
        ['How many', 'Which master', 'Which masters', 'Do it?'],
      );
      assert.match(ran.stdout, new RegExp(`^Masters:\n  [0-9a-f]{40} ${a.address} 8192 slots\n`));
      assert.match(
        ran.stdout,
        new RegExp(`\n  ${a.address}  8192 → 8182 slots {2}gives slots, like all others\n`),
      );
      await assertLayout([
        [a, layout],
        [b, last === 'no' ? '8192-16383' : '0-9 8192-16383'],
      ]);
    }
    const ended = await runMain(['reshard', a.address], { canAsk: () => true, ask: async () => undefined });
    assert.equal(ended.code, 2, ended.stderr);
  });

  it('needs no terminal with --yes, and prints JSON', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    const args = ['reshard', a.address, '--from', a.address, '--to', b.address, '--slots', '0-9,20-29'];
    const ran = await runMain([...args, '--yes', '--json']);
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(JSON.parse(ran.stdout).slots, 20);
    await assertLayout([
      [a, '10-19 30-8191'],
      [b, '0-9 20-29 8192-16383'],
    ]);
  });
});
