import { type Context, nodeError } from '../apply/context.ts';
import { lackingFunctions } from '../apply/functions.ts';
import { askNewcomer, isAcquainted, requireFresh, requireNoKeys } from '../apply/newcomer.ts';
import { lookSettled } from '../apply/settle.ts';
import { findStrayKeys } from '../apply/stray-keys.ts';
import { ClusterError, messageOf } from '../errors.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { failedNodes } from '../model/findings.ts';
import { expandSlots, formatSlots } from '../model/slot.ts';
import { type ClusterView, nodeName, openSlotsOf, replicasOf, slotOwners } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { type Draft, nodeRef } from '../plan/plan.ts';
import { planRescue } from '../plan/rescue.ts';
import { nodesOf } from './join-cluster.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface RescueOptions extends OperationOptions {
  /**
   * Counts masters as lost that give no answer though the cluster has not declared them failed, as where too few masters
   * live to declare it. Their keys are lost for good.
   * @default false
   */
  readonly force?: boolean;
}

/**
 * Gives the slots that no living master serves to a fresh node. The keys of these slots are lost; nothing is done where
 * every slot is served. Rejects with ClusterError before anything is changed where a master is only slow (`NODE_UNREACHABLE`),
 * has a living replica that holds its keys (`HAS_REPLICAS`), or where another master holds keys of these slots, which nobody
 * would find any more (`KEYS_IN_DOUBT`).
 */
export function rescueCluster(
  cluster: ClusterLike,
  node: AddressLike,
  options: RescueOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const seed = seedOf(cluster);
    const newcomer = await askNewcomer(context, parseAddress(node));
    const { myself } = newcomer.report;
    const name = formatAddress(parseAddress(node));
    const view = await lookSettled(context, seed, myself.id);
    if (view.seedId === myself.id)
      throw nodeError('SAME_NODE', name, `Same node: ${name} cannot rescue itself`);
    const lost = new Set(options.force ? view.unreachable.keys() : failedNodes(view));
    if (!options.force) requireCertainty(view, lost);
    requireNoLivingReplica(view, lost);
    const taker = nodeRef({ id: myself.id, address: { ...myself.address, ...parseAddress(node) } });
    const plan = planRescue(view, taker, lost);
    const members = [
      ...view.nodes.filter(({ id }) => view.reports.has(id) && id !== taker.id).map(nodeRef),
      taker,
    ];
    // An interrupted run may have given all slots already, and not seen to it that all know.
    const isMember = isAcquainted(newcomer, view);
    const nodes = nodesOf({ view, newcomer });
    if (plan.steps.length === 0)
      return carryOut(context, nodes, isMember ? { ...plan, expect: { members } } : plan);
    requireNobodys(view, plan);
    if (!isMember) {
      requireFresh(newcomer);
      requireNoKeys(newcomer);
    }
    await requireNoKeysLeft(context, view, plan, taker.id, options.force === true);
    const owners = plan.steps.flatMap((step) =>
      step.type === 'take-slots' ? [{ id: taker.id, slots: step.slots }] : [],
    );
    const functions = await lackingFunctions(context, plan.masters, taker);
    const steps = [...functions, ...plan.steps];
    return carryOut(context, nodes, { ...plan, steps, expect: { members, owners } });
  });
}

function requireCertainty(view: ClusterView, lost: ReadonlySet<string>): void {
  for (const [id, error] of view.unreachable) {
    if (lost.has(id)) continue;
    const name = nodeName(view, id);
    throw nodeError(
      'NODE_UNREACHABLE',
      name,
      `Cannot rescue: ${name} gives no answer, but the cluster does not hold it for failed: ${messageOf(error)}`,
      {
        hint: 'It may only be slow. Wait until it is declared failed; if too few masters live to declare it, use --force: its keys are lost then',
        cause: error,
      },
    );
  }
}

// A slot that nobody owns may be on its way, and its keys with the node that imports it.
function requireNobodys(view: ClusterView, { steps }: Draft): void {
  const open = openSlotsOf(view);
  const between = steps
    .flatMap((step) => (step.type === 'take-slots' && step.from.length === 0 ? expandSlots(step.slots) : []))
    .filter((slot) => open.has(slot));
  if (between.length === 0) return;
  throw new ClusterError('OPEN_SLOT', `Cannot rescue: slots ${formatSlots(between)} are open`, {
    openSlots: between,
    hint: `Finish the move first with: redis-trib fix ${formatAddress(view.seed)}`,
  });
}

// A replica that has not taken over yet holds the keys that a rescue would give up.
function requireNoLivingReplica(view: ClusterView, lost: ReadonlySet<string>): void {
  const owners = new Set(slotOwners(view));
  for (const id of lost) {
    const replica = owners.has(id) ? replicasOf(view, id).find((one) => view.reports.has(one.id)) : undefined;
    if (!replica) continue;
    const [name, master] = [formatAddress(replica.address), nodeName(view, id)];
    throw nodeError(
      'HAS_REPLICAS',
      name,
      `Cannot rescue: ${name}, a replica of ${master}, is alive and holds its keys`,
      {
        hint: `Wait for its failover, or let it take over: redis-trib failover ${name} --mode force, or --mode takeover where too few masters live to vote`,
      },
    );
  }
}

/**
 * Keys of a slot that are on a living master are what is left of it: with another owner no client would find them, and a later
 * `fix` could take them for stale. Some that a node does not show may be of such a slot: it is waited until they are gone.
 */
async function requireNoKeysLeft(
  { connections }: Context,
  view: ClusterView,
  { steps }: Draft,
  takerId: string,
  force: boolean,
): Promise<void> {
  const takes = steps.flatMap((step) => (step.type === 'take-slots' ? [step] : []));
  const isLost = new Map(
    takes.flatMap(({ slots, from }) => expandSlots(slots).map((slot) => [slot, from.length > 0])),
  );
  const seed = formatAddress(view.seed);
  const found = await findStrayKeys(connections, view, { unveil: true });
  const holders = found
    .filter(({ id }) => id !== takerId)
    .map(({ id, counts, hidden }) => {
      const mine = [...counts].filter(([slot]) => isLost.has(slot));
      const slots = mine.map(([slot]) => slot);
      return {
        name: nodeName(view, id),
        slots,
        keys: mine.reduce((sum, [, count]) => sum + count, 0),
        hidden,
      };
    });
  const holding = holders.filter(({ keys }) => keys > 0);
  const [first] = holding;
  if (first) {
    const each = holding.map(
      ({ name, slots, keys }) => `${name} holds ${keys} keys of slots ${formatSlots(slots)}`,
    );
    const ofFailed = holding.some(({ slots }) => slots.some((slot) => isLost.get(slot)));
    const flags = `${ofFailed ? ' --with-unreachable-masters' : ''}${ofFailed && force ? ' --force' : ''}`;
    throw nodeError(
      'KEYS_IN_DOUBT',
      first.name,
      `Cannot rescue: ${each.join(', ')}, which clients would not find`,
      {
        hint: `Give these slots to who holds their keys: redis-trib fix ${seed}${flags}`,
      },
    );
  }
  const veiled = holders.find(({ hidden }) => hidden > 0);
  if (!veiled || force) return;
  throw nodeError(
    'KEYS_IN_DOUBT',
    veiled.name,
    `Cannot rescue: ${veiled.name} holds ${veiled.hidden} keys of slots it does not own which it does not show`,
    { hint: 'It may be deleting them: run the same command again when it is done' },
  );
}
