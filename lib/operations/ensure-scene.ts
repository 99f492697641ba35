import { ConnectionError } from '../../resp/index.ts';
import { claimThenLook } from '../apply/look-claimed.ts';
import type { ClusterError } from '../errors.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, type NodeReport, nodeById, nodeName } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import {
  alreadyInCluster,
  askNewcomer,
  besideMember,
  holdOwnSlots,
  isAcquainted,
  type Newcomer,
  requireFresh,
  requireNoKeys,
} from '../nodes/newcomer.ts';
import { inParallel } from '../nodes/parallel.ts';
import { requireAddress, requireMember, requireServing } from '../nodes/requirements.ts';
import { eachOnce } from '../nodes/twins.ts';
import type { EnsurePlan, EnsureScene } from '../plan/ensure.ts';
import { acquaintedAmong, holdersAmong } from '../plan/founders.ts';
import { nodeRef } from '../plan/plan.ts';

/** Members of a cluster and other nodes, and what the named ones say. */
export interface NamedScene extends EnsureScene {
  readonly nodes: readonly Newcomer[];
}

/** Throws if a node does not answer: if it is a member that others know more about, with what they say. */
export async function requireAnswering(context: Context, named: readonly Address[]): Promise<void> {
  const { connections, signal } = context;
  const answers = await inParallel(named, async (address) => {
    try {
      await connections.ask(address, ['PING'], { early: true, signal });
      return { address };
    } catch (error) {
      signal?.throwIfAborted();
      return { address, error };
    }
  });
  const failed = answers.find(({ error }) => error !== undefined);
  const first = answers.find(({ error }) => error === undefined);
  if (!failed) return;
  if (first) requireWell(await look(connections, first.address, signal));
  // Any other error is told apart when the node is asked beside the others.
  if (!first || failed.error instanceof ConnectionError) throw failed.error;
}

// A new role, and a new master, are for all members to know.
function requireWell(view: ClusterView): void {
  for (const [id, cause] of view.unreachable) {
    const name = nodeName(view, id);
    const { says, hint, next } = wordsOnCondition(view, id);
    throw nodeError('NODE_UNREACHABLE', name, `The cluster is not healthy: ${name} ${says}`, {
      hint: ['Nothing was changed', ...(hint ? [hint] : [])].join('. '),
      next,
      cause,
    });
  }
}

/** Asks each node that was named. Two addresses may lead to one node. */
export async function askNamed(context: Context, named: readonly Address[]): Promise<Newcomer[]> {
  const [first] = named;
  const found = await inParallel(named, (address) =>
    besideMember(context, first ?? address, address, () => askNewcomer(context, address)),
  );
  return eachOnce(context, found);
}

/**
 * The cluster that nodes belong to, by the address of a member, or what there is of one that is to be started. Throws if they are
 * neither.
 */
export function clusterAmong(
  nodes: readonly Newcomer[],
  masters: number,
): { readonly seed: Address } | { readonly holders: ReadonlyMap<number, string> } {
  const owning = acquaintedAmong(nodes.map(({ report }) => report)).filter(({ ownsSlots }) => ownsSlots);
  const whole = owning.find(({ ownsAll }) => ownsAll);
  const [first, second] = owning;
  const memberAmong = ({ reports }: { readonly reports: readonly Newcomer['report'][] }): Address => {
    const member = reports.find(({ myself }) => myself.role === 'replica' || myself.slots.length > 0);
    return (member ?? (reports[0] as Newcomer['report'])).address;
  };
  const found = whole && !second ? { seed: memberAmong(whole) } : undefined;
  // One may have lost track of the others before all had met.
  const haveMet = whole?.reports.every(({ records }) => records.length >= whole.reports.length);
  if (found && haveMet) return found;
  const holders = holdersAmong(nodes, masters);
  if (holders) return { holders };
  if (found) return found;
  const apart = owning.find((one) => one !== whole && one.reports[0]?.records.length === 1);
  const stray = nodes.find(({ report }) => report === apart?.reports[0]);
  if (stray) throw whole || stray.keys === 0 ? alreadyInCluster(stray) : holdOwnSlots(nodes, stray);
  if (first && second) throw notOneCluster(memberAmong(first), memberAmong(second));
  if (first) return { seed: memberAmong(first) };
  throw alreadyInCluster(nodes.find(({ report }) => report.records.length > 1) ?? (nodes[0] as Newcomer));
}

function notOneCluster(one: Address, other: Address): ClusterError {
  const [here, there] = [one, other].map(formatAddress);
  return nodeError(
    'NOT_SAME_CLUSTER',
    other,
    `${here} and ${there} are members of two clusters, and both own slots`,
    { hint: 'Nothing was changed. Name the nodes of one cluster only: two are never made one' },
  );
}

/** Claims the cluster, and looks at it and at the nodes that were named. Throws unless it serves and each of them may be a member. */
export async function lookAtScene(
  context: Context,
  seed: Address,
  named: readonly Address[],
): Promise<NamedScene> {
  const { view, nodes } = await claimThenLook(context, seed, () => lookAtAll(context, seed, named), named);
  requireMember(view);
  requireWell(view);
  const what = 'make it the cluster that is wanted';
  requireServing(view, what);
  const outside = nodes.filter(({ report }) => !view.reports.has(report.myself.id));
  for (const one of outside) {
    if (!isAcquainted(one, view)) requireFresh(one);
    if (one.report.myself.slots.length > 0) throw alreadyInCluster(one);
    requireNoKeys(one);
    requireAddress(one.report, what);
  }
  const newcomers = outside.map(({ report: { myself, address } }): NodeRecord => {
    return { ...myself, address: { ...myself.address, ...address } };
  });
  const ids = new Set(nodes.map(({ report }) => report.myself.id));
  const { replicasCopying } = await import('../operations/declared.ts');
  return { view, nodes, newcomers, named: ids, copying: await replicasCopying(context, view) };
}

async function lookAtAll(
  context: Context,
  seed: Address,
  named: readonly Address[],
): Promise<{ readonly view: ClusterView; readonly nodes: readonly Newcomer[] }> {
  const nodes = await askNamed(context, named);
  const nudge = async (view: ClusterView): Promise<void> => {
    const { forgetFormerIds } = await import('../operations/declared.ts');
    const reports = nodes.map(({ report }) => report);
    await forgetFormerIds(context, view, reports);
  };
  return {
    view: await lookSettled(context, seed, undefined, context.settings.dryRun ? undefined : nudge),
    nodes,
  };
}

/** Throws if a node that gets a role has keys. Those of slots that it imports are of a move, which is finished first. */
export async function requireEmpty(
  context: Context,
  { view, nodes }: NamedScene,
  { masters, replicas }: EnsurePlan,
): Promise<void> {
  const ids = [...masters, ...replicas.map(({ replica }) => replica)].map(({ id }) => id);
  const idle = ids.flatMap((id) => {
    const report = view.reports.get(id);
    return report?.myself.role === 'master' && report.myself.openSlots.length === 0 ? [report] : [];
  });
  const found = await inParallel(
    idle,
    async ({ myself, address }) =>
      nodes.find(({ report }) => report.myself.id === myself.id) ?? askNewcomer(context, address),
  );
  found.forEach(requireNoKeys);
}

/** The reports of those that a plan introduces, and that are no members yet. */
export function joiningIn({ nodes, newcomers }: NamedScene, { draft }: EnsurePlan): NodeReport[] {
  const joining = new Set(
    draft.steps.flatMap((step) => (step.type === 'meet' ? step.nodes : [])).map(({ id }) => id),
  );
  const isNew = new Set(newcomers.map(({ id }) => id));
  return nodes.map(({ report }) => report).filter(({ myself: { id } }) => joining.has(id) && isNew.has(id));
}

/** The zones by the address that the plan has of each node: it may have been named by another one. */
export function zonesIn(
  { view, nodes }: NamedScene,
  zones: ReadonlyMap<string, string>,
): Map<string, string> {
  return new Map(
    nodes.flatMap(({ report }) => {
      const zone = zones.get(formatAddress(report.address));
      if (zone === undefined) return [];
      const { address } = nodeRef(
        nodeById(view, report.myself.id) ?? { ...report.myself, address: report.address },
      );
      return [[address, zone] as const];
    }),
  );
}
