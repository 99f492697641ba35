import { nodeError } from '../apply/context.ts';
import { look } from '../apply/look.ts';
import { lookSettled } from '../apply/settle.ts';
import { hasCopiedMaster } from '../apply/steps/replicate-master.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeById } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { type FailoverMode, nodeRef } from '../plan/plan.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface FailoverOptions extends OperationOptions {
  /**
   * `graceful`: the master hands over, and no write is lost. `force`: where the master gives no answer, by vote of the other
   * masters. `takeover`: where too few masters live to vote.
   * @default 'graceful'
   */
  readonly mode?: FailoverMode;
}

/**
 * Lets a replica take its master's place; a node that is a master already is left as it is. Resolves when every node that answers
 * holds it for the owner of the slots, and, after a graceful one, its former master for its replica.
 * Before a graceful one, moves that an earlier attempt left open are finished: a failover in their middle may lose keys.
 * Rejects with ClusterError `NODE_UNREACHABLE` where a graceful failover cannot be, or `NOT_REACHED`.
 */
export function failover(replica: ClusterLike, options: FailoverOptions = {}): Promise<OperationResult> {
  const { mode = 'graceful' } = options;
  return withContext(replica, options, async (context) => {
    const seed = seedOf(replica);
    // Where a failover has to be forced the nodes may have no way to agree before.
    let view =
      mode === 'graceful'
        ? await lookSettled(context, seed)
        : await look(context.connections, seed, context.signal);
    const node = nodeById(view, view.seedId);
    // Replicas know of no open slot, and Redis up to 7.0 loses sight of the owner of a slot that it imports, and stops serving.
    if (mode === 'graceful' && node?.role === 'replica') view = await finishOpenSlots(context, view);
    if (!node) throw nodeError('NODES_DISAGREE', seed, `Node ${formatAddress(seed)} is not in its own view`);
    const draft = { operation: 'failover', masters: mastersOf(view) };
    if (node.role === 'master') return carryOut(context, view.nodes, { ...draft, steps: [] });
    const master = masterOf(view, node);
    const isAlive = view.reports.has(master.id);
    if (mode === 'graceful') {
      const name = formatAddress(master.address);
      if (!isAlive) {
        throw nodeError('NODE_UNREACHABLE', name, `Cannot fail over from ${name}: it gives no answer`, {
          hint: 'Without its consent, losing what it has not replicated: --mode force',
        });
      }
      if (!(await hasCopiedMaster(context, seed))) {
        throw nodeError(
          'NOT_REACHED',
          seed,
          `Cannot fail over to ${formatAddress(seed)}: its link to ${name} is down`,
          {
            hint: `See "INFO replication" on ${formatAddress(seed)}; it may still be copying its master`,
          },
        );
      }
    }
    const members = view.nodes.filter(({ id }) => view.reports.has(id) && (isAlive || id !== master.id));
    return carryOut(context, view.nodes, {
      ...draft,
      steps: [
        {
          type: 'failover',
          replica: { ...nodeRef(node), address: formatAddress(seed) },
          master: nodeRef(master),
          mode,
        },
      ],
      expect: {
        members: members.map(nodeRef),
        owners: [{ id: node.id, slots: master.slots }],
        ...(isAlive ? { replicas: [{ id: master.id, masterId: node.id }] } : {}),
        // Other masters may be gone too: that is not for this to mend.
        stateOk: mode === 'graceful',
      },
    });
  });
}

function masterOf(view: ClusterView, { masterId, address }: NodeRecord): NodeRecord {
  const master = masterId === null ? undefined : nodeById(view, masterId);
  if (master) return master;
  const name = formatAddress(address);
  throw nodeError('NODES_DISAGREE', name, `The master of ${name} is not known to the cluster`, {
    hint: 'See what is wrong with: redis-trib check',
  });
}
