import { admit } from '../apply/admit.ts';
import { claimCluster } from '../apply/look-claimed.ts';
import { invalidArgument } from '../errors.ts';
import { type Address, type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import type { ClusterView } from '../model/view.ts';
import { addressesOf } from '../nodes/addresses-of.ts';
import type { Context } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { NewcomerOptions } from '../options.ts';
import { type EnsurePlan, type EnsureRequest, planEnsure, tooFewNodes } from '../plan/ensure.ts';
import { mastersOf } from '../plan/moves.ts';
import type { Step } from '../plan/plan.ts';
import { nodesAfter } from '../plan/projection.ts';
import { DEFAULTS } from '../settings.ts';
import type { OperationResult } from './carry-out.ts';
import { withContext } from './cluster.ts';
import {
  askNamed,
  clusterAmong,
  joiningIn,
  lookAtScene,
  requireAnswering,
  requireEmpty,
  zonesIn,
} from './ensure-scene.ts';

export interface EnsureOptions extends NewcomerOptions {
  /** How many masters share the slots. */
  readonly masters: number;
  /** Replicas of each master, at least. @default 0 */
  readonly replicas?: number;
  /** By address: a failure domain, such as a rack. Masters, and a master and its replicas, are placed in different ones if possible. */
  readonly zones?: Readonly<Record<string, string>>;
}

/** What was done to make a cluster the one that is wanted or, after a dry run, would be. */
export interface EnsureResult extends OperationResult {
  /** `nothing` if it was the one that is wanted. */
  readonly did: 'created' | 'changed' | 'nothing';
  /** Nodes that got slots and had none. */
  readonly addedMasters: number;
  /** Nodes that got another master, or the first one. */
  readonly addedReplicas: number;
  /** Masters with slots, at the end. */
  readonly masters: number;
  /** Replicas, at the end. */
  readonly replicas: number;
}

/**
 * Makes sure that these nodes are one cluster of so many masters, each with so many replicas at least. Creates it if all nodes are
 * fresh, finishes what an interrupted call of this or of another operation has left, adds masters and replicas, or does nothing: the
 * same call can be repeated. Nodes that are not needed become further replicas. A host name stands for all of its addresses.
 * Members that are not named count too; they get a role only if they are needed.
 *
 * Slots move only to a master that joins, and then until each has an equal share, or if such a move was cut short. All is one plan,
 * except for open slots of an interrupted move: those are finished first, and a dry run plans as if they were.
 *
 * Before anything is changed, rejects with ClusterError `INVALID_ARGUMENT` for too few nodes, or for fewer masters than own slots;
 * `NOT_SAME_CLUSTER` for nodes of two clusters; `ALREADY_IN_CLUSTER` or `NODE_NOT_EMPTY` for a node that is not a member and owns slots
 * or has keys; `NODE_UNREACHABLE` if a member has failed or does not answer, and otherwise as `createCluster` and `joinCluster` do.
 */
export async function ensureCluster(
  addresses: readonly AddressLike[],
  options: EnsureOptions,
): Promise<EnsureResult> {
  const request = requestOf(options);
  const given = addresses.map(parseAddress);
  const [first] = given;
  if (!first) throw invalidArgument('Name at least one node of the cluster');
  return withContext(first, options, async (context) => {
    const started = performance.now();
    const named = await addressesNamed(context, given, request);
    await requireAnswering(context, named);
    await claimCluster(context, named[0], named.slice(1));
    const nodes = await askNamed(context, named);
    const found = clusterAmong(nodes, request.masters);
    const result = await ('holders' in found
      ? startNew(context, named, found.holders, request)
      : completeCluster(context, named, found.seed, request, options));
    return { ...result, elapsedMs: performance.now() - started };
  });
}

function requestOf(options: EnsureOptions): EnsureRequest {
  const { masters, replicas = DEFAULTS.ensure.replicas, zones = {} } = options;
  if (!Number.isInteger(masters) || masters < 1 || masters > SLOT_COUNT)
    throw invalidArgument(`Not a number of masters: ${masters}`);
  if (!Number.isInteger(replicas) || replicas < 0)
    throw invalidArgument(`Not a number of replicas: ${replicas}`);
  const zoned = Object.entries(zones).map(
    ([node, zone]) => [formatAddress(parseAddress(node)), zone] as const,
  );
  return { masters, replicas, zones: new Map(zoned) };
}

async function addressesNamed(
  context: Context,
  given: readonly Address[],
  { zones }: EnsureRequest,
): Promise<readonly [Address, ...Address[]]> {
  const all = (await inParallel(given, (address) => addressesOf(context, address))).flat();
  const byName = new Map(all.map((address) => [formatAddress(address), address]));
  for (const node of zones.keys())
    if (!byName.has(node)) throw invalidArgument(`A zone is given for ${node}, which is not among the nodes`);
  return [...byName.values()] as [Address, ...Address[]];
}

async function startNew(
  context: Context,
  named: readonly [Address, ...Address[]],
  holders: ReadonlyMap<number, string>,
  request: EnsureRequest,
): Promise<EnsureResult> {
  const { startDeclared } = await import('../operations/declared.ts');
  const result = await startDeclared(context, named, request, holders, ({ length }) => {
    if (length < request.masters * (1 + request.replicas)) throw tooFewNodes(length, request);
  });
  const { masters, replicas } = countsAfter(result);
  return { ...result, did: 'created', addedMasters: masters, addedReplicas: replicas, masters, replicas };
}

async function completeCluster(
  context: Context,
  named: readonly Address[],
  seed: Address,
  request: EnsureRequest,
  { functions }: EnsureOptions,
): Promise<EnsureResult> {
  const { settleMembers, giveNewIds } = await import('../operations/declared.ts');
  for (let wasOpen = false; ; ) {
    const scene = await lookAtScene(context, seed, named);
    const { view, newcomers } = scene;
    const plan = planEnsure(scene, { ...request, zones: zonesIn(scene, request.zones) });
    await requireEmpty(context, scene, plan);
    const loading = await admitRoles(context, view, plan, functions);
    const settled = await settleMembers(context, view);
    wasOpen ||= settled === 'finished';
    // A node that gets a new id is another one to the plan.
    if (settled || (await giveNewIds(context, joiningIn(scene, plan), view))) continue;
    for (const message of plan.warnings) context.emit({ type: 'warning', message });
    const draft = { ...plan.draft, steps: [...loading, ...plan.draft.steps] };
    const { carryOut } = await import('../operations/carry-out.ts');
    const result = await carryOut(context, [...view.nodes, ...newcomers], draft);
    const isDone = result.plan.steps.length === 0 && !wasOpen;
    return {
      ...result,
      did: isDone ? 'nothing' : 'changed',
      addedMasters: plan.masters.length,
      addedReplicas: plan.replicas.length,
      ...countsAfter(result),
    };
  }
}

async function admitRoles(
  context: Context,
  view: ClusterView,
  { masters: added, replicas }: EnsurePlan,
  functions: EnsureOptions['functions'],
): Promise<Step[]> {
  const masters = mastersOf(view);
  const roles = [
    ...added.map((node) => ({ node, master: undefined })),
    ...replicas.map(({ replica, master }) => ({ node: replica, master })),
  ];
  const steps = await inParallel(roles, ({ node, master }) =>
    admit(context, { node, masters, master, functions }),
  );
  return steps.flat();
}

function countsAfter({ plan }: OperationResult): Pick<EnsureResult, 'masters' | 'replicas'> {
  const nodes = nodesAfter(plan);
  return {
    masters: nodes.filter(({ slots }) => slots.length > 0).length,
    replicas: nodes.filter(({ role }) => role === 'replica').length,
  };
}
