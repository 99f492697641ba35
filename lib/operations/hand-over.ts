import { ConnectionError } from '../../resp/index.ts';
import { ClusterError, messageOf } from '../errors.ts';
import { outOfSync } from '../findings/out-of-sync.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { NodeDetails } from '../model/details.ts';
import { type NodeRecord, slotsOf } from '../model/node.ts';
import { type ClusterView, nodeById, nodeName, recordSeenBy, replicasOf, slotOwners } from '../model/view.ts';
import { eitherSignal } from '../nodes/abort.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { lookWithReplication } from '../nodes/inspect.ts';
import { waitUntil } from '../nodes/wait-until.ts';
import type { OperationOptions } from '../options.ts';
import { toPlan } from '../plan/plan.ts';
import type { OperationResult } from './carry-out.ts';
import { Cluster } from './cluster.ts';
import { failover } from './failover.ts';

const PAUSE_MS = 100;
/** A failover under way stops this long before the time is up, or a fifth of it: no slot stays open. */
const MARGIN_MS = 1000;

/** Time that ends. */
export interface Deadline {
  readonly leftMs: () => number;
  /** What is missing, for the error when the time is up. */
  readonly missing: string[];
  readonly late: () => Error;
}

/** What another look, or another replica, may end. */
const PASSING: readonly unknown[] = [
  'NOT_REACHED',
  'NODE_UNREACHABLE',
  'NODES_DISAGREE',
  'OTHER_OPERATOR',
  'SLOTS_UNCOVERED',
  'OPEN_SLOT',
];

/** Lets a replica of a master take over, the next one if the first does not, until the time is up. */
export async function handOver(
  context: Context,
  seed: Address,
  options: OperationOptions,
  { leftMs, missing, late }: Deadline,
): Promise<OperationResult> {
  const started = performance.now();
  const stop = new AbortController();
  const total = leftMs();
  const timer = setTimeout(() => stop.abort(late()), Math.max(0, total - Math.min(MARGIN_MS, total / 5)));
  const signal = eitherSignal(options.signal, stop.signal);
  const lacks = (texts: readonly string[]): { readonly missing: readonly string[] } => {
    missing.splice(0, missing.length, ...texts);
    return { missing: texts };
  };
  const wait = { what: 'a replica to take over', pauseMs: PAUSE_MS, signal, emit: context.emit };
  const tried = new Map<string, number>();
  try {
    return await waitUntil<OperationResult>(wait, async () => {
      const { view, details } = await lookWithReplication(context.connections, seed, signal);
      const own = nodeById(view, view.seedId);
      const name = formatAddress(seed);
      if (!own || own.role === 'replica' || own.slots.length === 0) {
        const others = own ? stillMasterTo(view, own.id) : [];
        if (others.length > 0)
          return lacks(others.map((other) => `${other} still considers ${name} a master`));
        const done = replacedBy(view, own, performance.now() - started);
        return { done: { ...done, applied: !context.settings.dryRun } };
      }
      const owners = new Set(ownersNow(view, own));
      if (!owners.has(own.id))
        return lacks(
          [...owners].map((id) => `${name} has not heard that ${nodeName(view, id)} owns its slots`),
        );
      const replicas = replicasOf(view, own.id);
      if (replicas.length === 0) {
        throw nodeError('NO_REPLICA', name, `Cannot take the place of ${name}: it has no replica`, {
          next: [{ do: 'replicate', node: name }],
        });
      }
      const ready = successors(view, details, own).sort(
        (a, b) => (tried.get(a.id) ?? 0) - (tried.get(b.id) ?? 0),
      );
      const [replica] = ready;
      if (!replica) {
        const texts = replicas.map((one) => `${nodeName(view, one.id)} ${lacksOf(view, details, one)}`);
        const found = lacks(texts);
        if (context.settings.dryRun) stop.abort(late());
        return found;
      }
      tried.set(replica.id, (tried.get(replica.id) ?? 0) + 1);
      const left = Math.max(0, leftMs());
      try {
        const { wait: patience = left, agreeTimeout = left } = options;
        const how = {
          ...options,
          signal,
          wait: Math.min(patience, left),
          agreeTimeout: Math.min(agreeTimeout, left),
        };
        return { done: await failoverTo(replica.address, how) };
      } catch (error) {
        if (signal.aborted || !isPassing(error)) throw error;
        return lacks([messageOf(error)]);
      }
    });
  } finally {
    clearTimeout(timer);
  }
}

async function failoverTo(replica: Address, options: OperationOptions): Promise<OperationResult> {
  const cluster = new Cluster(replica, options);
  try {
    return await failover(cluster, options);
  } finally {
    // A node that hangs must not keep the process from ending.
    if (options.signal?.aborted) cluster.connections.destroy();
    await cluster.close();
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof ConnectionError) return true;
  return error instanceof ClusterError && PASSING.includes(error.code);
}

/** Replicas that are in sync: first those on another host, and those that would take over on their own, then by their offset. */
export function successors(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
  own: NodeRecord,
): NodeRecord[] {
  const offsetOf = ({ id }: NodeRecord): number => {
    const one = details.get(id);
    return one === undefined || one instanceof Error ? 0 : one.offset;
  };
  const isBarred = ({ flags }: NodeRecord): number => Number(flags.includes('nofailover'));
  const isBeside = ({ address }: NodeRecord): number => Number(address.host === own.address.host);
  return replicasOf(view, own.id)
    .filter((replica) => view.reports.has(replica.id) && outOfSync(view, details, replica) === undefined)
    .sort((a, b) => isBeside(a) - isBeside(b) || isBarred(a) - isBarred(b) || offsetOf(b) - offsetOf(a));
}

function lacksOf(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
  replica: NodeRecord,
): string {
  return view.reports.has(replica.id) ? (outOfSync(view, details, replica) ?? 'is ready') : 'does not answer';
}

/** Ids of the nodes that own the slots of a master by config epoch: others, if it has not heard of a failover yet. */
function ownersNow(view: ClusterView, own: NodeRecord): string[] {
  const owners = slotOwners(view);
  return slotsOf(own).flatMap((slot) => owners[slot] ?? []);
}

/** Addresses of the nodes that take a node for a master with slots. */
function stillMasterTo(view: ClusterView, id: string): string[] {
  return [...view.reports.values()].flatMap(({ myself, address }) => {
    const record = recordSeenBy(view, myself.id, id);
    return record?.role === 'master' && record.slots.length > 0 ? [formatAddress(address)] : [];
  });
}

// Another operator, or the servers, replaced it in the meantime.
function replacedBy(view: ClusterView, own: NodeRecord | undefined, elapsedMs: number): OperationResult {
  const plan = toPlan({ operation: 'step_down', steps: [], masters: [] }, own ? [own] : view.nodes);
  const nothing = { slots: 0, keys: 0, bytes: 0, longestStallMs: 0, keysPerSecond: 0 };
  return { plan, applied: true, ...nothing, elapsedMs };
}
