import { type Command, ConnectionError, type Reply, ReplyError } from '../../../../resp/index.ts';
import { ClusterError } from '../../../errors.ts';
import { parseAddress } from '../../../model/address.ts';
import type { SlotRange } from '../../../model/slot.ts';
import type { NodeRef } from '../../../plan/plan.ts';
import type { Context } from '../../context.ts';
import { redis } from './redis.ts';
import type { End, Task } from './task.ts';
import { valkey } from './valkey.ts';

/** How one family of servers is told to migrate slots by itself. */
export interface Dialect {
  readonly name: 'redis' | 'valkey';
  /** Which node is told to begin, and to stop. Where that node has stopped, slots do not change hands any more. */
  readonly driver: End;
  /** True for a server that takes part in one migration at a time, as source or as target. */
  readonly onePerNode: boolean;
  /** True where a source keeps a migration that failed, and opens none of its slots for MIGRATE, until told to cancel it. */
  readonly sourceKeepsFailed: boolean;
  /** How often a server may try again by itself before the migration counts as failed. */
  readonly mostRetries: number;
  /** A node that can do it says so in a line of CLUSTER HELP. */
  readonly helpLine: RegExp;
  start(ranges: readonly SlotRange[], targetId: string): Command;
  /** Lists the migrations that the node asked takes part in, or took part in lately, the newest first. */
  readonly list: Command;
  readTasks(reply: Reply | undefined): Task[];
  cancel(taskId: string): Command;
}

const dialects: readonly Dialect[] = [valkey, redis];

/** Why slots cannot be moved by atomic migration. */
export interface Obstacle {
  /** `host:port` of the node it lies with. */
  readonly address: string;
  readonly reason: string;
  /** What to do next, a sentence. */
  readonly hint: string;
}

/** The dialect that both nodes speak, or why there is none. */
export async function commonDialect(
  { connections }: Context,
  source: NodeRef,
  target: NodeRef,
): Promise<Dialect | Obstacle> {
  const [ofSource, ofTarget] = await Promise.all(
    [source, target].map(async ({ address }) => {
      const [help] = await connections.askAll(parseAddress(address), [['CLUSTER', 'HELP']]);
      return dialectOf(help);
    }),
  );
  if (ofSource !== undefined && ofSource === ofTarget) return ofSource;
  const without = ofSource === undefined ? source : target;
  return {
    address: without.address,
    reason:
      ofSource === undefined || ofTarget === undefined
        ? `${without.address} has no atomic slot migration`
        : `${source.address} has that of ${ofSource.name}, ${target.address} that of ${ofTarget.name}`,
    hint: 'Valkey 9.0 and Redis 8.4 are the first that have it, and both nodes need it: leave the method at "auto"',
  };
}

/** Throws where slots are to be moved by atomic migration only and these nodes cannot. */
export function requireDialect(
  choice: Dialect | Obstacle,
  source: NodeRef,
  target: NodeRef,
): asserts choice is Dialect {
  if (!('reason' in choice)) return;
  throw new ClusterError(
    'METHOD_UNSUPPORTED',
    `Cannot move slots from ${source.address} to ${target.address} by atomic migration: ${choice.reason}`,
    { address: choice.address, hint: choice.hint },
  );
}

/** The migrations that a node takes part in now. What it does not know, or does not tell, is none. */
export async function runningTasks({ connections }: Context, { address }: NodeRef): Promise<Task[]> {
  const commands = dialects.map(({ list }) => list);
  try {
    const replies = await connections.askAll(parseAddress(address), commands);
    const tasks = dialects.flatMap(({ readTasks }, index) => {
      const reply = replies[index];
      return reply instanceof ReplyError ? [] : readTasks(reply);
    });
    return tasks.filter(({ outcome }) => outcome === 'running');
  } catch (error) {
    if (error instanceof ConnectionError) return [];
    throw error;
  }
}

/** Reads the reply of CLUSTER HELP. A node that does not give it is taken for one that has nothing to offer. */
export function dialectOf(help: Reply | undefined): Dialect | undefined {
  if (help instanceof ReplyError || !Array.isArray(help)) return undefined;
  const lines = help.map(String);
  return dialects.find(({ helpLine }) => lines.some((line) => helpLine.test(line)));
}
