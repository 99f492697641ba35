// Advice from situations into which real servers are hardly brought: what is said, and that the same call then succeeds.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { reset } from '../../lib/apply/steps/reset.ts';
import { ClusterError } from '../../lib/errors.ts';
import { listNodes, type Next, rescueCluster } from '../../lib/index.ts';
import { TargetProof } from '../../lib/move/by-migrate/prove-target.ts';
import { waitUntilOwned } from '../../lib/move/by-servers/ownership.ts';
import { openEnds } from '../../lib/move/ends.ts';
import { hearOfEpoch } from '../../lib/move/epochs.ts';
import { redirectImports } from '../../lib/move/redirect-imports.ts';
import { awaitServing } from '../../lib/nodes/await-serving.ts';
import { planFix } from '../../lib/plan/fix.ts';
import { connect, type Reply, ReplyError } from '../../resp/index.ts';
import { startMadeUpCluster } from '../helpers/made-up-cluster.ts';
import { bulk, startMadeUp } from '../helpers/made-up-server.ts';
import { openScriptedEnds, type Script, SOURCE, TARGET, THIRD } from '../helpers/scripted-ends.ts';
import { idOf, nodesText, portOf, viewOf } from '../helpers/views.ts';

const ref = (node: number) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` });

async function failureOf(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ClusterError, String(error));
  return error;
}

/** What a call that the script makes fail says, and that the same call succeeds once the nodes are healthy. */
async function retried(
  given: Parameters<typeof openScriptedEnds>[0] & { readonly script: Script },
  call: (scripted: ReturnType<typeof openScriptedEnds>) => Promise<unknown>,
  healthy: Script = () => undefined,
): Promise<{ code: string; next: readonly Next[] }> {
  const scripted = openScriptedEnds(given);
  const { code, next, resumable } = await failureOf(call(scripted));
  assert.equal(resumable, 'same-call');
  scripted.follow(healthy);
  await call(scripted);
  return { code, next };
}

const [repaired, healthy]: Next[] = [
  { do: 'retry', when: 'repaired' },
  { do: 'retry', when: 'healthy' },
];
const options = { agreeTimeout: 50 };

describe('The same call succeeds', () => {
  test('when a node that was given slots serves', async () => {
    const script: Script = (_, words) =>
      words[1] === 'INFO' ? Buffer.from('cluster_state:fail\r\n') : undefined;
    const { code, next } = await retried({ script, options }, ({ ends }) =>
      awaitServing(ends.context, [ref(TARGET)]),
    );
    assert.equal(code, 'NOT_REACHED');
    assert.deepEqual(next, [{ do: 'check', cluster: ref(TARGET).address }, repaired]);
  });

  test('when a node that leaves has loaded its data', async () => {
    const script: Script = (_, words) =>
      words[1] === 'RESET' ? new ReplyError('LOADING Redis is loading the dataset in memory') : undefined;
    const { code, next } = await retried({ script, options }, ({ ends }) => reset(ends.context, ref(SOURCE)));
    assert.equal(code, 'NOT_REACHED');
    assert.deepEqual(next, [{ do: 'retry', node: ref(SOURCE).address, when: 'answers' }]);
  });

  test('when both ends list who owns the slots that servers moved', async () => {
    const scripted = openScriptedEnds({ options });
    const call = () => waitUntilOwned(scripted.ends, [5]);
    const { code, next } = await failureOf(call());
    assert.deepEqual([code, next], ['NOT_REACHED', [healthy]]);
    scripted.nodes.get(SOURCE)?.owned.delete(5);
    scripted.nodes.get(TARGET)?.owned.add(5);
    await call();
  });

  test('when packets get from one node to another', async () => {
    const script: Script = (node, words) =>
      node === TARGET && words[1] === 'INFO'
        ? Buffer.from('cluster_state:ok\r\ncluster_current_epoch:1\r\n')
        : undefined;
    const { code, next } = await retried({ script, options }, ({ ends, others }) =>
      hearOfEpoch(ends.context, ends.target, others),
    );
    assert.deepEqual([code, next], ['NOT_REACHED', [repaired]]);
  });

  test('when the replica of a node that imports slots answers', async () => {
    const asValkey = (refuses: boolean): Script => {
      return (node, words): Reply | undefined => {
        if (words.join(' ') === 'INFO server') return 'valkey_version:9.1.0';
        if (words.join(' ') === 'INFO replication') return 'connected_slaves:1';
        if (!refuses || words[1] !== 'SETSLOT' || node !== TARGET) return undefined;
        return new ReplyError('NOREPLICAS Not enough good replicas to write.');
      };
    };
    const masters = [SOURCE, TARGET, THIRD].map(ref);
    const plan = { version: 1, operation: 'fix', masters, steps: [], before: [] } as const;
    const open = [[TARGET, 12300, 'importing']] as const;
    const { code, next } = await retried(
      { script: asValkey(true), open },
      ({ ends }) => redirectImports(ends.context, plan),
      asValkey(false),
    );
    assert.deepEqual([code, next], ['OPEN_SLOT', [repaired]]);
  });

  test('when the target is again the node that it was', async () => {
    const script: Script = (node, words) =>
      node === TARGET && words[1] === 'NODES'
        ? Buffer.from(nodesText(9, [{ node: 9, slots: '0' }, { node: SOURCE }]))
        : undefined;
    const { code, next } = await retried({ script }, ({ ends }) =>
      openEnds(ends.context, ends.source, ends.target),
    );
    assert.deepEqual([code, next], ['NODES_DISAGREE', [{ do: 'retry' }]]);
  });

  test('when connections of an earlier MIGRATE may be ended', async () => {
    const world = (mayList: boolean): Script => {
      let copies = 0;
      return (node, words): Reply | undefined => {
        if (words[1] === 'GETKEYSINSLOT') return node === SOURCE ? ['key'] : [];
        if (words[0] === 'PTTL') return -1;
        if (words[0] === 'DEL') return copies;
        if (words[0] === 'CLIENT' && !mayList) return new ReplyError('NOPERM no permissions');
        if (words[0] !== 'MIGRATE') return undefined;
        if (!mayList) return new ReplyError('IOERR error or timeout reading to target instance');
        copies++;
        return 'OK';
      };
    };
    const { code, next } = await retried(
      { script: world(false) },
      async ({ ends }) => {
        const proof = new TargetProof(ends);
        const none = new Map<string, number>();
        await proof.giveUnopened(await proof.findProbes([7], none), none);
      },
      world(true),
    );
    assert.deepEqual([code, next], ['MIGRATE_FAILED', [repaired]]);
  });
});

test('A server that answers nonsense shows it when it is asked as is advised', async () => {
  const nonsense = '+what\r\n';
  let text: string | Buffer = nonsense;
  await using server = await startMadeUp((words) => (words[1] === 'NODES' ? text : '+OK\r\n'));
  const { code, next } = await failureOf(listNodes(server.address));
  assert.equal(code, 'BAD_REPLY');
  const [look] = next;
  assert.deepEqual([look?.do, look?.node, next.length], ['command', server.address, 1]);
  const connection = await connect({ host: '127.0.0.1', port: server.port });
  assert.equal(await connection.command(look?.command ?? []), 'what');
  await connection.close();
  text = bulk(`${nodesText(1, [{ node: 1, slots: '0-16383' }])}\n`);
  assert.equal((await listNodes(server.address)).nodes.length, 1);
});

test('A rescue goes on once a node has deleted keys that it hides', async () => {
  let keys = 5;
  await using cluster = await startMadeUpCluster(
    Object.fromEntries(
      [1, 2, 4].map((node) => {
        const lines = [
          { node: 1, slots: '0-5461' },
          { node: 2, slots: '5462-10922' },
          { node: 3, slots: '10923-16383', flags: 'master,fail', link: 'disconnected' },
        ];
        return [node, node === 4 ? { lines: [{ node }], state: 'fail' } : { lines }];
      }),
    ),
    {
      odd: (node, words) => {
        const keyspace = bulk(node === 2 && keys > 0 ? `db0:keys=${keys},expires=0\r\n` : '');
        if (words[0] === 'INFO' && words[1] === 'keyspace') return keyspace;
        if (words[0] === 'FUNCTION') return '*0\r\n';
        // What it holds, and how many keys of each of its slots.
        if (words[0] === 'EXEC') return `*5462\r\n${keyspace.toString()}${':0\r\n'.repeat(5461)}`;
        return undefined;
      },
    },
  );
  const call = () => rescueCluster(cluster.address(1), cluster.address(4), { dryRun: true });
  const { code, next } = await failureOf(call());
  assert.deepEqual([code, next], ['KEYS_IN_DOUBT', [{ do: 'retry', when: 'settled' }]]);
  keys = 0;
  assert.equal((await call()).plan.steps.length > 0, true);
});

test('A slot is repaired once a key is on one of two nodes only', () => {
  // Nodes 1 and 2 hold the same key, and take no slot, as the third suspects them.
  const suspect = (flags: string) => [
    { node: 1, slots: '0-4 6-8191', flags },
    { node: 2, slots: '8192-12287', flags },
    { node: 3, slots: '12288-16383' },
  ];
  const calm = { lines: suspect('master') };
  const view = viewOf({ 1: calm, 2: calm, 3: { lines: suspect('master,fail') } });
  const holders = new Map([[5, [idOf(1), idOf(2)]]]);
  const evidence = { holders, givenUp: new Set<string>() };
  const sharing = new Map([[5, [[idOf(1), idOf(2)] as const]]]);
  const doubtful = planFix(view, { ...evidence, sharing });
  assert.deepEqual(
    doubtful.undecided.map(({ slot, code, next }) => [slot, code, next]),
    [[5, 'KEY_CONFLICT', [repaired]]],
  );
  assert.ok(planFix(view, { ...evidence, sharing: new Map() }).steps.length > 0);
});
