import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ensureCluster, joinCluster, replicate } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, idOfNode, keysOfSlot, seenBy, settled, startMasters, tell } from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/**
 * Three masters that ban the id of a fourth node: they forgot it a moment ago. It was restored from a configuration of before, has heard of no
 * epoch, and has sent nothing since it was started.
 */
async function banned(): Promise<{ members: ServerNode[]; node: ServerNode; id: string }> {
  const nodes = await startMasters(bed, 3, 1);
  const [members, node] = [nodes.slice(0, 3), at(nodes, 3)];
  const id = await idOfNode(node);
  await ask(at(members, 0), 'CLUSTER', 'MEET', node.host, `${node.port}`);
  await settled(nodes);
  await node.kill();
  for (const member of members) await ask(member, 'CLUSTER', 'FORGET', id);
  const line = `${id} ${node.address}@${node.busPort} myself,master - 0 0 0 connected`;
  await node.restart({ nodesConf: { text: `${line}\nvars currentEpoch 0 lastVoteEpoch 0\n` } });
  assert.equal(await idOfNode(node), id);
  return { members, node, id };
}

/** Long enough for what members have banned to spread: each sends some packet to each other by then. */
const SPREADS_MS = 5000;

async function assertStays(members: readonly ServerNode[], node: ServerNode): Promise<void> {
  await settled([...members, node]);
  const until = performance.now() + SPREADS_MS;
  while (performance.now() < until)
    for (const member of members)
      assert.ok(node.address in (await seenBy(member)), `${member.address} knows it`);
}

describe('A node that members ban, though it shows no trace of it,', { concurrency: 3 }, () => {
  it('joins, gets its slots, and stays', async () => {
    const { members, node } = await banned();
    await tell(at(members, 0), ...keysOfSlot(0, 20).map((key) => ['SET', key, 'value']));
    const { slots, keys } = await joinCluster(at(members, 0).address, node.address);
    assert.deepEqual([slots, keys], [4096, 20]);
    await assertStays(members, node);
  });

  it('becomes a replica, and stays', async () => {
    const { members, node } = await banned();
    await replicate(at(members, 0).address, node.address);
    await assertStays(members, node);
  });

  it('is added to a declared cluster, and stays', async () => {
    const { members, node } = await banned();
    const addresses = [...members, node].map(({ address }) => address);
    await ensureCluster(addresses, { masters: 4 });
    await assertStays(members, node);
  });
});
