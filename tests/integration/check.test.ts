import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { check, type Finding, replicate } from '../../lib/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertFindings, assertSoon, at, idOfNode, settled, startMasters } from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const shown = (findings: readonly Finding[]) =>
  findings.map(({ severity, kind, nodes }) => [severity, kind, ...nodes]);

/** Two masters, each with a replica. */
async function startPairs(): Promise<[ServerNode, ServerNode, ServerNode, ServerNode]> {
  const nodes = await startMasters(bed, 2, 2);
  const [first, second, third, fourth] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
  await replicate(first.address, third.address);
  await replicate(second.address, fourth.address);
  await settled(nodes);
  return [first, second, third, fourth];
}

/** Waits until check tells of this, and gives all that it tells. */
async function findUntil(address: string, kind: Finding['kind']): Promise<readonly Finding[]> {
  let findings: readonly Finding[] = [];
  await eventually(`check tells of ${kind}`, async () => {
    findings = (await check(address, { connectTimeout: 1000, commandTimeout: 1000 })).findings;
    return findings.some((finding) => finding.kind === kind);
  });
  return findings;
}

describe('check()', { concurrency: 2 }, () => {
  it('names a replica whose log-in at its master is refused', async () => {
    const [first, second, , fourth] = await startPairs();
    await assertFindings(first.address, []);
    // As nobody, who may do nothing, the replica is refused when it connects again.
    await ask(second, 'ACL', 'SETUSER', 'nobody', 'on', '>right');
    await ask(fourth, 'CONFIG', 'SET', 'masteruser', 'nobody');
    await ask(fourth, 'CONFIG', 'SET', 'masterauth', 'wrong');
    await ask(second, 'CLIENT', 'KILL', 'TYPE', 'replica');
    const findings = await findUntil(first.address, 'replica-link-down');
    assert.deepEqual(shown(findings), [['warning', 'replica-link-down', fourth.address, second.address]]);
  });

  it('says of a node without room for another connection that it runs', async () => {
    const [first, second] = await startPairs();
    const inside = await connectTo(second);
    await inside.command(['CONFIG', 'SET', 'maxclients', '1']);
    const { findings } = await check(first.address);
    const found = findings.find(({ kind }) => kind === 'node-unreachable');
    assert.match(found?.message ?? '', /gives no answer: ERR max number of clients/);
    assert.match(found?.hint ?? '', /^It runs, .*maxclients/);
    inside.destroy();
  });

  it('names a frozen replica, before and after it is held for failed', async () => {
    const [first, , third] = await startPairs();
    await third.freeze();
    try {
      const soon = await check(first.address, { connectTimeout: 200, commandTimeout: 200 });
      const [kind] = soon.findings.map((finding) => finding.kind);
      assert.ok(kind === 'node-unreachable' || kind === 'node-failed', `${kind}`);
      assert.equal(soon.ok, kind === 'node-failed');
      const findings = await findUntil(first.address, 'node-failed');
      const told = shown(findings).filter(([, kind]) => kind !== 'replica-lagging');
      assert.deepEqual(told, [
        ['warning', 'node-failed', third.address],
        ['warning', 'master-without-replica', first.address],
      ]);
      assert.match(findings[0]?.hint ?? '', /redis-trib del_node/);
    } finally {
      await third.thaw();
    }
  });

  it('tells of a dead master: its slots, who says fail, and of nothing that follows from it', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, , third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await third.kill();
    const findings = await findUntil(first.address, 'state-fail');
    const kinds = new Set(findings.map(({ kind }) => kind));
    assert.ok(kinds.has('slots-uncovered') || kinds.has('node-unreachable'), [...kinds].join(' '));
    assert.equal((await check(first.address, { connectTimeout: 1000 })).ok, false);
  });

  it('tells of zones, memory, policies and a version that is the same', async () => {
    const [first, second, third] = await startPairs();
    const zones = { [first.address]: 'a', [await idOfNode(third)]: 'a', [second.address]: 'b' };
    await assertSoon(async () => {
      const { ok, findings } = await check(first.address, { zones });
      assert.deepEqual(
        [ok, shown(findings)],
        [true, [['warning', 'same-zone', third.address, first.address]]],
      );
    });
    await assert.rejects(check(first.address, { zones: { '10.9.9.9:1': 'a' } }), RangeError);
    await ask(second, 'CONFIG', 'SET', 'maxmemory', '1000000');
    await ask(second, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    assert.deepEqual(shown((await check(first.address)).findings), [
      ['warning', 'memory-high', second.address],
      ['warning', 'memory-policy-differs', second.address],
    ]);
  });

  it('finds two servers that were started with one nodes.conf', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, clone] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await clone.stop();
    await copyFile(join(second.dir, 'nodes.conf'), join(clone.dir, 'nodes.conf'));
    await clone.restart();
    const id = await idOfNode(second);
    assert.equal(await idOfNode(clone), id);
    // The others hold the one or the other address for the node's, and it changes: who has the other one tells.
    const results: Awaited<ReturnType<typeof check>>[] = [];
    await eventually('check tells of the shared id', async () => {
      results.splice(0, 2, await check(clone.address), await check(second.address));
      return results.some(({ findings }) => findings.some(({ kind }) => kind === 'duplicate-id'));
    });
    for (const { ok, findings } of results) {
      const shared = findings.find(({ kind }) => kind === 'duplicate-id');
      if (!shared) continue;
      assert.deepEqual([ok, shared.nodes], [false, [second.address, clone.address].sort()]);
    }
    assert.equal((await check(first.address)).view.nodes.length, 2);
  });
});
