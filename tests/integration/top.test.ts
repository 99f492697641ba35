import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type ClusterSnapshot,
  delNode,
  failover,
  joinNoLoad,
  type NodeVitals,
  reshard,
  watch,
} from '../../lib/index.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { load } from '../helpers/cli-runs.ts';
import {
  at,
  becomes,
  bePatient,
  idOfNode,
  keysOfSlot,
  startMasters,
  startPairs,
  tell,
} from '../helpers/clusters.ts';

let bed: Bed;
/** Three masters, then a replica of each. */
let nodes: ServerNode[];
before(async () => {
  bed = await openBed();
  nodes = await startPairs(bed);
  await bePatient(nodes);
});
after(() => bed.close());

const nodeIn = ({ nodes }: ClusterSnapshot, { address }: ServerNode): NodeVitals | undefined =>
  nodes.find((node) => node.address === address);

/** Watches until a snapshot is as wanted, and resolves to it. */
async function until(
  snapshots: AsyncGenerator<ClusterSnapshot, void, void>,
  what: string,
  isWanted: (snapshot: ClusterSnapshot) => boolean,
  most = 300,
): Promise<ClusterSnapshot> {
  for (let count = 0; count < most; count++) {
    const { value } = await snapshots.next();
    assert.ok(value, 'the snapshots ended');
    if (isWanted(value)) return value;
  }
  throw new Error(`${what}: not in ${most} snapshots`);
}

describe('watch()', () => {
  it('has all nodes at once and rates with the second snapshot, from one write a node', async () => {
    const writes = new Map<string, string[][]>();
    const onCommands = (commands: readonly (readonly unknown[])[], node: string): void => {
      writes.set(node, [...(writes.get(node) ?? []), commands.map((words) => String(words[0]))]);
    };
    const snapshots = watch(at(nodes, 0).address, { intervalMs: 200, onCommands });
    const first = await until(snapshots, 'the first', () => true);
    assert.deepEqual(
      first.nodes.map(({ state }) => state),
      nodes.map(() => 'up'),
    );
    assert.deepEqual(
      first.nodes.map(({ address }) => address).sort(),
      nodes.map(({ address }) => address).sort(),
    );
    const second = await until(
      snapshots,
      'rates',
      ({ nodes: all }) => all.every(({ rates }) => rates !== null),
      10,
    );
    await snapshots.return();
    assert.equal(first.state, 'ok');
    assert.deepEqual(
      second.nodes.map(({ shard }) => shard),
      [1, 1, 2, 2, 3, 3],
    );
    const replicas = second.nodes.filter(({ role }) => role === 'replica');
    assert.ok(replicas.every(({ link, lagBytes }) => link === 'up' && lagBytes !== null));
    assert.ok(
      second.nodes.every(({ version, runId, keys, memory }) => version && runId && keys !== null && memory),
    );
    for (const [node, own] of writes) {
      const asking = own.filter((names) => names.includes('INFO'));
      assert.ok(asking.length <= second.number + 1, `${node} was asked ${asking.length} times`);
      assert.ok(own.length <= asking.length + 1, JSON.stringify(own));
    }
  });

  it('is not held up by a node that hangs, and has it back when it goes on', async () => {
    const [seed, , , hung] = nodes as [ServerNode, ServerNode, ServerNode, ServerNode];
    const snapshots = watch(seed.address, { intervalMs: 200 });
    await until(snapshots, 'the first', () => true);
    await hung.freeze();
    try {
      await until(snapshots, 'it is late', (one) => nodeIn(one, hung)?.state === 'late');
      const startedMs = performance.now();
      for (let count = 0; count < 5; count++) {
        const one = await until(snapshots, 'the next', () => true);
        assert.equal(nodeIn(one, hung)?.state, 'late');
        assert.ok(one.nodes.filter(({ state }) => state === 'up').length > 0);
      }
      // Half a second if the machine is idle; waiting for the node would take several.
      assert.ok(performance.now() - startedMs < 4000);
    } finally {
      await hung.thaw();
    }
    await until(snapshots, 'it is back', (one) => nodeIn(one, hung)?.state === 'up');
    await snapshots.return();
  });

  it('shows a failover within two snapshots, under the number that the shard had', async () => {
    const [seed, second, , , replica] = nodes as [ServerNode, ServerNode, ServerNode, ServerNode, ServerNode];
    const snapshots = watch(seed.address, { intervalMs: 100 });
    const before = await until(snapshots, 'the first', () => true);
    await failover(replica.address);
    await becomes(second, 'replica');
    let count = 0;
    const after = await until(snapshots, 'the failover', (one) => {
      count += 1;
      return nodeIn(one, replica)?.role === 'master' && nodeIn(one, second)?.role === 'replica';
    });
    await snapshots.return();
    assert.ok(count <= 2, `it took ${count}`);
    assert.equal(nodeIn(after, replica)?.shard, nodeIn(before, second)?.shard);
    assert.deepEqual(after.moves, []);
  });

  it('ends with the reason of its signal, and refuses an interval that is no time', async () => {
    const stop = new AbortController();
    const snapshots = watch(at(nodes, 0).address, { intervalMs: 60_000, signal: stop.signal });
    await until(snapshots, 'the first', () => true);
    const next = snapshots.next();
    stop.abort(new Error('enough'));
    await assert.rejects(next, { message: 'enough' });
    await assert.rejects(watch(at(nodes, 0).address, { intervalMs: 0 }).next(), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(watch('127.0.0.1:1').next(), { code: 'ECONNREFUSED' });
  });
});

/** Moves slot 0 as another operator would, slowly. Its keys are counted, and so is the time that they will take. */
async function moveByHand(
  snapshots: AsyncGenerator<ClusterSnapshot, void, void>,
  source: ServerNode,
  target: ServerNode,
): Promise<void> {
  const setSlot = ['CLUSTER', 'SETSLOT', '0'];
  const [sourceId, targetId] = [await idOfNode(source), await idOfNode(target)];
  const keys = keysOfSlot(0, 300);
  const moveTo = ['MIGRATE', target.host, `${target.port}`, '', '0', '5000', 'KEYS'];
  await tell(source, ...keys.map((key) => ['SET', key, 'value']));
  await tell(target, [...setSlot, 'IMPORTING', sourceId]);
  await tell(source, [...setSlot, 'MIGRATING', targetId]);
  const counted = await until(snapshots, 'keys that are left', ({ moves }) =>
    moves.some(({ keysLeft }) => keysLeft !== null),
  );
  const [{ keysLeft, msLeft } = assert.fail()] = counted.moves;
  assert.ok(keysLeft !== null && keysLeft >= 300 && msLeft === null, `${keysLeft} keys, ${msLeft} ms`);
  await tell(source, [...moveTo, ...keys.slice(0, 100)]);
  const paced = await until(snapshots, 'a pace', ({ moves }) =>
    moves.some(({ keysPerSecond }) => keysPerSecond !== null),
  );
  const [move = assert.fail()] = paced.moves;
  assert.deepEqual([move.slotsOpen, move.keysLeft], [1, keysLeft - 100]);
  assert.equal(move.msLeft, Math.round((1000 * (keysLeft - 100)) / (move.keysPerSecond ?? 0)));
  const [rest] = await tell(source, ['CLUSTER', 'GETKEYSINSLOT', '0', '1000']);
  await tell(source, [...moveTo, ...(rest as string[]).map(String)]);
  for (const node of [target, source]) await tell(node, [...setSlot, 'NODE', targetId]);
  await until(snapshots, 'the end of the move', ({ moves }) =>
    moves.some(({ slotsDone, slotsOpen }) => slotsDone === 1 && slotsOpen === 0),
  );
}

describe('A cluster that changes while it is watched', () => {
  it('is followed when nodes join and leave, when slots move, and when the node named dies', async () => {
    const own = await startMasters(bed, 3, 1);
    const [seed, second, third, spare] = own as [ServerNode, ServerNode, ServerNode, ServerNode];
    await load(own.slice(0, 3), 20_000);
    const snapshots = watch(seed.address, { intervalMs: 100 });
    await until(snapshots, 'three nodes', (one) => one.nodes.length === 3);
    await moveByHand(snapshots, seed, second);
    await joinNoLoad(second.address, spare.address);
    await until(
      snapshots,
      'the fourth',
      (one) => one.nodes.length === 4 && nodeIn(one, spare)?.state === 'up',
    );

    const moving = reshard(second.address, {
      ...{ from: [second.address], to: spare.address, slots: 1000, method: 'migrate' },
      limits: { keysPerSecond: 1000 },
    });
    const during = await until(snapshots, 'a move', ({ moves }) =>
      moves.some(({ target, slotsDone }) => target === spare.address && slotsDone > 0),
    );
    await until(snapshots, 'an operator', ({ operators }) => operators.length > 0);
    const { plan } = await moving;
    assert.deepEqual(
      during.moves
        // The one before it is shown for a while.
        .filter(({ target }) => target !== second.address)
        .map(({ source, target, by }) => ({ source, target, by })),
      [{ source: second.address, target: spare.address, by: 'open' }],
    );
    await until(snapshots, 'all slots', (one) => {
      const move = one.moves.find(({ target }) => target === spare.address);
      return move?.slotsDone === 1000 && move.slotsOpen === 0;
    });
    assert.ok(plan.steps.length > 0);

    await delNode(second.address, spare.address, { drain: true });
    await until(snapshots, 'three nodes again', (one) => one.nodes.length === 3);

    const id = await idOfNode(seed);
    await seed.kill();
    const dead = await until(snapshots, 'the dead node', (one) => nodeIn(one, seed)?.state === 'down');
    assert.deepEqual(
      [nodeIn(dead, seed)?.id, nodeIn(dead, second)?.state, nodeIn(dead, third)?.state],
      [id, 'up', 'up'],
    );
    await until(snapshots, 'a finding about it', ({ findings }) =>
      findings.some(({ kind, nodes: about }) => kind !== 'slots-uncovered' && about.includes(seed.address)),
    );
    await seed.restart();
    await until(snapshots, 'its return', (one) => nodeIn(one, seed)?.state === 'up' && one.state === 'ok');

    const members = [seed, second, third];
    await Promise.all(members.map((node) => node.kill()));
    const gone = await until(snapshots, 'that none answers', (one) =>
      members.every((node) => nodeIn(one, node)?.state === 'down'),
    );
    assert.deepEqual([gone.state, gone.findings.map(({ kind }) => kind)], ['fail', ['node-unreachable']]);
    await Promise.all(members.map((node) => node.restart()));
    await until(snapshots, 'the return of all', (one) => one.state === 'ok' && one.findings.length === 0);
    await snapshots.return();
  });
});
