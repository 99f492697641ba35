import { type Command, type Reply, ReplyError } from '../../../../resp/index.ts';
import type { SlotRange } from '../../../model/slot.ts';
import { askSource, askTarget, type Link } from '../link.ts';
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

/** The dialect that both ends speak, or why there is none. */
export async function commonDialect(link: Link): Promise<Dialect | Obstacle> {
  const [ofSource, ofTarget] = await Promise.all(
    [askSource, askTarget].map(async (ask) => {
      const [help] = await ask(link, [['CLUSTER', 'HELP']]);
      return help;
    }),
  );
  const [source, target] = [dialectOf(ofSource), dialectOf(ofTarget)];
  if (source !== undefined && source === target) return source;
  const { source: from, target: to } = link;
  const without = source === undefined ? from : to;
  return {
    address: without.address,
    reason:
      source === undefined || target === undefined
        ? `${without.address} has no atomic slot migration`
        : `${from.address} has that of ${source.name}, ${to.address} that of ${target.name}`,
    hint: 'Valkey 9.0 and Redis 8.4 are the first that have it, and both nodes need it: leave the method at "auto"',
  };
}

/** Reads the reply of CLUSTER HELP. A node that does not give it is taken for one that has nothing to offer. */
export function dialectOf(help: Reply | undefined): Dialect | undefined {
  if (help instanceof ReplyError || !Array.isArray(help)) return undefined;
  const lines = help.map(String);
  return dialects.find(({ helpLine }) => lines.some((line) => helpLine.test(line)));
}
