import assert from 'node:assert/strict';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  addNode,
  type ClusterError,
  check,
  createCluster,
  joinCluster,
  joinNoLoad,
  migrateSlots,
  type OperationOptions,
  replicate,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertAlone,
  at,
  keysOfSlot,
  quick,
  recordsOf,
  settled,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { follow as followNext } from '../helpers/follow.ts';

const SECRET = 'secret';
const withPassword = { password: SECRET };

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

async function refusalOf(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown as ClusterError,
  );
  assert.ok(error, 'it was not refused');
  return error;
}

/** Does what an error says first, with `value` for each setting that it names. */
async function follow(error: ClusterError, node: ServerNode, value: string): Promise<void> {
  const [first] = error.next;
  assert.equal(first?.do, 'configure');
  assert.equal(first.node, node.address);
  for (const setting of first.settings ?? []) {
    if (setting !== 'masteruser') await ask(node, 'CONFIG', 'SET', setting, value);
  }
}

describe('A newcomer is refused before it is a member', { concurrency: true }, () => {
  it('if it requires no password, and fits once it has the one that the error asks for', async () => {
    const [members, spare] = await Promise.all([startMasters(bed, 2, 0, withPassword), bed.start(2, quick)]);
    const [first, one, two] = [at(members, 0), at(spare, 0), at(spare, 1)];
    const joins: [ServerNode, (options: OperationOptions) => Promise<unknown>][] = [
      [one, (options) => joinCluster(first.address, one.address, options)],
      [two, (options) => replicate(first.address, two.address, options)],
    ];
    for (const [node, join] of joins) {
      for (const dryRun of [true, false]) {
        const error = await refusalOf(join({ ...withPassword, dryRun }));
        assert.equal(error.code, 'CREDENTIALS_DIFFER');
        assert.equal(error.address, node.address);
        if (!dryRun) await assertAlone(node).then(() => follow(error, node, SECRET));
      }
      await join(withPassword);
    }
  });

  it('if it could not follow its master, or has no masterauth as the others do', async () => {
    const members = await startMasters(bed, 2, 1, withPassword);
    const [first, node] = [at(members, 0), at(members, 2)];
    await ask(node, 'CONFIG', 'SET', 'masterauth', '');
    for (const join of [replicate, joinNoLoad]) {
      const error = await refusalOf(join(first.address, node.address, withPassword));
      assert.equal(error.code, 'CREDENTIALS_DIFFER');
      await assertAlone(node);
    }
    const error = await refusalOf(replicate(first.address, node.address, { ...withPassword, force: true }));
    await follow(error, node, SECRET);
    await replicate(first.address, node.address, withPassword);
  });

  it('if it lacks an ACL user, unless forced', async () => {
    const members = await startMasters(bed, 2, 1);
    const [first, second, node] = [at(members, 0), at(members, 1), at(members, 2)];
    for (const member of [first, second])
      await ask(member, 'ACL', 'SETUSER', 'app', 'on', '>pass', '+get', '~*');
    const error = await refusalOf(addNode(first.address, node.address));
    assert.equal(error.code, 'CREDENTIALS_DIFFER');
    assert.deepEqual(error.next[0]?.command?.slice(0, 3), ['ACL', 'SETUSER', 'app']);
    await assertAlone(node);
    const warnings: string[] = [];
    const onEvent: OperationOptions['onEvent'] = (event) => {
      if (event.type === 'warning') warnings.push(event.node ?? '');
    };
    await joinNoLoad(first.address, node.address, { force: true, onEvent });
    assert.deepEqual(warnings, [node.address]);
  });

  it('if it has fewer databases, in which Valkey 9 has keys', async (test) => {
    if (bed.server.kind !== 'valkey' || bed.server.major < 9) return test.skip('a cluster has one database');
    const several = { config: { 'cluster-databases': '4' } };
    const [members, spare] = await Promise.all([startMasters(bed, 2, 0, several), bed.start(2, quick)]);
    const [first, second, one, two] = [at(members, 0), at(members, 1), at(spare, 0), at(spare, 1)];
    for (const key of keysOfSlot(5, 3)) await tell(first, ['SELECT', '2'], ['SET', key, 'value']);
    for (const [node, add] of [
      [one, joinCluster],
      [two, replicate],
    ] as const) {
      const error = await refusalOf(add(first.address, node.address));
      assert.deepEqual([error.code, error.address], ['DATABASES_DIFFER', node.address]);
      await assertAlone(node);
    }
    // A member that has fewer, as one of an older version may: it gets no slot with keys that it cannot hold.
    await ask(one, 'CLUSTER', 'MEET', first.host, `${first.port}`);
    await settled([first, second, one]);
    const found = await check(first.address);
    assert.ok(
      found.findings.some(({ kind, nodes }) => kind === 'settings-differ' && nodes.includes(one.address)),
    );
    const error = await refusalOf(migrateSlots(first.address, one.address, [5]));
    assert.deepEqual([error.code, error.openSlots], ['DATABASES_DIFFER', []]);
    assert.equal((await migrateSlots(first.address, one.address, [6])).slots, 1);
    // What is advised.
    await one.stop();
    await appendFile(join(one.dir, 'server.conf'), '\ncluster-databases 4\n');
    await one.restart();
    await settled([first, second, one]);
    assert.equal((await migrateSlots(first.address, one.address, [5])).keys, 3);
  });

  it('if the founders of a cluster have different passwords', async () => {
    const [some, others] = await Promise.all([
      bed.start(1, { ...quick, ...withPassword }),
      bed.start(1, quick),
    ]);
    const [first, second] = [at(some, 0), at(others, 0)];
    const error = await refusalOf(createCluster([first.address, second.address], withPassword));
    assert.equal(error.code, 'CREDENTIALS_DIFFER');
    await assertAlone(second);
    await follow(error, second, SECRET);
    await createCluster([first.address, second.address], withPassword);
  });

  it('if it announces an IP address that is none, until that is set right', async (test) => {
    const nodes = await bed.start(2, quick);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const set = (ip: string) =>
      ask(second, 'CONFIG', 'SET', 'cluster-announce-ip', ip).catch((error: Error) => error);
    // Redis 8.6 does not take it, and before 7.0 it cannot be set at run time.
    if ((await set('127.0.0.1:7000')) !== 'OK') return test.skip('the server refuses the setting');
    // A Redis 6.0 takes a moment to announce what it was told.
    const announces = async () =>
      (await recordsOf(second)).some(({ address }) => address.host === '127.0.0.1:7000');
    await eventually('it announces the address', announces);
    const error = await refusalOf(createCluster([first.address, second.address]));
    assert.equal(error.code, 'NODE_UNREACHABLE');
    assert.deepEqual(error.next[0], {
      do: 'configure',
      node: second.address,
      settings: ['cluster-announce-ip'],
    });
    assert.equal((await recordsOf(first)).length, 1);
    const hands = {
      nodes,
      values: { 'cluster-announce-ip': second.host },
      again: () => createCluster([first.address, second.address]),
    };
    const [configure, retry] = error.next;
    assert.ok(configure && retry);
    await followNext(configure, hands);
    await eventually('it announces another', async () => !(await announces()));
    await followNext(retry, hands);
    assert.equal((await recordsOf(first)).length, 2);
  });

  it('if it has functions of its own, and keeps its id although it was a member once', async (test) => {
    const members = await startMasters(bed, 2, 1);
    const [first, node] = [at(members, 0), at(members, 2)];
    const code = `#!lua name=own\nredis.register_function('own', function() return 1 end)`;
    const loaded = await ask(node, 'FUNCTION', 'LOAD', code).catch((error: Error) => error);
    if (loaded instanceof Error) return test.skip('the server has no functions');
    await ask(node, 'CLUSTER', 'SET-CONFIG-EPOCH', '7');
    const before = await ask(node, 'CLUSTER', 'MYID');
    for (const join of [joinCluster, replicate]) {
      const error = await refusalOf(join(first.address, node.address));
      assert.equal(error.code, 'NODE_NOT_EMPTY');
      assert.equal(await ask(node, 'CLUSTER', 'MYID'), before);
    }
    await ask(node, 'FUNCTION', 'DELETE', 'own');
    await joinNoLoad(first.address, node.address);
  });
});

describe('With functions: replace', { concurrency: true }, () => {
  const load = (node: ServerNode, name: string, answer: number) =>
    ask(
      node,
      'FUNCTION',
      'LOAD',
      `#!lua name=${name}\nredis.register_function('${name}', function() return ${answer} end)`,
    ).catch((error: Error) => error);

  for (const [how, join] of [
    ['joinNoLoad()', joinNoLoad],
    ['replicate()', replicate],
  ] as const) {
    it(`${how} takes a node that has other functions, and gives it those of the cluster`, async (test) => {
      const members = await startMasters(bed, 2, 1);
      const [first, second, node] = [at(members, 0), at(members, 1), at(members, 2)];
      if ((await load(node, 'own', 1)) instanceof Error) return test.skip('the server has no functions');
      await load(node, 'shared', 2);
      for (const member of [first, second]) await load(member, 'shared', 1);
      const error = await refusalOf(join(first.address, node.address));
      assert.equal(error.code, 'NODE_NOT_EMPTY');
      const advised = error.next.find((next) => next.do === 'retry');
      assert.deepEqual(advised?.options, { functions: 'replace' });
      await join(first.address, node.address, { functions: 'replace' });
      const [has, wanted] = await Promise.all(
        [node, first].map(async (one) => String(await ask(one, 'FUNCTION', 'LIST', 'WITHCODE'))),
      );
      assert.equal(has, wanted);
    });
  }
});

describe('With rename-command', { concurrency: true }, () => {
  const without = (...commands: string[]) => ({
    config: { 'rename-command': commands.map((name) => `${name} ""`).join('\nrename-command ') },
  });

  it('a node joins without CLIENT, CONFIG, MEMORY, ACL and COMMAND, and gets its slots', async () => {
    const nodes = await bed.start(3, {
      config: { ...quick.config, ...without('CLIENT', 'CONFIG', 'MEMORY', 'ACL', 'COMMAND').config },
    });
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await createCluster([first.address, second.address]);
    await tell(first, ...keysOfSlot(5, 20).map((key) => ['SET', key, 'value']));
    const warnings: string[] = [];
    const onEvent: OperationOptions['onEvent'] = (event) => {
      if (event.type === 'warning') warnings.push(event.message);
    };
    const result = await joinCluster(first.address, third.address, { method: 'migrate', onEvent });
    assert.equal(result.keys, 20);
    assert.equal(new Set(warnings).size, warnings.length, 'each is said once');
  });

  it('a node does not become a member if its slots could not move for want of MIGRATE', async () => {
    const nodes = await bed.start(3, { config: { ...quick.config, ...without('MIGRATE').config } });
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await createCluster([first.address, second.address]);
    await tell(first, ...keysOfSlot(5, 20).map((key) => ['SET', key, 'value']));
    const error = await refusalOf(joinCluster(first.address, third.address, { method: 'migrate' }));
    assert.equal(error.code, 'COMMAND_REFUSED');
    assert.equal((await recordsOf(first)).length, 2);
    // What is advised, for the node that it names: it has keys of its own.
    const path = join(first.dir, 'server.conf');
    await ask(first, 'SAVE');
    await writeFile(path, (await readFile(path, 'latin1')).replace(/^rename-command MIGRATE.*$/m, ''));
    assert.deepEqual(error.next, [{ do: 'restart-node', node: first.address }]);
    for (const next of error.next) await followNext(next, { nodes });
    await settled([first, second]);
    assert.equal((await joinCluster(first.address, third.address, { method: 'migrate' })).keys, 20);
  });
});
