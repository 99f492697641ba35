import { claim } from '../apply/claim.ts';
import { ClusterError, invalidArgument } from '../errors.ts';
import { introducing } from '../findings/condition-words.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { countSlots } from '../model/node.ts';
import { nameSlots, SLOT_COUNT } from '../model/slot.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { lookScattered, type Scattered } from '../nodes/look-for-rejoin.ts';
import { askNodeTimeouts, unevenTimeouts } from '../nodes/node-timeout.ts';
import { requireMember } from '../nodes/requirements.ts';
import type { OperationOptions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import { losersIn, planRejoin } from '../plan/rejoin.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { withContext } from './cluster.ts';

/** Options of `rejoinCluster()`. */
export interface RejoinOptions extends OperationOptions {
  /**
   * Leave `cluster-node-timeout` alone. If the cluster does not serve, it is otherwise set to two seconds on every member until it does, and
   * then to what it was; a run that is killed leaves it so. With the default of 15 seconds, the cluster serves after half a minute
   * instead of within ten seconds. @default false
   */
  readonly keepTimeout?: boolean;
}

/**
 * Introduces members of a cluster to one another again, at the addresses where they are now: after addresses have changed or were
 * swapped, or a member was forgotten by some. Gives replicas the new address of their master. No slot changes its owner.
 *
 * Every member must be at one of these addresses, or where others list it. Rejects with ClusterError `NOT_SAME_CLUSTER` if a node
 * at these addresses is not a member, `AMBIGUOUS_NODE` if two servers answer with one id, `NODE_UNREACHABLE` if a member is not found, and
 * `NODES_DISAGREE` if a member claims slots that others own by now. `force` leaves out members that are not found.
 */
export function rejoinCluster(
  addresses: readonly AddressLike[],
  options: RejoinOptions = {},
): Promise<OperationResult> {
  const [first, ...others] = new Map(
    addresses.map((one) => {
      const address = parseAddress(one);
      return [formatAddress(address), address] as const;
    }),
  ).values();
  if (!first) throw invalidArgument('Name at least one node of the cluster');
  return withContext(first, options, async (context) => {
    const all = [first, ...others] as const;
    const nodes = all.map((address) => ({ address: formatAddress(address) }));
    if (!context.settings.dryRun) await claim(context, nodes);
    let seen = await lookScattered(context, all);
    // Claimed before the look that is planned from.
    while (!context.settings.dryRun && (await claim(context, mastersOf(seen.view))))
      seen = await lookScattered(context, all);
    requireMember(seen.view);
    requireOthers(seen.view);
    requireNoLoss(context, seen);
    const members = seen.view.nodes.filter(({ id }) => seen.view.reports.has(id)).map(nodeRef);
    const message = unevenTimeouts(await askNodeTimeouts(context, members));
    if (message !== undefined) context.emit({ type: 'warning', message });
    return carryOut(
      context,
      seen.view.nodes,
      planRejoin(seen.view, seen.details, options.keepTimeout !== true),
    );
  });
}

// A member that has forgotten all others cannot say where they are.
function requireOthers({ nodes, seed }: ClusterView): void {
  const [node, ...others] = nodes;
  if (!node || others.length > 0 || countSlots(node) === SLOT_COUNT) return;
  const name = formatAddress(seed);
  throw nodeError(
    'NODE_UNREACHABLE',
    name,
    `Node ${name} lists no other node, and owns only some of the slots`,
    {
      hint: 'Nothing was changed',
      next: [introducing(name)],
    },
  );
}

// A server deletes the keys of slots that it loses (clusterUpdateSlotsConfigWith).
function requireNoLoss({ settings, emit }: Context, { view }: Scattered): void {
  for (const { id, by, slots, isSucceeded } of losersIn(view)) {
    const [node, owner] = [nodeName(view, id), nodeName(view, by)];
    const message = `${node} claims ${nameSlots(slots)}, which ${owner} owns by now`;
    if (isSucceeded) {
      emit({
        type: 'warning',
        node,
        message: `${message}: it was its replica and took its place. ${node} follows it as soon as they find one another`,
      });
      continue;
    }
    if (settings.force) {
      emit({ type: 'warning', node, message: `${message}: it deletes their keys; continuing anyway` });
      continue;
    }
    throw new ClusterError('NODES_DISAGREE', `${message}: it would delete the keys that it has of them`, {
      address: node,
      hint: 'Nothing was changed. Save what it holds of these slots first, or leave it out',
      next: [{ do: 'retry', options: { force: true }, when: 'anyway' }],
    });
  }
}
