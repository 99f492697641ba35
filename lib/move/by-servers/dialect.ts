import type { Command, Reply } from '../../../resp/index.ts';
import type { SlotRange } from '../../model/slot.ts';
import type { End, Task } from './task.ts';

/** How to make one family of servers migrate slots on its own. */
export interface Dialect {
  readonly name: 'redis' | 'valkey';
  /** The node that is told to begin and to stop. Once it has stopped, slots no longer change hands. */
  readonly driver: End;
  /** True for a server that takes part in one migration at a time, as source or as target. */
  readonly onePerNode: boolean;
  /** True if a source keeps a failed migration until told to cancel it, and opens none of its slots for MIGRATE before that. */
  readonly sourceKeepsFailed: boolean;
  /** True if a source deletes what it has given away before it answers anyone. */
  readonly deletesAtOnce: boolean;
  /** How often a server may retry on its own before the migration counts as failed. */
  readonly mostRetries: number;
  /** A line of CLUSTER HELP that only a node with this migration prints. */
  readonly helpLine: RegExp;
  start(ranges: readonly SlotRange[], targetId: string): Command;
  /** Lists the migrations that the node takes part in or took part in recently, newest first. */
  readonly list: Command;
  readTasks(reply: Reply | undefined): Task[];
  cancel(taskId: string): Command;
}
