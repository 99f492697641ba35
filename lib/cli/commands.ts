import type { Command } from './command.ts';
import { addNode } from './commands/add-node.ts';
import { backup } from './commands/backup.ts';
import { call } from './commands/call.ts';
import { check } from './commands/check.ts';
import { completion } from './commands/completion.ts';
import { create } from './commands/create.ts';
import { delNode } from './commands/del-node.ts';
import { demo } from './commands/demo.ts';
import { drain } from './commands/drain.ts';
import { execute } from './commands/execute.ts';
import { failover } from './commands/failover.ts';
import { fix } from './commands/fix.ts';
import { importCommand } from './commands/import.ts';
import { info } from './commands/info.ts';
import { join, joinNoLoad } from './commands/join.ts';
import { list } from './commands/list.ts';
import { migrateSlots } from './commands/migrate-slots.ts';
import { apply, rollback, verify } from './commands/plan.ts';
import { quit } from './commands/quit.ts';
import { rebalance } from './commands/rebalance.ts';
import { replicate } from './commands/replicate.ts';
import { rescue } from './commands/rescue.ts';
import { reshard } from './commands/reshard.ts';
import { restore } from './commands/restore.ts';
import { setTimeout } from './commands/set-timeout.ts';
import { shutdown } from './commands/shutdown.ts';
import { start, startMulti } from './commands/start.ts';

/** Every command, in the order of help. One table drives parsing, help and completion. */
export const commands: readonly Command[] = [
  start,
  startMulti,
  create,
  join,
  joinNoLoad,
  addNode,
  replicate,
  quit,
  delNode,
  failover,
  drain,
  shutdown,
  fix,
  migrateSlots,
  reshard,
  rebalance,
  rescue,
  apply,
  verify,
  rollback,
  list,
  check,
  info,
  execute,
  call,
  setTimeout,
  importCommand,
  backup,
  restore,
  demo,
  completion,
];

/** The command of this name; dashes and underscores are the same. */
export function findCommand(name: string): Command | undefined {
  const wanted = name.replaceAll('-', '_');
  return commands.find((command) => command.name === wanted);
}
