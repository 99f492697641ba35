import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { migrateSlots } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertLayout, at, keysOfSlot, openSlotsAt, settled, tell } from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const epochOf = async (node: ServerNode): Promise<number> =>
  Number(/cluster_my_epoch:(\d+)/.exec(String(await ask(node, 'CLUSTER', 'INFO')))?.[1]);

describe('A source and a target with the same config epoch', () => {
  it('take different ones before a slot changes hands, so that the target keeps it', async () => {
    const nodes = await bed.start(2, { config: { 'cluster-node-timeout': '1000' } });
    const [source, target] = [at(nodes, 0), at(nodes, 1)];
    // As after two operators gave each of them slots at once
    await own(source, 0, 8191);
    await own(target, 8192, 16383);
    const keys = keysOfSlot(100, 20);
    await ask(source, 'CLUSTER', 'MEET', target.host, `${target.port}`);
    await settled(nodes);
    await tell(source, ...keys.map((key) => ['SET', key, key]));
    await migrateSlots(source.address, target.address, [100], { method: 'migrate' });
    await assertLayout([
      [source, '0-99 101-8191'],
      [target, '100 8192-16383'],
    ]);
    assert.equal(await ask(target, 'CLUSTER', 'COUNTKEYSINSLOT', '100'), keys.length);
    assert.deepEqual(await openSlotsAt(nodes), []);
    assert.ok((await epochOf(target)) > (await epochOf(source)), 'late packets of the source are ignored');
  });
});

async function own(node: ServerNode, first: number, last: number): Promise<void> {
  const slots = Array.from({ length: last - first + 1 }, (_, index) => `${first + index}`);
  await tell(node, ['CLUSTER', 'ADDSLOTS', ...slots], ['CLUSTER', 'SET-CONFIG-EPOCH', '5']);
}
