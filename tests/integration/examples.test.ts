import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { check, rebalance } from '../../lib/index.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { at, startMasters } from '../helpers/clusters.ts';

const root = new URL('../../', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'redis-trib-examples-'));

/** The TypeScript examples of a document. */
function examplesIn(document: string): string[] {
  const text = readFileSync(new URL(document, root), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)]
    .map(([, code = '']) => code)
    .filter((code) => code.includes("from 'redis-trib"));
}

/** Runs an example as a program of its own, with real addresses in place of its own. */
async function run(
  example: string,
  addresses: Readonly<Record<string, string>>,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  let code = example.includes('{ password }') ? `const password = undefined;\n${example}` : example;
  for (const [from, to] of Object.entries(addresses)) code = code.replaceAll(from, to);
  for (const [name, path] of [
    ['redis-trib/resp', 'resp/index.ts'],
    ['redis-trib', 'lib/index.ts'],
  ] as const)
    code = code.replaceAll(`'${name}'`, JSON.stringify(fileURLToPath(new URL(path, root))));
  assert.doesNotMatch(code, /10\.\d+\.0\.\d+:7000/, 'every address is replaced');
  const file = join(folder, 'example.mts');
  writeFileSync(file, code);
  return promisify(execFile)(process.execPath, ['--import', 'tsx', file], {
    cwd: fileURLToPath(root),
  });
}

describe('The examples of the documents run', () => {
  let bed: Bed;
  before(async () => {
    bed = await openBed();
  });
  after(async () => {
    await bed.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('README.md', async () => {
    const [joins = '', several = '', seeks = '', plans = '', undoes = '', slots = '', ...rest] =
      examplesIn('README.md');
    const [traces = '', balances = '', resp = '', ...more] = rest;
    assert.deepEqual(more, []);
    const nodes = await startMasters(bed, 2, 2);
    const [alone] = await bed.start(1, { cluster: false });
    const [first, second] = [at(nodes, 0).address, at(nodes, 1).address];
    const { stderr } = await run(`${traces}${several}`, { '10.0.0.1:7000': first, '10.0.0.2:7000': second });
    assert.match(stderr, new RegExp(`^${first} .*CLUSTER NODES.*: ok after`, 'm'));
    await run(seeks, { '10.0.0.1:7000': first, '10.0.0.2:7000': second });
    const planned = await run(plans, { '10.0.0.1:7000': first });
    assert.match(planned.stdout, /^Move \d+ slots from /);
    const file = join(folder, 'plan.json');
    writeFileSync(file, JSON.stringify((await rebalance(first, { dryRun: true, threshold: 0 })).plan));
    await run(undoes, { 'plan.json': file });
    assert.equal((await run(slots, {})).stdout, 'true 0-5 7\n');
    const printed = await run(joins, { '10.0.0.1:7000': first, '10.0.0.9:7000': at(nodes, 2).address });
    assert.equal(printed.stdout.match(/ master \d+$/gm)?.length, 3);
    await run(balances, { '10.0.0.1:7000': first, '10.1.0.1:7000': at(nodes, 3).address });
    await run(resp, { 'port: 6379': `port: ${alone?.port}` });
    const { ok, view } = await check(first);
    assert.deepEqual([ok, view.nodes.length], [true, 4]);
  });

  test('docs/plan.md', async () => {
    const [example = '', ...more] = examplesIn('docs/plan.md');
    assert.deepEqual(more, []);
    const [node] = await startMasters(bed, 2);
    await run(example, { '10.0.0.1:7000': node?.address ?? '' });
  });
});
