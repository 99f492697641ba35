import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { check, createCluster, fixMigrating } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, idOfNode, keysOfSlot, quick, seenBy, tell } from '../helpers/clusters.ts';
import { abortOf, failureOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

const follow = async (replica: ServerNode, master: ServerNode) =>
  ask(replica, 'CLUSTER', 'REPLICATE', await idOfNode(master));

describe('createCluster()', () => {
  let bed: Bed;
  before(async () => {
    bed = await openBed();
  });
  after(() => bed.close());

  test('gives masters the slots that redis-cli gives them, and waits until replicas have copied them', async () => {
    const nodes = await bed.start(6, quick);
    const addresses = nodes.map(({ address }) => address);
    const warnings: string[] = [];
    const result = await createCluster(addresses, {
      replicas: 1,
      onEvent: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    assert.equal(result.applied, true);
    const [a, b, c] = addresses;
    for (const node of nodes) {
      assert.deepEqual(await seenBy(node), {
        [addresses[0] ?? '']: '0-5460',
        [addresses[1] ?? '']: '5461-10922',
        [addresses[2] ?? '']: '10923-16383',
        [addresses[3] ?? '']: `replica of ${a}`,
        [addresses[4] ?? '']: `replica of ${b}`,
        [addresses[5] ?? '']: `replica of ${c}`,
      });
      assert.match(String(await ask(node, 'CLUSTER', 'INFO')), /^cluster_state:ok/m);
    }
    for (const replica of nodes.slice(3)) {
      assert.match(String(await ask(replica, 'INFO', 'replication')), /^master_link_status:up/m);
    }
    const epochs = new Set(
      result.plan.steps.flatMap((step) => (step.type === 'assign-slots' ? [step.configEpoch] : [])),
    );
    assert.equal(epochs.size, 3);
    assert.equal(warnings.length, 3, 'one for each replica, which is on the host of its master');
    assert.deepEqual((await createCluster(addresses, { replicas: 1 })).plan.steps, [], 'it is done');
    await assert.rejects(createCluster(addresses), { code: 'ALREADY_IN_CLUSTER' });
    await assert.rejects(createCluster(addresses.slice(1), { replicas: 1 }), { code: 'ALREADY_IN_CLUSTER' });
  });

  test('gives a replica back to its master if servers move it to another in the meantime', async () => {
    const nodes = await bed.start(5, quick);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    // Its replica is waited for, while those of the first are done.
    await tell(second, ['CONFIG', 'SET', 'repl-diskless-sync', 'yes']);
    await tell(second, ['CONFIG', 'SET', 'repl-diskless-sync-delay', '3']);
    let [early, waits]: [ServerNode | undefined, number] = [undefined, 0];
    let moved: Promise<unknown> | undefined;
    const { plan } = await createCluster(
      nodes.map(({ address }) => address),
      {
        replicas: 1,
        onEvent: (event) => {
          if (event.type === 'replica-set' && event.master === first.address)
            early ??= nodes.find(({ address }) => address === event.node);
          if (event.type !== 'waiting' || !early || moved) return;
          waits = event.missing.some((text) => text.startsWith(early?.address ?? '')) ? 0 : waits + 1;
          if (waits === 3) moved = follow(early, second);
        },
      },
    );
    await moved;
    assert.ok(moved, 'it was moved in the meantime');
    const wanted = plan.steps.flatMap((step) =>
      step.type === 'replicate' ? [[step.replica.address, `replica of ${step.master.address}`]] : [],
    );
    const seen = await seenBy(first);
    assert.deepEqual(
      wanted.map(([address = '']) => [address, seen[address]]),
      wanted,
    );
  });

  test('leaves it to the wait whether an introduction arrived at a node that answers late', async () => {
    const nodes = await bed.start(3, quick);
    const third = at(nodes, 2);
    let [frozen, thawed]: (Promise<void> | undefined)[] = [];
    await createCluster(
      nodes.map(({ address }) => address),
      {
        commandTimeout: 1000,
        onEvent: (event) => {
          if (event.type === 'node-meet' && event.by === third.address) frozen ??= third.freeze();
          if (event.type === 'waiting' && frozen) thawed ??= third.thaw();
        },
      },
    );
    await thawed;
    assert.ok(thawed, 'it was waited for');
    assert.deepEqual(await seenBy(third), await seenBy(at(nodes, 0)));
  });

  test('is finished by the same call, wherever it was stopped', async () => {
    const kinds = ['plan', 'slots-assigned', 'node-meet', 'waiting', 'replica-set'] as const;
    for (const kind of kinds) {
      const nodes = await bed.start(4, quick);
      const addresses = nodes.map(({ address }) => address);
      const stop = new AbortController();
      const first = createCluster(addresses, {
        replicas: 1,
        signal: stop.signal,
        onEvent: ({ type }) => {
          if (type === kind) stop.abort();
        },
      });
      await first.catch((error: unknown) => abortOf(Promise.reject(error), stop.signal.reason));
      await createCluster(addresses, { replicas: 1 });
      const seen = await seenBy(at(nodes, 3));
      assert.deepEqual(
        Object.values(seen).sort(),
        ['0-8191', '8192-16383', `replica of ${addresses[0]}`, `replica of ${addresses[1]}`],
        kind,
      );
      for (const node of nodes) await node.kill();
    }
  });

  test('keeps the keys of nodes that were started with dumps alone, and names the way to a cluster of them', async () => {
    const nodes = await bed.start(3, quick);
    const addresses = nodes.map(({ address }) => address);
    // As verifyClusterConfigWithData does: each takes the slots of its keys, which are not those that it would be given.
    const slots = [9000, 100, 200];
    const keys = slots.map((slot) => keysOfSlot(slot, 20));
    for (const [index, node] of nodes.entries()) {
      await ask(node, 'CLUSTER', 'ADDSLOTS', `${slots[index]}`);
      await ask(node, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no');
      await eventually('it serves', async () => /_state:ok/.test(String(await ask(node, 'CLUSTER', 'INFO'))));
      await tell(node, ...at(keys, index).map((key) => ['SET', key, 'v']));
    }
    const error = await failureOf(createCluster(addresses));
    assert.equal(error.code, 'NODE_NOT_EMPTY');
    for (const { do: act, node, command, cluster } of error.next) {
      const to = nodes.find(({ address }) => address === node);
      if (act === 'command' && to) await ask(to, ...(command ?? []));
      else assert.deepEqual([act, (await fixMigrating(cluster ?? '')).applied], ['fix', true]);
    }
    const client = new ClusterClient(at(nodes, 0));
    for (const key of keys.flat()) assert.equal(await client.get(key), 'v');
    await client.close();
    assert.equal((await check(at(nodes, 2).address)).ok, true);
  });

  test('refuses a node that owns slots, with nothing changed', async () => {
    const nodes = await bed.start(3, quick);
    await ask(
      at(nodes, 1),
      'CLUSTER',
      'ADDSLOTS',
      ...Array.from({ length: 16384 }, (_, slot) => String(slot)),
    );
    await assert.rejects(createCluster(nodes.map(({ address }) => address)), { code: 'ALREADY_IN_CLUSTER' });
    assert.equal(Object.keys(await seenBy(at(nodes, 0))).length, 1);
  });

  test('on the command line shows the plan and asks, and changes nothing on a no', async () => {
    const nodes = await bed.start(2, quick);
    const words = ['create', ...nodes.map(({ address }) => address)];
    const silent = await runMain(words);
    assert.equal(silent.code, 2);
    const questions: string[] = [];
    const ask = async (question: string): Promise<string> => {
      questions.push(question);
      return 'no';
    };
    const declined = await runMain(words, { canAsk: () => true, ask });
    assert.deepEqual([declined.code, questions.length], [1, 1]);
    assert.match(declined.stdout, /^ {2}1\. Assign slots 0-8191 to /m);
    assert.equal(Object.keys(await seenBy(at(nodes, 0))).length, 1);
    const done = await runMain([...words, '--yes']);
    assert.deepEqual([done.code, done.stderr], [0, '']);
  });

  test('refuses a zone without a node', async () => {
    const words = ['create', '127.0.0.1:1', '--zone', 'nonsense', '--yes', '--json'];
    const { code, stdout } = await runMain(words);
    assert.deepEqual([code, JSON.parse(stdout).error.code], [2, 'USAGE']);
  });
});
