import { type Context, nodeError } from '../apply/context.ts';
import { namedNode } from '../apply/named-masters.ts';
import { askInfo, numberOf } from '../apply/node-info.ts';
import { inParallel } from '../apply/parallel.ts';
import { lookSettled, requireServing } from '../apply/settle.ts';
import { listNames } from '../model/finding.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeName, replicasOf } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { mastersAmong, planDrain } from '../plan/drain.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { requireMember } from './join-cluster.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface DrainOptions extends OperationOptions {
  /** Moves the slots of masters that have no replica elsewhere to the other masters. @default false: they are refused */
  readonly moveSlots?: boolean;
}

/**
 * Prepares a node, by its id, the beginning of it or its address, or all nodes of a host, for a restart: replicas elsewhere take the
 * place of the masters there, gracefully and one after the other, so that no master with slots is left. Nodes stay members.
 * Rejects with ClusterError `NO_REPLICA` for masters that no replica elsewhere can take the place of, `LAST_NODE`,
 * `SLOTS_UNCOVERED`, `NODE_UNREACHABLE`, `NOT_SAME_CLUSTER` or `AMBIGUOUS_NODE` before anything is changed; what was interrupted is
 * finished by the same call.
 */
export function drain(
  cluster: ClusterLike,
  target: string,
  options: DrainOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    let view = await lookSettled(context, seedOf(cluster));
    requireMember(view);
    const ids = new Set((await nodesMeant(context, view, target)).map(({ id }) => id));
    requireServing(view, `drain ${target}`);
    // A failover in the middle of a move may lose keys: see docs/moving-slots.md.
    view = await finishOpenSlots(context, view);
    const drained = view.nodes.filter(({ id }) => ids.has(id));
    const masters = mastersAmong(drained);
    const heirs = new Map<string, NodeRecord>();
    for (const master of masters) {
      const heir = await heirOf(context, view, master, ids);
      if (heir) heirs.set(master.id, heir);
    }
    const alone = masters.filter(({ id }) => !heirs.has(id));
    if (alone.length > 0) requireTakers(view, alone, ids, heirs.size, options);
    return carryOut(context, view.nodes, planDrain(view, { drained, heirs }));
  });
}

async function nodesMeant(context: Context, view: ClusterView, target: string): Promise<NodeRecord[]> {
  const onHost = view.nodes.filter(
    ({ address, hostname }) => address.host === target || (hostname !== null && hostname === target),
  );
  return onHost.length > 0 ? onHost : [await namedNode(context, view, target)];
}

/** The replica elsewhere that has taken in most of what its master has written. */
async function heirOf(
  context: Context,
  view: ClusterView,
  master: NodeRecord,
  leaving: ReadonlySet<string>,
): Promise<NodeRecord | undefined> {
  const replicas = replicasOf(view, master.id).filter(
    (replica) => view.reports.has(replica.id) && !leaving.has(replica.id) && !isFailed(replica),
  );
  const offsets = await inParallel(replicas, async (replica) => {
    const info = await askInfo(context.connections, replica.address, ['replication']);
    return info.get('master_link_status') === 'up' ? numberOf(info, 'slave_repl_offset') : -1;
  });
  const best = Math.max(...offsets);
  return best < 0 ? undefined : replicas[offsets.indexOf(best)];
}

function requireTakers(
  view: ClusterView,
  alone: readonly NodeRecord[],
  leaving: ReadonlySet<string>,
  heirs: number,
  { moveSlots }: DrainOptions,
): void {
  const names = alone.map(({ id }) => nodeName(view, id));
  const name = names[0] ?? '';
  if (!moveSlots) {
    const have = names.length === 1 ? 'has' : 'have';
    const message = `Cannot drain ${listNames(names)}: ${names.length === 1 ? 'it' : 'they'} ${have} no replica elsewhere that could take over`;
    throw nodeError('NO_REPLICA', name, message, {
      hint: `Give it one first: redis-trib replicate ${name} REPLICA; or move slots to the other masters with --move-slots`,
    });
  }
  const others = view.nodes.some(
    ({ id, role }) => role === 'master' && view.reports.has(id) && !leaving.has(id),
  );
  if (others || heirs > 0) return;
  throw nodeError(
    'LAST_NODE',
    name,
    `Cannot drain ${listNames(names)}: there is no other master to have the slots`,
  );
}
