// Runs examples of the README on real servers, each once the cluster is in its state, and compares what they print.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { splitWords } from '../../lib/cli/exec.ts';
import { createCluster, fixMigrating, migrateSlots, reshard } from '../../lib/index.ts';
import { connectTo } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertSoon, at, idOfNode, settled, tell } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { examplesIn, readme } from '../helpers/readme.ts';

const folder = mkdtempSync(join(tmpdir(), 'redis-trib-manual-'));
const examples = examplesIn(readme).filter(({ output }) => output !== '');
let bed: Bed;
/** 10.0.0.1:7000 and so on. */
let nodes: ServerNode[];

before(async () => {
  bed = await openBed();
  nodes = (
    await Promise.all(
      [1, 2, 3, 4, 5, 6].map((number) => {
        const host = `127.0.0.${number}`;
        return bed.start(1, { host, config: { 'cluster-announce-ip': host } });
      }),
    )
  ).flat();
});
after(async () => {
  await bed.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The words of a line, with the addresses and files of this test. */
function typed(line: string): string[] {
  const real = line.replace(
    'redis-headless:6379',
    nodes.map((_, index) => `10.0.0.${index + 1}:7000`).join(' '),
  );
  return splitWords(real).map((word) =>
    word
      .replace(/^10\.0\.0\.(\d):7000$/, (_, number) => at(nodes, number - 1).address)
      .replace(/^10\.0\.0\./, '127.0.0.')
      .replace(/^\w+\.(?:json|html)$/, (file) => join(folder, file)),
  );
}

/** Without what differs from run to run: times, sizes, ids, the widths of columns, and our addresses and files. */
function plain(text: string): string {
  return text
    .replaceAll(`${folder}/`, '')
    .replaceAll(/127\.0\.0\.(\d):\d+/g, '10.0.0.$1:7000')
    .replaceAll(/127\.0\.0\.(\d)/g, '10.0.0.$1')
    .replaceAll(/\d+(?:\.\d+)? (?:ms|s|bytes|KB|MB)\b/g, 'N')
    .replaceAll(/\([0-9a-f]{8}\.{3}\)/g, '(ID)')
    .replaceAll(/ {2,}/g, '  ')
    .trim();
}

/** Sets the keys of the examples: each master takes its own. */
async function fill(): Promise<void> {
  const sets = Array.from({ length: 3000 }, (_, index) => [
    'SET',
    `user:${index + 1}:cart`,
    `value${index + 1}`,
  ]);
  for (const node of nodes.slice(0, 3)) {
    const connection = await connectTo(node);
    await connection.pipeline(sets);
    connection.destroy();
  }
}

/** Runs the example of this command: it prints what the README says. */
async function shows(command: string): Promise<void> {
  const example = examples.find(({ line }) => line === command || line.startsWith(`${command} `));
  assert.ok(example, `no example of ${command} with output`);
  const { code, stdout, stderr } = await runMain(typed(example.line));
  const printed = plain(`${stderr}${stdout}${code === 0 ? '' : `(exit code ${code})`}`);
  const documented = plain(example.output);
  const rest = documented.replace(/^…\n/, '');
  assert.equal(rest === documented ? printed : printed.slice(-rest.length), rest, example.line);
}

describe('The README shows what is printed by', { concurrency: 1 }, () => {
  test('create', () => shows('create'));

  test('commands that look at a cluster', async () => {
    await createCluster(
      nodes.map(({ address }) => address),
      { replicas: 1 },
    );
    await settled(nodes);
    await fill();
    const looking = [
      'ensure',
      'wait',
      'info',
      'execute',
      'reshard',
      'report',
      'bundle',
      'ok_to_stop',
      'explain',
    ];
    for (const command of looking) await shows(command);
  });

  test('check and fix of an open slot', async () => {
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await tell(second, ['CLUSTER', 'SETSLOT', '42', 'IMPORTING', await idOfNode(first)]);
    await tell(first, ['CLUSTER', 'SETSLOT', '42', 'MIGRATING', await idOfNode(second)]);
    await shows('check 10.0.0.1:7000');
    await shows('fix');
    await fixMigrating(first.address);
    await migrateSlots(second.address, first.address, [42]);
  });

  test('verify', async () => {
    const [first, second] = [at(nodes, 0).address, at(nodes, 1).address];
    const words = ['reshard', first, '--from', first, '--to', second, '--slots', '1000', '--dry-run'];
    assert.equal((await runMain([...words, '--plan', join(folder, 'move.json')])).code, 0);
    await migrateSlots(first, second, [[0, 496]]);
    await shows('verify');
    await reshard(second, { from: [second], to: first, slots: [[0, 496]] });
  });

  test('commands by which replicas take over', async () => {
    await assertSoon(() => shows('drain'));
    await assertSoon(() => shows('step_down'));
  });
});
