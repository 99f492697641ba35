import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, setNodeTimeout } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, quick, startMasters } from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';
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
  it('sets it permanently on every node, and nothing in a dry run', async () => {
    const nodes = await startMasters(bed, 3, 0, quick);
    const [first] = [at(nodes, 0)];
    const dry = await runMain(['set_timeout', first.address, '2345', '--dry-run']);
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, new RegExp(`^${first.address} 1000 → 2345 ms$`, 'm'));
    assert.deepEqual(await Promise.all(nodes.map(timeoutOf)), [1000, 1000, 1000]);
    const ran = await runMain(['set_timeout', first.address, '2345']);
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    assert.deepEqual(await Promise.all(nodes.map(timeoutOf)), [2345, 2345, 2345]);
    await first.restart();
    assert.equal(await timeoutOf(first), 2345);
  });

  it('warns if the change would be lost on restart', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await rm(join(second.dir, 'server.conf'));
    // With a folder in its place, the file cannot be written.
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
      events.map((event) => [event.type, 'node' in event && event.node]),
      [['warning', second.address]],
    );
  });

  it('changes nothing if a node does not answer, unless forced, and then names that node', async () => {
    const nodes = await startMasters(bed, 3, 0, quick);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await third.kill();
    const error = await refusalOf(setNodeTimeout(first.address, 4000));
    assert.deepEqual([error.code, error.address], ['NODE_UNREACHABLE', third.address]);
    assert.deepEqual(await Promise.all([first, second].map(timeoutOf)), [1000, 1000]);
    await follow(adviceFor(error.next, 'start-node'), { nodes });
    await setNodeTimeout(first.address, 2000);
    assert.deepEqual(await Promise.all(nodes.map(timeoutOf)), [2000, 2000, 2000]);
    // One that runs is not to be started, but to allow it.
    await ask(third, 'ACL', 'SETUSER', 'default', '-config');
    const again = () => setNodeTimeout(first.address, 1000);
    const { next } = await refusalOf(again());
    await ask(third, 'ACL', 'SETUSER', 'default', '+config');
    await follow(adviceFor(next, 'retry', 'repaired'), { nodes, again });
    await third.kill();
    const forced = await runMain(['set_timeout', first.address, '4000', '--force', '--json']);
    const { ok, nodes: set } = JSON.parse(forced.stdout);
    assert.deepEqual([forced.code, ok], [1, false]);
    assert.deepEqual(
      set.map(({ address, error }: { address: string; error?: string }) => [address, Boolean(error)]),
      nodes.map(({ address }) => [address, address === third.address]),
    );
    assert.deepEqual(await Promise.all([first, second].map(timeoutOf)), [4000, 4000]);
    for (const wrong of [99, 1.5, Number.NaN]) {
      await assert.rejects(setNodeTimeout(first.address, wrong), { code: 'INVALID_ARGUMENT' });
    }
    assert.equal((await runMain(['set_timeout', first.address, '99'])).code, 2);
  });
});
