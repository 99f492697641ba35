import { formatAddress, parseAddress } from '../model/address.ts';
import { mergeReports, type NodeReport, nodeById } from '../model/view.ts';
import type { NodeRef, Plan } from '../plan/plan.ts';
import { namedIn, type Sight } from '../plan/standing.ts';
import { traceOf } from '../plan/trace.ts';
import type { Context } from './context.ts';
import { askLibraries } from './functions.ts';
import { askNode, look } from './look.ts';
import { countKeyspace } from './newcomer.ts';
import { inParallel } from './parallel.ts';
import { lookSettled } from './settle.ts';
import { hasCopiedMaster } from './steps/replicate-master.ts';

/**
 * Looks at the cluster a plan was made for, and at those nodes of the plan that are not in it. With `settle` it waits until
 * the nodes agree, but for whoever the plan brings in or takes out.
 */
export async function lookForPlan(
  context: Context,
  plan: Plan,
  seed: NodeReport['address'],
  settle: boolean,
): Promise<Sight> {
  const { newcomers, leavers } = traceOf(plan);
  const [passing] = [...newcomers, ...leavers];
  const isMade = plan.before.every(({ id }) => newcomers.has(id));
  const view =
    settle && !isMade
      ? await lookSettled(context, seed, passing)
      : await look(context.connections, seed, context.signal);
  const reports = new Map(view.reports);
  const unreachable = new Map(view.unreachable);
  const strangers = new Map<string, { readonly id: string; readonly isFresh: boolean }>();
  const keys = new Map<string, number>();
  const outside = plan.before.filter(({ id, address }) => !reports.has(id) && !address.startsWith(':'));
  await inParallel(outside, async ({ id, address }) => {
    try {
      const report = await askNode(context.connections, parseAddress(address), context.signal);
      const isFresh = report.records.length === 1 && report.info.slotsAssigned === 0;
      if (report.myself.id !== id) {
        strangers.set(id, { id: report.myself.id, isFresh });
        return;
      }
      reports.set(id, report);
      unreachable.delete(id);
      // A cluster of one node may be made of one that holds keys.
      if (isFresh && plan.before.length > 1) {
        const keyspace = await context.connections.ask(parseAddress(address), ['INFO', 'keyspace']);
        keys.set(id, countKeyspace(String(keyspace)));
      }
    } catch (error) {
      context.signal?.throwIfAborted();
      unreachable.set(id, error as Error);
    }
  });
  const merged = mergeReports(view.seed, view.seedId, reports, unreachable);
  const members = new Set(view.nodes.map(({ id }) => id));
  const sight = { view: merged, members, strangers, keys, reached: await reachedAt(context, plan, merged) };
  const [copying, libraries] = await Promise.all([
    copyingIn(context, plan, merged),
    librariesIn(context, plan, merged),
  ]);
  return { ...sight, copying, libraries };
}

async function librariesIn(
  context: Context,
  { steps }: Plan,
  view: Sight['view'],
): Promise<Map<string, ReadonlySet<string>>> {
  const nodes = steps.flatMap((step) =>
    step.type === 'load-functions' && view.reports.has(step.node.id) ? [step.node] : [],
  );
  const found = await inParallel(nodes, async (node) => {
    const present = await askLibraries(context, node);
    return [node.id, new Set(present?.keys())] as const;
  });
  return new Map(found);
}

// A node may answer at more addresses than the others know it by.
async function reachedAt({ connections }: Context, plan: Plan, view: Sight['view']): Promise<Set<string>> {
  const elsewhere = namedIn(plan).filter(({ id, address }) => {
    const record = view.reports.has(id) ? nodeById(view, id) : undefined;
    return record && formatAddress(record.address) !== address && !address.startsWith(':');
  });
  const found = await inParallel(elsewhere, async ({ id, address }: NodeRef) => {
    const report = await askNode(connections, parseAddress(address)).catch(() => undefined);
    return report?.myself.id === id ? [`${id} ${address}`] : [];
  });
  return new Set(found.flat());
}

async function copyingIn(context: Context, { steps }: Plan, view: Sight['view']): Promise<Set<string>> {
  const replicas = steps.flatMap((step) => {
    const report = step.type === 'replicate' ? view.reports.get(step.replica.id) : undefined;
    return report?.myself.role === 'replica' ? [report] : [];
  });
  const found = await inParallel(replicas, async ({ myself, address }) =>
    (await hasCopiedMaster(context, address)) ? [] : [myself.id],
  );
  return new Set(found.flat());
}
