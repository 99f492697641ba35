import type { ClusterError } from '../errors.ts';
import type { Next } from '../model/next.ts';
import { expandSlots, slotsAre } from '../model/slot.ts';
import { runningTasks } from '../move/by-servers/dialects.ts';
import type { Task } from '../move/by-servers/task.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep, Plan } from '../plan/plan.ts';

/** Reports a running task that is not part of one of these moves. The mover adopts one that is. */
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
    `Another operator is active: ${slotsAre(expandSlots(task.slots))} moving ` +
    `from ${nameOf(task.source)} to ${nameOf(task.target)} (${task.state})`;
  const hint =
    'Nothing was changed. To cancel it there: CLUSTER MIGRATION CANCEL ALL (Redis) or CLUSTER CANCELSLOTMIGRATIONS (Valkey)';
  const next: readonly Next[] = [
    { do: 'wait', when: 'moves-done' },
    { do: 'retry', options: { force: true }, when: 'anyway' },
  ];
  refuse(nodeError('OTHER_OPERATOR', node.address, message, { hint, next }));
}

function isPartOf({ source, target, slots }: Task, move: MoveStep): boolean {
  if (move.source.id !== source || move.target.id !== target) return false;
  const moving = new Set(expandSlots(move.slots));
  return expandSlots(slots).every((slot) => moving.has(slot));
}
