import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { formatBytes } from '../model/bytes.ts';
import type { MoveStep, NodeRef, Plan } from '../plan/plan.ts';
import { requireNoOtherTask } from './atomic-tasks.ts';
import { type Context, nodeError } from './context.ts';
import { askNode } from './look.ts';
import { commonDialect, requireDialect } from './mover/atomic/dialect.ts';
import { askInfo, numberOf } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { requireReadable } from './versions.ts';

/**
 * Looks for what would make the moves of a plan fail, or harm data, before anything is changed.
 * Rejects with ClusterError `METHOD_UNSUPPORTED` where only atomic migration is wanted and a pair cannot do it,
 * `NOT_REACHED` where a target does not serve, `TARGET_TOO_OLD` where it cannot read the keys;
 * and, unless forced, with `NO_MEMORY` where they do not fit and `OTHER_OPERATOR` where the servers are moving other slots.
 * A dry run warns instead.
 */
export async function preflight(context: Context, plan: Plan): Promise<void> {
  const moves = plan.steps.filter((step): step is MoveStep => step.type === 'move-slots');
  if (moves.length === 0) return;
  await inParallel(targetsOf(moves), async (target) => {
    await Promise.all([
      isServing(plan, target) ? requireServingTarget(context, target) : undefined,
      requireMemory(context, target, moves),
    ]);
  });
  if (context.options.method === 'atomic') {
    await inParallel(moves, async ({ source, target }) => {
      requireDialect(await commonDialect(context, source, target), source, target);
    });
  }
  await requireReadable(context, moves, (error) => complain(context, error, false));
  await requireNoOtherTask(context, plan, moves, (error) => complain(context, error, true));
}

function complain({ options, emit }: Context, error: ClusterError, mayForce: boolean): void {
  if (!options.dryRun && !(mayForce && options.force)) throw error;
  const node = error.address === undefined ? {} : { node: error.address };
  emit({ type: 'warning', ...node, message: error.message });
}

function targetsOf(moves: readonly MoveStep[]): NodeRef[] {
  return [...new Map(moves.map(({ target }) => [target.id, target])).values()];
}

// A node that the plan introduces does not serve yet, nor does a cluster whose lost slots it gives to somebody.
function isServing({ steps }: Plan, target: NodeRef): boolean {
  return !steps.some((step) => {
    if (step.type === 'meet') return step.nodes.some(({ id }) => id === target.id);
    return step.type === 'take-slots' || step.type === 'close-slots';
  });
}

async function requireServingTarget(context: Context, { address }: NodeRef): Promise<void> {
  const { info } = await askNode(context.connections, parseAddress(address), context.signal);
  if (info.state === 'ok') return;
  const message = `Cannot move slots to ${address}: it says cluster_state:fail`;
  const hint = 'Nothing was changed. See what is wrong with: redis-trib check';
  complain(context, nodeError('NOT_REACHED', address, message, { hint }), false);
}

async function requireMemory(
  context: Context,
  { id, address }: NodeRef,
  moves: readonly MoveStep[],
): Promise<void> {
  const coming = moves
    .filter(({ target }) => target.id === id)
    .reduce((sum, { content }) => sum + (content?.bytes ?? 0), 0);
  const info = await askInfo(context.connections, parseAddress(address), ['memory']);
  const limit = numberOf(info, 'maxmemory');
  // Buffers of replicas and of the append-only file do not count towards maxmemory.
  const used = numberOf(info, 'used_memory') - numberOf(info, 'mem_not_counted_for_evict');
  if (limit === 0 || used + coming <= limit) return;
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  const harm =
    policy === 'noeviction'
      ? 'it would refuse keys'
      : `keys would be evicted there (maxmemory-policy ${policy})`;
  const message =
    `Not enough memory on ${address}: ${formatBytes(coming)} are to come to ${formatBytes(used)} in use, ` +
    `maxmemory is ${formatBytes(limit)}, and ${harm}`;
  const hint = 'Raise maxmemory there, or move less; to go on all the same, use --force';
  complain(context, nodeError('NO_MEMORY', address, message, { hint }), true);
}
