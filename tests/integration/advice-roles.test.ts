// What is advised about masters and their replicas, followed to the letter.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  check,
  drain,
  type FindingKind,
  failover,
  joinNoLoad,
  type Next,
  replicate,
  restart,
  stepDown,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { assertSoon, at, idOfNode, seenBy, startMasters } from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
let nodes: ServerNode[];
let first: ServerNode;
let second: ServerNode;
before(async () => {
  bed = await openBed();
  nodes = await startMasters(bed, 2, 4);
  [first, second] = [at(nodes, 0), at(nodes, 1)];
});
after(() => bed.close());

const spare = (index: number): ServerNode => at(nodes, 2 + index);

async function adviceOf(kind: FindingKind, about: ServerNode): Promise<readonly Next[] | undefined> {
  const { findings } = await check(second.address);
  return findings.find((one) => one.kind === kind && one.nodes[0] === about.address)?.next;
}

/** Waits until check reports this, and returns what it advises. */
async function adviceSoon(kind: FindingKind, about: ServerNode): Promise<readonly Next[]> {
  let next: readonly Next[] | undefined;
  await eventually(`there is ${kind}`, async () => {
    next = await adviceOf(kind, about);
    return next !== undefined;
  });
  return next ?? [];
}

describe('What is advised about a master', () => {
  it('without a replica: a node becomes one, and takes its place', async () => {
    const calls = [
      () => drain(first.address, first.address),
      () => restart(first.address, { only: first.address, dryRun: true }),
      () => stepDown(first.address, { dryRun: true, wait: 1000 }),
    ];
    const errors = [];
    for (const call of calls) errors.push(await refusalOf(call()));
    assert.deepEqual(
      errors.map(({ code, next: [one] }) => [code, one]),
      errors.map(() => ['NO_REPLICA', { do: 'replicate', node: first.address }]),
    );
    await follow(adviceFor(errors[0]?.next, 'replicate'), { nodes, fresh: spare(0).address });
    // The other master has none now, and check says so.
    const next = await adviceSoon('master-without-replica', second);
    await follow(adviceFor(next, 'replicate'), { nodes, fresh: spare(1).address });
    assert.equal(await adviceOf('master-without-replica', second), undefined);
    for (const call of calls.toReversed()) await call();
    await assertSoon(async () => {
      const seen = await seenBy(second);
      assert.deepEqual([seen[spare(0).address], seen[second.address]], ['0-8191', '8192-16383']);
    });
  });

  it('whose only replica has no link: it names what is missing, and the replica takes over', async () => {
    const replica = spare(1);
    await ask(replica, 'CONFIG', 'SET', 'masterauth', 'wrong');
    await ask(second, 'CLIENT', 'KILL', 'TYPE', 'replica');
    const next = await adviceSoon('replica-link-down', replica);
    const refused = [
      next,
      (await refusalOf(failover(replica.address, { agreeTimeout: 2000 }))).next,
      (await refusalOf(drain(second.address, second.address, { agreeTimeout: 2000 }))).next,
    ];
    for (const advice of refused) {
      const { when: _, ...rest } = adviceFor(advice, 'replicate');
      assert.deepEqual(rest, { do: 'replicate', node: second.address, target: replica.address });
    }
    const hands = { nodes, values: { masterauth: '' }, agreeTimeout: 5000 };
    const error = await refusalOf(follow(adviceFor(next, 'replicate', 'stays'), hands));
    assert.equal(error.code, 'NOT_REACHED');
    assert.deepEqual(
      error.next.map(({ do: act }) => act),
      ['configure', 'retry'],
    );
    const again = () => replicate(second.address, replica.address);
    for (const one of error.next) await follow(one, { ...hands, again });
    assert.equal(await adviceOf('replica-link-down', replica), undefined);
    await failover(replica.address);
    await drain(second.address, second.address);
  });

  it('whose only replica is copying: the same call, once that is done', async () => {
    const [master, replica] = [spare(0), spare(2)];
    await ask(master, 'CONFIG', 'SET', 'repl-diskless-sync', 'yes');
    await ask(master, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '600');
    await joinNoLoad(master.address, replica.address);
    await ask(first, 'CLUSTER', 'REPLICATE', await idOfNode(spare(1)));
    await ask(replica, 'CLUSTER', 'REPLICATE', await idOfNode(master));
    const again = () => restart(master.address, { only: master.address, dryRun: true });
    await assertSoon(async () => {
      const { code, next } = await refusalOf(again());
      assert.deepEqual([code, next], ['NOT_REACHED', [{ do: 'retry', when: 'settled' }]]);
    });
    await ask(master, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '0');
    await eventually(
      'it has settled',
      async () => (await adviceOf('replica-copying', replica)) === undefined,
    );
    await assertSoon(() => follow({ do: 'retry', when: 'settled' }, { nodes, again }));
  });

  it('beside its replicas: one elsewhere, and no more', async () => {
    const [master, elsewhere] = [spare(0), spare(3)];
    const zones: Record<string, string> = {};
    for (const node of nodes.slice(0, 5)) zones[node.address] = 'a';
    const inOneZone = async () => {
      const { findings } = await check(master.address, { zones: { ...zones } });
      return findings.filter(({ kind, nodes }) => kind === 'same-zone' && nodes[1] === master.address);
    };
    const [found] = await inOneZone();
    assert.equal(found?.severity, 'warning');
    await follow(adviceFor(found?.next, 'replicate'), { nodes, fresh: elsewhere.address });
    zones[elsewhere.address] = 'b';
    await assertSoon(async () => {
      const after = await inOneZone();
      assert.ok(after.every(({ severity, next }) => severity === 'info' && next === undefined));
    });
  });

  it('whose replica has one of its own: that follows the master, and the first is free to go', async (t) => {
    const [master, replica, last] = [spare(0), spare(2), spare(3)];
    const [id, between] = [await idOfNode(master), await idOfNode(replica)];
    await last.stop();
    const lines = (await readFile(join(last.dir, 'nodes.conf'), 'latin1')).split('\n');
    const rank = (line: string) => ['myself', 'vars'].findIndex((word) => line.includes(word));
    const text = lines
      .filter((line) => line !== '')
      .sort((one, other) => rank(one) - rank(other))
      .map((line) => `${line.includes('myself') ? line.replace(id, between) : line}\n`)
      .join('');
    const isUp = await last.restart({ nodesConf: { text } }).then(
      () => true,
      () => false,
    );
    if (!isUp) return t.skip('the server does not start as a replica of a replica');
    const next = await adviceSoon('replica-of-replica', last);
    const again = () => replicate(spare(1).address, replica.address);
    const refused = await refusalOf(again());
    assert.equal(refused.code, 'HAS_REPLICAS');
    assert.deepEqual(refused.next, [
      { do: 'replicate', node: master.address, target: last.address },
      { do: 'retry', when: 'after-that' },
    ]);
    assert.deepEqual(next, [{ ...refused.next[0], when: 'stays' }]);
    await follow(adviceFor(next, 'replicate'), { nodes });
    assert.equal(await adviceOf('replica-of-replica', last), undefined);
    await again();
  });
});
