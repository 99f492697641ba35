import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  ClusterError,
  type ClusterEvent,
  delNode,
  joinNoLoad,
  migrateSlots,
  type Next,
  type OperationOptions,
  quitCluster,
  rebalance,
  reshard,
  rollbackPlan,
} from '../../lib/index.ts';
import { countSlots } from '../../lib/model/node.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertAlone,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  recordsOf,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { follow } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

type Stopped = Extract<ClusterEvent, { type: 'stopped' }>;

/** Runs an operation and aborts it at the so-manieth event of a type. Resolves to what it says at its end. */
async function stopAt(
  type: ClusterEvent['type'],
  which: number,
  run: (options: OperationOptions) => Promise<unknown>,
): Promise<Stopped> {
  const controller = new AbortController();
  const reason = new Error('enough');
  let seen = 0;
  let stopped: Stopped | undefined;
  const onEvent = (event: ClusterEvent): void => {
    if (event.type === 'stopped') stopped = event;
    if (event.type === type && ++seen === which) controller.abort(reason);
  };
  const error = await abortOf(run({ onEvent, signal: controller.signal, method: 'migrate' }), reason);
  assert.ok(stopped);
  for (const field of ['moved', 'openSlots', 'resumable', 'next'] as const)
    assert.deepEqual(error[field], stopped[field], field);
  return stopped;
}

async function slotsOf(node: ServerNode): Promise<number> {
  const myself = (await recordsOf(node)).find(({ flags }) => flags.includes('myself'));
  assert.ok(myself);
  return countSlots(myself);
}

const failureOf = (call: Promise<unknown>): Promise<ClusterError> =>
  call.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => {
      assert.ok(error instanceof ClusterError, String(error));
      return error;
    },
  );

/** The number of slots that are left, as it is advised. */
function rest(next: readonly Next[]): number {
  const found = next.find((one) => one.do === 'retry-rest')?.slots;
  assert.ok(typeof found === 'number', JSON.stringify(next));
  return found;
}

describe('an operation that ends early says what continues it', { concurrency: true }, () => {
  it('reshard() of a number of slots: a call for the rest, which moves as many as were asked for', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const atFirst = await slotsOf(first);
    const move = { from: [second.address], to: first.address };
    const stopped = await stopAt('slots-closed', 2, (options) =>
      reshard(first.address, { ...options, ...move, slots: 4000 }),
    );
    const { moved, resumable, next, openSlots } = stopped;
    assert.equal(await slotsOf(first), atFirst + moved.slots);
    assert.ok(moved.slots > 0 && moved.slots < 4000);
    assert.deepEqual([moved.planned, resumable, openSlots], [4000, 'rest', []]);
    await reshard(first.address, { ...move, slots: rest(next) });
    assert.equal(await slotsOf(first), atFirst + 4000);
  });

  it('reshard() that one of several sources refuses: the same, in the error', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const [slot] = (await recordsOf(second)).find(({ flags }) => flags.includes('myself'))?.slots[0] ?? [];
    assert.ok(slot !== undefined);
    await tell(second, ['SET', keysOfSlot(slot + 300, 1)[0] ?? '', 'value']);
    const atFirst = await slotsOf(first);
    const move = { from: 'all', to: first.address, method: 'migrate' } as const;
    // Before that, it would not begin.
    const approve = async () => {
      await tell(second, ['ACL', 'SETUSER', 'default', '-migrate']);
      return true;
    };
    const error = await failureOf(reshard(first.address, { ...move, slots: 1000, approve }));
    assert.deepEqual([error.code, error.resumable], ['MIGRATE_FAILED', 'rest'], error.message);
    assert.ok(error.moved.slots > 0 && error.moved.slots < 1000, `${error.moved.slots}`);
    assert.equal(await slotsOf(first), atFirst + error.moved.slots);
    await tell(second, ['ACL', 'SETUSER', 'default', '+migrate']);
    await reshard(first.address, { ...move, slots: rest(error.next) });
    assert.equal(await slotsOf(first), atFirst + 1000);
  });

  it('reshard() that leaves only open slots: a repair, which finishes the move', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = keysOfSlot(8192, 300);
    await tell(second, ...keys.map((key) => ['SET', key, 'value']));
    let isTaken = false;
    const error = await failureOf(
      reshard(first.address, {
        ...{ from: [second.address], to: first.address, slots: 1, method: 'migrate' },
        limits: { keysPerSecond: 100 },
        onEvent: ({ type }) => {
          if (type !== 'move-progress' || isTaken) return;
          isTaken = true;
          void tell(second, ['ACL', 'SETUSER', 'default', '-migrate']);
        },
      }),
    );
    assert.deepEqual([error.openSlots, error.resumable], [[8192], 'rest']);
    await tell(second, ['ACL', 'SETUSER', 'default', '+migrate']);
    for (const next of error.next) await follow(next, { nodes });
    assert.deepEqual([await slotsOf(first), await ask(first, 'DBSIZE')], [8193, keys.length]);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  it('migrateSlots(): the same call with resume, and the same call alone is refused and says so', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const atSecond = await slotsOf(second);
    const move = (options: object) => migrateSlots(first.address, second.address, [[0, 3999]], options);
    const { moved, resumable, next } = await stopAt('slots-closed', 2, move);
    assert.equal(await slotsOf(second), atSecond + moved.slots);
    assert.deepEqual([moved.planned, resumable, next], [4000, 'with-resume', [{ do: 'resume' }]]);
    const refused = await failureOf(move({}));
    assert.deepEqual([refused.code, refused.resumable], ['SLOTS_NOT_HELD', 'no']);
    assert.deepEqual(refused.next, [{ do: 'resume', when: 'earlier-move' }]);
    assert.ok(refused.hint?.includes(`${second.address} holds 0-${moved.slots - 1}`), refused.hint);
    await move({ resume: true });
    assert.equal(await slotsOf(second), atSecond + 4000);
  });

  it('joinNoLoad(): the same call, and a slot that others have open is named', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, newcomer] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await tell(first, ['CLUSTER', 'SETSLOT', '3', 'MIGRATING', await idOfNode(second)]);
    await tell(second, ['CLUSTER', 'SETSLOT', '3', 'IMPORTING', await idOfNode(first)]);
    const join = (options: OperationOptions) => joinNoLoad(first.address, newcomer.address, options);
    const { openSlots, resumable, moved } = await stopAt('node-meet', 1, join);
    assert.deepEqual([openSlots, resumable, moved.planned], [[3], 'same-call', 0]);
    const stop = new AbortController();
    const { code, stderr } = await runMain(
      ['join_no_load', first.address, newcomer.address, '--json-stream'],
      {
        signal: stop.signal,
        stdout: (text) => text.includes('"type":"plan"') && stop.abort(),
      },
    );
    assert.equal(code, 130, stderr);
    assert.match(
      stderr,
      /(^|\n)Interrupted at a safe point\. 1 slot is still open: 3\. Run the same command again to continue\.\n$/,
    );
    await join({});
    assert.equal((await recordsOf(first)).length, 3);
  });
});

describe('an operation that ends early names the slots that are open', { concurrency: true }, () => {
  it('rollbackPlan(): those that an earlier run has left open', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const move = { from: [second.address, third.address], to: first.address, slots: 10 };
    const { plan } = await reshard(first.address, move);
    await tell(third, ['CLUSTER', 'SETSLOT', '10923', 'IMPORTING', await idOfNode(first)]);
    await tell(first, ['CLUSTER', 'SETSLOT', '10923', 'MIGRATING', await idOfNode(third)]);
    const stopped = await stopAt('plan', 1, (options) => rollbackPlan(first.address, plan, options));
    assert.deepEqual([stopped.openSlots, stopped.silent], [[10_923], []]);
    await rollbackPlan(first.address, plan);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  it('rebalance(): and the node that does not answer any more', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, , third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const weights = { [first.address]: 2 };
    const options = { weights, method: 'migrate' } as const;
    const controller = new AbortController();
    let stopped: Stopped | undefined;
    const running = rebalance(first.address, {
      ...options,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'stopped') stopped = event;
        if (event.type === 'plan') third.freeze().then(() => controller.abort());
      },
    });
    await assert.rejects(running);
    assert.deepEqual(stopped?.silent, [third.address]);
    await third.thaw();
    await rebalance(first.address, options);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });
});

describe('a node that refuses a command', { concurrency: true }, () => {
  it('is COMMAND_REFUSED, and what is advised and the same call finish it', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const leaver = at(nodes, 3);
    await joinNoLoad(at(nodes, 0).address, leaver.address);
    const [, refusing] = nodes as [ServerNode, ServerNode];
    const forget = (sign: string) => ['ACL', 'SETUSER', 'default', `${sign}cluster|forget`];
    // Before Redis 7.0 a subcommand alone cannot be taken away.
    const isTaken = await ask(refusing, ...forget('-')).then(
      () => true,
      () => false,
    );
    if (!isTaken) return;
    for (const call of [
      () => quitCluster(leaver.address),
      async () => delNode(at(nodes, 0).address, leaver.address),
    ]) {
      const error = await failureOf(call());
      const { code, address, resumable, next, openSlots } = error;
      assert.deepEqual(
        [code, address, resumable],
        ['COMMAND_REFUSED', refusing.address, 'same-call'],
        error.message,
      );
      assert.ok(error.message.startsWith(`Cannot make ${refusing.address} forget ${leaver.address}: NOPERM`));
      assert.deepEqual(
        [next, openSlots],
        [
          [
            { do: 'command', node: refusing.address, command: forget('+') },
            { do: 'retry', when: 'repaired' },
          ],
          [],
        ],
      );
    }
    await tell(refusing, forget('+'));
    await quitCluster(leaver.address);
    await assertAlone(leaver);
    const known = await Promise.all(nodes.slice(0, 3).map(async (node) => (await recordsOf(node)).length));
    assert.deepEqual([known, await openSlotsAt(nodes)], [[3, 3, 3], []]);
    assert.equal(Number(await ask(leaver, 'DBSIZE')), 0);
  });
});
