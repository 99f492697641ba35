import { invalidArgument } from '../model/cluster-error.ts';
import { countSlots, type NodeRecord } from '../model/node.ts';
import { followersOf, replicaFollowed, topMaster } from '../model/promotion.ts';
import type { ClusterView } from '../model/view.ts';
import { DEFAULTS } from '../settings.ts';
import { workingMasters } from './from-view.ts';
import { mastersOf } from './moves.ts';
import { type Group, nearness, nearnessOf, type Place, placeAt, together } from './places.ts';
import { type Draft, type MoveStep, type NodeRef, nodeRef, type Step, type StepOf } from './plan.ts';
import { shareReasons } from './reasons.ts';
import { draftRebalance, weighMasters } from './rebalance.ts';

/** The cluster that is wanted. */
export interface EnsureRequest {
  /** Masters that share the slots. */
  readonly masters: number;
  /** Replicas of each, at least. */
  readonly replicas: number;
  /** By address: a failure domain. */
  readonly zones: ReadonlyMap<string, string>;
}

/** Nodes that are to be one cluster: the members of one, and others. */
export interface EnsureScene {
  readonly view: ClusterView;
  /** Nodes that are no members yet. */
  readonly newcomers: readonly NodeRecord[];
  /** Ids of the nodes that were named: each gets a role. */
  readonly named: ReadonlySet<string>;
  /** Ids of replicas that have not copied their master yet. */
  readonly copying: ReadonlySet<string>;
}

/** How a cluster becomes the one that is wanted. */
export interface EnsurePlan {
  readonly draft: Draft;
  /** Nodes that get slots and had none. */
  readonly masters: readonly NodeRef[];
  readonly replicas: readonly StepOf<'replicate'>[];
  readonly warnings: readonly string[];
}

/**
 * Plans what a serving cluster lacks: masters and their share of the slots, replicas, and a role for each node that was named. Takes
 * free nodes first, then replicas of masters that have more than wanted. Never takes a slot from a master for good that it could
 * keep, and never a replica that is needed. Pure. Throws ClusterError `INVALID_ARGUMENT` if there are too few nodes, or if fewer
 * masters are wanted than own slots.
 */
export function planEnsure(scene: EnsureScene, request: EnsureRequest): EnsurePlan {
  const { view, newcomers } = scene;
  const owners = workingMasters(view).filter((node) => countSlots(node) > 0);
  if (owners.length > request.masters) throw tooMany(owners.length, request.masters);
  const free = freeNodes(scene);
  const added = pickMasters(owners, free, scene, request);
  const chosen = [...owners, ...added];
  if (chosen.length < request.masters) throw tooFew(scene, request, free.length);
  const { steps, warnings } = placeReplicas(scene, request, chosen, free);
  const moves = planShares(chosen, added.length > 0);
  const late = lateReplicas(scene, chosen, steps);
  const replicas = [...steps, ...late];
  const following = new Set(replicas.map(({ replica }) => replica.id));
  const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
  const joining = [...added, ...newcomers.filter(({ id }) => following.has(id))]
    .filter((node) => newcomers.includes(node))
    .map(nodeRef);
  const meet: Step[] =
    joining.length > 0 ? [{ type: 'meet', nodes: joining, to: members, serving: true }] : [];
  const masters = [...mastersOf(view), ...added.filter((node) => newcomers.includes(node)).map(nodeRef)];
  const shares = weighMasters(chosen, new Map(), true);
  const draft: Draft = {
    operation: 'ensure',
    masters: masters.filter(({ id }) => !following.has(id)),
    steps: [...meet, ...replicas, ...moves],
    expect: {
      members: [...members, ...joining],
      owners: moves.map(({ target, slots }) => ({ id: target.id, slots })),
      replicas: replicas.map(({ replica, master }) => ({ id: replica.id, masterId: master.id })),
    },
    ...(moves.length > 0 ? { reasons: shareReasons(shares, moves, 'slots') } : {}),
  };
  return { draft, masters: added.map(nodeRef), replicas: steps, warnings };
}

/** Members without slots that follow nobody, those with followers first, then newcomers; nodes that were named before others. */
function freeNodes({ view, newcomers, named }: EnsureScene): NodeRecord[] {
  const idle = workingMasters(view).filter((node) => countSlots(node) === 0);
  const rank = ({ id }: NodeRecord): number =>
    (followersOf(view, id).length > 0 ? 0 : 2) + (named.has(id) ? 0 : 1);
  return [...idle.toSorted((a, b) => rank(a) - rank(b)), ...newcomers];
}

/** One that has replicas already was chosen by an earlier run. Of the others, each is where the fewest masters are. */
function pickMasters(
  owners: readonly NodeRecord[],
  free: readonly NodeRecord[],
  { view }: EnsureScene,
  { masters, zones }: EnsureRequest,
): NodeRecord[] {
  const placed = (node: NodeRecord): Place => placeAt(nodeRef(node), zones);
  const added: NodeRecord[] = [];
  const left = [...free];
  while (owners.length + added.length < masters && left.length > 0) {
    const crowd = (node: NodeRecord): number =>
      [...owners, ...added].reduce((sum, other) => sum + nearnessOf(placed(node), placed(other)), 0);
    const begun = left.find(({ id }) => followersOf(view, id).length > 0);
    const best = begun ?? left.toSorted((a, b) => crowd(a) - crowd(b))[0];
    if (!best) break;
    left.splice(left.indexOf(best), 1);
    added.push(best);
  }
  return added;
}

function placeReplicas(
  scene: EnsureScene,
  request: EnsureRequest,
  chosen: readonly NodeRecord[],
  free: readonly NodeRecord[],
): { readonly steps: readonly StepOf<'replicate'>[]; readonly warnings: readonly string[] } {
  const { view, named } = scene;
  const { replicas, zones } = request;
  const placed = (node: NodeRecord): Place => placeAt(nodeRef(node), zones);
  const isChosen = new Set(chosen.map(({ id }) => id));
  const isReplica = ({ id, role }: NodeRecord): boolean => role === 'replica' && view.reports.has(id);
  const topOf = ({ id }: NodeRecord): string => topMaster(view, id)?.id ?? '';
  const groups = chosen.map((master): Group => {
    const own = view.nodes.filter((node) => isReplica(node) && topOf(node) === master.id);
    return { master: placed(master), replicas: own.map(placed) };
  });
  // Those that follow a master without slots leave it before it becomes a replica itself.
  const loose = view.nodes.filter((node) => isReplica(node) && !isChosen.has(topOf(node)));
  const pool = [...loose, ...free.filter(({ id }) => !isChosen.has(id))].map(placed);
  const steps: StepOf<'replicate'>[] = [];
  const moved = new Set<Place>();
  const attach = (group: Group, replica: Place): void => {
    group.replicas.push(replica);
    moved.add(replica);
    steps.push({ type: 'replicate', replica: replica.ref, master: group.master.ref });
  };
  for (;;) {
    const [group] = groups.toSorted((a, b) => a.replicas.length - b.replicas.length);
    if (!group) break;
    const isNeeded = group.replicas.length < replicas;
    const candidates = isNeeded ? pool : pool.filter(({ ref }) => named.has(ref.id));
    const best = bestFor(group, candidates);
    if (best) {
      pool.splice(pool.indexOf(best), 1);
      attach(group, best);
      continue;
    }
    if (!isNeeded) break;
    const [donor] = groups.toSorted((a, b) => b.replicas.length - a.replicas.length);
    const spare = donor && donor.replicas.length > replicas ? bestFor(group, donor.replicas) : undefined;
    if (!donor || !spare) throw tooFew(scene, request, free.length);
    donor.replicas.splice(donor.replicas.indexOf(spare), 1);
    attach(group, spare);
  }
  const warnings = together(
    groups.map(({ master, replicas: own }) => ({ master, replicas: own.filter((one) => moved.has(one)) })),
  );
  return { steps, warnings };
}

/** The candidate that suits a group best. */
function bestFor(group: Group, candidates: readonly Place[]): Place | undefined {
  return candidates.toSorted((a, b) => nearness(group, a) - nearness(group, b))[0];
}

/**
 * Equal shares if a master joins, or if the joining of some was cut short: all that have too few slots are newer than all that have
 * too many, since a target takes a new config epoch with the slots that it gets (clusterBumpConfigEpochWithoutConsensus). Shares that
 * somebody chose stay as they are.
 */
function planShares(masters: readonly NodeRecord[], isGrowing: boolean): MoveStep[] {
  const { threshold } = DEFAULTS.rebalance;
  const moves = draftRebalance({ masters: weighMasters(masters, new Map(), true), threshold });
  const epochOf = new Map(masters.map(({ id, configEpoch }) => [id, configEpoch]));
  const epochs = (refs: readonly NodeRef[]): number[] => refs.map(({ id }) => epochOf.get(id) ?? 0);
  const oldest = Math.min(...epochs(moves.map(({ target }) => target)));
  const isCutShort = oldest > Math.max(...epochs(moves.map(({ source }) => source)));
  return isGrowing || isCutShort ? moves : [];
}

/** Replicas that an earlier run has attached, and that have not copied their master yet, and those that follow a replica of it. */
function lateReplicas(
  { view, copying }: EnsureScene,
  chosen: readonly NodeRecord[],
  steps: readonly StepOf<'replicate'>[],
): StepOf<'replicate'>[] {
  const moving = new Set(steps.map(({ replica }) => replica.id));
  return view.nodes.flatMap((node) => {
    const isChained = view.reports.has(node.id) && replicaFollowed(view, node) !== undefined;
    const masterId = isChained ? topMaster(view, node.id)?.id : node.masterId;
    const master = chosen.find(({ id }) => id === masterId);
    if (!(isChained || copying.has(node.id)) || moving.has(node.id) || !master) return [];
    return [{ type: 'replicate' as const, replica: nodeRef(node), master: nodeRef(master) }];
  });
}

function tooMany(owners: number, wanted: number): Error {
  return invalidArgument(
    `Cannot make it a cluster of ${mastersText(wanted)}: ${owners} own slots, and none is taken out. Move their slots away first`,
  );
}

function tooFew({ view, newcomers }: EnsureScene, request: EnsureRequest, free: number): Error {
  const nodes = view.reports.size + newcomers.length;
  const needed = request.masters * (1 + request.replicas);
  if (nodes < needed) return tooFewNodes(nodes, request);
  return invalidArgument(
    `Too few free nodes: ${free} of ${nodes} have neither slots nor a master, and a replica is not made a master. Take out a replica that is not needed, and name it again once it is empty`,
  );
}

/** The error for fewer nodes than masters and their replicas. */
export function tooFewNodes(nodes: number, { masters, replicas }: Omit<EnsureRequest, 'zones'>): Error {
  const each = replicas === 0 ? '' : ` with ${replicas} replica${replicas === 1 ? '' : 's'} each`;
  const needed = masters * (1 + replicas);
  return invalidArgument(`Too few nodes: ${nodes}, ${mastersText(masters)}${each} are ${needed}`);
}

function mastersText(count: number): string {
  return `${count} master${count === 1 ? '' : 's'}`;
}
