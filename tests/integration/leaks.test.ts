// However an operation ends, nothing that it opened, set or listened to is left; and it ends soon after its signal aborts.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as lib from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, bePatient, openSlotsAt, quick, settled, startMasters, tell } from '../helpers/clusters.ts';
import { codesOf } from '../helpers/errors.ts';
import { leavesNothing, STOPPED } from '../helpers/remains.ts';

const causeOf = (error: unknown): unknown => (error instanceof lib.ClusterError ? error.cause : undefined);

type Call = (signal: AbortSignal) => Promise<unknown>;

const method = 'migrate';
/** An operation without open slots ends this soon after its signal aborts: if it waited for a silent node, it would take ten seconds. */
const AT_ONCE_MS = 3000;
/** Open slots are closed this soon after a node is back: a MIGRATE in flight may take its two seconds first. */
const CLOSED_WITHIN_MS = 8000;
/** Nothing listens there. */
const NOWHERE = '127.0.0.1:1';

let bed: Bed;
/** A cluster of three masters, and a node in no cluster: no test changes them. */
let nodes: readonly ServerNode[];
const dir = mkdtempSync(join(tmpdir(), 'redis-trib-leaks-'));
/** A backup of that cluster. */
const saved = join(dir, 'saved');
before(async () => {
  bed = await openBed();
  nodes = await startMasters(bed, 3, 1);
  await lib.backupCluster(at(nodes, 0).address, { dir: saved });
});
after(async () => {
  rmSync(dir, { recursive: true, force: true });
  await bed.close();
});

let folders = 0;
/** A directory that does not exist yet. */
const newFolder = (): string => join(dir, `${++folders}`);

/** Every operation of the library on these nodes, of which the last is in no cluster, with a plan of the cluster. */
function everyOperation(nodes: readonly string[], plan: lib.Plan): Record<string, Call> {
  const [first, second, third, spare] = nodes as [string, string, string, string];
  return {
    addNode: (signal) => lib.addNode(first, spare, { signal, replicaOf: true }),
    applyPlan: (signal) => lib.applyPlan(first, plan, { signal }),
    backupCluster: (signal) => lib.backupCluster(first, { signal, dir: newFolder() }),
    bundleCluster: (signal) => lib.bundleCluster(first, { signal }),
    check: (signal) => lib.check(first, { signal }),
    clusterInfo: (signal) => lib.clusterInfo(first, { signal }),
    clusterMetrics: (signal) => lib.clusterMetrics(first, { signal }),
    compareKeys: (signal) => lib.compareKeys(first, second, { signal }),
    createCluster: (signal) => lib.createCluster([first, second, third], { signal }),
    delNode: (signal) => lib.delNode(first, third, { signal, drain: true }),
    drain: (signal) => lib.drain(first, third, { signal, moveSlots: true }),
    ensureCluster: (signal) => lib.ensureCluster([first, second, third, spare], { signal, masters: 4 }),
    execute: (signal) => lib.execute(first, ['PING'], { signal }),
    explain: (signal) => lib.explain(first, { slot: 0 }, { signal }),
    failover: (signal) => lib.failover(second, { signal }),
    findHotSpots: (signal) => lib.findHotSpots(first, { signal, enableStats: true, monitor: 1000 }),
    findSeed: (signal) => lib.findSeed([third], { signal }),
    fixMigrating: (signal) => lib.fixMigrating(first, { signal }),
    followKeys: (signal) => lib.followKeys(first, spare, { signal }),
    importKeys: (signal) => lib.importKeys(first, spare, { signal }),
    isReady: (signal) => lib.isReady(third, { signal }),
    joinCluster: (signal) => lib.joinCluster(first, spare, { signal }),
    joinNoLoad: (signal) => lib.joinNoLoad(first, spare, { signal }),
    listMasters: (signal) => lib.listMasters(third, { signal }),
    listNodes: (signal) => lib.listNodes(third, { signal }),
    migrateSlots: (signal) => lib.migrateSlots(first, third, [1], { signal }),
    okToStop: (signal) => lib.okToStop(first, [third], { signal }),
    prune: (signal) => lib.prune(first, { signal }),
    quitCluster: (signal) => lib.quitCluster(third, { signal }),
    rebalance: (signal) => lib.rebalance(first, { signal, weights: { [second]: 2 } }),
    rejoinCluster: (signal) => lib.rejoinCluster([first, second, third], { signal }),
    replaceNodes: (signal) => lib.replaceNodes(first, [{ node: third, by: spare }], { signal }),
    replicate: (signal) => lib.replicate(first, spare, { signal }),
    rescueCluster: (signal) => lib.rescueCluster(first, spare, { signal }),
    reshard: (signal) => lib.reshard(first, { from: 'all', to: third, slots: 9, signal }),
    restart: (signal) => lib.restart(first, { signal }),
    restoreCluster: (signal) => lib.restoreCluster(first, { signal, dir: saved }),
    rollbackPlan: (signal) => lib.rollbackPlan(first, plan, { signal }),
    setNodeTimeout: (signal) => lib.setNodeTimeout(first, 1000, { signal }),
    shutdownCluster: (signal) => lib.shutdownCluster(first, { signal }),
    spread: (signal) => lib.spread(first, { signal }),
    startCluster: (signal) => lib.startCluster(third, { signal }),
    startClusterOnMulti: (signal) => lib.startClusterOnMulti([first, third], { signal }),
    stepDown: (signal) => lib.stepDown(second, { signal }),
    surveyKeys: (signal) => lib.surveyKeys(first, { signal }),
    verifyPlan: (signal) => lib.verifyPlan(first, plan, { signal }),
    waitFor: (signal) => lib.waitFor([first], { signal, timeout: 1000 }),
    watch: async (signal) => {
      for await (const snapshot of lib.watch(first, { signal, intervalMs: 100 }))
        if (snapshot.number > 1) return snapshot;
      return undefined;
    },
  };
}

/** Functions of the library that ask no node, or cannot be stopped. */
const WITHOUT_SIGNAL = [
  ...[
    'baseBalancePlan',
    'describeStep',
    'formatAddress',
    'formatMetrics',
    'formatRanges',
    'inversePlan',
    'iterate',
    'keySlot',
    'parseAddress',
    'surveyBackup',
  ],
  ...['parsePlan', 'planRebalance', 'planReshard', 'openBundle', 'openCluster'],
];

const addressesOf = (nodes: readonly ServerNode[]): string[] => nodes.map(({ address }) => address);
const isOperation = (name: string): boolean => /^[a-z]/.test(name) && !WITHOUT_SIGNAL.includes(name);

describe('Operations that fail', () => {
  let operations: (addresses: readonly string[]) => [name: string, call: Call][];
  before(async () => {
    await settled(nodes.slice(0, 3));
    const [first, , third] = addressesOf(nodes) as [string, string, string];
    const { plan } = await lib.migrateSlots(first, third, [1], { dryRun: true });
    operations = (addresses) => Object.entries(everyOperation(addresses, plan));
  });

  it('are all tried here', () => {
    const names = operations(addressesOf(nodes)).map(([name]) => name);
    const { SLOT_COUNT: _, ...exported } = lib;
    assert.deepEqual(names, Object.keys(exported).filter(isOperation).sort());
  });

  it('leave nothing when they reach no node', async () => {
    for (const [name, call] of operations([NOWHERE, NOWHERE, NOWHERE, NOWHERE])) {
      const { error } = await leavesNothing(call);
      assert.ok(error instanceof Error, `${name} did not fail`);
    }
  });

  it('leave no file open when a file of a backup is not what was saved', async () => {
    const copy = newFolder();
    cpSync(saved, copy, { recursive: true });
    const path = join(copy, 'manifest.json');
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as lib.BackupManifest;
    const [wrong, long] = manifest.masters;
    assert.ok(wrong && long);
    const masters = [
      { ...wrong, bytes: wrong.bytes + 1 },
      // This one is wrong, too, but that shows only at its end.
      { ...long, bytes: 256 * 1024 * 1024 },
    ];
    truncateSync(join(copy, long.file), masters[1]?.bytes);
    writeFileSync(path, JSON.stringify({ ...manifest, masters }));
    const { error } = await leavesNothing((signal) =>
      lib.restoreCluster(at(nodes, 0).address, { signal, dir: copy }),
    );
    assert.deepEqual(codesOf(error), ['BACKUP_INVALID'], String(error));
  });

  it('end at once and leave nothing when they are stopped while a node is silent', async () => {
    const members = nodes.slice(0, 3);
    // The others must not declare it failed in the meantime.
    await bePatient(members);
    const frozen = at(nodes, 2);
    await frozen.freeze();
    try {
      // These first look at their source, which answers, and refuse it.
      const all = operations(addressesOf(nodes)).filter(
        ([name]) => !['importKeys', 'followKeys'].includes(name),
      );
      for (const [name, call] of all) {
        const { error, elapsedMs } = await leavesNothing(call, 60);
        // Those that had looked by then say what had moved.
        assert.ok(error === STOPPED || causeOf(error) === STOPPED, `${name}: ${error}`);
        assert.ok(elapsedMs < AT_ONCE_MS, `${name} went on for ${Math.round(elapsedMs)} ms`);
      }
      const { error, elapsedMs } = await leavesNothing(async (signal) => {
        await using cluster = await lib.openCluster(at(nodes, 0).address);
        return await lib.check(cluster, { signal });
      }, 60);
      assert.equal(error, STOPPED);
      assert.ok(elapsedMs < AT_ONCE_MS, `check() of an open cluster went on for ${Math.round(elapsedMs)} ms`);
    } finally {
      await frozen.thaw();
    }
  });
});

describe('Operations that succeed', () => {
  let [own, standalone]: [readonly ServerNode[], ServerNode | undefined] = [[], undefined];
  before(async () => {
    [own, [standalone]] = await Promise.all([bed.start(4, quick), bed.start(1, { cluster: false })]);
    await tell(standalone as ServerNode, ['SET', 'from', 'elsewhere']);
  });

  const cases: readonly [name: string, call: Call][] = [
    ['startClusterOnMulti', (signal) => lib.startClusterOnMulti([name(0), name(1)], { signal })],
    ['listNodes', (signal) => lib.listNodes(name(0), { signal })],
    ['check', (signal) => lib.check(name(0), { signal })],
    ['clusterInfo', (signal) => lib.clusterInfo(name(0), { signal })],
    ['execute', (signal) => lib.execute(name(0), ['PING'], { signal })],
    ['findHotSpots', (signal) => lib.findHotSpots(name(0), { signal, forMs: 300, monitor: 1000 })],
    ['surveyKeys', (signal) => lib.surveyKeys(name(0), { signal })],
    ['findSeed', (signal) => lib.findSeed([NOWHERE, name(1)], { signal })],
    ['importKeys', (signal) => lib.importKeys(name(0), standalone?.address ?? '', { signal })],
    ['compareKeys', (signal) => lib.compareKeys(name(0), standalone?.address ?? '', { signal })],
    ['backupCluster', (signal) => lib.backupCluster(name(0), { signal, dir: newFolder() })],
    ['restoreCluster', (signal) => lib.restoreCluster(name(0), { signal, dir: saved })],
    ['migrateSlots', (signal) => lib.migrateSlots(name(0), name(1), [[3000, 3100]], { signal, method })],
    ['rebalance', (signal) => lib.rebalance(name(0), { signal, threshold: 0 })],
    ['joinNoLoad', (signal) => lib.joinNoLoad(name(0), name(2), { signal })],
    ['reshard', (signal) => lib.reshard(name(0), { from: [name(1)], to: name(2), slots: 50, signal })],
    ['addNode', (signal) => lib.addNode(name(0), name(3), { signal, replicaOf: name(2) })],
    ['failover', (signal) => lib.failover(name(3), { signal })],
    ['drain', (signal) => hasCopied(2).then(() => lib.drain(name(0), name(3), { signal }))],
    ['setNodeTimeout', (signal) => lib.setNodeTimeout(name(0), 1500, { signal })],
    ['fixMigrating', (signal) => lib.fixMigrating(name(0), { signal })],
    ['applyPlan', (signal) => planned((plan) => lib.applyPlan(name(0), plan, { signal }))],
    ['verifyPlan', (signal) => planned((plan) => lib.verifyPlan(name(0), plan, { signal }))],
    ['delNode', (signal) => lib.delNode(name(0), name(3), { signal })],
    ['quitCluster', (signal) => lib.quitCluster(name(2), { signal })],
    ['startCluster', (signal) => lib.startCluster(name(2), { signal })],
    ['shutdownCluster', (signal) => lib.shutdownCluster(name(2), { signal })],
  ];
  const name = (place: number): string => at(own, place).address;
  // A former master becomes a replica at once, but takes some time to copy its new master.
  const hasCopied = (place: number): Promise<void> =>
    eventually('it has copied its master', async () =>
      /^master_link_status:up/m.test(String(await ask(at(own, place), 'INFO', 'replication'))),
    );
  const planned = async (use: (plan: lib.Plan) => Promise<unknown>): Promise<unknown> => {
    const { myself } = await lib.listNodes(name(0));
    const slots = myself.assignedSlots.slice(0, 1);
    return use((await lib.migrateSlots(name(0), name(1), slots, { dryRun: true })).plan);
  };

  it('leave nothing', async (context) => {
    for (const [operation, call] of cases) {
      const { error, elapsedMs } = await leavesNothing(call);
      assert.equal(error, undefined, `${operation}: ${String(error)}`);
      context.diagnostic(`${operation} ${Math.round(elapsedMs)} ms`);
    }
  });

  it('leave nothing when they are stopped while slots move, and no slot open', async () => {
    const [first, second] = [at(own, 0), at(own, 1)];
    const client = new ClusterClient(first);
    await Promise.all(Array.from({ length: 3000 }, (_, index) => client.set(`key:${index}`, `${index}`)));
    await client.close();
    for (const how of ['migrate', 'auto'] as const) {
      const { error } = await leavesNothing((signal, abort) =>
        lib.rebalance(first.address, {
          signal,
          method: how,
          weights: { [second.address]: how === 'auto' ? 3 : 0.3 },
          onEvent: ({ type }) => type === 'move-start' && abort(STOPPED),
        }),
      );
      assert.equal(causeOf(error), STOPPED, String(error));
      assert.deepEqual(await openSlotsAt([first, second]), []);
    }
  });

  it('close what they opened, when they are stopped while a node is silent, soon after it is back', async () => {
    const [first, second] = [at(own, 0), at(own, 1)];
    await settled([first, second]);
    await bePatient([first, second]);
    const { result, error, elapsedMs } = await leavesNothing((signal, abort) =>
      lib.rebalance(first.address, {
        signal,
        method,
        weights: { [second.address]: 2 },
        onEvent: ({ type }) => {
          if (type !== 'slots-closed' || signal.aborted) return;
          second.freeze().then(() => setTimeout(() => second.thaw(), 1500));
          abort(STOPPED);
        },
      }),
    );
    assert.equal(result, undefined);
    assert.equal(causeOf(error), STOPPED, String(error));
    assert.ok(elapsedMs < 1500 + CLOSED_WITHIN_MS, `it went on for ${Math.round(elapsedMs)} ms`);
    assert.deepEqual(await openSlotsAt([first, second]), []);
  });
});
