import type { Finding } from '../../lib/findings/finding.ts';
import type { ClusterSnapshot, NodeVitals } from '../../lib/operations/snapshot.ts';
import { idOf } from './views.ts';

const GB = 1024 ** 3;

/** A node that is well, and busy by its number. */
export function madeUpNode(number: number, changes: Partial<NodeVitals> = {}): NodeVitals {
  return {
    id: idOf(number),
    address: `10.0.0.${number}:7000`,
    role: 'master',
    masterId: null,
    shard: number,
    slots: [],
    state: 'up',
    silentMs: 0,
    error: null,
    isFailed: false,
    version: 'Redis 8.6.3',
    runId: idOf(1000 + number),
    uptimeSeconds: 86_400 * 41,
    clients: 100 + number,
    keys: Math.round(13_700_000 / number),
    memory: {
      used: (11 / number) * GB,
      counted: (11 / number) * GB,
      max: 16 * GB,
      policy: 'noeviction',
    },
    rates: {
      opsPerSecond: 41_000 / number,
      bytesInPerSecond: 22_000_000 / number,
      bytesOutPerSecond: 61_000_000 / number,
      cores: 0.38 / number,
    },
    link: null,
    lagBytes: null,
    ...changes,
  };
}

/** So many masters with equal shares of the slots, each with one replica. */
export function madeUpSnapshot(shards: number, changes: Partial<ClusterSnapshot> = {}): ClusterSnapshot {
  const at = (part: number): number => Math.floor((part * 16_384) / shards);
  const nodes = Array.from({ length: shards }, (_, index) => {
    const shard = index + 1;
    const master = madeUpNode(shard, { shard, slots: [[at(index), at(index + 1) - 1]] });
    const { rates } = madeUpNode(shard);
    const replica = madeUpNode(shards + shard, {
      ...{ shard, role: 'replica', masterId: master.id, link: 'up', lagBytes: shard === 2 ? 3_400_000 : 0 },
      ...{ keys: master.keys, memory: master.memory },
      rates: rates && { ...rates, opsPerSecond: 900, bytesOutPerSecond: 12, cores: 0.04 },
    });
    return [master, replica];
  }).flat();
  return {
    ...{ number: 7, at: '2026-03-04T12:04:31.000Z', intervalMs: 1000, state: 'ok' },
    ...{ nodes, moves: [], operators: [], findings: [] },
    ...changes,
  };
}

export function madeUpFinding(
  severity: Finding['severity'],
  kind: Finding['kind'],
  message: string,
  nodes: readonly string[] = ['10.0.0.1:7000'],
): Finding {
  return { severity, kind, message, nodes };
}
