import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  applyPlan,
  backupCluster,
  type ClusterError,
  check,
  clusterInfo,
  compareKeys,
  createCluster,
  delNode,
  execute,
  failover,
  findHotSpots,
  fixMigrating,
  importKeys,
  isReady,
  joinCluster,
  joinNoLoad,
  listNodes,
  migrateSlots,
  type OperationOptions,
  okToStop,
  quitCluster,
  ReplyError,
  rebalance,
  rejoinCluster,
  replicate,
  rescueCluster,
  reshard,
  restart,
  restoreCluster,
  rollbackPlan,
  setNodeTimeout,
  shutdownCluster,
  startClusterOnMulti,
  surveyKeys,
  verifyPlan,
  waitFor,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertFindings,
  at,
  idOfNode,
  keysOfSlot,
  quick,
  recordsOf,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { follow, refusalOf } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';

const guide = readFileSync(new URL('../../docs/acl.md', import.meta.url), 'utf8');
const user: OperationOptions = { username: 'trib', password: 'only-for-tests' };

/** The rules in the row of the guide that begins with these words. */
function rulesOf(row: string): string[] {
  const line = guide.split('\n').find((text) => text.startsWith(`| ${row}`));
  assert.ok(line, `the guide has a row "${row}"`);
  const [, , rules = ''] = line.replaceAll('\\|', '\0').split('|');
  return (rules.match(/[+&]\S+/g) ?? []).map((rule) => rule.replaceAll('\0', '|').replace(/`.*/, ''));
}

const look = rulesOf('`list`');
const change = [...look, ...rulesOf('every command')];
const move = [
  ...change,
  ...rulesOf('`migrate_slots`'),
  ...rulesOf('the same, Valkey'),
  ...rulesOf('the same, Redis 7.0.13'),
  ...rulesOf('`--method atomic`, Redis'),
  ...rulesOf('`--method atomic`, Valkey'),
];

/** Replaces the user on these nodes by one with these rules, without those that the server does not know. */
async function allow(nodes: readonly ServerNode[], rules: readonly string[]): Promise<void> {
  for (const node of nodes) {
    await ask(node, 'ACL', 'SETUSER', 'trib', 'reset', 'on', `>${user.password}`, '~*');
    for (const rule of rules) {
      await ask(node, 'ACL', 'SETUSER', 'trib', rule).catch((error: unknown) => {
        assert.ok(error instanceof ReplyError, `${rule}: ${error}`);
      });
    }
  }
}

describe('An ACL user with only the rules of the guide', () => {
  let bed: Bed;
  let nodes: ServerNode[];
  const home = mkdtempSync(join(tmpdir(), 'redis-trib-acl-'));
  before(async () => {
    bed = await openBed();
    nodes = await bed.start(5, quick);
  });
  after(async () => {
    await bed.close();
    rmSync(home, { recursive: true });
  });

  test('can run each command', async () => {
    const [first, second, third, fourth, fifth] = [0, 1, 2, 3, 4].map((index) => at(nodes, index));
    assert.ok(first && second && third && fourth && fifth, 'five nodes');
    await allow(nodes, [...change, ...rulesOf('`start`')]);
    await startClusterOnMulti([first.address, second.address], user);
    await allow(nodes, look);
    assert.equal((await listNodes(first.address, user)).nodes.length, 2);
    await allow(nodes, [...look, ...rulesOf('`check`')]);
    await assertFindings(first.address, [], user);
    await allow(nodes, [...look, ...rulesOf('`info`')]);
    assert.equal((await clusterInfo(first.address, user)).ok, true);
    assert.equal((await okToStop(first.address, [second.address], user)).ok, false);
    assert.equal((await isReady(first.address, user)).ok, true);
    await allow(nodes, [...look, ...rulesOf('`info`'), ...rulesOf('`wait`')]);
    assert.equal((await waitFor([first.address], { ...user, timeout: 10_000 })).nodes, 2);
    await allow(nodes, [...look, ...rulesOf('`set_timeout`')]);
    assert.equal((await setNodeTimeout(first.address, 1000, user)).ok, true);
    await allow(nodes, [...look, '+dbsize']);
    for (const { error } of await execute(first.address, ['DBSIZE'], user)) assert.equal(error, null);

    const [server] = await bed.start(1, { cluster: false });
    assert.ok(server, 'a server');
    await tell(server, ['SET', 'imported', 'value']);
    await allow([server], rulesOf('the server that `import`'));
    await allow(nodes, [...look, ...rulesOf('`import`')]);
    const how = { ...user, source: user, move: true };
    assert.equal((await importKeys(first.address, server.address, how)).deleted, 1);

    await allow([...nodes, server], [...look, ...rulesOf('`compare`')]);
    const compared = await compareKeys(first.address, server.address, { ...user, other: user, rounds: 1 });
    assert.deepEqual([compared.missing, compared.equal], [1, false]);

    await allow(nodes, [...look, ...rulesOf('`keys`')]);
    const survey = await surveyKeys(first.address, { ...user, sample: 100 });
    assert.deepEqual([survey.keys, survey.bytesAre, survey.complete], [1, 'memory', true]);
    await allow(nodes, [...look, '+info', '+time']);
    const hot = await findHotSpots(first.address, { ...user, forMs: 100 });
    assert.deepEqual([hot.complete, hot.slots, hot.keys], [true, [], []]);

    await tell(first, ['SET', 'hour', 'value', 'EX', '3600']);
    await allow(nodes, [...look, ...rulesOf('`backup`')]);
    const dir = join(home, 'backup');
    assert.equal((await backupCluster(first.address, { ...user, dir })).manifest.masters.length, 2);
    await allow(nodes, [...look, ...rulesOf('`restore`')]);
    assert.equal((await restoreCluster(first.address, { ...user, dir })).same, 2);

    const library = "#!lua name=lib\nredis.register_function('answer', function() return 'yes' end)";
    const loaded = await ask(first, 'FUNCTION', 'LOAD', library).catch((error) => {
      assert.equal(error.code, 'ERR', String(error));
    });
    await allow(nodes, [...change, ...rulesOf('`join_no_load`')]);
    await joinNoLoad(first.address, third.address, user);
    if (loaded) assert.equal(String(await ask(third, 'FCALL', 'answer', '0')), 'yes');
    await allow(nodes, [...change, ...rulesOf('`replicate`')]);
    await replicate(first.address, fourth.address, user);
    await allow(nodes, [...change, ...rulesOf('`rejoin`')]);
    assert.equal((await rejoinCluster([first.address], user)).plan.operation, 'rejoin');

    await tell(first, ...keysOfSlot(5, 20).map((key) => ['SET', key, 'value']));
    await allow(nodes, move);
    const moved = await migrateSlots(first.address, second.address, [5], { ...user, method: 'migrate' });
    assert.equal(moved.keys, 20);
    await migrateSlots(second.address, first.address, [5], user);
    assert.equal(Number(await ask(first, 'CLUSTER', 'COUNTKEYSINSLOT', '5')), 20);
    await ask(second, 'CLUSTER', 'SETSLOT', '5', 'IMPORTING', await idOfNode(first));
    await allow(nodes, [...move, ...rulesOf('`fix`')]);
    await ask(first, 'CLUSTER', 'DELSLOTS', '6');
    await fixMigrating(first.address, user);
    await allow(nodes, [...move, ...rulesOf('`join_no_load`')]);
    await joinCluster(first.address, fifth.address, user);
    await allow(nodes, [...move, ...rulesOf('`quit`')]);
    await quitCluster(fifth.address, user);
    await quitCluster(second.address, user);

    await third.kill();
    await eventually('no member has a link to the dead master', async () => {
      const seen = (await Promise.all([first, fourth].map(recordsOf))).flat();
      return seen.every(
        ({ address, linkState }) => address.port !== third.port || linkState === 'disconnected',
      );
    });
    await allow(
      [first, second, fourth, fifth],
      [...change, ...rulesOf('`join_no_load`'), ...rulesOf('`rescue`')],
    );
    await rescueCluster(first.address, second.address, { ...user, force: true });
  });

  test('can create, rebalance, fail over and remove nodes', async () => {
    const nodes = await bed.start(5, quick);
    const [first, second, third] = nodes;
    assert.ok(first && second && third, 'five nodes');
    await allow(nodes, [...change, ...rulesOf('`start`'), ...rulesOf('`replicate`')]);
    const { plan } = await createCluster(
      nodes.map(({ address }) => address),
      { ...user, replicas: 1 },
    );
    const attached = plan.steps.find((step) => step.type === 'replicate');
    assert.ok(attached?.type === 'replicate', 'there is a replica');
    await allow(nodes, [...change, ...rulesOf('`failover`')]);
    await failover(attached.replica.address, user);
    const rules = [...change, ...rulesOf('`failover`')];
    const restarted = await restart(first.address, {
      ...{ ...user, only: [attached.master.address] },
      // It forgets its users.
      restartServer: async () => {
        const node = nodes.find(({ address }) => address === attached.master.address);
        await node?.restart();
        if (node) await allow([node], rules);
      },
    });
    assert.deepEqual([restarted.restarted, restarted.failovers], [1, 0]);
    await allow(nodes, move);
    await rebalance(first.address, { ...user, weights: { [attached.replica.address]: 2 } });
    const moved = await reshard(first.address, {
      ...user,
      from: 'all',
      to: attached.replica.address,
      slots: 10,
    });
    await rollbackPlan(first.address, moved.plan, user);
    await applyPlan(first.address, moved.plan, user);
    await allow(nodes, [...look, ...rulesOf('`verify`'), ...rulesOf('`check`')]);
    assert.equal((await verifyPlan(first.address, moved.plan, user)).state, 'done');
    await allow(nodes, [...move, ...rulesOf('`quit`'), ...rulesOf('`replicate`')]);
    await delNode(second.address, attached.replica.address, { ...user, drain: true });
  });

  test('can end a cluster', async () => {
    const [alone] = await bed.start(1, quick);
    assert.ok(alone, 'a node');
    await allow([alone], [...change, ...rulesOf('`start`'), ...rulesOf('`shutdown`')]);
    await startClusterOnMulti([alone.address], user);
    await shutdownCluster(alone.address, user);
  });

  test('gets an error that names the node if a rule is missing', async () => {
    const [alone] = await bed.start(1, quick);
    assert.ok(alone, 'a node');
    await allow(
      [alone],
      look.filter((rule) => rule !== '+cluster|nodes'),
    );
    await assert.rejects(check(alone.address, user), (error: unknown) => {
      assert.ok(error instanceof ReplyError, String(error));
      assert.deepEqual([error.code, error.address], ['NOPERM', alone.address]);
      return true;
    });
    const { code, stdout } = await runMain(['check', alone.address, '--user', 'trib', '--json'], {
      env: { REDISCLI_AUTH: 'only-for-tests' },
    });
    assert.equal(code, 1);
    const { error } = JSON.parse(stdout);
    assert.deepEqual([error.code, error.address], ['NOPERM', alone.address]);
  });
});

describe('A right that a move needs', () => {
  let bed: Bed;
  before(async () => {
    bed = await openBed();
  });
  after(() => bed.close());

  test('is missing, before a slot is opened', async () => {
    const nodes = await startMasters(bed, 2);
    const [source, target] = [at(nodes, 0), at(nodes, 1)];
    const keys = keysOfSlot(7, 5);
    await tell(source, ...keys.map((key) => ['SET', key, 'value']));
    const run = (more: OperationOptions = {}) =>
      migrateSlots(source.address, target.address, [7], { ...user, method: 'migrate', ...more });
    const before = await snapshot(nodes);
    const refused = async (node: ServerNode, text: string): Promise<ClusterError> => {
      const error = await refusalOf(run());
      assert.deepEqual([error.code, error.address, error.openSlots], ['COMMAND_REFUSED', node.address, []]);
      assert.deepEqual(await snapshot(nodes), before, text);
      return error;
    };
    const needed: readonly (readonly [ServerNode, readonly string[]])[] = [
      [
        source,
        ['migrate', 'multi', 'exec', 'asking', 'client|id', 'cluster|setslot', 'cluster|getkeysinslot'],
      ],
      [target, ['restore-asking', 'select', 'del', 'asking', 'cluster|setslot', 'cluster|countkeysinslot']],
    ];
    for (const [node, rights] of needed) {
      await allow(nodes, move);
      for (const right of rights) {
        await allow(
          [node],
          move.filter((rule) => rule !== `+${right}`),
        );
        const [command, retry] = (await refused(node, right)).next;
        assert.deepEqual(retry, { do: 'retry', when: 'repaired' });
        // Redis 6.0 does not name subcommands.
        const rule = bed.server.major < 7 ? right.replace(/\|.*/, '') : right;
        assert.deepEqual(command?.command, ['ACL', 'SETUSER', 'trib', `+${rule}`]);
      }
    }
    await allow(nodes, move);
    for (const node of nodes) {
      await ask(node, 'ACL', 'SETUSER', 'trib', 'resetkeys', '~other:*');
      const [all, repaired, anyway] = (await refused(node, 'keys')).next;
      assert.deepEqual(all?.command, ['ACL', 'SETUSER', 'trib', '~*']);
      assert.deepEqual(
        [repaired?.when, anyway],
        ['repaired', { do: 'retry', options: { force: true }, when: 'anyway' }],
      );
      assert.ok(all);
      await follow(all, { nodes });
    }
    // The right to these keys is enough.
    for (const node of nodes) await ask(node, 'ACL', 'SETUSER', 'trib', 'resetkeys', '~key*');
    assert.equal((await run({ force: true })).keys, 5);
  });
});
