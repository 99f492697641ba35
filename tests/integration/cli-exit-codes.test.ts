// 0 if it is done and the cluster is healthy, 1 if it failed or the cluster is not; what is refused changes nothing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  addressesOf,
  assertDone,
  assertFailed,
  calm,
  documentOf,
  errorOf,
  runHere,
} from '../helpers/cli-runs.ts';
import { assertSoon, at, bePatient, idOfNode, quick, settled, snapshot, tell } from '../helpers/clusters.ts';

let bed: Bed;
/** Three masters, a replica of the first, a node in no cluster, one in a cluster of its own, and a server without cluster mode. */
let nodes: readonly ServerNode[];
let [a, b, c, replica, spare, other, standalone] = ['', '', '', '', '', '', ''];
before(async () => {
  bed = await openBed();
  const [members, [server]] = await Promise.all([bed.start(6, quick), bed.start(1, { cluster: false })]);
  nodes = members;
  [a, b, c, replica, spare, other] = addressesOf(members) as [string, string, string, string, string, string];
  standalone = server?.address ?? '';
  await Promise.all([
    runHere(['create', '--yes', a, b, c]).then(assertDone),
    runHere(['start', other]).then(assertDone),
  ]);
  assertDone(await runHere(['replicate', a, replica]));
  await settled(members.slice(0, 4));
  await bePatient(members.slice(0, 4));
});
after(() => bed.close());

describe('A command that looks', () => {
  test('list: prints a line for each node', async () => {
    const list = await runHere(['list', b]);
    assertDone(list);
    assert.deepEqual(list.stdout.trimEnd().split('\n').sort(), [
      ` S ${replica} slave ${a}`,
      `M  ${a} master 5461`,
      `M  ${b} myself,master 5462`,
      `M  ${c} master 5461`,
      'Total 4 nodes, 3 masters, 0 fail',
    ]);
  });

  test('check: ends with 0 though there are warnings', async () => {
    await assertSoon(async () => {
      const check = await runHere(['check', replica]);
      assertDone(check);
      assert.deepEqual(
        check.stdout.match(/^\[\w+\]/gm),
        ['OK', 'OK', 'OK', 'WARNING', 'WARNING'].map((word) => `[${word}]`),
      );
      const masters = check.stdout.match(/^M: [0-9a-f]{40} \S+ slots:\[\d+-\d+\] \(546[12] slots\)$/gm);
      assert.equal(masters?.length, 3);
      assert.match(check.stdout, new RegExp(`^S: [0-9a-f]{40} ${replica} replicates [0-9a-f]{40}$`, 'm'));
    });
  });

  test('execute: runs on every node, or on those of a role', async () => {
    const ping = await runHere(['execute', a, 'PING']);
    assertDone(ping);
    const pongs = [a, b, c, replica].sort().map((address) => `${address} +PONG\n`);
    assert.equal(ping.stdout, pongs.join(''));
    const masters = await runHere(['execute', '--master-only', replica, 'CONFIG', 'GET', 'maxmemory']);
    assertDone(masters);
    assert.equal(masters.stdout.match(/^\S+ \+\["maxmemory","0"\]$/gm)?.length, 3);
  });

  test('execute: leaves the dashes of its command alone', async () => {
    const dashes = await runHere(['execute', '--slave-only', a, 'ECHO', '--json']);
    assertDone(dashes);
    assert.equal(dashes.stdout, `${replica} +--json\n`);
  });

  test('execute: ends with 1 if one node answers with an error', async () => {
    const set = await runHere(['execute', '--master-only', a, 'SET', 'key', '-1']);
    assert.deepEqual([set.code, set.stderr], [1, '']);
    assert.equal(set.stdout.match(/^\S+ -MOVED 12539 /gm)?.length, 2);
    assert.match(set.stdout, new RegExp(`^${c} \\+OK$`, 'm'));
  });
});

describe('A command that is refused changes nothing, ends with 1, and says why in text and as JSON:', () => {
  let earlier: string[];
  before(async () => {
    earlier = await calm(nodes);
  });
  after(async () => assert.deepEqual(await snapshot(nodes), earlier, 'something was changed'));

  const refusals: [title: string, args: () => string[], code: string][] = [
    ['start of a member', () => ['start', a], 'ALREADY_IN_CLUSTER'],
    ['create with a member', () => ['create', '--yes', spare, b], 'ALREADY_IN_CLUSTER'],
    ['start without cluster mode', () => ['start', standalone], 'NOT_CLUSTER_ENABLED'],
    ['join without cluster mode', () => ['join', a, standalone], 'NOT_CLUSTER_ENABLED'],
    ['join of a node in another cluster', () => ['join', a, other], 'ALREADY_IN_CLUSTER'],
    ['join of a replica', () => ['join', a, replica], 'ALREADY_IN_CLUSTER'],
    ['join of a node to itself', () => ['join', a, a], 'SAME_NODE'],
    ['join to a node in no cluster', () => ['join', spare, other], 'NOT_IN_CLUSTER'],
    ['add_node with the nodes swapped', () => ['add_node', a, spare], 'NOT_IN_CLUSTER'],
    ['join_no_load of a member', () => ['join_no_load', a, b], 'ALREADY_IN_CLUSTER'],
    ['replicate by a node in another cluster', () => ['replicate', a, other], 'ALREADY_IN_CLUSTER'],
    ['quit of a master with a replica', () => ['quit', a], 'HAS_REPLICAS'],
    ['quit of the last node', () => ['quit', other], 'LAST_NODE'],
    ['quit of a node in no cluster', () => ['quit', spare], 'NOT_IN_CLUSTER'],
    ['shutdown of several nodes', () => ['shutdown', a], 'MORE_NODES'],
    ['migrate_slots of slots of another', () => ['migrate_slots', a, b, '16383'], 'SLOTS_NOT_HELD'],
    ['migrate_slots to another cluster', () => ['migrate_slots', a, other, '0'], 'NOT_SAME_CLUSTER'],
    ['migrate_slots to a replica', () => ['migrate_slots', b, replica, '6000'], 'NOT_A_MASTER'],
    ['migrate_slots to itself', () => ['migrate_slots', a, a, '0'], 'SAME_NODE'],
    ['check without cluster mode', () => ['check', standalone], 'NOT_CLUSTER_ENABLED'],
    ['list of a node that is down', () => ['list', '127.0.0.1:1'], 'ECONNREFUSED'],
    ['join of a node that is down', () => ['join', a, '127.0.0.1:1'], 'ECONNREFUSED'],
  ];
  for (const [title, argsOf, code] of refusals) {
    test(`${title}: ${code}`, async () => {
      const args = argsOf();
      const [text, json] = await Promise.all([runHere(args), runHere([...args, '--json'])]);
      assertFailed(text);
      assert.deepEqual([json.code, errorOf(json, args[0] ?? '').code, json.stderr], [1, code, text.stderr]);
    });
  }
});

describe('check ends with 1', () => {
  test('if a slot is open', async () => {
    await tell(at(nodes, 0), ['CLUSTER', 'SETSLOT', '7', 'MIGRATING', await idOfNode(at(nodes, 1))]);
    const open = await runHere(['check', b, '--json']);
    const { ok, findings } = documentOf(open, 'check');
    assert.deepEqual([open.code, open.stderr, ok], [1, '', false]);
    assert.ok((findings as { kind: string }[]).some(({ kind }) => kind === 'slot-open'));
    const text = await runHere(['check', b]);
    assert.equal(text.code, 1);
    assert.match(text.stdout, /^\[ERR\] /m);
    await tell(at(nodes, 0), ['CLUSTER', 'SETSLOT', '7', 'STABLE']);
  });

  test('if a slot is not served', async () => {
    await tell(at(nodes, 1), ['CLUSTER', 'DELSLOTS', '6000']);
    const uncovered = await runHere(['check', b, '--json']);
    assert.deepEqual([uncovered.code, uncovered.stderr, documentOf(uncovered, 'check').ok], [1, '', false]);
  });
});
