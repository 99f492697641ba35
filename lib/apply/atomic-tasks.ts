import { ConnectionError, type Reply } from '../../resp/index.ts';
import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { expandSlots, formatSlots, parseSlotRange } from '../model/slot.ts';
import type { MoveStep, NodeRef, Plan } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';
import { inParallel } from './parallel.ts';

/** A move that the servers make by themselves, of this or of another operator. */
export interface AtomicTask {
  /** Node ids. */
  readonly source: string;
  readonly target: string;
  readonly slots: readonly number[];
  /** In the server's words. */
  readonly state: string;
  readonly isRunning: boolean;
}

const ENDED = new Set(['success', 'failed', 'cancelled', 'canceled', 'completed']);

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
    const tasks = await askTasks(context, node);
    return tasks.find((task) => task.isRunning && !moves.some((move) => isPartOf(task, move)));
  });
  const index = found.findIndex((task) => task !== undefined);
  const [task, node] = [found[index], asked[index]];
  if (!task || !node) return;
  const nameOf = (id: string): string => asked.find((one) => one.id === id)?.address ?? id;
  const message =
    `Another operator is at work: slots ${formatSlots(task.slots)} are on their way ` +
    `from ${nameOf(task.source)} to ${nameOf(task.target)} (${task.state})`;
  const hint =
    'Wait until they have arrived; or cancel it there with CLUSTER MIGRATION CANCEL ALL (Redis) or ' +
    'CLUSTER CANCELSLOTMIGRATIONS (Valkey); or go on with --force';
  refuse(nodeError('OTHER_OPERATOR', node.address, message, { hint }));
}

function isPartOf({ source, target, slots }: AtomicTask, move: MoveStep): boolean {
  if (move.source.id !== source || move.target.id !== target) return false;
  const moving = new Set(expandSlots(move.slots));
  return slots.every((slot) => moving.has(slot));
}

// What the server does not know, or does not tell, is no task.
async function askTasks({ connections }: Context, { address }: NodeRef): Promise<AtomicTask[]> {
  try {
    const replies = await connections.askAll(parseAddress(address), [
      ['CLUSTER', 'MIGRATION', 'STATUS', 'ALL'],
      ['CLUSTER', 'GETSLOTMIGRATIONS'],
    ]);
    return replies.flatMap((reply) => (Array.isArray(reply) ? reply.map(readTask) : []));
  } catch (error) {
    if (error instanceof ConnectionError) return [];
    throw error;
  }
}

/** Reads an entry of CLUSTER MIGRATION STATUS (Redis 8.4) or CLUSTER GETSLOTMIGRATIONS (Valkey 9.0). */
export function readTask(entry: Reply): AtomicTask {
  const flat = Array.isArray(entry) ? entry : [];
  const fields = new Map<string, Reply>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(String(flat[at]), flat[at + 1] as Reply);
  const field = (...names: string[]): string =>
    String(names.map((name) => fields.get(name)).find((value) => value !== undefined) ?? '');
  const state = field('state');
  const ranges = field('slots', 'slot_ranges').split(/[ ,]+/).filter(Boolean).map(parseSlotRange);
  return {
    source: field('source', 'source_node'),
    target: field('dest', 'target_node'),
    slots: expandSlots(ranges),
    state,
    // Redis tries again what has failed, until it is cancelled: then it has an end.
    isRunning: fields.has('end_time') ? Number(field('end_time')) < 0 : !ENDED.has(state),
  };
}
