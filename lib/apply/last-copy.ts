import { takeovers, wordsOnCondition } from '../findings/condition-words.ts';
import { type Address, formatAddress, parseAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import { nameSlots } from '../model/slot.ts';
import { type ClusterView, mergeReports, type NodeReport, nodeById, nodeName } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { askNode, look } from '../nodes/look.ts';
import { askInfo, isLinkUp, totalKeys } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { NodeRef, Plan } from '../plan/plan.ts';
import { keptAlone } from '../plan/unserved.ts';

/** A replica that is taken out, or is to copy another master. */
interface Leaver {
  readonly node: NodeRef;
  readonly to?: NodeRef;
}

/**
 * Throws ClusterError `KEYS_IN_DOUBT` if a plan takes a replica away that has the last copy of keys: nothing serves their slots, or they had
 * moved to its master, which has failed. A reset deletes them (clusterReset empties a replica), and so does the copy of another master. Warns
 * instead if forced, and in a dry run.
 */
export async function requireOtherCopies(context: Context, { steps }: Plan): Promise<void> {
  const leavers = steps.flatMap((step): Leaver[] =>
    step.type === 'reset' || (step.type === 'forget' && !step.isDead)
      ? [{ node: step.node }]
      : step.type === 'replicate' && !step.isAgain
        ? [{ node: step.replica, to: step.master }]
        : [],
  );
  const { view } = context.account;
  if (view)
    await requireCopies(context, view, [...new Map(leavers.map((one) => [one.node.id, one])).values()]);
}

/** The same just before one is taken out: its master may have failed since, while a person was asked. `by` is a member that stays. */
export async function requireOtherCopy(
  context: Context,
  node: NodeRef,
  by: Address | undefined,
): Promise<void> {
  if (!by || context.settings.force) return;
  const info = await askInfo(context.connections, parseAddress(node.address), ['replication']);
  if (isLinkUp(info)) return;
  await requireCopies(context, await look(context.connections, by, context.signal), [{ node }]);
}

async function requireCopies(context: Context, view: ClusterView, leavers: readonly Leaver[]): Promise<void> {
  const leaving = new Set(leavers.map(({ node }) => node.id));
  await inParallel(leavers, async ({ node, to }) => {
    const { signal, connections } = context;
    const report = await askNode(connections, parseAddress(node.address), signal).catch(() => undefined);
    signal?.throwIfAborted();
    // A server deletes no keys of a master: it refuses to reset one that has any.
    if (report?.myself.id !== node.id || report.myself.role === 'master') return;
    if (to && report.myself.masterId === to.id) return;
    const seen = withReport(view, report);
    const kept = keptAlone(seen, node.id, leaving);
    if (!kept) return;
    const info = await askInfo(connections, report.address, ['keyspace']);
    const keys = totalKeys(info);
    if (keys === 0) return;
    const [name, owner] = [formatAddress(report.address), nodeName(seen, kept.owner)];
    const { says } = wordsOnCondition(seen, kept.owner);
    const message = `Cannot take ${name} from its master ${owner}, which ${says}: it has ${keys} keys, and the last copy of ${nameSlots(kept.slots, 4)}`;
    if (context.settings.force || context.settings.dryRun) {
      context.emit({ type: 'warning', node: name, message });
      return;
    }
    const ways: readonly Next[] = nodeById(view, node.id)
      ? takeovers(seen, node.id, kept.owner)
      : [{ do: 'rejoin', nodes: [name, formatAddress(view.seed)] }];
    throw nodeError('KEYS_IN_DOUBT', name, message, {
      hint: 'Nothing was changed. They would be deleted',
      next: [...ways, { do: 'retry', options: { force: true }, when: 'anyway' }],
    });
  });
}

// All others may have forgotten it.
function withReport(view: ClusterView, report: NodeReport): ClusterView {
  if (view.reports.has(report.myself.id)) return view;
  const reports = new Map([...view.reports, [report.myself.id, report] as const]);
  return mergeReports(view.seed, view.seedId, reports, view.unreachable, view.asked);
}
