import { ClusterError } from '../errors.ts';
import { type NewcomerFault, type NewcomerRole, newcomerFaults } from '../findings/newcomer-faults.ts';
import { parseAddress } from '../model/address.ts';
import type { Context } from '../nodes/context.ts';
import { lackingFunctions } from '../nodes/functions.ts';
import { askNode } from '../nodes/look.ts';
import { isFresh } from '../nodes/newcomer.ts';
import { askNodeFacts } from '../nodes/node-facts.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { OwnFunctions } from '../options.ts';
import type { NodeRef, Plan, Step, StepOf } from '../plan/plan.ts';
import { mayBeBanned, waitOut } from './new-id.ts';

/** A node that will become a member, and what it will be. */
export interface Admission {
  readonly node: NodeRef;
  /** The masters of the cluster, or the other nodes of a new one. */
  readonly masters: readonly NodeRef[];
  /** The master that it will be a replica of. */
  readonly master?: NodeRef | undefined;
  /** True if that master leaves before long: then it need not be able to follow the node. */
  readonly masterLeaves?: boolean;
  /** What happens to functions of its own; undefined if the caller has no choice: it is refused. */
  readonly functions?: OwnFunctions | undefined;
}

/**
 * Finds out whether a node fits with those that it will be introduced to, before anything is changed. Every command that introduces
 * a node to a cluster goes through this. Rejects with ClusterError `CREDENTIALS_DIFFER`, `TARGET_TOO_OLD`, `DATABASES_DIFFER` or, if it has functions of
 * its own, `NODE_NOT_EMPTY`. Resolves to the steps that give a master the functions of the others.
 */
export async function admit(
  context: Context,
  { node, masters, master, masterLeaves = false, functions }: Admission,
): Promise<StepOf<'load-functions'>[]> {
  const others = masters.filter(({ id }) => id !== node.id && id !== master?.id);
  const asked = [node, ...(master ? [master] : []), ...others];
  const [newcomer, ...members] = await askNodeFacts(context, asked);
  const [leader] = master ? members : [];
  if (newcomer) {
    const role: NewcomerRole = leader ? { kind: 'replica', master: leader } : { kind: 'master' };
    const faults = newcomerFaults(newcomer, members, role, functions !== undefined);
    const isMoot = ({ code, how, address }: NewcomerFault): boolean =>
      (code === 'NODE_NOT_EMPTY' && functions === 'replace') ||
      (masterLeaves && (how === 'warned' || address === master?.address));
    complain(
      context,
      faults.filter((fault) => !isMoot(fault)),
    );
  }
  // Libraries of one name may differ in their code.
  const isAlike = !newcomer?.libraries?.some((name) => leader?.libraries?.includes(name));
  const lacking =
    leader && isAlike ? [] : await lackingFunctions(context, master ? [master] : masters, node, functions);
  context.account.admitted.add(node.address);
  // A replica gets its functions with everything else.
  return master ? [] : lacking;
}

/** The same for the nodes of a new cluster, by the steps that start it. */
export async function admitFounders(
  context: Context,
  nodes: readonly NodeRef[],
  steps: readonly Step[],
): Promise<void> {
  if (nodes.length < 2) return;
  const facts = await askNodeFacts(context, nodes);
  const byId = new Map(facts.map((one, index) => [nodes[index]?.id, one]));
  const masterOf = new Map(
    steps.flatMap((step) => (step.type === 'replicate' ? [[step.replica.id, step.master.id] as const] : [])),
  );
  const [first, ...others] = nodes.flatMap(({ id }) => (masterOf.has(id) ? [] : (byId.get(id) ?? [])));
  if (!first) return;
  const faults = others.flatMap((one) => [
    ...newcomerFaults(one, [first], { kind: 'founder' }),
    ...newcomerFaults(first, [one], { kind: 'founder' }),
  ]);
  for (const [replica, master] of masterOf) {
    const [follower, leader] = [byId.get(replica), byId.get(master)];
    if (follower && leader)
      faults.push(...newcomerFaults(follower, [leader], { kind: 'replica', master: leader }));
  }
  complain(context, faults);
  for (const { address } of nodes) context.account.admitted.add(address);
}

/** The same for the nodes that a plan introduces, unless that was done when it was made: a saved plan may be old. */
export async function admitPlanned(context: Context, { steps, masters }: Plan): Promise<void> {
  for (const step of steps) {
    if (step.type !== 'meet') continue;
    const fresh = step.nodes.filter(({ address }) => !context.account.admitted.has(address));
    if (step.to.length === 0 && fresh.length > 0) {
      await admitFounders(context, step.nodes, steps);
      await awaitFoundersBans(context, step.nodes);
    }
    const joining = new Set(step.nodes.map(({ id }) => id));
    for (const node of step.to.length === 0 ? [] : fresh) {
      const replicating = steps.find((one) => one.type === 'replicate' && one.replica.id === node.id);
      const master = replicating?.type === 'replicate' ? replicating.master : undefined;
      const masterLeaves = steps.some((one) => one.type === 'reset' && one.node.id === master?.id);
      await admit(context, {
        node,
        masters: masters.filter(({ id }) => !joining.has(id)),
        master,
        masterLeaves,
      });
    }
  }
}

/**
 * Waits until no id of the nodes of a new cluster can be banned. A plan that was saved names the ids that they had then, and once they
 * have slots, nothing shows any more that one was a member.
 */
export async function awaitFoundersBans(context: Context, nodes: readonly NodeRef[]): Promise<void> {
  if (context.settings.dryRun) return;
  const reports = await inParallel(nodes, ({ address }) =>
    askNode(context.connections, parseAddress(address), context.signal),
  );
  // Otherwise the run before this one has begun, and has waited.
  if (!reports.every((report) => isFresh({ report }))) return;
  await inParallel(reports.filter(mayBeBanned), (report) => waitOut(context, report));
}

function complain({ settings, emit, account }: Context, faults: readonly NewcomerFault[]): void {
  const worst =
    faults.find(({ how }) => how === 'refused') ??
    faults.find(({ how }) => how === 'forced' && !settings.force);
  if (worst) {
    const { code, message, hint, next, address } = worst;
    const hints = ['Nothing was changed', ...(hint ? [hint] : [])].join('. ');
    throw new ClusterError(code, message, { address, hint: hints, next });
  }
  const said = new Set<string>();
  for (const { code, how, address, message } of faults) {
    // What will not work is the same for all nodes of one kind. A node that gets a new id is looked at twice.
    if (account.warned.has(message) || (how === 'warned' && said.has(code))) continue;
    said.add(code);
    account.warned.add(message);
    emit({ type: 'warning', node: address, message });
  }
}
