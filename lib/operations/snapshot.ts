import type { Finding } from '../findings/finding.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeMemory, ReplicaLink } from '../model/details.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { SLOT_COUNT, type SlotRange } from '../model/slot.ts';
import type { ClusterView } from '../model/view.ts';
import { lagOf, type NodeRates } from '../model/vitals.ts';
import type { SlotMove } from '../move/moves-seen.ts';
import type { Poller } from '../nodes/poller.ts';

/** A cluster at one moment, with what its nodes do. Plain data: `JSON.stringify` keeps all of it. */
export interface ClusterSnapshot {
  /** From 1. */
  readonly number: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly intervalMs: number;
  /** What most masters that answer say about it: `fail` if it serves nothing, or not all slots, or if no node answers. */
  readonly state: 'ok' | 'fail';
  /** In the order of their shards, masters before their replicas. */
  readonly nodes: readonly NodeVitals[];
  readonly moves: readonly SlotMove[];
  /** Other operators of this tool that change the cluster, looked for every fifth snapshot. */
  readonly operators: readonly OperatorSeen[];
  /**
   * Of the findings of `check()` those that need no other questions, errors first: made again every fifth snapshot, and when
   * something has changed.
   */
  readonly findings: readonly Finding[];
}

/** Another operator that changes the cluster. */
export interface OperatorSeen {
  /** Name of its connections. */
  readonly name: string;
  /** Where it comes from, as a node sees it. */
  readonly from: string;
  /** Seconds since it connected. */
  readonly ageSeconds: number;
}

/** A node at one moment. What it has not reported is null. */
export interface NodeVitals {
  readonly id: string;
  readonly address: string;
  readonly role: 'master' | 'replica';
  readonly masterId: string | null;
  /**
   * Shards are numbered from 1 in the order of their slots when they are first seen, and keep their numbers. Null for a replica of a
   * node that is not a master.
   */
  readonly shard: number | null;
  readonly slots: readonly SlotRange[];
  /**
   * `late`: it has not answered in time, and what it reported before is shown. `loading`: it reads its data from disk. `down`: it cannot
   * be reached, refuses, or has been silent for five seconds.
   */
  readonly state: 'up' | 'late' | 'loading' | 'down';
  /** Milliseconds since its last answer. */
  readonly silentMs: number | null;
  /** Why it is down. */
  readonly error: string | null;
  /** True if a majority considers it failed. */
  readonly isFailed: boolean;
  /** `Redis 8.6.3`, `Valkey 9.1.2`. */
  readonly version: string | null;
  /** Changes with every start of the server. */
  readonly runId: string | null;
  readonly uptimeSeconds: number | null;
  readonly clients: number | null;
  readonly keys: number | null;
  readonly memory: NodeMemory | null;
  /** Null until there are two samples of one run. Our own questions are not counted. */
  readonly rates: NodeRates | null;
  /** For a replica: its link to its master. */
  readonly link: ReplicaLink['status'] | null;
  /** For a replica with a link: bytes of the replication stream that it has not applied yet. */
  readonly lagBytes: number | null;
}

/** A node and its place in the cluster. */
export interface NodeInShard {
  readonly node: NodeRecord;
  readonly name: string;
  readonly shard: number | null;
  readonly isFailed: boolean;
}

/**
 * The nodes of a view in the order of their shards. A shard keeps the number that its nodes had before, whatever slots it gets and
 * whoever is its master.
 */
export function placesIn(view: ClusterView, before: readonly NodeInShard[]): NodeInShard[] {
  const numbers = new Map(before.map(({ node, shard }) => [node.id, shard]));
  const failed = failedIn(view);
  const placed = (node: NodeRecord, shard: number | null): NodeInShard => {
    const name = node.address.host === '' ? node.id : formatAddress(node.address);
    return { node, name, shard, isFailed: failed.has(node.id) };
  };
  const { shards, strays } = shardsIn(view);
  const taken = new Set<number>();
  const take = (number: number): number => {
    taken.add(number);
    return number;
  };
  const free = (): number => {
    for (let number = 1; ; number++) if (!taken.has(number)) return take(number);
  };
  const known = shards.map((nodes) => {
    const number = nodes.flatMap(({ id }) => numbers.get(id) ?? []).find((one) => !taken.has(one));
    return number === undefined ? undefined : take(number);
  });
  return shards
    .map((nodes, index) => ({ nodes, number: known[index] ?? free() }))
    .sort((a, b) => a.number - b.number)
    .flatMap(({ nodes, number }) => nodes.map((node) => placed(node, number)))
    .concat(strays.map((node) => placed(node, null)));
}

/** Masters in the order of their first slots, each with its replicas, and replicas of nodes that are none. */
function shardsIn({ nodes }: ClusterView): {
  readonly shards: NodeRecord[][];
  readonly strays: NodeRecord[];
} {
  const masters = nodes
    .filter(({ role }) => role === 'master')
    .map((master) => ({ master, first: master.slots[0]?.[0] ?? SLOT_COUNT }))
    // A stable sort: those without slots stay in the order of their addresses.
    .sort((a, b) => a.first - b.first)
    .map(({ master }) => master);
  const byMaster = new Map<string, NodeRecord[]>(masters.map((master) => [master.id, [master]]));
  const strays: NodeRecord[] = [];
  for (const node of nodes) {
    if (node.role === 'replica') (byMaster.get(node.masterId ?? '') ?? strays).push(node);
  }
  return { shards: [...byMaster.values()], strays };
}

function failedIn(view: ClusterView): Set<string> {
  const failed = new Set<string>();
  const seen = new Set<NodeRecord>();
  for (const { myself, records } of view.reports.values()) {
    if (myself.role !== 'master') continue;
    for (const record of records) {
      if (seen.has(record)) continue;
      seen.add(record);
      if (isFailed(record)) failed.add(record.id);
    }
  }
  return failed;
}

/** What a node of these does. */
export function vitalsOf(
  { node: { id, role, masterId, slots }, name, shard, isFailed }: NodeInShard,
  pollers: ReadonlyMap<string, Poller>,
): NodeVitals {
  const poller = pollers.get(id);
  const sample = poller?.sample;
  const master = pollers.get(masterId ?? '')?.sample;
  const answeredMs = poller?.answeredMs;
  return {
    id,
    address: name,
    role,
    masterId,
    shard,
    slots,
    state: stateOf(poller),
    silentMs: answeredMs === undefined ? null : Math.max(0, Math.round(performance.now() - answeredMs)),
    error: poller?.error?.message ?? null,
    isFailed,
    version: sample?.details.version ?? null,
    runId: sample?.details.runId ?? null,
    uptimeSeconds: sample?.uptimeSeconds ?? null,
    clients: sample?.clients ?? null,
    keys: sample?.details.keys ?? null,
    memory: sample?.details.memory ?? null,
    rates: poller?.isBusy ? null : (poller?.rates ?? null),
    link: sample?.details.link?.status ?? null,
    lagBytes: (sample && master && lagOf(sample, master)) ?? null,
  };
}

function stateOf(poller: Poller | undefined): NodeVitals['state'] {
  if (poller?.sample?.details.loading) return 'loading';
  if (!poller || poller.error !== undefined || !poller.address) return 'down';
  return poller.isBusy ? 'late' : 'up';
}
