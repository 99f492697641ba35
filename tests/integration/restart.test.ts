import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import {
  applyPlan,
  ClusterError,
  type ClusterEvent,
  check,
  fixMigrating,
  type Plan,
  replicate,
  restart,
  type ServerToRestart,
  verifyPlan,
} from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertFindings,
  assertSoon,
  at,
  bePatient,
  idOfNode,
  quick,
  recordsOf,
  seenBy,
  startPairs,
} from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const runIdOf = async (node: ServerNode): Promise<string> =>
  /^run_id:(\w+)/m.exec(String(await ask(node, 'INFO', 'server')))?.[1] ?? '';

/** Restarts a server of the bed, after it has said to the test what its role is. */
function restarter(nodes: readonly ServerNode[], seen: string[] = []) {
  return async ({ port }: ServerToRestart): Promise<void> => {
    const node = nodes.find((one) => one.port === port);
    assert.ok(node);
    const role = /^role:(\w+)/m.exec(String(await ask(node, 'INFO', 'replication')))?.[1];
    seen.push(`${node.address} ${role}`);
    await node.restart();
  };
}

/** Writes by a cluster client until it is told to stop. Resolves to what was acknowledged. */
function writes(node: ServerNode): { stop: () => Promise<Map<string, string>>; client: ClusterClient } {
  const client = new ClusterClient(node);
  const written = new Map<string, string>();
  let isOver = false;
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let number = 0; !isOver; number++) {
      const [key, value] = [`key:${writer}:${number % 500}`, `${number}`];
      assert.equal(await client.set(key, value), 'OK');
      written.set(key, value);
    }
  });
  return {
    client,
    stop: async () => {
      isOver = true;
      await Promise.all(writers);
      return written;
    },
  };
}

describe('restart()', () => {
  it('restarts every server under writes, never a master with slots, and loses none', async () => {
    const nodes = await startPairs(bed);
    await bePatient(nodes);
    const before = await Promise.all(nodes.map(runIdOf));
    const load = writes(at(nodes, 0));
    const roles: string[] = [];
    const result = await restart(at(nodes, 0).address, {
      restartServer: restarter(nodes, roles),
      home: true,
    });
    const written = await load.stop();
    assert.deepEqual([result.restarted, result.failovers], [6, 6]);
    assert.ok(result.withoutMasterMs > 0 && result.withoutMasterMs < 10_000, `${result.withoutMasterMs}`);
    assert.ok(
      roles.every((role) => role.endsWith(' slave')),
      roles.join(),
    );
    const replicas = nodes.slice(3).map(({ address }) => `${address} slave`);
    assert.deepEqual(roles.slice(0, 3).sort(), replicas.sort());
    const now = await Promise.all(nodes.map(runIdOf));
    assert.ok(now.every((runId, index) => runId !== before[index]));
    assert.ok(written.size > 100, `${written.size} keys`);
    for (const [key, value] of written) assert.equal(await load.client.get(key), value, key);
    await load.client.close();
    const seen = await seenBy(at(nodes, 1));
    for (const master of nodes.slice(0, 3)) assert.match(seen[master.address] ?? '', /^\d/);
    assert.equal((await verifyPlan(at(nodes, 1).address, result.plan)).state, 'done');
    await assertFindings(at(nodes, 0).address, []);
  });

  it('stops before a failover if a slot was opened in the meantime, and goes on once it is closed', async () => {
    const nodes = await startPairs(bed);
    const [master, other, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 3)];
    const run = restarter(nodes);
    const [first] =
      (await recordsOf(master)).find(({ address }) => address.port === master.port)?.slots ?? [];
    const slot = first?.[0] ?? 0;
    const stopped = restart(other.address, {
      only: [master.address, replica.address],
      restartServer: async (server) => {
        await run(server);
        // As redis-cli does, which does not see that another operator is active.
        await ask(master, 'CLUSTER', 'SETSLOT', `${slot}`, 'MIGRATING', await idOfNode(other));
      },
    });
    const error = await stopped.catch((reason: unknown) => reason);
    assert.ok(error instanceof ClusterError && error.code === 'OPEN_SLOT', `${error}`);
    assert.deepEqual([error.openSlots, error.next[0]?.do], [[slot], 'fix']);
    const again = error.next.find((next) => next.do === 'retry');
    assert.ok(again);
    await fixMigrating(`${error.next[0]?.cluster}`);
    const only = `${again.options?.only ?? `${master.address},${replica.address}`}`;
    const { restarted } = await restart(other.address, { only, restartServer: run });
    assert.ok(restarted > 0);
    assert.match((await seenBy(other))[replica.address] ?? '', /^\d/);
  });

  it('refuses before a stop that would keep a master from taking writes, unless forced', async () => {
    const nodes = await startPairs(bed);
    const [master, other, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 3)];
    const setting = 'min-replicas-to-write';
    // A server that was started again has it no more.
    const require = (...of: readonly ServerNode[]) =>
      Promise.all(of.map((node) => ask(node, 'CONFIG', 'SET', setting, '1')));
    const roles: string[] = [];
    const restartServer = restarter(nodes, roles);
    await require(master, replica);
    const refused = async (node: ServerNode, refusing: ServerNode): Promise<void> => {
      const error = await restart(other.address, { only: node.address, restartServer }).catch(
        (e: unknown) => e,
      );
      assert.ok(error instanceof ClusterError, `${error}`);
      assert.deepEqual([error.code, error.address], ['NO_REPLICA', node.address]);
      assert.deepEqual(error.next, [
        { do: 'replicate', node: refusing.address },
        { do: 'configure', node: refusing.address, settings: [setting] },
        { do: 'retry', when: 'after-that' },
        { do: 'retry', options: { force: true }, when: 'anyway' },
      ]);
    };
    await refused(replica, master);
    await refused(master, replica);
    assert.deepEqual(roles, []);
    const warnings: string[] = [];
    const forced = await restart(other.address, {
      only: replica.address,
      restartServer,
      force: true,
      onEvent: (event) => {
        if (event.type === 'warning') warnings.push(event.message);
      },
    });
    assert.deepEqual([forced.restarted, warnings.length], [1, 1]);
    // With one more replica, one at a time may stop, and no write is refused.
    const spare = at(await bed.start(1, quick), 0);
    await replicate(master.address, spare.address);
    await require(replica, spare);
    nodes.push(spare);
    const load = writes(master);
    const only = [replica, spare].map(({ address }) => address);
    assert.equal((await restart(other.address, { only, batch: true, restartServer })).restarted, 2);
    assert.ok((await load.stop()).size > 0);
    await load.client.close();
    await require(replica, spare);
    const both = [master, replica].map(({ address }) => address);
    const { restarted, failovers } = await restart(other.address, { only: both, restartServer });
    assert.deepEqual([restarted, failovers], [2, 1]);
  });

  it('stops where a server does not come back, and goes on with those that are left', async () => {
    const nodes = await startPairs(bed);
    const run = restarter(nodes);
    let plan: Plan | undefined;
    const options = {
      batch: true,
      approve: (made: Plan) => {
        plan = made;
        return true;
      },
    };
    const [bad] = nodes.slice(3);
    assert.ok(bad);
    const failed = restart(at(nodes, 0).address, {
      ...options,
      restartTimeout: 4000,
      restartServer: async (server) => (server.port === bad.port ? bad.kill() : run(server)),
    });
    const error = await failed.catch((reason: unknown) => reason);
    assert.ok(error instanceof ClusterError && error.code === 'NOT_REACHED', `${error}`);
    assert.equal(error.address, bad.address);
    const [start, again] = error.next;
    assert.deepEqual(start, { do: 'start-node', node: bad.address });
    // The others are back, and the masters have not been touched.
    const only = [bad, ...nodes.slice(0, 3)].map(({ address }) => address);
    assert.equal(again?.do, 'retry');
    assert.deepEqual(`${again?.options?.only}`.split(',').sort(), only.sort());
    assert.ok(plan);
    assert.equal((await verifyPlan(at(nodes, 0).address, plan)).state, 'partly');
    // It need not answer for the plan to go on, which starts it. Killed again, it goes on again.
    const seen: string[] = [];
    const stop = new AbortController();
    const reason = new Error('Enough');
    let stopped: ClusterEvent | undefined;
    const restartServer = async (server: ServerToRestart): Promise<void> => {
      seen.push(`127.0.0.1:${server.port}`);
      if (server.port === bad.port) await bad.restart();
      else await run(server);
      if (seen.length === 1) stop.abort(reason);
    };
    const aborted = applyPlan(at(nodes, 0).address, plan, {
      restartServer,
      signal: stop.signal,
      onEvent: (event) => {
        if (event.type === 'stopped') stopped = event;
      },
    });
    const { message, moved } = await abortOf(aborted, reason);
    assert.ok(stopped);
    assert.equal(moved.planned, 0, message);
    assert.doesNotMatch(message, /slot/);
    const { plan: rest } = await applyPlan(at(nodes, 0).address, plan, { restartServer });
    assert.equal(rest.steps.filter(({ type }) => type === 'failover').length, 3);
    assert.deepEqual(seen.sort(), [bad, ...nodes.slice(0, 3)].map(({ address }) => address).sort());
    assert.equal((await verifyPlan(at(nodes, 0).address, plan)).state, 'done');
    assert.deepEqual((await applyPlan(at(nodes, 0).address, plan)).plan.steps, []);
    // What the error advised does the same; the masters are replicas by now.
    const advised = await restart(at(nodes, 0).address, { ...again?.options, restartServer });
    assert.deepEqual([advised.restarted, advised.failovers], [4, 1]);
  });

  it('runs a command for each server, waits for a person without one, and stops if the command fails', async () => {
    const nodes = await startPairs(bed);
    const [cluster, replica, other] = [at(nodes, 0), at(nodes, 3), at(nodes, 4)];
    const run = restarter(nodes);
    const server = createServer((request, response) => {
      run({ id: '', host: '', port: Number(request.url?.slice(1)) }).then(
        () => response.end(),
        () => response.destroy(),
      );
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const command = `'${process.execPath}' -e "fetch('http://127.0.0.1:${port}/{port}').catch(() => process.exit(1))"`;
      const done = await runMain(['restart', cluster.address, '--only', replica.address, '--exec', command]);
      assert.deepEqual([done.code, done.stderr], [0, '']);
      assert.match(done.stdout, /^1 server restarted, 0 failovers/);
      const failing = `'${process.execPath}' -e "console.log('no such {host}'); process.exit(3)"`;
      const failed = await runMain([
        'restart',
        cluster.address,
        '--only',
        replica.address,
        '--exec',
        failing,
      ]);
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, /no such 127\.0\.0\.1[\s\S]*exit code 3/);
    } finally {
      server.close();
    }
    const byHand = runMain(['restart', cluster.address, '--only', other.address, '--json-stream']);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await other.restart();
    const { code, stderr, stdout } = await byHand;
    assert.equal(code, 0);
    assert.equal(stderr, `Restart ${other.address} now\n`);
    assert.match(stdout, /"type":"restart".*"byHand":true/);
    // One that is started without its nodes.conf is not waited for without end, nor taken for the one that was stopped.
    const wiped = restart(cluster.address, {
      only: [other.address],
      restartTimeout: 2000,
      restartServer: () => other.restart({ nodesConf: 'empty' }),
    });
    const error = await wiped.catch((reason: unknown) => reason);
    assert.ok(error instanceof ClusterError && error.code === 'NOT_REACHED', `${error}`);
    assert.match(error.message, /another node/);
    assert.equal(error.next[0]?.do, 'check');
    await assertSoon(async () => assert.notDeepEqual((await check(cluster.address)).findings, []));
  });
});
