import { claimThenLook } from '../apply/look-claimed.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { expandSlots, formatSlots, type SlotRange, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeById, nodeName, openSlotsOf } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import { hasCopied, LINK_MS } from '../nodes/replication.ts';
import {
  followersAfter,
  requireFollowers,
  requireForemost,
  requireOwnSlots,
  requireTakeable,
} from '../nodes/require-promotable.ts';
import { requireMember } from '../nodes/requirements.ts';
import { answersAnything, requireSilentMaster } from '../nodes/silent-master.ts';
import { DONE, growingPause, waitUntil } from '../nodes/wait-until.ts';
import type { OperationOptions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { type FailoverMode, nodeRef } from '../plan/plan.ts';
import { DEFAULTS } from '../settings.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';

export interface FailoverOptions extends OperationOptions {
  /**
   * `graceful`: the master hands over, and no write is lost. `force`: by a vote of the other masters, if the master does not
   * answer. `takeover`: without a vote, if too few masters are alive.
   * @default 'graceful'
   */
  readonly mode?: FailoverMode;
  /**
   * With the modes `force` and `takeover`, replace a master that runs: what only it has is lost. In any mode, go on if others could
   * not follow the new master. @default false
   */
  readonly force?: boolean;
}

/**
 * Promotes a replica to replace its master. Does nothing if the node is a master already. Resolves when every node that
 * answers reports it as the owner of the slots and, after a graceful failover, its former master as its replica.
 * Before a graceful failover, it finishes moves that an earlier run left open: a failover in between may lose keys.
 * Rejects with ClusterError `NODE_UNREACHABLE` if a graceful failover is not possible, `KEYS_IN_DOUBT` if the master runs that the
 * mode would replace without its consent or others serve its slots by now, `NOT_A_MASTER` or `SLOTS_NOT_HELD` if there is nothing to take over, `NOT_IN_CLUSTER` of a
 * node that is alone, `NO_REPLICA` if others could not follow, or `NOT_REACHED`.
 */
export function failover(replica: ClusterLike, options: FailoverOptions = {}): Promise<OperationResult> {
  const { mode = DEFAULTS.failover.mode } = options;
  return withContext(replica, options, async (context) => {
    const seed = seedOf(replica);
    // Before a forced failover, the nodes may be unable to agree.
    let view = await claimThenLook(context, seed, () =>
      mode === 'graceful' ? lookSettled(context, seed) : look(context.connections, seed, context.signal),
    );
    const node = nodeById(view, view.seedId);
    // Replicas of Redis do not know open slots. Up to 7.0, an importing one loses track of the slot's owner and stops serving.
    if (mode === 'graceful' && node?.role === 'replica')
      view = await finishOpenSlots(context, view, undefined, { replicas: true });
    if (!node) throw nodeError('NODES_DISAGREE', seed, `Node ${formatAddress(seed)} is not in its own view`);
    const draft = { operation: 'failover', masters: mastersOf(view) };
    if (node.role === 'master') {
      // A node that was refused as a replica is a master, too: alone, and of nothing.
      requireMember(view, 'It is the replica of no master');
      // Others say so too: they agree who owns the slots.
      return carryOut(context, view.nodes, { ...draft, steps: [] });
    }
    const master = masterOf(view, node);
    requireTakeable(view, node, master, mode);
    const isAlive = view.reports.has(master.id);
    if (mode === 'graceful') {
      requireAnswering(view, seed, master);
      await requireLink(context, view, node, seed, master);
    } else {
      await requireSilentMaster(context, view, seed, master);
      requireOwnSlots(context, view, node, master);
      await requireForemost(context, view, node, master);
      warnOfOpenSlots(context, view, node, master);
    }
    const followers = followersAfter(view, node, master);
    await requireFollowers(context, view, followers, node, isAlive);
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
        owners: [{ id: node.id, slots: mode === 'graceful' ? master.slots : withoutImported(view, master) }],
        replicas: followers.map(({ id }) => ({ id, masterId: node.id })),
        // Other masters may be gone too, but that is not the business of this operation.
        stateOk: mode === 'graceful',
      },
    });
  });
}

function requireAnswering(view: ClusterView, seed: Address, master: NodeRecord): void {
  if (view.reports.has(master.id)) return;
  const name = formatAddress(master.address);
  if (answersAnything(view, master.id)) {
    const { says, hint, next } = wordsOnCondition(view, master.id);
    throw nodeError('NODE_UNREACHABLE', name, `Cannot fail over from ${name}: it ${says}`, { hint, next });
  }
  throw nodeError('NODE_UNREACHABLE', name, `Cannot fail over from ${name}: it does not answer`, {
    hint: 'Without its cooperation, writes that it has not replicated are lost',
    next: [{ do: 'failover', node: formatAddress(seed), options: { mode: 'force' } }],
  });
}

// A node that imports a slot takes no other node for its owner, until that is closed (clusterUpdateSlotsConfigWith).
function withoutImported(view: ClusterView, { slots }: NodeRecord): readonly SlotRange[] {
  const imported = new Set(
    [...openSlotsOf(view)].flatMap(([slot, items]) =>
      items.some(({ direction }) => direction === 'importing') ? [slot] : [],
    ),
  );
  return imported.size === 0 ? slots : toRanges(expandSlots(slots).filter((slot) => !imported.has(slot)));
}

// A master that is down closes no slot, and others would wait for it in vain. Once it is replaced, the move can be finished.
function warnOfOpenSlots(
  { emit }: Context,
  view: ClusterView,
  replica: NodeRecord,
  master: NodeRecord,
): void {
  const ends = new Set([replica.id, master.id]);
  const marked = [...openSlotsOf(view)].filter(([, items]) =>
    items.some(({ nodeId, peer }) => ends.has(nodeId) || ends.has(peer)),
  );
  const own = view.reports.get(replica.id)?.myself.openSlots ?? [];
  const slots = [...new Set([...marked.map(([slot]) => slot), ...own.map(({ slot }) => slot)])];
  if (slots.length === 0) return;
  const [node, name] = [nodeName(view, replica.id), nodeName(view, master.id)];
  const which = slots.length === 1 ? 'Slot' : 'Slots';
  const message = `${which} ${formatSlots(slots.sort((a, b) => a - b))} of ${name} ${slots.length === 1 ? 'is' : 'are'} open: clients of ${node} may not find keys that have moved, and write them again. Repair the slots at once after the failover`;
  emit({ type: 'warning', node, message });
}

async function requireLink(
  context: Context,
  view: ClusterView,
  replica: NodeRecord,
  seed: Address,
  master: NodeRecord,
): Promise<void> {
  const [name, node] = [formatAddress(master.address), formatAddress(seed)];
  const { settings, signal, emit } = context;
  const what = `${node} to have a link to ${name}`;
  const timeoutMs = settings.dryRun ? 0 : Math.min(LINK_MS, settings.agreeTimeout);
  const giveUp = (): Error =>
    nodeError('NOT_REACHED', seed, `Cannot fail over to ${node}: it has no link to ${name}`, {
      hint: `It may still be copying its master: see "INFO replication" on ${node}`,
      next: [{ do: 'replicate', node: nodeName(view, master.id), target: node }],
    });
  await waitUntil({ what, timeoutMs, pauseMs: growingPause(50, 500), signal, emit }, async () =>
    (await hasCopied(context, view, { ...replica, address: seed }, master))
      ? DONE
      : { missing: [`${node} has no link to ${name}`], giveUp },
  );
}

function masterOf(view: ClusterView, { masterId, address }: NodeRecord): NodeRecord {
  const master = masterId === null ? undefined : nodeById(view, masterId);
  if (master) return master;
  const name = formatAddress(address);
  throw nodeError('NODES_DISAGREE', name, `The master of ${name} is not known to the cluster`, {
    next: [{ do: 'check', cluster: name }],
  });
}
