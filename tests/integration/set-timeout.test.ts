import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, setNodeTimeout } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, startMasters } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

async function timeoutOf(node: ServerNode): Promise<number> {
  const reply = await ask(node, 'CONFIG', 'GET', 'cluster-node-timeout');
  return Number((reply as readonly unknown[])[1]);
}

describe('setNodeTimeout()', { concurrency: true }, () => {
  it('sets every node for good, and nothing on a dry run', async () => {
    const nodes = await startMasters(bed, 3);
    const [first] = [at(nodes, 0)];
    const dry = await runMain(['set_timeout', first.address, '2345', '--dry-run']);
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, new RegExp(`^${first.address} 1000 → 2345 ms$`, 'm'));
    assert.deepEqual(await Promise.all(nodes.map(timeoutOf)), [1000, 1000, 1000]);
    const ran = await runMain(['set_timeout', first.address, '2345']);
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    assert.match(ran.stdout, /^New node timeout set on 3 nodes$/m);
    assert.deepEqual(await Promise.all(nodes.map(timeoutOf)), [2345, 2345, 2345]);
    await first.restart();
    assert.equal(await timeoutOf(first), 2345);
  });

  it('warns where the change is lost on restart', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await rm(join(second.dir, 'server.conf'));
    // A folder in its place: the file cannot be written.
    const { mkdir } = await import('node:fs/promises');
    await mkdir(join(second.dir, 'server.conf'));
    const events: ClusterEvent[] = [];
    const result = await setNodeTimeout(first.address, 3000, { onEvent: (event) => events.push(event) });
    assert.deepEqual(
      result.nodes.map(({ address, after, isSaved }) => [address, after, isSaved]),
      [
        [first.address, 3000, true],
        [second.address, 3000, false],
      ],
    );
    assert.equal(result.ok, true);
    assert.deepEqual(
      events.map(
        (event) => event.type === 'warning' && [event.node, /lost when it restarts/.test(event.message)],
      ),
      [[second.address, true]],
    );
  });

  it('changes nothing where a node gives no answer, unless forced, and says which was not set', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await third.kill();
    await assert.rejects(setNodeTimeout(first.address, 4000), {
      code: 'NODE_UNREACHABLE',
      address: third.address,
      message: new RegExp(`^Cannot set cluster-node-timeout on ${third.address}: `),
    });
    assert.deepEqual(await Promise.all([first, second].map(timeoutOf)), [1000, 1000]);
    const forced = await runMain(['set_timeout', first.address, '4000', '--force']);
    assert.equal(forced.code, 1);
    assert.match(forced.stdout, new RegExp(`^${third.address} not set: .*ECONNREFUSED`, 'm'));
    assert.match(forced.stdout, /^New node timeout set on 2 nodes, not on 1$/m);
    assert.deepEqual(await Promise.all([first, second].map(timeoutOf)), [4000, 4000]);
    for (const wrong of [99, 1.5, Number.NaN]) {
      await assert.rejects(setNodeTimeout(first.address, wrong), RangeError);
    }
    assert.equal((await runMain(['set_timeout', first.address, '99'])).code, 2);
  });
});
