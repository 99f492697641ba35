import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  check,
  createCluster,
  delNode,
  execute,
  type Finding,
  failover,
  joinNoLoad,
  type Next,
  parseAddress,
  rebalance,
  replicate,
  spread,
} from '../../lib/index.ts';
import type { ConnectionOptions } from '../../lib/options.ts';
import { connect } from '../../resp/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode, type StartOptions } from '../bed/index.ts';
import {
  assertFindings,
  assertSoon,
  at,
  bePatient,
  idOfNode,
  optionsFor,
  quick,
  settled,
  startMasters,
} from '../helpers/clusters.ts';
import { follow as advised } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const shown = (findings: readonly Finding[]) =>
  findings.map(({ severity, kind, nodes }) => [severity, kind, ...nodes]);

/** Two masters, each with a replica. */
async function startPairs(options?: StartOptions): Promise<[ServerNode, ServerNode, ServerNode, ServerNode]> {
  const nodes = await startMasters(bed, 2, 2, options);
  const [first, second, third, fourth] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
  await replicate(first.address, third.address, optionsFor(first));
  await replicate(second.address, fourth.address, optionsFor(first));
  await settled(nodes);
  if (options === undefined) await bePatient(nodes);
  return [first, second, third, fourth];
}

/** Waits until check reports this kind, and resolves to all that it finds. */
async function findUntil(address: string, kind: Finding['kind']): Promise<readonly Finding[]> {
  let findings: readonly Finding[] = [];
  await eventually(`check reports ${kind}`, async () => {
    findings = (await check(address, { connectTimeout: 1000, commandTimeout: 1000 })).findings;
    return findings.some((finding) => finding.kind === kind);
  });
  return findings;
}

/** Does what a finding says, with these values for the words in capitals. */
async function follow(
  { do: act, node = '', cluster = '', settings = [], command = [], options = {} }: Next,
  values: Readonly<Record<string, string>> = {},
  connection: ConnectionOptions = {},
): Promise<void> {
  const words = command.map((word) => values[word] ?? word);
  switch (act) {
    case 'spread':
      await spread(cluster, connection);
      return;
    case 'replicate':
      await replicate(node, values.REPLICA ?? '', connection);
      return;
    case 'del-node':
      await delNode(cluster, node, connection);
      return;
    case 'rebalance':
      await rebalance(cluster, { ...connection, ...options });
      return;
    case 'execute': {
      const results = await execute(cluster, words, { ...connection, ...options });
      // A value that suits one setting may suit another not at all.
      for (const { error } of results) assert.ok(!error || words.includes('appendonly'), `${error}`);
      return;
    }
    case 'configure': {
      const { host, port } = parseAddress(node);
      const at = await connect({ host, port, ...connection });
      for (const name of settings) await at.command(['CONFIG', 'SET', name, values.VALUE ?? '']);
      await at.close();
      return;
    }
    default:
      assert.fail(`${act} is not advised here`);
  }
}

describe('check()', { concurrency: 2 }, () => {
  it('names a replica that its master refuses to log in', async () => {
    const [first, second, , fourth] = await startPairs();
    await assertFindings(first.address, []);
    // The user "nobody" has no rights, so the replica is refused when it reconnects.
    await ask(second, 'ACL', 'SETUSER', 'nobody', 'on', '>right');
    await ask(fourth, 'CONFIG', 'SET', 'masteruser', 'nobody');
    await ask(fourth, 'CONFIG', 'SET', 'masterauth', 'wrong');
    await ask(second, 'CLIENT', 'KILL', 'TYPE', 'replica');
    const findings = await findUntil(first.address, 'replica-link-down');
    assert.deepEqual(
      findings.map(({ kind, nodes }) => [kind, nodes[0]]),
      [
        ['replica-link-down', fourth.address],
        // One knows the user with another password, the others do not know it.
        ['cannot-follow', fourth.address],
        ['cannot-follow', fourth.address],
        ['users-differ', second.address],
      ],
    );
  });

  it('is never content while a node that was just met does not serve yet', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, met] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await ask(first, 'CLUSTER', 'MEET', met.host, `${met.port}`);
    await eventually('it serves', async () => {
      const { ok } = await check(second.address);
      const serves = String(await ask(met, 'CLUSTER', 'INFO')).includes('cluster_state:ok');
      assert.ok(serves || !ok, 'check found nothing wrong');
      return ok;
    });
  });

  it('names a node that has no room for another connection', async () => {
    const [first, second] = await startPairs();
    const inside = await connectTo(second);
    await inside.command(['CONFIG', 'SET', 'maxclients', '1']);
    const { findings } = await check(first.address);
    const found = findings.find(({ kind }) => kind === 'node-refuses');
    assert.deepEqual([found?.severity, found?.nodes], ['error', [second.address]]);
    inside.destroy();
  });

  it('names a frozen replica, before and after it is declared failed', async () => {
    const [first, , third] = await startPairs(quick);
    await third.freeze();
    try {
      const soon = await check(first.address, { connectTimeout: 200, commandTimeout: 200 });
      const [kind] = soon.findings.map((finding) => finding.kind);
      assert.ok(kind === 'node-unreachable' || kind === 'node-failed', `${kind}`);
      assert.equal(soon.ok, kind === 'node-failed');
      const findings = await findUntil(first.address, 'node-failed');
      const found = shown(findings).filter(([, kind]) => kind !== 'replica-lagging');
      assert.deepEqual(found, [
        ['warning', 'node-failed', third.address],
        ['warning', 'master-without-replica', first.address],
      ]);
      assert.deepEqual(
        findings[0]?.next?.map((next) => next.do),
        ['start-node', 'rejoin', 'del-node'],
      );
    } finally {
      await third.thaw();
    }
  });

  it('does not take a replica out that was frozen before it could tell its master how far it is', async () => {
    const [first, , third] = await startPairs();
    await ask(first, 'SET', '{06S}', 'value');
    const listed = async () =>
      /^slave0:.*$/m.exec(String(await ask(first, 'INFO', 'replication')))?.[0] ?? '';
    // It continues the stream when it comes back, and reports a second later.
    await ask(first, 'CLIENT', 'KILL', 'TYPE', 'replica');
    const inside = await connectTo(first);
    try {
      for (let line = ''; !/state=online,offset=0,/.test(line); )
        line = String(await inside.command(['INFO', 'replication']));
      await third.freeze();
      await eventually('its master has not heard it for long', async () =>
        /offset=0,lag=([4-9]|\d\d)/.test(await listed()),
      );
      await ask(first, 'CONFIG', 'RESETSTAT');
      const looking = check(first.address);
      await eventually('its master was asked', async () =>
        /^cmdstat_cluster/m.test(String(await ask(first, 'INFO', 'commandstats'))),
      );
      await third.thaw();
      const { findings } = await looking;
      const acts = findings.flatMap(({ nodes, next = [] }) =>
        nodes.includes(third.address) ? next.map((next) => next.do) : [],
      );
      assert.ok(!acts.includes('del-node'), JSON.stringify(findings));
    } finally {
      await third.thaw();
      inside.destroy();
    }
  });

  it('reports a dead master and its slots', async () => {
    const nodes = await startMasters(bed, 3, 0, quick);
    const [first, , third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await third.kill();
    const findings = await findUntil(first.address, 'state-fail');
    const kinds = new Set(findings.map(({ kind }) => kind));
    assert.ok(kinds.has('slots-uncovered') || kinds.has('node-unreachable'), [...kinds].join(' '));
    assert.equal((await check(first.address, { connectTimeout: 1000 })).ok, false);
  });

  it('reports zones, memory and policies, but not equal versions', async () => {
    const [first, second, third, fourth] = await startPairs();
    const zones = { [first.address]: 'a', [await idOfNode(third)]: 'a', [second.address]: 'b' };
    await assertSoon(async () => {
      const { ok, findings } = await check(first.address, { zones });
      assert.deepEqual(
        [ok, shown(findings)],
        [true, [['warning', 'same-zone', third.address, first.address]]],
      );
    });
    await assert.rejects(check(first.address, { zones: { '10.9.9.9:1': 'a' } }), {
      code: 'INVALID_ARGUMENT',
    });
    await ask(second, 'CONFIG', 'SET', 'maxmemory', '1000000');
    await ask(second, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    assert.deepEqual(shown((await check(first.address)).findings), [
      ['warning', 'memory-high', second.address],
      ['warning', 'memory-policy-differs', second.address],
      ['warning', 'settings-differ', fourth.address, second.address],
    ]);
    const findingOf = async (kind: Finding['kind']) =>
      (await check(first.address)).findings.find((one) => one.kind === kind);
    const policy = await findingOf('memory-policy-differs');
    for (const next of policy?.next ?? [])
      await advised(next, { nodes: [second], values: { POLICY: 'noeviction' } });
    assert.equal(await findingOf('memory-policy-differs'), undefined);
    const [configure, join] = (await findingOf('memory-high'))?.next ?? [];
    assert.ok(configure && join);
    await advised(configure, { nodes: [second], values: { maxmemory: '100000000' } });
    assert.equal(await findingOf('memory-high'), undefined);
    // A new master takes a third of its keys.
    for (let index = 0; index < 3000; index++)
      await ask(second, 'SET', `key:${index}`, 'x'.repeat(10_000)).catch(() => undefined);
    const used = Number(/^used_memory:(\d+)/m.exec(String(await ask(second, 'INFO', 'memory')))?.[1]);
    await ask(second, 'CONFIG', 'SET', 'maxmemory', `${Math.round(used / 0.95)}`);
    assert.equal((await findingOf('memory-high'))?.nodes[0], second.address);
    const [fresh] = await bed.start(1, quick);
    await advised(join, { nodes: [], fresh: fresh?.address ?? '' });
    await assertSoon(async () => assert.equal(await findingOf('memory-high'), undefined));
  });

  it('names nodes that are set up otherwise, until what it says is done', async () => {
    const [first, second, third] = await startPairs();
    await assertSoon(async () => assert.deepEqual((await check(first.address)).findings, []));
    await ask(third, 'CONFIG', 'SET', 'cluster-node-timeout', '16000');
    await ask(third, 'CONFIG', 'SET', 'maxmemory', '100000000');
    await ask(second, 'CONFIG', 'SET', 'appendonly', 'yes');
    await ask(third, 'ACL', 'SETUSER', 'app', 'on', '>sesame', '~*', '+get');
    const hasFunctions = bed.server.major >= 7;
    const code = `#!lua name=lib\nredis.register_function{function_name='one', callback=function() return 1 end, flags={'no-writes'}}`;
    if (hasFunctions) await ask(first, 'FUNCTION', 'LOAD', code);
    const { ok, findings } = await check(first.address);
    assert.equal(ok, true);
    assert.deepEqual(shown(findings), [
      ['warning', 'settings-differ', third.address],
      ['warning', 'settings-differ', third.address, first.address],
      ['warning', 'users-differ', third.address],
      ...(hasFunctions ? [['warning', 'functions-differ', second.address]] : []),
      ['info', 'settings-differ', second.address],
    ]);
    assert.ok(!JSON.stringify(findings).includes('sesame'));
    for (const { kind, next = [] } of findings) {
      for (const one of next) await follow(one, { VALUE: '20000', CODE: code });
      if (kind === 'users-differ') await ask(third, 'ACL', 'DELUSER', 'app');
    }
    // The value of every setting was the same one, which suits "appendonly" not at all.
    await ask(second, 'CONFIG', 'SET', 'appendonly', 'no');
    await ask(third, 'CONFIG', 'SET', 'maxmemory', '0');
    await assertSoon(async () => assert.deepEqual(shown((await check(first.address)).findings), []));
  });

  it('names nodes that a failover would leave without a master to follow, until they are given what they lack', async () => {
    const password = 'sesame';
    const nodes = await startPairs({ password, config: { 'cluster-node-timeout': '15000' } });
    const [first, second, third] = nodes;
    const options = optionsFor(first);
    await assertFindings(first.address, [], options);
    await ask(first, 'CONFIG', 'SET', 'masterauth', '');
    await ask(second, 'CONFIG', 'SET', 'masterauth', 'other');
    const { findings } = await check(first.address, options);
    assert.deepEqual(
      findings.map(({ kind, nodes }) => `${kind} ${nodes[0]}`).sort(),
      [`cannot-follow ${first.address}`, `cannot-follow ${second.address}`].sort(),
    );
    assert.deepEqual([...(findings[0]?.nodes ?? [])].sort(), nodes.map(({ address }) => address).sort());
    assert.doesNotMatch(JSON.stringify(findings), /sesame|other/);
    for (const { next = [] } of findings) {
      for (const one of next) await follow(one, { VALUE: password }, options);
    }
    await assertFindings(first.address, [], options);
    await failover(third.address, options);
    await assertFindings(first.address, [], options);
  });

  it('names a host with most of the masters, and replicas of one master on one host, until replicas take over', async () => {
    const [a, b, c] = await Promise.all(
      ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map((host) =>
        bed.start(host === '127.0.0.3' ? 2 : 3, {
          host,
          config: { ...quick.config, 'cluster-announce-ip': host },
        }),
      ),
    );
    assert.ok(a && b && c);
    const [masters, replicas, [last, spare]] = [a, b, c];
    const [one, two, three] = [at(masters, 0), at(masters, 1), at(masters, 2)];
    assert.ok(last && spare);
    await createCluster([one.address, two.address, last.address]);
    await replicate(one.address, at(replicas, 0).address);
    await replicate(one.address, at(replicas, 1).address);
    await replicate(last.address, at(replicas, 2).address);
    await replicate(two.address, three.address);
    await settled([...masters, ...replicas, last]);
    const found = async (): Promise<readonly Finding[]> =>
      (await check(one.address)).findings.filter(({ kind }) => /same-/.test(kind));
    await assertSoon(async () =>
      assert.deepEqual(
        shown(await found()).map(([, kind]) => kind),
        ['same-host', 'masters-same-host', 'replicas-same-host'],
      ),
    );
    const together = (await found()).find(({ kind }) => kind === 'replicas-same-host');
    const advice = together?.next ?? [];
    assert.deepEqual(
      advice.map((next) => next.do),
      ['replicate', 'del-node'],
    );
    for (const next of advice) await follow(next, { REPLICA: spare.address });
    await assertSoon(async () => {
      assert.ok((await found()).every(({ kind }) => kind !== 'replicas-same-host'));
    });
    const crowded = (await found()).find(({ kind }) => kind === 'masters-same-host');
    assert.deepEqual(crowded?.nodes, [one.address, two.address].sort());
    for (const next of crowded?.next ?? []) await follow(next);
    await assertSoon(async () => {
      assert.ok((await found()).every(({ kind }) => kind !== 'masters-same-host'));
    });
  });

  it('names a master without slots, until it is given some', async () => {
    const [first, , third] = await startMasters(bed, 2, 1);
    assert.ok(first && third);
    await joinNoLoad(first.address, third.address);
    await assertFindings(first.address, ['master-without-slots']);
    const [finding] = (await check(first.address)).findings.filter(
      ({ kind }) => kind === 'master-without-slots',
    );
    const [next] = finding?.next ?? [];
    assert.ok(next);
    await follow(next);
    await assertFindings(first.address, []);
  });

  it('finds two servers started with the same nodes.conf', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, clone] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await clone.stop();
    await copyFile(join(second.dir, 'nodes.conf'), join(clone.dir, 'nodes.conf'));
    await clone.restart();
    const id = await idOfNode(second);
    assert.equal(await idOfNode(clone), id);
    // The others know the node by one of the two addresses, which changes; the server at the other one shows it.
    const results: Awaited<ReturnType<typeof check>>[] = [];
    await eventually('check reports the shared id', async () => {
      results.splice(0, 2, await check(clone.address), await check(second.address));
      return results.some(({ findings }) => findings.some(({ kind }) => kind === 'duplicate-id'));
    });
    for (const { ok, findings } of results) {
      const shared = findings.find(({ kind }) => kind === 'duplicate-id');
      if (!shared) continue;
      assert.deepEqual([ok, shared.nodes], [false, [second.address, clone.address].sort()]);
    }
    assert.equal((await check(first.address)).view.nodes.length, 2);
    // Of servers that are named, each is asked who it is.
    const { findings } = await check(first.address, { elsewhere: [second.address, clone.address] });
    const shared = findings.find(({ kind }) => kind === 'duplicate-id');
    assert.deepEqual(shared?.nodes, [second.address, clone.address].sort());
  });
});
