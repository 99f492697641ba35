import { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { methodUnsupported } from '../move/choose-method.ts';
import type { Methods } from '../move/decide-methods.ts';
import { awaitServing } from '../nodes/await-serving.ts';
import type { Context } from '../nodes/context.ts';
import { noRoomFor } from '../nodes/memory-room.ts';
import { askInfo } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep, NodeRef, Plan } from '../plan/plan.ts';
import { requireNoOtherTask } from './atomic-tasks.ts';
import { requireTargetDatabases } from './databases.ts';
import { requireCommands } from './needed-commands.ts';
import { requireReadable } from './readable.ts';
import { requireWritable } from './writable.ts';

/**
 * Looks for anything that would make the moves of a plan fail, or harm data, before anything is changed.
 * Rejects with ClusterError `METHOD_UNSUPPORTED` if only atomic migration is allowed and a pair does not support it,
 * `NOT_REACHED` if a target does not serve, `TARGET_TOO_OLD` or `DATABASES_DIFFER` if it cannot take the keys, `COMMAND_REFUSED` if an end refuses writes, or what the move sends it. Unless forced, also with `NO_MEMORY` if
 * they do not fit, and `OTHER_OPERATOR` if the servers are moving other slots. A dry run warns instead.
 */
export async function preflight(context: Context, plan: Plan, methods: Methods): Promise<void> {
  const moves = plan.steps.filter((step): step is MoveStep => step.type === 'move-slots');
  if (moves.length === 0) return;
  await inParallel(targetsOf(moves), async (target) => {
    await Promise.all([
      isServing(plan, target) ? requireServingTarget(context, target) : undefined,
      requireMemory(context, target, moves),
    ]);
  });
  for (const move of moves) {
    const chosen = methods.of(move);
    if (chosen.method === 'refused')
      complain(context, methodUnsupported(chosen.why, move.source, move.target), false);
  }
  const refuse = (error: ClusterError): void => complain(context, error, false);
  await Promise.all([
    requireReadable(context, moves, methods, refuse),
    requireTargetDatabases(context, moves, refuse),
    requireCommands(context, moves, methods, (error, mayForce) => complain(context, error, mayForce)),
    requireWritable(context, plan, moves, methods, refuse),
  ]);
  await requireNoOtherTask(context, plan, moves, (error) => complain(context, error, true));
}

function complain({ settings, emit }: Context, error: ClusterError, mayForce: boolean): void {
  if (!settings.dryRun && !(mayForce && settings.force)) throw error;
  const node = error.address === undefined ? {} : { node: error.address };
  emit({ type: 'warning', ...node, message: error.message });
}

function targetsOf(moves: readonly MoveStep[]): NodeRef[] {
  return [...new Map(moves.map(({ target }) => [target.id, target])).values()];
}

// A node that the plan introduces does not serve yet, nor does a cluster whose lost slots the plan gives away.
function isServing({ steps }: Plan, target: NodeRef): boolean {
  return !steps.some((step) => {
    if (step.type === 'meet') return step.nodes.some(({ id }) => id === target.id);
    return step.type === 'take-slots' || step.type === 'close-slots';
  });
}

async function requireServingTarget(context: Context, target: NodeRef): Promise<void> {
  await awaitServing(context, [target], context.settings.dryRun ? 0 : undefined).catch((error: unknown) => {
    if (!(error instanceof ClusterError)) throw error;
    complain(context, error, false);
  });
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
  const error = noRoomFor(
    coming,
    address,
    info,
    'Nothing was changed. Raise maxmemory there, or move fewer slots',
  );
  if (error) complain(context, error, true);
}
