import type { ClusterError } from '../errors.ts';
import { expandSlots, formatRanges } from '../model/slot.ts';
import type { MoveStep, Plan } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';
import { runningTasks } from './mover/atomic/dialect.ts';
import type { Task } from './mover/atomic/task.ts';
import { inParallel } from './parallel.ts';

/** Tells of a running task that is no part of one of these moves. One that is part of it is for the mover to adopt. */
export async function requireNoOtherTask(
  context: Context,
  plan: Plan,
  moves: readonly MoveStep[],
  refuse: (error: ClusterError) => void,
): Promise<void> {
  const nodes = [...plan.masters, ...moves.flatMap(({ source, target }) => [source, target])];
  const asked = [...new Map(nodes.map((node) => [node.id, node])).values()];
  const found = await inParallel(asked, async (node) => {
    const tasks = await runningTasks(context, node);
    return tasks.find((task) => !moves.some((move) => isPartOf(task, move)));
  });
  const index = found.findIndex((task) => task !== undefined);
  const [task, node] = [found[index], asked[index]];
  if (!task || !node) return;
  const nameOf = (id: string): string => asked.find((one) => one.id === id)?.address ?? id;
  const message =
    `Another operator is at work: slots ${formatRanges(task.slots)} are on their way ` +
    `from ${nameOf(task.source)} to ${nameOf(task.target)} (${task.state})`;
  const hint =
    'Wait until they have arrived; or cancel it there with CLUSTER MIGRATION CANCEL ALL (Redis) or ' +
    'CLUSTER CANCELSLOTMIGRATIONS (Valkey); or go on with --force';
  refuse(nodeError('OTHER_OPERATOR', node.address, message, { hint }));
}

function isPartOf({ source, target, slots }: Task, move: MoveStep): boolean {
  if (move.source.id !== source || move.target.id !== target) return false;
  const moving = new Set(expandSlots(move.slots));
  return expandSlots(slots).every((slot) => moving.has(slot));
}
