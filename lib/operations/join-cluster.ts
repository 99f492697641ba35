import { type AddressLike, parseAddress } from '../model/address.ts';
import { ClusterNode } from '../model/cluster-node.ts';
import type { Expectation } from '../model/expectation.ts';
import { isFailed } from '../model/node.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import { type ClusterView, nodeById } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { lackingFunctions } from '../nodes/functions.ts';
import { alreadyInCluster } from '../nodes/newcomer.ts';
import type { NewcomerOptions, OwnFunctions } from '../options.ts';
import { type BalancePlan, type Balancer, balanceMoves } from '../plan/balance.ts';
import { mastersOf, pickSlots } from '../plan/moves.ts';
import type { Draft, MoveStep, NodeReason, NodeRef, Step } from '../plan/plan.ts';
import { moveReasons } from '../plan/reasons.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, withContext } from './cluster.ts';
import {
  answeringMembers,
  type Joining,
  lookForJoin,
  membersAndNewcomer,
  othersAnswering,
} from './joining.ts';

export interface JoinOptions extends NewcomerOptions {
  /**
   * Decides each master's share of the slots or, with `balancePlan`, the moves themselves.
   * @default an equal share for every master
   */
  readonly balancer?: Partial<Balancer>;
  /** Plans the moves in place of the balancer's own `balancePlan`, and is called with the balancer. @default `baseBalancePlan` */
  readonly balancePlan?: BalancePlan;
}

/**
 * Adds a node to a cluster as a master and moves slots until every master has its share. Resolves when every node knows
 * the new owners. Before anything is changed, rejects with a ClusterError if the node is not fresh or the cluster is not
 * healthy. The same call finishes an interrupted run, and does nothing if the node is a member and all have their share already.
 * A member with another share is refused with `ALREADY_IN_CLUSTER`: its address may be mistyped.
 */
export function joinCluster(
  cluster: ClusterLike,
  node: AddressLike,
  options: JoinOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const joining = await lookForJoin(context, cluster, node, {
      finishOpen: true,
      functions: options.functions,
    });
    const { view, newcomer, node: joined } = joining;
    if (newcomer.report.myself.role === 'replica') throw alreadyInCluster(newcomer);
    const moves = planBalance(joining, options);
    if (!joining.isNew && joining.isSettled) {
      if (moves.length === 0) return carryOut(context, membersAndNewcomer(joining), doneAlready(joining));
      if (!joining.wasOpen && !mayBeHalfJoined(view, joined.id))
        throw alreadyInCluster(
          newcomer,
          'It is a member. If its share of the slots is to change, rebalance the cluster or move slots to it',
        );
    }
    const functions = await functionsFor(context, joining);
    return carryOut(context, membersAndNewcomer(joining), planJoin('join', joining, moves, functions));
  });
}

/** Adds a node to a cluster as a master without slots, and does nothing if it is one. Otherwise like `joinCluster`. */
export function joinNoLoad(
  cluster: ClusterLike,
  node: AddressLike,
  options: NewcomerOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, (context) =>
    addMaster(context, cluster, node, { functions: options.functions, mayBeDone: true }),
  );
}

/** The same in a context. Without `mayBeDone`, refuses a member. */
export async function addMaster(
  context: Context,
  cluster: ClusterLike,
  node: AddressLike,
  {
    functions: own,
    mayBeDone = false,
  }: { readonly functions?: OwnFunctions | undefined; readonly mayBeDone?: boolean } = {},
): Promise<OperationResult> {
  const joining = await lookForJoin(context, cluster, node, { functions: own });
  const { role, slots } = joining.newcomer.report.myself;
  const isDone = mayBeDone && role === 'master' && slots.length === 0;
  if (!joining.isNew && joining.isSettled && !isDone) throw alreadyInCluster(joining.newcomer);
  const functions = await functionsFor(context, joining);
  return carryOut(context, membersAndNewcomer(joining), planJoin('join_no_load', joining, [], functions));
}

// Only waits until all members say so, as the run that did the rest would have.
function doneAlready(joining: Joining): Draft {
  const { view, node, newcomer } = joining;
  const { slots } = nodeById(view, node.id) ?? newcomer.report.myself;
  return {
    operation: 'join',
    masters: mastersOf(view),
    steps: [],
    expect: { members: answeringMembers(joining), owners: [{ id: node.id, slots }] },
  };
}

// Those of a new node were looked up before it was accepted.
async function functionsFor(context: Context, joining: Joining): Promise<readonly Step[]> {
  const { view, newcomer, node, functions } = joining;
  if (functions) return functions;
  return newcomer.report.myself.role === 'master' ? lackingFunctions(context, mastersOf(view), node) : [];
}

function planJoin(
  operation: string,
  joining: Joining,
  moves: readonly MoveStep[],
  functions: readonly Step[],
): Draft {
  const { view, node } = joining;
  const meet: Step = { type: 'meet', nodes: [node], to: othersAnswering(joining), serving: true };
  const masters = [...mastersOf(view).filter(({ id }) => id !== node.id), node];
  return {
    operation,
    masters,
    steps: [...functions, ...(joining.isSettled ? [] : [meet]), ...moves],
    expect: expectJoined(joining, moves),
    ...(moves.length > 0 ? { reasons: joinReasons(node, moves) } : {}),
  };
}

function joinReasons(node: NodeRef, moves: readonly MoveStep[]): NodeReason[] {
  const reasons = moveReasons(moves, 'has more than its share now', 'has less than its share');
  return reasons.map((one) => (one.id === node.id ? { id: one.id, text: 'joins' } : one));
}

function planBalance(joining: Joining, options: JoinOptions): MoveStep[] {
  const { view, newcomer, node } = joining;
  const records = view.nodes.filter(
    ({ id, role }) => id !== node.id && role === 'master' && view.reports.has(id),
  );
  const nodes = [
    ...records.filter((record) => !isFailed(record)),
    nodeById(view, node.id) ?? newcomer.report.myself,
  ].map((record) => new ClusterNode(record, parseAddress(node.address).host));
  return pickSlots(
    balanceMoves(nodes, options),
    new Map([...mastersOf(view), node].map((ref) => [ref.id, ref])),
  );
}

/**
 * True if a member may be half way through joining: it has no slot yet, or all it has was taken from others in the last move of
 * the cluster. A target takes a new config epoch with the slots that it gets (clusterBumpConfigEpochWithoutConsensus), and a source
 * gives its lowest slots first, so a newcomer never gets the last slot of all.
 */
export function mayBeHalfJoined(view: ClusterView, id: string): boolean {
  const node = nodeById(view, id);
  if (!node || node.slots.length === 0) return true;
  const hasLast = node.slots.some(([, last]) => last === SLOT_COUNT - 1);
  const isNewest = view.nodes.every((other) => other.id === id || other.configEpoch < node.configEpoch);
  return isNewest && !hasLast;
}

function expectJoined(joining: Joining, moves: readonly MoveStep[]): Expectation {
  const owners = moves.map(({ target, slots }) => ({ id: target.id, slots }));
  return { members: answeringMembers(joining), owners };
}
