import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lagOf, type NodeCounters, type NodeSample, ratesBetween } from '../../lib/model/vitals.ts';
import { detailsOf } from '../../lib/nodes/inspect.ts';
import { parseInfo } from '../../lib/nodes/node-info.ts';
import { sampleOf } from '../../lib/nodes/vitals.ts';
import { fc } from '../helpers/properties.ts';

const REPLICA = [
  '# Server',
  ...['redis_version:7.2.4', 'valkey_version:9.1.2', 'run_id:abc', 'uptime_in_seconds:41'],
  ...['# Clients', 'connected_clients:12', 'blocked_clients:1'],
  ...[
    '# Memory',
    'used_memory:2000',
    'used_memory_human:2K',
    'mem_not_counted_for_evict:500',
    'maxmemory:4000',
  ],
  ...['maxmemory_policy:allkeys-lru', '# Persistence', 'loading:0', 'async_loading:0'],
  ...['rdb_last_bgsave_status:err', '# Stats', 'total_commands_processed:77'],
  ...['total_net_input_bytes:1000', 'total_net_output_bytes:3000'],
  ...['# Replication', 'role:slave', 'master_host:10.0.0.1', 'master_port:7000', 'master_link_status:up'],
  ...['master_sync_in_progress:0', 'slave_repl_offset:900', 'master_replid:feed', 'connected_slaves:1'],
  ...['slave0:ip=10.0.0.3,port=7002,state=online,offset=890,lag=1', '# CPU', 'used_cpu_sys:1.5'],
  ...[
    'used_cpu_user:2.25',
    'used_cpu_user_children:9',
    '# Keyspace',
    'db0:keys=5,expires=0',
    'db3:keys=2,expires=0',
    '',
  ],
].join('\r\n');

function sample(atMs: number, counters: Partial<NodeCounters>, runId = 'one'): NodeSample {
  const read = sampleOf(REPLICA, atMs);
  const none = { commands: 0, bytesIn: 0, bytesOut: 0, cpuSeconds: 0 };
  return { ...read, details: { ...read.details, runId }, counters: { ...none, ...counters } };
}

describe('sampleOf()', () => {
  test('reads what a node says, and no more of INFO than it needs', () => {
    const { details, ...rest } = sampleOf(REPLICA, 9);
    assert.deepEqual(rest, {
      ...{ atMs: 9, uptimeSeconds: 41, clients: 12 },
      counters: { commands: 77, bytesIn: 1000, bytesOut: 3000, cpuSeconds: 3.75 },
    });
    assert.deepEqual(details, detailsOf(parseInfo(REPLICA)));
    assert.deepEqual([details.version, details.keys, details.isSaveFailing], ['Valkey 9.1.2', 7, true]);
    assert.equal(details.replicas.length, 1);
  });
});

describe('ratesBetween()', () => {
  test('is what was done in a second, without what we asked', () => {
    const own = { commands: 4, bytesIn: 100, bytesOut: 8000 };
    const before = sample(1000, { commands: 10, bytesIn: 10, bytesOut: 10, cpuSeconds: 1 });
    const after = sample(3000, { commands: 34, bytesIn: 2110, bytesOut: 18_010, cpuSeconds: 1.5 });
    assert.deepEqual(ratesBetween(before, after, own), {
      ...{ opsPerSecond: 10, bytesInPerSecond: 1000, bytesOutPerSecond: 5000, cores: 0.25 },
    });
  });

  test('is unknown after a restart, after CONFIG RESETSTAT, and without time', () => {
    const busy = { commands: 100, bytesIn: 100, bytesOut: 100, cpuSeconds: 1 };
    assert.equal(ratesBetween(sample(0, busy), sample(1000, busy, 'other')), undefined);
    assert.equal(ratesBetween(sample(0, busy), sample(1000, { ...busy, commands: 3 })), undefined);
    assert.equal(ratesBetween(sample(0, busy), sample(1000, { ...busy, cpuSeconds: 0 })), undefined);
    assert.equal(ratesBetween(sample(5, busy), sample(5, busy)), undefined);
    assert.equal(ratesBetween(sample(9, busy), sample(5, busy)), undefined);
  });

  test('is never negative and always finite', () => {
    const count = fc.nat({ max: 1e12 });
    const counters = fc.record({ commands: count, bytesIn: count, bytesOut: count, cpuSeconds: count });
    const time = fc.nat({ max: 1e9 });
    fc.assert(
      fc.property(counters, counters, counters, time, time, (some, others, own, from, to) => {
        const rates = ratesBetween(sample(from, some), sample(to, others), own);
        for (const rate of Object.values(rates ?? {}))
          assert.ok(rate >= 0 && Number.isFinite(rate), `${rate}`);
      }),
    );
  });
});

describe('lagOf()', () => {
  const replica = sampleOf(REPLICA, 0);
  const master = (offset: number, replicationId = 'feed'): NodeSample => {
    const { link: _, ...details } = replica.details;
    return { ...replica, details: { ...details, offset, replicationId } };
  };

  test('is what the replica lacks, and nothing if it was asked later', () => {
    assert.equal(lagOf(replica, master(1000)), 100);
    assert.equal(lagOf(replica, master(880)), 0);
  });

  test('is unknown of another stream, and without a link', () => {
    assert.equal(lagOf(replica, master(1000, 'other')), undefined);
    assert.equal(lagOf(master(900), master(1000)), undefined);
  });
});
