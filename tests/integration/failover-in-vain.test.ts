import assert from 'node:assert/strict';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { promoteReplica } from '../../lib/apply/steps/failover.ts';
import { check, failover, replicate, spread, stepDown } from '../../lib/index.ts';
import { withContext } from '../../lib/operations/cluster.ts';
import { ReplyError } from '../../resp/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertLayout,
  at,
  becomes,
  bePatient,
  idOfNode,
  keysOfSlot,
  settled,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { follow, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const keys = keysOfSlot(7, 20);

/** Copies a replica by SYNC, as one is whose user may not run PSYNC. It does not count the stream as its master does from then on. */
async function copyBySync(master: ServerNode, replica: ServerNode): Promise<void> {
  await ask(master, 'ACL', 'SETUSER', 'default', '-psync');
  await ask(master, 'CLIENT', 'KILL', 'TYPE', 'replica');
  await eventually('it has copied its master again', async () =>
    /^slave0:.*state=online,offset=0,lag=([3-9]|\d\d)/m.test(
      String(await ask(master, 'INFO', 'replication')),
    ),
  );
  await ask(master, 'ACL', 'SETUSER', 'default', '+psync');
  assert.match(String(await ask(replica, 'INFO', 'replication')), /^master_link_status:up/m);
}

describe('A failover that would come to nothing', { concurrency: 2 }, () => {
  it('is asked for again if the link of the replica to its master on the cluster bus has just ended', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [master, replica] = [at(nodes, 0), at(nodes, 2)];
    await replicate(master.address, replica.address);
    const [from, to] = [master, replica].map(async (node) => ({
      id: await idOfNode(node),
      address: node.address,
    }));
    assert.ok(from && to);
    const step = { type: 'failover', mode: 'graceful', master: await from, replica: await to } as const;
    let asked = 0;
    await withContext(replica.address, {}, async (context) => {
      const { connections } = context;
      const ask = connections.ask.bind(connections);
      // No command ends that link between a look and the question after it.
      connections.ask = (address, command, ...rest) =>
        command.join(' ') === 'CLUSTER FAILOVER' && ++asked === 1
          ? Promise.reject(new ReplyError('ERR Master is down or failed, please use CLUSTER FAILOVER FORCE'))
          : ask(address, command, ...rest);
      await promoteReplica(context, step);
    });
    assert.ok(asked > 1);
    await becomes(replica, 'master');
  });

  it('is not asked for of a replica that was copied by SYNC, and what is advised leads to it', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    await replicate(master.address, replica.address);
    await tell(master, ...keys.map((key) => ['SET', key, key]));
    await copyBySync(master, replica);

    const asked: string[] = [];
    // The others hear of it from packets, up to half a node timeout later.
    const again = (agreeTimeout = 20_000) =>
      failover(replica.address, {
        agreeTimeout,
        onEvent: ({ type }) => {
          if (type === 'failover') asked.push(type);
        },
      });
    const refusal = await refusalOf(again(3000));
    assert.deepEqual([refusal.code, refusal.resumable, asked], ['NOT_REACHED', 'same-call', []]);
    const late = await refusalOf(stepDown(master.address, { within: 3000 }));
    assert.equal(late.code, 'NOT_REACHED');
    const zones = { '127.0.0.1': 'a', [replica.address]: 'b' };
    const kept = await refusalOf(spread(master.address, { zones, toZone: 'b' }));
    assert.equal(kept.code, 'NO_REPLICA');
    assert.ok(kept.message.includes(replica.address), kept.message);
    const { findings } = await check(master.address);
    const found = findings.find(({ kind }) => kind === 'replica-lagging');
    assert.deepEqual([...(found?.next ?? []), { do: 'retry' }], refusal.next);

    for (const next of refusal.next) await follow(next, { nodes, again: () => again() });
    await again();
    assert.equal(asked.length, 1);
    await assertLayout([
      [replica, '0-5461'],
      [master, `replica of ${replica.address}`],
      [at(nodes, 1), '5462-10922'],
      [at(nodes, 2), '10923-16383'],
    ]);
    assert.equal(await ask(replica, 'DBSIZE'), keys.length);
  });

  it('is asked for once more for votes that come late, and not again before there can be an election', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [master, replica, ...voters] = [at(nodes, 0), at(nodes, 3), at(nodes, 1), at(nodes, 2)];
    await tell(master, ...keys.map((key) => ['SET', key, key]));
    await replicate(master.address, replica.address);
    await bePatient([replica]);
    let asks = 0;
    const signalled = (signal: NodeJS.Signals) => {
      for (const { pid } of voters) if (pid !== undefined) process.kill(pid, signal);
    };
    try {
      const refusal = await refusalOf(
        failover(replica.address, {
          agreeTimeout: 20_000,
          onEvent: ({ type }) => {
            if (type === 'plan') signalled('SIGSTOP');
            if (type === 'failover') asks += 1;
          },
        }),
      );
      assert.equal(refusal.code, 'NOT_REACHED');
      const acts = refusal.next.map((next) => next.do);
      assert.deepEqual(acts, ['check', 'failover', 'retry']);
      const { findings } = await check(replica.address, { connectTimeout: 1000, commandTimeout: 1000 });
      const silent = findings.flatMap(({ severity, nodes: named }) => (severity === 'info' ? [] : named));
      for (const { address } of voters) assert.ok(silent.includes(address), address);
    } finally {
      signalled('SIGCONT');
    }
    assert.equal(asks, 2);
    // What they answer now is still of that election.
    await settled(nodes);
    await failover(replica.address);
    await becomes(replica, 'master');
    assert.equal(await ask(replica, 'DBSIZE'), keys.length);
  });
});
