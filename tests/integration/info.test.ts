import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { clusterInfo, replicate } from '../../lib/index.ts';
import { type Bed, openBed } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, idOfNode, startMasters } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

it('clusterInfo() and info count keys, slots and replicas, and name a master that does not answer', async () => {
  const nodes = await startMasters(bed, 2, 1);
  const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  await replicate(first.address, third.address);
  const client = new ClusterClient(first);
  for (let key = 0; key < 100; key++) await client.set(`key:${key}`, 'value');
  await client.close();
  const info = await clusterInfo(third.address);
  assert.deepEqual([info.ok, info.keys, info.slots, info.keysPerSlot], [true, 100, 16384, 100 / 16384]);
  assert.deepEqual(
    info.masters.map(({ id, address, slots, replicas }) => [id, address, slots, replicas]),
    [
      [await idOfNode(first), first.address, 8192, [third.address]],
      [await idOfNode(second), second.address, 8192, []],
    ],
  );
  assert.equal(
    info.masters.reduce((sum, { keys }) => sum + (keys ?? 0), 0),
    100,
  );
  assert.ok(info.usedMemory > 100_000, `${info.usedMemory} bytes`);
  const healthy = await runMain(['info', first.address]);
  assert.equal(healthy.code, 0, healthy.stderr);
  assert.match(
    healthy.stdout,
    new RegExp(`^${first.address} \\([0-9a-f]{8}\\.\\.\\.\\) -> \\d+ keys \\| 8192 slots \\| 1 replica \\|`),
  );
  assert.match(healthy.stdout, /^\[OK\] 100 keys in 2 masters, /m);
  assert.match(healthy.stdout, /^0\.01 keys per slot on average\.$/m);

  await second.kill();
  const sick = await runMain(['info', first.address, '--json']);
  const document = JSON.parse(sick.stdout);
  assert.deepEqual([sick.code, document.ok], [1, false]);
  const [, dead] = document.masters;
  assert.deepEqual([dead.address, dead.keys], [second.address, null]);
  assert.equal(typeof dead.error, 'string');
  const text = await runMain(['info', first.address]);
  assert.match(text.stdout, new RegExp(`^\\[ERR\\] ${second.address} `, 'm'));
  assert.doesNotMatch(text.stdout, /\[OK\]/);
});
