import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ClusterError, createCluster } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { at, quick, seenBy } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

describe('createCluster()', () => {
  let bed: Bed;
  before(async () => {
    bed = await openBed();
  });
  after(() => bed.close());

  test('makes masters with the slots that redis-cli gives them, and replicas that have copied them', async () => {
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
    assert.equal(warnings.length, 3, 'all are on one host');
    await assert.rejects(createCluster(addresses, { replicas: 1 }), { code: 'ALREADY_IN_CLUSTER' });
  });

  test('is finished by the same call wherever it was stopped', async () => {
    const kinds = ['plan', 'slots-assigned', 'node-meet', 'waiting', 'replica-set'] as const;
    for (const kind of kinds) {
      const nodes = await bed.start(4, quick);
      const addresses = nodes.map(({ address }) => address);
      const stop = new AbortController();
      const first = createCluster(addresses, {
        replicas: 1,
        signal: stop.signal,
        onEvent: ({ type }) => {
          if (type === kind) stop.abort(new Error('Stopped'));
        },
      });
      await first.catch((error: unknown) => assert.equal((error as Error).message, 'Stopped', kind));
      await createCluster(addresses, { replicas: 1 }).catch((error: unknown) => {
        // Where nothing was waited for any more the first call has done it all.
        assert.ok(error instanceof ClusterError && error.code === 'ALREADY_IN_CLUSTER', `${kind}: ${error}`);
      });
      const seen = await seenBy(at(nodes, 3));
      assert.deepEqual(
        Object.values(seen).sort(),
        ['0-8191', '8192-16383', `replica of ${addresses[0]}`, `replica of ${addresses[1]}`],
        kind,
      );
      for (const node of nodes) await node.kill();
    }
  });

  test('refuses a node that holds keys, before anything is changed', async () => {
    const nodes = await bed.start(3, quick);
    await ask(at(nodes, 1), 'SET', 'key', 'value').catch(() => undefined);
    await ask(
      at(nodes, 1),
      'CLUSTER',
      'ADDSLOTS',
      ...Array.from({ length: 16384 }, (_, slot) => String(slot)),
    );
    await assert.rejects(createCluster(nodes.map(({ address }) => address)), { code: 'ALREADY_IN_CLUSTER' });
    assert.equal(Object.keys(await seenBy(at(nodes, 0))).length, 1);
  });

  test('asks on the command line: shows the plan, and takes no for an answer', async () => {
    const nodes = await bed.start(2, quick);
    const words = ['create', ...nodes.map(({ address }) => address)];
    const silent = await runMain(words);
    assert.equal(silent.code, 2);
    assert.match(silent.stderr, /add --yes/);
    const declined = await runMain(words, { canAsk: () => true, ask: () => Promise.resolve('no') });
    assert.equal(declined.code, 1);
    assert.match(declined.stdout, /^To do, in this order:\n {2}1\. Assign slots 0-8191 to /);
    assert.match(declined.stderr, /not approved\nNext: Nothing was changed/);
    assert.equal(Object.keys(await seenBy(at(nodes, 0))).length, 1);
    const done = await runMain([...words, '--yes']);
    assert.deepEqual([done.code, done.stderr], [0, '']);
    assert.match(done.stdout, /^Created a cluster of 2 masters \(/);
  });

  test('zones are those of nodes that are named', async () => {
    const { code, stderr } = await runMain(['create', '127.0.0.1:1', '--zone', 'nonsense', '--yes']);
    assert.equal(code, 2);
    assert.match(stderr, /Not a zone: "nonsense"/);
  });
});
