import { admit } from '../apply/admit.ts';
import { claim } from '../apply/claim.ts';
import { claimThenLook } from '../apply/look-claimed.ts';
import { giveNewId, mayBeBanned } from '../apply/new-id.ts';
import { forget } from '../apply/steps/forget.ts';
import { reset } from '../apply/steps/reset.ts';
import { invalidArgument } from '../errors.ts';
import { type Address, type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { unmet } from '../model/expectation.ts';
import { type NodeRecord, slotsOf } from '../model/node.ts';
import { nameSlots } from '../model/slot.ts';
import { type ClusterView, type NodeReport, nodeById, openSlotsOf, slotOwners } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { nodeError } from '../nodes/context.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import {
  askNewcomer,
  besideMember,
  isAcquainted,
  type Newcomer,
  requireFresh,
  requireNoKeys,
} from '../nodes/newcomer.ts';
import { requireAddress, requireMember, requireServing } from '../nodes/requirements.ts';
import type { OwnFunctions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { type NodeRef, nodeRef, type StepOf } from '../plan/plan.ts';
import { type ClusterLike, seedOf } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { forgetStaleEntries } from './stale-entries.ts';

/** A cluster and a node that will join it, or that an earlier run has joined to it. */
export interface Joining {
  readonly view: ClusterView;
  readonly newcomer: Newcomer;
  readonly node: NodeRef;
  /** False if the node already knows the cluster or the cluster knows the node. */
  readonly isNew: boolean;
  /** True if every member knows the node and serves. */
  readonly isSettled: boolean;
  /** True if an earlier run had left slots open on the node or to it: finishing them may have been all there was to do. */
  readonly wasOpen: boolean;
  /** The master that it will be a replica of. */
  readonly master?: NodeRecord;
  /** If it is new and will be a master: the steps that give it the functions of the others. */
  readonly functions?: readonly StepOf<'load-functions'>[];
}

/** How a node will join. */
export interface JoinRequest {
  /** Finish what an earlier run left open. */
  readonly finishOpen?: boolean;
  /** If it will be a replica: says which master it is to copy. Called once the cluster is claimed. */
  readonly choose?: (joining: Joining) => NodeRecord | Promise<NodeRecord>;
  /** What happens to functions of its own. @default it is refused */
  readonly functions?: OwnFunctions | undefined;
}

/** Looks at a cluster and at a node that will join it. Rejects with a ClusterError if it cannot join. */
export async function lookForJoin(
  context: Context,
  cluster: ClusterLike,
  node: AddressLike,
  request: JoinRequest = {},
): Promise<Joining> {
  const { functions = 'refuse' } = request;
  if (functions !== 'refuse' && functions !== 'replace')
    throw invalidArgument(`Not what happens to functions: "${functions}" (expected refuse or replace)`);
  let chosen: NodeRecord | undefined;
  const { choose } = request;
  const once: JoinRequest = !choose
    ? request
    : {
        ...request,
        choose: async (joining) => {
          chosen ??= await choose(joining);
          return chosen;
        },
      };
  const joining = await lookOnce(context, cluster, node, once);
  if (joining !== 'renewed') return joining;
  const again = await lookOnce(context, cluster, node, once);
  if (again !== 'renewed') return again;
  const name = formatAddress(parseAddress(node));
  throw nodeError('NODES_DISAGREE', name, `Some members still do not know ${name} after it was reset`, {
    hint: 'Another operator or gossip introduced it again: wait a minute',
    next: [{ do: 'retry', when: 'after-that' }],
    resumable: 'same-call',
  });
}

/** `renewed` if the node was reset to join under a new id: look at everything again. */
async function lookOnce(
  context: Context,
  cluster: ClusterLike,
  node: AddressLike,
  { finishOpen = false, choose, functions = 'refuse' }: JoinRequest,
): Promise<Joining | 'renewed'> {
  const [seed, address] = [seedOf(cluster), parseAddress(node)];
  const name = formatAddress(address);
  const seen = await claimThenLook(context, seed, () => lookAtBoth(context, seed, address), [address]);
  const { newcomer } = seen;
  const { myself } = newcomer.report;
  let { view } = seen;
  if (view.seedId === myself.id) throw nodeError('SAME_NODE', name, `Same node: ${name} cannot join itself`);
  const { records } = newcomer.report;
  requireMember(view, records.length > 1 ? `Node ${name} is in one: swap the two addresses` : undefined);
  requireNotForgotten(newcomer, view);
  requireServing(view, `add ${name}`);
  const isNew = requireEmptyOrMember(newcomer, view);
  const ref = nodeRef({ id: myself.id, address: { ...myself.address, ...address } });
  let joining: Joining = { view, newcomer, node: ref, isNew, isSettled: false, wasOpen: false };
  const master = await choose?.(joining);
  if (master) joining = { ...joining, master };
  // Before it is reset: a node that is refused stays as it is.
  if (isNew || (master && myself.masterId !== master.id)) {
    const leader = master && nodeRef(master);
    joining = {
      ...joining,
      functions: await admit(context, { node: ref, masters: mastersOf(view), master: leader, functions }),
    };
  }
  if (await renewId(context, newcomer, view)) return 'renewed';
  const open = !isNew && finishOpen ? [...openSlotsOf(view).values()].flat() : [];
  // Moves of other members say nothing about this node, whose address may be mistyped.
  const wasOpen = open.some(({ nodeId, peer }) => nodeId === myself.id || peer === myself.id);
  if (open.length > 0) view = await finishOpenSlots(context, view, myself.id);
  joining = { ...joining, view, wasOpen };
  return {
    ...joining,
    isSettled: !isNew && unmet({ members: answeringMembers(joining) }, view.reports).length === 0,
  };
}

// It may own slots that no member serves any more: then it is not a newcomer, and nothing is lost yet.
function requireNotForgotten({ report: { myself, address, records } }: Newcomer, view: ClusterView): void {
  if (records.length === 1 || view.reports.has(myself.id)) return;
  const owners = slotOwners(view);
  const own = slotsOf(myself).filter((slot) => owners[slot] === undefined);
  if (own.length === 0 || !records.some(({ id }) => view.reports.has(id))) return;
  const [name, member] = [formatAddress(address), formatAddress(view.seed)];
  const message = `Cannot add ${name}: it owns ${nameSlots(own)}, and the members have forgotten it`;
  throw nodeError('NODES_DISAGREE', name, message, {
    hint: 'Nothing was changed. It is a member itself, and has their keys',
    next: [{ do: 'rejoin', nodes: [name, member] }],
  });
}

/** Throws if a node can be no member. Returns false if it is one already, or its introduction was interrupted. */
export function requireEmptyOrMember(newcomer: Newcomer, view: ClusterView): boolean {
  const { myself, address } = newcomer.report;
  requireAddress(newcomer.report, `add ${formatAddress(address)}`);
  const isNew = !isAcquainted(newcomer, view);
  if (isNew) requireFresh(newcomer);
  // Keys of a slot that the node imports belong to an interrupted run, which is finished first.
  if (myself.role === 'master' && myself.slots.length === 0 && myself.openSlots.length === 0)
    requireNoKeys(newcomer);
  return isNew;
}

/** Resets a node that some members may ban under its id. Resolves to true if it has another id now, and all is to be looked at again. */
export async function renewId(context: Context, newcomer: Newcomer, view: ClusterView): Promise<boolean> {
  if (!context.settings.dryRun && isHalfForgotten(newcomer, view)) {
    await renew(context, newcomer, view);
    return true;
  }
  if (isAcquainted(newcomer, view) || newcomer.keys > 0) return false;
  return giveNewId(context, newcomer.report, [...view.reports.values()]);
}

async function lookAtBoth(
  context: Context,
  seed: Address,
  address: Address,
): Promise<{ readonly view: ClusterView; readonly newcomer: Newcomer }> {
  const newcomer = await besideMember(context, seed, address, () => askNewcomer(context, address));
  const { report } = newcomer;
  const nudge = (view: ClusterView): Promise<void> => forgetStaleEntries(context, view, report);
  const help = context.settings.dryRun ? undefined : nudge;
  return { view: await lookSettled(context, seed, report.myself.id, help), newcomer };
}

// An empty master that some members do not know: they may have been told to forget it. It knows the cluster, or was reset since.
function isHalfForgotten({ report }: Newcomer, view: ClusterView): boolean {
  const { myself, records } = report;
  const isEmpty = myself.role === 'master' && myself.slots.length === 0 && myself.openSlots.length === 0;
  const knows = (one: NodeReport): boolean => one.records.some(({ id }) => id === myself.id);
  const members = [...view.reports.values()];
  const isUnknown = !members.every(knows);
  const wasReset = mayBeBanned(report) && members.some(knows);
  const hasReplicas = [...records, ...view.nodes].some(({ masterId }) => masterId === myself.id);
  return (records.length > 1 || wasReset) && isEmpty && isUnknown && !hasReplicas;
}

// Since Redis 7.2 a member that forgot a node makes the others forget it too, for a minute
// (CLUSTERMSG_EXT_TYPE_FORGOTTEN_NODE), even if they have met it again since. So the node joins under a new id.
async function renew(context: Context, { report }: Newcomer, view: ClusterView): Promise<void> {
  const { myself, address } = report;
  const node = nodeRef({ id: myself.id, address: { ...myself.address, ...address } });
  const by = [...view.reports.values()]
    .filter(({ records }) => records.some(({ id }) => id === myself.id))
    .flatMap((other) => nodeById(view, other.myself.id) ?? [])
    .filter(({ id }) => id !== myself.id)
    .map(nodeRef);
  const message = `${node.address} is known to some members only: it is reset, and joins under a new node id`;
  await claim(context, [...mastersOf(view), node]);
  context.emit({ type: 'warning', node: node.address, message });
  await forget(context, { type: 'forget', node, by });
  await reset(context, node, by);
}

/** The members that answer, the joining node last. */
export function answeringMembers({ view, node }: Pick<Joining, 'view' | 'node'>): NodeRef[] {
  return [...othersAnswering({ view, node }), node];
}

/** The members that answer, without the joining node. */
export function othersAnswering({ view, node }: Pick<Joining, 'view' | 'node'>): NodeRef[] {
  return view.nodes.filter(({ id }) => view.reports.has(id) && id !== node.id).map(nodeRef);
}

/** All members, whether they answer or not, and the joining node. */
export function membersAndNewcomer({
  view,
  newcomer: { report },
}: Pick<Joining, 'view' | 'newcomer'>): NodeRecord[] {
  if (nodeById(view, report.myself.id)) return [...view.nodes];
  return [...view.nodes, { ...report.myself, address: { ...report.myself.address, ...report.address } }];
}
