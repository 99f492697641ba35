import type { Context } from '../apply/context.ts';
import { nodeError } from '../apply/context.ts';
import { lackingFunctions } from '../apply/functions.ts';
import {
  alreadyInCluster,
  askNewcomer,
  isAcquainted,
  type Newcomer,
  requireFresh,
  requireNoKeys,
} from '../apply/newcomer.ts';
import { claim } from '../apply/operators.ts';
import { lookSettled, requireServing } from '../apply/settle.ts';
import { forget } from '../apply/steps/forget.ts';
import { reset } from '../apply/steps/reset.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { ClusterNode } from '../model/cluster-node.ts';
import { type Expectation, unmet } from '../model/expectation.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeById, openSlotsOf } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { type BalanceMove, type Balancer, BaseBalancer, baseBalancePlan } from '../plan/balance.ts';
import { mastersOf, pickSlots } from '../plan/moves.ts';
import {
  type Draft,
  type MoveStep,
  type NodeReason,
  type NodeRef,
  nodeRef,
  type Step,
} from '../plan/plan.ts';
import { moveReasons } from '../plan/reasons.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { forgetGhosts } from './ghosts.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface JoinOptions extends OperationOptions {
  /**
   * Says how much of the slots each master gets, or, by `balancePlan`, who gives how many to whom.
   * @default every master alike
   */
  readonly balancer?: Partial<Balancer>;
}

/**
 * Adds a node to a cluster as a master and moves slots to it, until every master has its share.
 * Resolves when every node knows the new owners. Rejects with ClusterError before anything is changed where the node is
 * no fresh one or the cluster is not well; what was interrupted is finished by the same call.
 */
export function joinCluster(
  cluster: ClusterLike,
  node: AddressLike,
  options: JoinOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const joining = await lookAtBoth(context, cluster, node, true);
    const moves = planBalance(joining, options.balancer);
    const isDone = !joining.isNew && moves.length === 0 && joining.isSettled;
    if (isDone && !joining.wasOpen) throw alreadyInCluster(joining.newcomer);
    const functions = await functionsFor(context, joining);
    return carryOut(context, nodesOf(joining), planJoin('join', joining, moves, functions));
  });
}

/** Adds a node to a cluster as a master without slots. Otherwise like `joinCluster`. */
export function joinNoLoad(
  cluster: ClusterLike,
  node: AddressLike,
  options: OperationOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const joining = await lookAtBoth(context, cluster, node, false);
    if (!joining.isNew && joining.isSettled) throw alreadyInCluster(joining.newcomer);
    const functions = await functionsFor(context, joining);
    return carryOut(context, nodesOf(joining), planJoin('join_no_load', joining, [], functions));
  });
}

/** A cluster and a node that is to become, or by an earlier attempt has become, one of its members. */
export interface Joining {
  readonly view: ClusterView;
  readonly newcomer: Newcomer;
  readonly node: NodeRef;
  /** False if the node knows the cluster, or the cluster the node, already. */
  readonly isNew: boolean;
  /** True if every member knows the node and serves. */
  readonly isSettled: boolean;
  /** True if slots were open, which an earlier attempt had left: finishing them may have been all there was to do. */
  readonly wasOpen: boolean;
}

/** Looks at a cluster and at a node that is to join it. Rejects with ClusterError where it cannot. */
export async function lookAtBoth(
  context: Context,
  cluster: ClusterLike,
  node: AddressLike,
  finishOpen: boolean,
): Promise<Joining> {
  const [seed, address] = [seedOf(cluster), parseAddress(node)];
  const newcomer = await askNewcomer(context, address);
  const { myself } = newcomer.report;
  const name = formatAddress(address);
  const nudge = (seen: ClusterView): Promise<void> => forgetGhosts(context, seen, newcomer.report);
  let view = await lookSettled(context, seed, myself.id, context.options.dryRun ? undefined : nudge);
  if (view.seedId === myself.id) throw nodeError('SAME_NODE', name, `Same node: ${name} cannot join itself`);
  const { records } = newcomer.report;
  requireMember(
    view,
    records.length > 1 ? `Node ${name} is in one: name the two the other way round` : undefined,
  );
  requireServing(view, `add ${name}`);
  const isNew = !isAcquainted(newcomer, view);
  if (isNew) requireFresh(newcomer);
  // Keys of a slot that it imports are those of an interrupted run, which is finished first.
  if (myself.role === 'master' && myself.slots.length === 0 && myself.openSlots.length === 0)
    requireNoKeys(newcomer);
  if (!context.options.dryRun && isHalfForgotten(newcomer, view)) {
    await renew(context, newcomer, view);
    return lookAtBoth(context, cluster, node, finishOpen);
  }
  const wasOpen = !isNew && finishOpen && openSlotsOf(view).size > 0;
  if (wasOpen) view = await finishOpenSlots(context, view, myself.id);
  const ref = nodeRef({ id: myself.id, address: { ...myself.address, ...address } });
  const joining = { view, newcomer, node: ref, isNew, isSettled: false, wasOpen };
  return {
    ...joining,
    isSettled: !isNew && unmet({ members: membersOf(joining) }, view.reports).length === 0,
  };
}

// An empty master that knows the cluster while some members do not know it: they may have been made to forget it.
function isHalfForgotten({ report: { myself, records } }: Newcomer, view: ClusterView): boolean {
  const isEmpty = myself.role === 'master' && myself.slots.length === 0 && myself.openSlots.length === 0;
  const isUnknown = [...view.reports.values()].some(
    (report) => !report.records.some(({ id }) => id === myself.id),
  );
  const hasReplicas = [...records, ...view.nodes].some(({ masterId }) => masterId === myself.id);
  return records.length > 1 && isEmpty && isUnknown && !hasReplicas;
}

// Whoever has forgotten a node makes the others forget it too, for a minute (CLUSTERMSG_EXT_TYPE_FORGOTTEN_NODE, Redis 7.2),
// even where they have met it again since. So it comes back under a new id.
async function renew(context: Context, { report }: Newcomer, view: ClusterView): Promise<void> {
  const { myself, address } = report;
  const node = nodeRef({ id: myself.id, address: { ...myself.address, ...address } });
  const by = [...view.reports.values()]
    .filter(({ records }) => records.some(({ id }) => id === myself.id))
    .flatMap((other) => nodeById(view, other.myself.id) ?? [])
    .filter(({ id }) => id !== myself.id)
    .map(nodeRef);
  const message = `${node.address} is known to some members only: it is reset, and comes in under a new node id`;
  await claim(context, [...mastersOf(view), node]);
  context.emit({ type: 'warning', node: node.address, message });
  await forget(context, { type: 'forget', node, by });
  await reset(context, node);
}

/** Throws unless the node that was asked first is in a cluster. */
export function requireMember(view: ClusterView, hint?: string): void {
  const report = view.reports.get(view.seedId);
  if (report && (report.info.state === 'ok' || report.info.slotsAssigned > 0)) return;
  const name = formatAddress(view.seed);
  throw nodeError('NOT_IN_CLUSTER', name, `Node ${name} is not in a cluster`, {
    hint: hint ?? 'Start one with: redis-trib start',
  });
}

/** The members that answer, the joining node last. */
export function membersOf({ view, node }: Pick<Joining, 'view' | 'node'>): NodeRef[] {
  return [...othersOf({ view, node }), node];
}

function othersOf({ view, node }: Pick<Joining, 'view' | 'node'>): NodeRef[] {
  return view.nodes.filter(({ id }) => view.reports.has(id) && id !== node.id).map(nodeRef);
}

/** The members and the joining node. */
export function nodesOf({ view, newcomer: { report } }: Pick<Joining, 'view' | 'newcomer'>): NodeRecord[] {
  if (nodeById(view, report.myself.id)) return [...view.nodes];
  return [...view.nodes, { ...report.myself, address: { ...report.myself.address, ...report.address } }];
}

// Before the node is a member: what it cannot take is refused while nothing has changed.
function functionsFor(context: Context, { view, newcomer, node }: Joining): Promise<Step[]> {
  if (newcomer.report.myself.role !== 'master') return Promise.resolve([]);
  return lackingFunctions(context, mastersOf(view), node);
}

function planJoin(
  operation: string,
  joining: Joining,
  moves: readonly MoveStep[],
  functions: readonly Step[],
): Draft {
  const { view, node } = joining;
  const meet: Step = { type: 'meet', nodes: [node], to: othersOf(joining), serving: true };
  const masters = [...mastersOf(view).filter(({ id }) => id !== node.id), node];
  return {
    operation,
    masters,
    steps: [...functions, ...(joining.isSettled ? [] : [meet]), ...moves],
    expect: expectationOf(joining, moves),
    ...(moves.length > 0 ? { reasons: joinReasons(node, moves) } : {}),
  };
}

function joinReasons(node: NodeRef, moves: readonly MoveStep[]): NodeReason[] {
  const reasons = moveReasons(moves, 'has more than its share now', 'has less than its share');
  return reasons.map((one) => (one.id === node.id ? { id: one.id, text: 'joins' } : one));
}

function planBalance(joining: Joining, balancer: Partial<Balancer> = {}): MoveStep[] {
  const { view, newcomer, node } = joining;
  const records = view.nodes.filter(
    ({ id, role }) => id !== node.id && role === 'master' && view.reports.has(id),
  );
  const nodes = [
    ...records.filter((record) => !isFailed(record)),
    nodeById(view, node.id) ?? newcomer.report.myself,
  ].map((record) => new ClusterNode(record, parseAddress(node.address).host));
  const full: Balancer = hasWeight(balancer) ? balancer : Object.assign(new BaseBalancer(), balancer);
  const moves: readonly BalanceMove[] = full.balancePlan
    ? full.balancePlan(nodes, full)
    : baseBalancePlan(nodes, full);
  return pickSlots(moves, new Map([...mastersOf(view), node].map((ref) => [ref.id, ref])));
}

function hasWeight(balancer: Partial<Balancer>): balancer is Balancer {
  return balancer.weight !== undefined;
}

function expectationOf(joining: Joining, moves: readonly MoveStep[]): Expectation {
  const owners = moves.map(({ target, slots }) => ({ id: target.id, slots }));
  return { members: membersOf(joining), owners };
}
