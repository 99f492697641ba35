import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  applyPlan,
  ClusterError,
  type ClusterEvent,
  delNode,
  type Plan,
  replaceNodes,
  replicate,
  rollbackPlan,
  startClusterOnMulti,
  verifyPlan,
} from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode, type StartOptions } from '../bed/index.ts';
import type { ServerName } from '../bed/servers.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  assertSoon,
  at,
  becomes,
  bePatient,
  declaredFailed,
  idOfNode,
  quick,
  seenBy,
  settled,
  snapshot,
  startMasters,
  startPairs,
} from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Nodes that begin a copy at once. */
const fast: StartOptions = { config: { ...quick.config, 'repl-diskless-sync-delay': '0' } };

/** Pairs of nodes and the servers that replace them, as they are given to the library. */
const pairs = (...all: (readonly [ServerNode, ServerNode])[]) =>
  all.map(([node, by]) => ({ node: node.address, by: by.address }));

/** Writes by a cluster client until it is told to stop, then fails if an acknowledged write is missing for one that asks this node. */
function load(...nodes: [ServerNode, ...ServerNode[]]): { check: (by: ServerNode) => Promise<number> } {
  const client = new ClusterClient(...nodes);
  const written = new Map<string, string>();
  let isOver = false;
  const writers = Array.from({ length: 6 }, async (_, writer) => {
    for (let number = 0; !isOver; number++) {
      const [key, value] = [`key:${writer}:${number % 100}`, `${number}`];
      assert.equal(await client.set(key, value), 'OK');
      written.set(key, value);
    }
  });
  return {
    check: async (by) => {
      isOver = true;
      await Promise.all(writers);
      await client.close();
      const reader = new ClusterClient(by);
      const found = await Promise.all([...written.keys()].map((key) => reader.get(key)));
      assert.deepEqual(found, [...written.values()]);
      await reader.close();
      return written.size;
    },
  };
}

describe('replaceNodes()', { concurrency: true }, () => {
  it('replaces a master and a replica under writes, loses none, and ends with 0 when said again', async () => {
    const nodes = await startPairs(bed, fast);
    await bePatient(nodes);
    const [master, replica, other, staying] = [at(nodes, 0), at(nodes, 4), at(nodes, 1), at(nodes, 3)];
    const [first, second] = (await bed.start(2, fast)) as [ServerNode, ServerNode];
    const writes = load(other);
    // Named by itself: the node that is asked leaves.
    const result = await replaceNodes(master.address, pairs([master, first], [replica, second]));
    assert.ok((await writes.check(other)) > 100);
    assert.deepEqual([result.replaced, result.failovers], [2, 1]);
    const seen = await seenBy(other);
    assert.equal(Object.keys(seen).length, 6);
    assert.match(seen[first.address] ?? '', /^\d/);
    assert.equal(seen[staying.address], `replica of ${first.address}`);
    assert.equal(seen[second.address], `replica of ${other.address}`);
    await Promise.all([master, replica].map(assertAlone));
    assert.equal((await verifyPlan(other.address, result.plan)).state, 'done');
    const words = [
      'replace',
      master.address,
      ...[master, replica].map((node, index) => `${node.address}=${at([first, second], index).address}`),
    ];
    const again = await runMain([...words, '--yes']);
    assert.deepEqual([again.code, again.stderr], [0, '']);
    const undone = rollbackPlan(other.address, result.plan);
    await assert.rejects(undone, { code: 'NOT_REVERSIBLE' });
  });

  it('goes on with a saved plan, from whatever step it was stopped at', async () => {
    const nodes = await startMasters(bed, 2, 0, { config: { 'repl-diskless-sync-delay': '0' } });
    const servers = await bed.start(2, fast);
    const all = pairs([at(nodes, 0), at(servers, 0)], [at(nodes, 1), at(servers, 1)]);
    const { plan } = await replaceNodes(at(nodes, 0).address, all, { dryRun: true });
    const saved = JSON.parse(JSON.stringify(plan)) as Plan;
    const seed = at(nodes, 1).address;
    assert.equal((await verifyPlan(seed, saved)).state, 'not-begun');
    for (const last of ['node-meet', 'replica-set', 'failover', 'node-forget', 'node-reset']) {
      const stop = new AbortController();
      const reason = new Error('Enough');
      const onEvent = ({ type }: ClusterEvent): void => {
        if (type === last) stop.abort(reason);
      };
      const from = last === 'node-meet' || last === 'replica-set' ? seed : at(servers, 0).address;
      await abortOf(applyPlan(from, saved, { signal: stop.signal, onEvent }), reason);
      // Introductions may not have arrived yet, and a failover that was asked for is still on its way.
      await assertSoon(async () => {
        const { state } = await verifyPlan(from, saved);
        assert.ok(state === 'partly' || (last === 'node-meet' && state === 'not-begun'), `${last}: ${state}`);
      });
    }
    // The call itself goes on from there, too: all of its nodes leave, and one has.
    const { replaced } = await replaceNodes(at(nodes, 0).address, all);
    assert.equal(replaced, 1);
    await assertLayout([
      [at(servers, 0), '0-8191'],
      [at(servers, 1), '8192-16383'],
    ]);
    assert.deepEqual((await applyPlan(at(servers, 1).address, saved)).plan.steps, []);
  });

  it('names both nodes if the new one dies, and what to do then', async () => {
    const nodes = await startMasters(bed, 3, 2, fast);
    const [old, seed, lost, by] = [at(nodes, 0), at(nodes, 1), at(nodes, 3), at(nodes, 4)];
    const dying = async (node: ServerNode): Promise<ClusterError> => {
      let death: Promise<void> | undefined;
      const onEvent = ({ type }: ClusterEvent): void => {
        if (type === 'replica-set') death ??= node.kill();
      };
      const failed = replaceNodes(seed.address, pairs([old, node]), { onEvent });
      const error = await failed.then(
        () => assert.fail('it has ended'),
        (thrown: unknown) => thrown,
      );
      await death;
      assert.ok(error instanceof ClusterError, String(error));
      assert.deepEqual(
        [error.code, error.address, error.resumable],
        ['NODE_UNREACHABLE', node.address, 'same-call'],
      );
      for (const { address } of [old, node]) assert.ok(error.message.includes(address), error.message);
      assert.match(error.hint ?? '', /^Done: introduction .* Left: copy .* failover /);
      return error;
    };
    const { next } = await dying(lost);
    const [start, retry, remove] = next;
    assert.deepEqual(start, { do: 'start-node', node: lost.address });
    assert.deepEqual(retry, { do: 'retry', node: lost.address, when: 'answers' });
    assert.ok(remove?.do === 'del-node' && remove.when === 'gone-for-good');
    await declaredFailed([old, seed, at(nodes, 2)], lost);
    await delNode(remove.cluster ?? '', remove.node ?? '');
    // Another server, which dies as well and comes back.
    await dying(by);
    const again = () => replaceNodes(seed.address, pairs([old, by]));
    await assert.rejects(again, (error: ClusterError) => {
      assert.deepEqual(
        [error.code, error.next[0]],
        ['NODE_UNREACHABLE', { do: 'start-node', node: by.address }],
      );
      assert.ok(error.message.includes(old.address), error.message);
      return true;
    });
    await by.restart();
    assert.equal((await again()).replaced, 1);
    await assertAlone(old);
  });

  it('takes a server that was moved to another master between two runs, if that is undone', async () => {
    const nodes = await startMasters(bed, 2, 1, fast);
    const [old, seed, by] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await replicate(seed.address, by.address);
    const again = () => replaceNodes(seed.address, pairs([old, by]));
    await assert.rejects(again, (error: ClusterError) => {
      assert.equal(error.code, 'ALREADY_IN_CLUSTER');
      const moving = { do: 'replicate', node: old.address, target: by.address, when: 'earlier-move' };
      assert.deepEqual(error.next, [moving, { do: 'retry', when: 'after-that' }]);
      return true;
    });
    await replicate(old.address, by.address);
    assert.equal((await again()).replaced, 1);
    await assertAlone(old);
  });

  it('replaces a dead replica, and a dead master that its replica has replaced', async () => {
    const nodes = await startPairs(bed, fast);
    const servers = await bed.start(2, fast);
    const [master, heir, replica, taker] = [at(nodes, 0), at(nodes, 3), at(nodes, 4), at(nodes, 1)];
    const living = nodes.filter((node) => node !== master && node !== replica);
    // Frozen and not yet declared failed, it may be alive.
    await bePatient(nodes);
    await replica.freeze();
    const hung = replaceNodes(taker.address, pairs([replica, at(servers, 0)]), { commandTimeout: 300 });
    await assert.rejects(hung, { code: 'NODE_UNREACHABLE' });
    await Promise.all(living.map((node) => ask(node, 'CONFIG', 'SET', 'cluster-node-timeout', '1000')));
    await Promise.all([master.kill(), replica.kill()]);
    await becomes(heir, 'master');
    for (const node of [master, replica]) await declaredFailed(living, node);
    await settled(living);
    const all = pairs([replica, at(servers, 0)], [master, at(servers, 1)]);
    const result = await replaceNodes(taker.address, all);
    assert.deepEqual([result.replaced, result.failovers], [2, 0]);
    const seen = await seenBy(taker);
    assert.equal(Object.keys(seen).length, 6);
    assert.equal(seen[at(servers, 0).address], `replica of ${taker.address}`);
    assert.equal(seen[at(servers, 1).address], `replica of ${heir.address}`);
    // They answer nobody any more.
    const again = await runMain([
      'replace',
      taker.address,
      `${master.address}=${at(servers, 1).address}`,
      '--yes',
    ]);
    assert.equal(again.code, 0, again.stderr);
  });

  it('refuses before anything is changed', async () => {
    const nodes = await startMasters(bed, 3, 3);
    const [first, second, third, spare, full, small] = nodes as [
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
      ServerNode,
    ];
    const members = [first, second, third];
    await ask(small, 'CONFIG', 'SET', 'maxmemory', '1000');
    await startClusterOnMulti([full.address]);
    const gone = await idOfNode(spare);
    const before = await snapshot(nodes);
    const of = (...all: (readonly [string, ServerNode])[]) =>
      replaceNodes(
        first.address,
        all.map(([node, by]) => ({ node, by: by.address })),
      );
    const table: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['INVALID_ARGUMENT', () => of([second.address, spare], [third.address, spare])],
      ['INVALID_ARGUMENT', () => of([second.address, spare], [second.address, small])],
      ['INVALID_ARGUMENT', () => of([second.address, spare], [spare.address, small])],
      ['INVALID_ARGUMENT', () => of()],
      ['NOT_SAME_CLUSTER', () => of([full.address, spare])],
      ['NOT_SAME_CLUSTER', () => of([gone, small])],
      ['ALREADY_IN_CLUSTER', () => of([second.address, third])],
      ['ALREADY_IN_CLUSTER', () => of([second.address, full])],
      ['NO_MEMORY', () => of([second.address, small])],
    ];
    for (const [code, refused] of table) {
      const error = await refused().catch((reason: unknown) => reason);
      assert.ok(error instanceof ClusterError, `${code}: ${error}`);
      assert.equal(error.code, code, error.message);
    }
    // One that fits does not help those beside it.
    await assert.rejects(of([second.address, spare], [third.address, full]), { code: 'ALREADY_IN_CLUSTER' });
    assert.deepEqual(await snapshot(nodes), before);
    // What is advised helps.
    const options = { dryRun: true };
    const toSmall = pairs([second, small]);
    assert.equal((await replaceNodes(first.address, toSmall, { ...options, force: true })).replaced, 0);
    await ask(small, 'CONFIG', 'SET', 'maxmemory', '0');
    assert.notEqual((await replaceNodes(first.address, toSmall, options)).plan.steps.length, 0);
    // A dead master with slots and no replica has the only copy.
    await Promise.all(members.map((node) => ask(node, 'CONFIG', 'SET', 'cluster-node-timeout', '1000')));
    await third.kill();
    await declaredFailed([first, second], third);
    const lost = await of([third.address, spare]).catch((reason: unknown) => reason);
    assert.ok(lost instanceof ClusterError && lost.code === 'NODE_NOT_EMPTY', `${lost}`);
    assert.equal(lost.next[0]?.do, 'rescue');
  });
});

/** By the server under test: the engine that takes over from Redis 7.0. */
const HEIRS: Readonly<Record<string, ServerName>> = {
  'redis-7.0': 'valkey-8.1',
  'valkey-9.1': 'valkey-9.1',
};

// Apart: servers with a short node timeout beside many others would hold each other for failed.
describe('replaceNodes() beside a frozen node', () => {
  it('says what to do about a replica that hangs, and does not pass a reset on to it', async () => {
    const nodes = await startPairs(bed, fast);
    const [by] = (await bed.start(1, fast)) as [ServerNode];
    const [master, replica, seed] = [at(nodes, 0), at(nodes, 3), at(nodes, 1)];
    const id = await idOfNode(replica);
    await replica.freeze();
    await declaredFailed([master, seed], replica);
    const words = ['replace', seed.address, `${master.address}=${by.address}`, '--yes'];
    const { code, stderr } = await runMain(words);
    assert.equal(code, 0, stderr);
    await assertAlone(master);
    const command = `redis-trib replicate ${by.address} ${replica.address}`;
    assert.equal(stderr.split('\n').at(-2), `Next: When ${replica.address} answers: ${command}`);
    await replica.thaw();
    await replicate(by.address, replica.address);
    assert.equal(await idOfNode(replica), id);
    assert.equal((await seenBy(seed))[replica.address], `replica of ${by.address}`);
    assert.doesNotMatch(await replica.log(), /Cluster is reset|crashed by signal|Fatal/i);
  });
});

describe('From Redis 7.0', () => {
  it('every master becomes a Valkey under writes, and no write is lost', async (context) => {
    const server = HEIRS[bed.server.name];
    if (server === undefined) return context.skip('tried with two of the servers');
    const [old, fresh] = await Promise.all([openBed({ server: 'redis-7.0' }), openBed({ server })]);
    try {
      const nodes = await startMasters(old, 3, 0, { config: { 'repl-diskless-sync-delay': '0' } });
      const servers = await fresh.start(3, fast);
      const writes = load(at(nodes, 0), ...nodes.slice(1), ...servers);
      const all = nodes.map((node, index) => [node, at(servers, index)] as const);
      const { failovers } = await replaceNodes(at(nodes, 0).address, pairs(...all), { batch: true });
      assert.ok((await writes.check(at(servers, 0))) > 100);
      assert.equal(failovers, 3);
      await assertLayout([
        [at(servers, 0), '0-5461'],
        [at(servers, 1), '5462-10922'],
        [at(servers, 2), '10923-16383'],
      ]);
      // There is no way back: what Valkey writes, Redis 7.0 cannot read.
      const back = replaceNodes(at(servers, 0).address, pairs([at(servers, 0), at(nodes, 0)]));
      await assert.rejects(back, { code: 'TARGET_TOO_OLD' });
    } finally {
      await Promise.all([old.close(), fresh.close()]);
    }
  });
});
