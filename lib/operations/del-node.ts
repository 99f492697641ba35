import { claimThenLook } from '../apply/look-claimed.ts';
import { ClusterError, retold } from '../errors.ts';
import { formatAddress, parseAddress } from '../model/address.ts';
import { shorten } from '../model/lists.ts';
import { countSlots, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeById, nodeName, slotOwners, slotsLeftTo } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { nodeError } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import { namedNode } from '../nodes/named-masters.ts';
import { askNewcomer, isAcquainted } from '../nodes/newcomer.ts';
import { requireAnswers, requireMember, requireServing } from '../nodes/requirements.ts';
import type { OperationOptions } from '../options.ts';
import { planDelNode } from '../plan/del-node.ts';
import { dissolving } from '../plan/dissolving.ts';
import { nodeRef } from '../plan/plan.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { hasLeftAlready } from './left-already.ts';
import { notEmptied, requireGone, requireNoMoveWith, warnOfMissingReset, warnOfUntold } from './removable.ts';

export interface DelNodeOptions extends OperationOptions {
  /** Move the node's slots to the other masters first. @default false: a master with slots is refused */
  readonly drain?: boolean;
  /** Remove a node that does not answer even if the cluster does not consider it failed. @default false */
  readonly force?: boolean;
}

/**
 * Removes a node, alive or dead, named by its id, a prefix of it, or its address. Its replicas go to the master with the
 * fewest, every node forgets it, and it is reset (hard) if it answers.
 * Before anything is changed, rejects with ClusterError `NODE_NOT_EMPTY` for a master with slots (see `drain`), `LAST_NODE`,
 * `KEYS_IN_DOUBT` for a replica that has the last copy of keys (see `force`), `NODE_UNREACHABLE`, `NOT_SAME_CLUSTER` or `AMBIGUOUS_NODE`. The same call finishes an interrupted run, and does nothing if the
 * node is known to have left already.
 */
export function delNode(
  cluster: ClusterLike,
  node: string,
  options: DelNodeOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const seed = seedOf(cluster);
    const first = await claimThenLook(context, seed, () => look(context.connections, seed, context.signal));
    if (await hasLeftAlready(context, first, node))
      return carryOut(context, first.nodes, { operation: 'del_node', masters: [], steps: [] });
    requireMember(first);
    let [view, found] = [first, await findNode(context, first, node)];
    if (!('forgotten' in found)) {
      view = await lookSettled(context, first.seed, found.id);
      // A Valkey that was forgotten introduces itself again. If that was ended in the meantime, it is not dead for that.
      found = nodeById(view, found.id) ?? (await findNode(context, view, formatAddress(found.address)));
    }
    if ('forgotten' in found) {
      const ref = nodeRef(found.forgotten);
      const steps = [{ type: 'reset' as const, node: ref }];
      return carryOut(context, [...view.nodes, found.forgotten], {
        operation: 'del_node',
        masters: [],
        steps,
      });
    }
    let leaver = found;
    const isAlive = view.reports.has(leaver.id);
    await requireSafeToRemove(context, view, leaver, options);
    // Finish an earlier run even if a replica of the node has taken over its slots since.
    if (options.drain && isAlive) {
      view = await finishOpenSlots(context, view, leaver.id);
      leaver = nodeById(view, leaver.id) ?? leaver;
      if (leaver.slots.length > 0)
        requireServing(view, `move the slots of ${nodeName(view, leaver.id)} away`);
    }
    const unreachable = new Map([...view.unreachable].filter(([id]) => id !== leaver.id));
    if (!context.settings.force)
      requireAnswers({ ...view, unreachable }, `take ${nodeName(view, leaver.id)} out`);
    for (const id of view.unreachable.keys()) {
      if (id === leaver.id) continue;
      const message = `${nodeName(view, id)} does not answer and cannot be told to forget ${nodeName(view, leaver.id)}`;
      context.emit({ type: 'warning', node: nodeName(view, id), message });
    }
    const result = await carryOut(context, view.nodes, planDelNode(view, leaver));
    if (!result.applied) return result;
    warnOfMissingReset(context, view, leaver);
    warnOfUntold(context, view, leaver);
    return result;
  });
}

// A node that all others forgot, but that an interrupted run did not reset, can be found only by its address.
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
    context.signal?.throwIfAborted();
    if (!newcomer) throw nobodyThere(view, name, error);
    if (!isAcquainted(newcomer, view)) throw error;
    const { myself, address } = newcomer.report;
    return { forgotten: { ...myself, slots: [], address: { ...myself.address, ...address } } };
  }
}

// It may be listed at another address than the one that was given.
function nobodyThere(view: ClusterView, name: string, error: ClusterError): ClusterError {
  const silent = [...view.unreachable.keys()].map((id) => `${nodeName(view, id)} (${id})`);
  if (silent.length === 0) return error;
  const which = shorten(silent, SHOWN, 'node').join(', ');
  return retold(
    error,
    { hint: `These members do not answer: ${which}. If one of them is meant, name it by its id` },
    `No member is at ${name}, and nothing answers there: it has left already, or is listed at another address`,
  );
}

const SHOWN = 5;

async function requireSafeToRemove(
  context: Context,
  view: ClusterView,
  leaver: NodeRecord,
  { drain, force }: DelNodeOptions,
): Promise<void> {
  const name = nodeName(view, leaver.id);
  const isAlive = view.reports.has(leaver.id);
  if (!force) requireGone(view, leaver);
  await requireNoMoveWith(context, view, leaver);
  const others = view.nodes.filter(
    ({ id, role }) => id !== leaver.id && role === 'master' && view.reports.has(id),
  );
  if (others.length === 0) {
    throw nodeError('LAST_NODE', name, `This is the last node: ${name} has no other master beside it`, {
      hint: 'To dissolve the cluster, empty it first',
      next: dissolving(view, leaver.id),
    });
  }
  // A replica may be the only one that knows of its master's slots. Once the master is forgotten, no node would own them.
  const slots = isAlive ? countSlots(leaver) : slotsLeftTo(view, leaver.id).length;
  const owns = isAlive ? slotOwners(view).includes(leaver.id) : slots > 0;
  if (!owns || (isAlive && drain)) return;
  throw notEmptied(view, leaver, slots);
}
