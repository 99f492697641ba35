import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { replicate } from '../../lib/index.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { at, startMasters } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

it('call runs a command, dashes and all, on the chosen nodes, and fails if it fails on one', async () => {
  const nodes = await startMasters(bed, 2, 1);
  const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  await replicate(first.address, third.address);
  const lines = async (...args: string[]) => {
    const { code, stdout } = await runMain(['call', ...args]);
    return [code, ...stdout.trimEnd().split('\n').sort()];
  };
  const all = [first, second, third].map(({ address }) => `${address} +--json`).sort();
  assert.deepEqual(await lines(first.address, 'ECHO', '--json'), [0, ...all]);
  const [a, b] = [first, second].map(({ address }) => `${address} +-1`).sort();
  assert.deepEqual(await lines('--only-masters', third.address, 'ECHO', '-1'), [0, a, b]);
  assert.deepEqual(await lines('--only-replicas', first.address, 'ECHO', 'café "x"'), [
    0,
    `${third.address} +café "x"`,
  ]);
  const moved = await lines('--only-masters', first.address, 'SET', 'key', 'value');
  assert.equal(moved[0], 1);
  assert.equal(moved.filter((line) => / \+OK$/.test(String(line))).length, 1);
  assert.equal(moved.filter((line) => / -MOVED 12539 /.test(String(line))).length, 1);

  await third.kill();
  const { code, stdout } = await runMain(['call', first.address, 'PING']);
  assert.equal(code, 1);
  assert.equal(stdout.match(/ \+PONG$/gm)?.length, 2);
  assert.match(stdout, new RegExp(`^${third.address} -`, 'm'));
});
