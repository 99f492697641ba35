import { admit } from '../apply/admit.ts';
import { claimThenLook } from '../apply/look-claimed.ts';
import { giveNewId } from '../apply/new-id.ts';
import { ClusterError } from '../errors.ts';
import { takeovers, wordsOnCondition } from '../findings/condition-words.ts';
import { type Address, type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { conditionOf, lostNodes } from '../model/condition.ts';
import { openOn } from '../model/holders.ts';
import { expandSlots, nameSlots, slotsAre } from '../model/slot.ts';
import { type ClusterView, nodeName, openSlotsOf, slotOwners } from '../model/view.ts';
import { askUnveiled } from '../move/set-slot.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { lackingFunctions } from '../nodes/functions.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import { askNewcomer, besideMember, isAcquainted, requireFresh, requireNoKeys } from '../nodes/newcomer.ts';
import { notAMaster, requireAddress } from '../nodes/requirements.ts';
import { findStrayKeys } from '../nodes/stray-keys.ts';
import { hearsUnlisted } from '../nodes/unlisted-nodes.ts';
import type { OperationOptions } from '../options.ts';
import { type Draft, nodeRef } from '../plan/plan.ts';
import { planRescue } from '../plan/rescue.ts';
import { mayBeForgotten } from '../plan/uncovered.ts';
import { unservedSlots } from '../plan/unserved.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { membersAndNewcomer } from './joining.ts';
import { warningOfLoss } from './warn-of-loss.ts';

export interface RescueOptions extends OperationOptions {
  /**
   * Treat masters that do not answer as lost even if the cluster has not declared them failed, for example because too few
   * masters are alive to do so. Their keys are lost for good.
   * @default false
   */
  readonly force?: boolean;
  /** More addresses to ask at: a living master that all others have forgotten is found then. @default none */
  readonly elsewhere?: readonly AddressLike[];
}

/**
 * Gives the slots that no living master serves to a fresh node. The keys of these slots are lost. Does nothing if every
 * slot is served. Before anything is changed, rejects with a ClusterError if a master may only be slow (`NODE_UNREACHABLE`),
 * has a living replica with its keys (`HAS_REPLICAS`), if another master holds keys of these slots, which no client
 * could reach any more (`KEYS_IN_DOUBT`), if a node that no member lists may serve them (`SLOTS_UNCOVERED`), or if the node is a replica (`NOT_A_MASTER`).
 */
export function rescueCluster(
  cluster: ClusterLike,
  node: AddressLike,
  options: RescueOptions = {},
): Promise<OperationResult> {
  const elsewhere = (options.elsewhere ?? []).map(parseAddress);
  return withContext(cluster, options, (context) => rescue(context, seedOf(cluster), node, elsewhere));
}

async function rescue(
  context: Context,
  seed: Address,
  node: AddressLike,
  elsewhere: readonly Address[],
): Promise<OperationResult> {
  const address = parseAddress(node);
  const look = async () => {
    const asked = await besideMember(context, seed, address, () => askNewcomer(context, address));
    const { id } = asked.report.myself;
    return { newcomer: asked, view: await lookSettled(context, seed, id, undefined, elsewhere) };
  };
  const { newcomer, view } = await claimThenLook(context, seed, look, [address]);
  const { myself } = newcomer.report;
  const name = formatAddress(address);
  if (view.seedId === myself.id)
    throw nodeError('SAME_NODE', name, `Same node: ${name} cannot rescue itself`);
  const { force } = context.settings;
  const lost = new Set(lostNodes(view, force));
  if (!force) requireCertainty(view, lost);
  requireNoKeeper(view, lost);
  const taker = nodeRef({ id: myself.id, address: { ...myself.address, ...parseAddress(node) } });
  const plan = planRescue(view, taker, lost);
  const members = [
    ...view.nodes.filter(({ id }) => view.reports.has(id) && id !== taker.id).map(nodeRef),
    taker,
  ];
  // An interrupted run may have assigned all slots without waiting until all nodes know.
  const isMember = isAcquainted(newcomer, view);
  const nodes = membersAndNewcomer({ view, newcomer });
  if (plan.steps.length === 0) requireOwnersAnswer(view);
  if (plan.steps.length === 0)
    return carryOut(context, nodes, isMember ? { ...plan, expect: { members } } : plan);
  if (myself.role === 'replica')
    throw notAMaster(
      name,
      `Cannot give lost slots to ${name}`,
      'Name a master, or a node that is in no cluster',
    );
  requireNobodys(view, plan);
  if (!isMember) {
    requireFresh(newcomer);
    requireAddress(newcomer.report, 'rescue');
    requireNoKeys(newcomer);
  }
  await requireNoKeysLeft(context, view, plan, taker.id, force);
  if (!force) await requireNoForgotten(context, view, lost);
  const admitted = isMember ? undefined : await admit(context, { node: taker, masters: plan.masters });
  if (!isMember && (await giveNewId(context, newcomer.report, [...view.reports.values()])))
    return rescue(context, seed, node, elsewhere);
  const owners = plan.steps.flatMap((step) =>
    step.type === 'take-slots' ? [{ id: taker.id, slots: step.slots }] : [],
  );
  const functions = admitted ?? (await lackingFunctions(context, plan.masters, taker));
  const steps = [...functions, ...plan.steps];
  const draft = { ...plan, steps, expect: { members, owners } };
  return warningOfLoss(context, steps, () => carryOut(context, nodes, draft));
}

function requireCertainty(view: ClusterView, lost: ReadonlySet<string>): void {
  for (const [id, error] of view.unreachable) {
    if (lost.has(id)) continue;
    throw notGone(view, id, error, true);
  }
}

// With force, others may have a link to it: then its slots are served, but we cannot tell that they will be.
function requireOwnersAnswer(view: ClusterView): void {
  const absent = slotOwners(view).find((owner) => owner !== undefined && !view.reports.has(owner));
  if (absent !== undefined) throw notGone(view, absent, view.unreachable.get(absent), false);
}

function notGone(view: ClusterView, id: string, cause: Error | undefined, mayForce: boolean): ClusterError {
  const name = nodeName(view, id);
  const { says, hint, next } = wordsOnCondition(view, id);
  const isSilent = conditionOf(view, id).kind === 'silent';
  return nodeError('NODE_UNREACHABLE', name, `Cannot rescue: ${name} ${says}`, {
    hint: isSilent ? 'It may only be slow. If it is given up, its keys are lost' : hint,
    next:
      isSilent && mayForce
        ? [
            { do: 'wait', when: 'declared-failed' },
            { do: 'retry', options: { force: true }, when: 'never-declared-failed' },
          ]
        : next,
    cause,
  });
}

// A slot without an owner may be in the middle of a move, with its keys on the importing node.
function requireNobodys(view: ClusterView, { steps }: Draft): void {
  const open = openSlotsOf(view);
  const between = steps
    .flatMap((step) => (step.type === 'take-slots' && step.from.length === 0 ? expandSlots(step.slots) : []))
    .filter((slot) => open.has(slot));
  if (between.length === 0) return;
  const where = openOn(view, between).join(' and ');
  throw new ClusterError('OPEN_SLOT', `Cannot rescue: ${slotsAre(between)} open on ${where}`, {
    openSlots: between,
    next: [{ do: 'fix', cluster: formatAddress(view.seed) }],
  });
}

// A living master that all others have forgotten may serve the slots that no node owns.
async function requireNoForgotten(
  context: Context,
  view: ClusterView,
  lost: ReadonlySet<string>,
): Promise<void> {
  const unowned = unservedSlots(view, lost).flatMap(({ slot, owner }) => (owner === undefined ? [slot] : []));
  if (unowned.length === 0 || !(await hearsUnlisted(context, view))) return;
  const { reason, ...advice } = mayBeForgotten(formatAddress(view.seed));
  throw new ClusterError('SLOTS_UNCOVERED', `Cannot rescue ${nameSlots(unowned)}: ${reason}`, advice);
}

// A master that is not gone has its keys, and so has a replica that has not taken over yet.
function requireNoKeeper(view: ClusterView, lost: ReadonlySet<string>): void {
  const kept = unservedSlots(view, lost).find(({ keeper }) => keeper !== undefined);
  const { owner, keeper } = kept ?? {};
  if (owner === undefined || keeper === undefined) return;
  if (owner === keeper) throw notGone(view, owner, view.unreachable.get(owner), false);
  const [name, master] = [nodeName(view, keeper), nodeName(view, owner)];
  if (!view.reports.has(keeper)) {
    const { says, ...advice } = wordsOnCondition(view, keeper);
    const message = `Cannot rescue: ${name}, a replica of ${master}, may hold its keys: it ${says}`;
    throw nodeError('HAS_REPLICAS', name, message, advice);
  }
  throw nodeError(
    'HAS_REPLICAS',
    name,
    `Cannot rescue: ${name}, a replica of ${master}, is alive and holds its keys`,
    { next: [{ do: 'wait', when: 'elected' }, ...takeovers(view, keeper, owner)] },
  );
}

/**
 * Keys of a lost slot on a living master are all that is left of it: under a new owner no client could reach them, and a
 * later repair might treat them as stale. Keys that a node hides may belong to such a slot, so wait until there are none.
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
  const found = await findStrayKeys(connections, view, { unveil: askUnveiled });
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
    const each = holding.map(({ name, slots, keys }) => `${name} holds ${keys} keys of ${nameSlots(slots)}`);
    const ofFailed = holding.some(({ slots }) => slots.some((slot) => isLost.get(slot)));
    const options = ofFailed ? { withUnreachableMasters: true, ...(force ? { force } : {}) } : undefined;
    throw nodeError(
      'KEYS_IN_DOUBT',
      first.name,
      `Cannot rescue: ${each.join(', ')}, which clients could not reach`,
      {
        hint: 'Give these slots to the nodes that hold their keys',
        next: [{ do: 'fix', cluster: seed, ...(options ? { options } : {}) }],
      },
    );
  }
  const veiled = holders.find(({ hidden }) => hidden > 0);
  if (!veiled || force) return;
  throw nodeError(
    'KEYS_IN_DOUBT',
    veiled.name,
    `Cannot rescue: ${veiled.name} holds ${veiled.hidden} hidden keys of slots it does not own`,
    { hint: 'It may be deleting them', next: [{ do: 'retry', when: 'settled' }] },
  );
}
