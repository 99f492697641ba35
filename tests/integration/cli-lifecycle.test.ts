// Every command that changes a cluster, as text and as JSON, with --dry-run first: here a failure names the command.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { type Change, testLife } from '../helpers/cli-life.ts';
import {
  assertDone,
  assertSecret,
  calm,
  documentOf,
  type Json,
  runHere,
  SECRET,
} from '../helpers/cli-runs.ts';
import { assertSoon, at, quick, snapshot } from '../helpers/clusters.ts';
import { CommandLine, type Finished } from '../helpers/command-line.ts';

const trib = new CommandLine();
let bed: Bed;
before(async () => {
  [bed] = await Promise.all([openBed(), trib.build()]);
});
after(async () => {
  trib.remove();
  await bed.close();
});

const PLAN = /^.+:\n( {2}\d+\. .+\n)+(.+:\n( {2}.+\n)+)?(In all: .+\n)?.+\n$/;

/** Dry, it shows a numbered plan, or one line if there is nothing to do. Then it prints one line that ends in the time taken. */
const changeAsText: Change = async (nodes, args) => {
  const earlier = await calm(nodes);
  const dry = await runHere([...args, '--dry-run']);
  assertDone(dry);
  assert.ok(dry.stdout.split('\n').length === 2 || PLAN.test(dry.stdout), dry.stdout);
  assert.deepEqual(await snapshot(nodes), earlier, `${args[0]} --dry-run has changed something`);
  const ran = await trib.run(args);
  assertDone(ran);
  assert.match(ran.stdout, /^.+ \(\d+\.\d+ s\)\n$/);
  return Number(/: (\d+) slots? /.exec(ran.stdout)?.[1] ?? 0);
};

/** Runs it in JSON on nodes with a password, which must not be shown. */
async function runAsJson(name: string, ...args: string[]): Promise<Finished> {
  const ran = await runHere([name, '--json', ...args], { REDISCLI_AUTH: SECRET });
  assertSecret(ran);
  return ran;
}

// How much data a node has differs from one moment to the next.
function stepsOf(plan: unknown): unknown[] {
  return ((plan as Json).steps as { content?: object }[]).map(({ content, ...step }) =>
    content ? { ...step, content: { ...content, bytes: 0 } } : step,
  );
}

/** Dry, it prints the plan that it then carries out, and figures of 0. */
const changeAsJson: Change = async (nodes, args) => {
  const [name = '', ...rest] = args;
  const command = name.replaceAll('-', '_');
  const earlier = await calm(nodes);
  const dry = await runAsJson(name, '--dry-run', ...rest);
  assertDone(dry);
  const planned = documentOf(dry, command);
  assert.deepEqual([planned.ok, planned.applied, planned.slots, planned.keys], [true, false, 0, 0]);
  assert.deepEqual(await snapshot(nodes), earlier, `${name} --dry-run has changed something`);
  const ran = await runAsJson(name, ...rest);
  assertDone(ran);
  const { ok, applied, plan, ...figures } = documentOf(ran, command);
  assert.deepEqual([ok, applied], [true, true]);
  const { slots, keys, bytes, keysPerSecond, longestStallMs, elapsedMs } = figures;
  for (const number of [slots, keys, bytes, keysPerSecond, elapsedMs])
    assert.ok(Number.isInteger(number), `${number}`);
  assert.ok(typeof longestStallMs === 'number' && longestStallMs >= 0);
  assert.deepEqual(stepsOf(plan), stepsOf(planned.plan), `${name} --dry-run showed another plan`);
  return Number(slots);
};

describe('A command that changes a cluster', { concurrency: 2 }, () => {
  describe('prints text:', { concurrency: 1 }, () => {
    let nodes: readonly ServerNode[];
    before(async () => {
      nodes = await bed.start(8, quick);
    });

    testLife(() => nodes, changeAsText);

    test('list shows the dead master and the rest, with all slots', async () => {
      const list = await runHere(['list', at(nodes, 0).address]);
      assertDone(list);
      const lines = list.stdout.trimEnd().split('\n');
      assert.equal(lines[0], 'Total 6 nodes, 5 masters, 1 fail');
      const [a, b, c, , e, dead, taker] = nodes.map(({ address }) => address);
      const kinds = lines.slice(1).map((line) => line.replace(/ \d+$/, ' N'));
      for (const line of [
        `M  ${a} myself,master N`,
        ` S ${e} slave ${a}`,
        ...[b, c, taker].map((address) => `M  ${address} master N`),
        `M  ${dead} master,fail N`,
      ])
        assert.ok(kinds.includes(line), `${line} in ${list.stdout}`);
      const counts = lines.map((line) => Number(/^M .* (\d+)$/.exec(line)?.[1] ?? 0));
      assert.equal(
        counts.reduce((sum, count) => sum + count),
        16384,
      );
    });
  });

  describe('prints one document with --json, which does not show the password:', { concurrency: 1 }, () => {
    let nodes: readonly ServerNode[];
    before(async () => {
      nodes = await bed.start(8, { ...quick, password: SECRET });
    });

    testLife(() => nodes, changeAsJson);

    test('list gives the nodes, and says which was asked', async () => {
      const list = await runAsJson('list', at(nodes, 0).address);
      assertDone(list);
      const { ok, nodes: listed, myself } = documentOf(list, 'list');
      const own = (listed as Json[]).find(({ nodeId }) => nodeId === myself);
      assert.deepEqual([ok, own?.address, own?.role], [true, at(nodes, 0).address, 'master']);
    });

    test('check reports a failed node without slots as a warning, and the cluster as ok', async () => {
      await assertSoon(async () => {
        const check = await runAsJson('check', at(nodes, 0).address);
        const { ok, findings } = documentOf(check, 'check');
        assert.deepEqual([check.code, check.stderr, ok], [0, '', true]);
        assert.deepEqual(
          (findings as Json[])
            .map(({ severity, kind }) => [severity, kind])
            .filter(([, kind]) => kind !== 'master-without-replica' && kind !== 'settings-differ'),
          [['warning', 'node-failed']],
        );
      });
    });

    test('execute gives a result for each node', async () => {
      const ping = await runAsJson('execute', '--slave-only', at(nodes, 0).address, 'PING');
      assertDone(ping);
      const [result, ...more] = documentOf(ping, 'execute').results as Json[];
      assert.deepEqual([result?.role, result?.result, more.length], ['slave', 'PONG', 0]);
    });
  });
});
