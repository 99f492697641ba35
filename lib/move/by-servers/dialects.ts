import { type Command, ConnectionError, type Reply, ReplyError } from '../../../resp/index.ts';
import { parseAddress } from '../../model/address.ts';
import type { Context } from '../../nodes/context.ts';
import type { NodeRef } from '../../plan/plan.ts';
import type { Dialect } from './dialect.ts';
import { redis } from './redis.ts';
import type { Task } from './task.ts';
import { valkey } from './valkey.ts';

const dialects: readonly Dialect[] = [valkey, redis];

/** The dialect that a node speaks, if it has atomic slot migration. */
export async function askDialect(
  { connections }: Context,
  { address }: NodeRef,
): Promise<Dialect | undefined> {
  const [help] = await connections.askAll(parseAddress(address), [['CLUSTER', 'HELP']]);
  return dialectOf(help);
}

/** The migrations that a node takes part in now. Empty if it does not know or report any. */
export async function runningTasks({ connections }: Context, { address }: NodeRef): Promise<Task[]> {
  try {
    return runningTasksIn(await connections.askAll(parseAddress(address), TASK_QUESTIONS));
  } catch (error) {
    if (error instanceof ConnectionError) return [];
    throw error;
  }
}

/** What to ask a node for its migrations: of these a node knows one, or none. */
export const TASK_QUESTIONS: readonly Command[] = dialects.map(({ list }) => list);

/** Reads the replies to these questions. */
export function runningTasksIn(replies: readonly (Reply | undefined)[]): Task[] {
  const tasks = dialects.flatMap(({ readTasks }, index) => {
    const reply = replies[index];
    return reply === undefined || reply instanceof ReplyError ? [] : readTasks(reply);
  });
  return tasks.filter(({ outcome }) => outcome === 'running');
}

/** Reads the reply of CLUSTER HELP. A node that refuses it counts as one without atomic migration. */
export function dialectOf(help: Reply | undefined): Dialect | undefined {
  if (help instanceof ReplyError || !Array.isArray(help)) return undefined;
  const lines = help.map(String);
  return dialects.find(({ helpLine }) => lines.some((line) => helpLine.test(line)));
}
