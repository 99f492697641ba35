import { formatAddress, parseAddress } from '../model/address.ts';
import { mergeReports, type NodeReport, nodeById } from '../model/view.ts';
import type { NodeRef, Plan } from '../plan/plan.ts';
import { namedIn, type PlanView } from '../plan/plan-view.ts';
import { traceOf } from '../plan/trace.ts';
import type { Context } from './context.ts';
import { askLibraries } from './libraries.ts';
import { askNode, look } from './look.ts';
import { lookSettled } from './look-settled.ts';
import { countKeyspace } from './newcomer.ts';
import { askInfo } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { lacksMasterLink } from './replication.ts';

/**
 * Looks at the cluster a plan was made for, and at nodes of the plan that are not members. With `settle`, waits until the
 * nodes agree, except about nodes that the plan adds or removes.
 */
export async function lookForPlan(
  context: Context,
  plan: Plan,
  seed: NodeReport['address'],
  settle: boolean,
): Promise<PlanView> {
  const { newcomers, leavers } = traceOf(plan);
  const isMade = plan.before.every(({ id }) => newcomers.has(id));
  const view =
    settle && !isMade
      ? await lookSettled(context, seed, new Set([...newcomers, ...leavers]))
      : await look(context.connections, seed, context.signal);
  const reports = new Map(view.reports);
  const unreachable = new Map(view.unreachable);
  const otherIds = new Map<string, { readonly id: string; readonly isFresh: boolean }>();
  const keys = new Map<string, number>();
  const outside = plan.before.filter(({ id, address }) => !reports.has(id) && !address.startsWith(':'));
  await inParallel(outside, async ({ id, address }) => {
    try {
      const report = await askNode(context.connections, parseAddress(address), context.signal);
      const isFresh = report.records.length === 1 && report.info.slotsAssigned === 0;
      if (report.myself.id !== id) {
        otherIds.set(id, { id: report.myself.id, isFresh });
        return;
      }
      reports.set(id, report);
      unreachable.delete(id);
      // A cluster of a single node may be created from a node that has keys.
      if (isFresh && plan.before.length > 1) {
        const keyspace = await context.connections.ask(parseAddress(address), ['INFO', 'keyspace']);
        keys.set(id, countKeyspace(String(keyspace)));
      }
    } catch (error) {
      context.signal?.throwIfAborted();
      unreachable.set(id, error as Error);
    }
  });
  const merged = mergeReports(view.seed, view.seedId, reports, unreachable, view.asked);
  context.account.view = merged;
  const members = new Set(view.nodes.map(({ id }) => id));
  const seen = { view: merged, members, otherIds, keys, reached: await reachedAt(context, plan, merged) };
  const [copying, libraries, runIds] = await Promise.all([
    copyingIn(context, plan, merged),
    librariesIn(context, plan, merged),
    runIdsIn(context, plan, merged),
  ]);
  return { ...seen, copying, libraries, runIds };
}

async function runIdsIn(
  { connections, signal }: Context,
  { steps }: Plan,
  view: PlanView['view'],
): Promise<Map<string, string>> {
  const ids = steps.flatMap((step) => (step.type === 'restart' ? step.nodes.map(({ id }) => id) : []));
  const reports = [...new Set(ids)].flatMap((id) => view.reports.get(id) ?? []);
  const found = await inParallel(reports, async ({ myself, address }): Promise<[string, string][]> => {
    try {
      return [[myself.id, (await askInfo(connections, address, ['server'])).get('run_id') ?? '']];
    } catch {
      // It is being restarted just now.
      signal?.throwIfAborted();
      return [];
    }
  });
  return new Map(found.flat().filter(([, runId]) => runId !== ''));
}

async function librariesIn(
  context: Context,
  { steps }: Plan,
  view: PlanView['view'],
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

// A node may answer at addresses that the other nodes do not know.
async function reachedAt({ connections }: Context, plan: Plan, view: PlanView['view']): Promise<Set<string>> {
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

async function copyingIn(context: Context, { steps }: Plan, view: PlanView['view']): Promise<Set<string>> {
  const replicas = steps.flatMap((step) => {
    const report = step.type === 'replicate' ? view.reports.get(step.replica.id) : undefined;
    return report?.myself.role === 'replica' ? [report] : [];
  });
  const found = await inParallel(replicas, async ({ myself, address }) =>
    (await lacksMasterLink(context, address)) ? [myself.id] : [],
  );
  return new Set(found.flat());
}
