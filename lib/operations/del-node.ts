import type { Context } from '../apply/context.ts';
import { nodeError } from '../apply/context.ts';
import { look } from '../apply/look.ts';
import { namedNode } from '../apply/named-masters.ts';
import { askNewcomer, isAcquainted } from '../apply/newcomer.ts';
import { lookSettled, requireAnswers, requireServing } from '../apply/settle.ts';
import { ClusterError } from '../errors.ts';
import { formatAddress, parseAddress } from '../model/address.ts';
import { failedNodes } from '../model/findings.ts';
import { countSlots, isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeById, nodeName, replicasOf, slotOwners } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { planDelNode } from '../plan/del-node.ts';
import { nodeRef } from '../plan/plan.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { isGhost } from './ghosts.ts';
import { requireMember } from './join-cluster.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface DelNodeOptions extends OperationOptions {
  /** Moves the node's slots to the other masters first. @default false: a master with slots is refused */
  readonly drain?: boolean;
  /** Takes a node out that gives no answer, though the cluster does not hold it for failed. @default false */
  readonly force?: boolean;
}

/**
 * Takes a node out, alive or dead, by its id, the beginning of it, or its address: its replicas are given to the master with
 * fewest, every node forgets it, and it is reset hard if it answers.
 * Rejects with ClusterError `NODE_NOT_EMPTY` for a master with slots (see `drain`), `LAST_NODE`, `NODE_UNREACHABLE`, `NOT_SAME_CLUSTER`
 * or `AMBIGUOUS_NODE` before anything is changed; what was interrupted is finished by the same call.
 */
export function delNode(
  cluster: ClusterLike,
  node: string,
  options: DelNodeOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const first = await look(context.connections, seedOf(cluster), context.signal);
    requireMember(first);
    const found = await findNode(context, first, node);
    if ('forgotten' in found) {
      const ref = nodeRef(found.forgotten);
      const steps = [{ type: 'reset' as const, node: ref }];
      return carryOut(context, [...first.nodes, found.forgotten], {
        operation: 'del_node',
        masters: [],
        steps,
      });
    }
    let view = await lookSettled(context, first.seed, found.id);
    let leaver = nodeById(view, found.id) ?? found;
    const isAlive = view.reports.has(leaver.id);
    requireLeavable(view, leaver, options);
    // What an earlier run has begun is finished also where the node has lost its slots to a replica of its own since.
    if (options.drain && isAlive) {
      view = await finishOpenSlots(context, view, leaver.id);
      leaver = nodeById(view, leaver.id) ?? leaver;
      if (leaver.slots.length > 0)
        requireServing(view, `move the slots of ${nodeName(view, leaver.id)} away`);
    }
    const unreachable = new Map([...view.unreachable].filter(([id]) => id !== leaver.id));
    if (!options.force) requireAnswers({ ...view, unreachable }, `take ${nodeName(view, leaver.id)} out`);
    for (const id of view.unreachable.keys()) {
      if (id === leaver.id) continue;
      const message = `${nodeName(view, id)} gives no answer and cannot be told to forget ${nodeName(view, leaver.id)}`;
      context.emit({ type: 'warning', node: nodeName(view, id), message });
    }
    return carryOut(context, view.nodes, planDelNode(view, leaver));
  });
}

// One that all have forgotten and that an interrupted run did not reset any more is found by its address alone.
async function findNode(
  context: Context,
  view: ClusterView,
  name: string,
): Promise<NodeRecord | { readonly forgotten: NodeRecord }> {
  try {
    return await namedNode(context, view, name);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'NOT_SAME_CLUSTER' || !name.includes(':'))
      throw error;
    const newcomer = await askNewcomer(context, parseAddress(name)).catch(() => undefined);
    if (!newcomer || !isAcquainted(newcomer, view)) throw error;
    const { myself, address } = newcomer.report;
    return { forgotten: { ...myself, slots: [], address: { ...myself.address, ...address } } };
  }
}

function requireLeavable(view: ClusterView, leaver: NodeRecord, { drain, force }: DelNodeOptions): void {
  const name = nodeName(view, leaver.id);
  const isAlive = view.reports.has(leaver.id);
  if (!isAlive && !force && !isGhost(view, leaver) && !failedNodes(view).includes(leaver.id)) {
    throw nodeError(
      'NODE_UNREACHABLE',
      name,
      `Cannot take ${name} out: it gives no answer, but the cluster does not hold it for failed`,
      {
        hint: 'It may only be slow. Wait until it is declared failed, or use --force',
      },
    );
  }
  const others = view.nodes.filter(
    ({ id, role }) => id !== leaver.id && role === 'master' && view.reports.has(id),
  );
  if (others.length === 0) {
    throw nodeError('LAST_NODE', name, `This is the last node: ${name} has no other master beside it`, {
      hint: `To end the cluster, empty it and run: redis-trib shutdown ${name}`,
    });
  }
  const owns = slotOwners(view).includes(leaver.id);
  if (!owns || (isAlive && drain)) return;
  const slots = countSlots(leaver);
  const living = replicasOf(view, leaver.id).find(({ id }) => view.reports.has(id));
  const hint = isAlive
    ? 'Move them away first with --drain'
    : living
      ? `Let its replica take over first: redis-trib failover ${formatAddress(living.address)} --mode force`
      : 'Give them to a new node first with: redis-trib rescue; their keys are lost';
  throw nodeError(
    'NODE_NOT_EMPTY',
    name,
    `Node ${name} is not empty: it ${isFailed(leaver) || !isAlive ? 'has failed and ' : ''}owns ${slots} slots`,
    { hint },
  );
}
