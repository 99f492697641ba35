import type { Command } from './command.ts';
import { addNodeCommand } from './commands/add-node.ts';
import { backupCommand } from './commands/backup.ts';
import { bundleCommand } from './commands/bundle.ts';
import { callCommand } from './commands/call.ts';
import { checkCommand } from './commands/check.ts';
import { compareCommand } from './commands/compare.ts';
import { completionCommand } from './commands/completion.ts';
import { createCommand } from './commands/create.ts';
import { delNodeCommand } from './commands/del-node.ts';
import { demoCommand } from './commands/demo.ts';
import { drainCommand } from './commands/drain.ts';
import { ensureCommand } from './commands/ensure.ts';
import { executeCommand } from './commands/execute.ts';
import { explainCommand } from './commands/explain.ts';
import { failoverCommand } from './commands/failover.ts';
import { fixCommand } from './commands/fix.ts';
import { hotCommand } from './commands/hot.ts';
import { importCommand } from './commands/import.ts';
import { infoCommand } from './commands/info.ts';
import { isReadyCommand } from './commands/is-ready.ts';
import { joinCommand, joinNoLoadCommand } from './commands/join.ts';
import { keysCommand } from './commands/keys.ts';
import { listCommand } from './commands/list.ts';
import { metricsCommand } from './commands/metrics.ts';
import { migrateSlotsCommand } from './commands/migrate-slots.ts';
import { okToStopCommand } from './commands/ok-to-stop.ts';
import { applyCommand, rollbackCommand, verifyCommand } from './commands/plan.ts';
import { pruneCommand } from './commands/prune.ts';
import { quitCommand } from './commands/quit.ts';
import { rebalanceCommand } from './commands/rebalance.ts';
import { rejoinCommand } from './commands/rejoin.ts';
import { replaceCommand } from './commands/replace.ts';
import { replicateCommand } from './commands/replicate.ts';
import { reportCommand } from './commands/report.ts';
import { rescueCommand } from './commands/rescue.ts';
import { reshardCommand } from './commands/reshard.ts';
import { restartCommand } from './commands/restart.ts';
import { restoreCommand } from './commands/restore.ts';
import { setTimeoutCommand } from './commands/set-timeout.ts';
import { shutdownCommand } from './commands/shutdown.ts';
import { spreadCommand } from './commands/spread.ts';
import { startCommand, startMultiCommand } from './commands/start.ts';
import { stepDownCommand } from './commands/step-down.ts';
import { topCommand } from './commands/top.ts';
import { waitCommand } from './commands/wait.ts';

/** Every command, in the order of help. One table drives parsing, help and completion. */
export const commands: readonly Command[] = [
  startCommand,
  startMultiCommand,
  createCommand,
  ensureCommand,
  joinCommand,
  joinNoLoadCommand,
  addNodeCommand,
  replicateCommand,
  quitCommand,
  delNodeCommand,
  pruneCommand,
  failoverCommand,
  drainCommand,
  stepDownCommand,
  restartCommand,
  replaceCommand,
  spreadCommand,
  shutdownCommand,
  rejoinCommand,
  fixCommand,
  migrateSlotsCommand,
  reshardCommand,
  rebalanceCommand,
  rescueCommand,
  applyCommand,
  verifyCommand,
  rollbackCommand,
  listCommand,
  checkCommand,
  okToStopCommand,
  isReadyCommand,
  waitCommand,
  infoCommand,
  topCommand,
  explainCommand,
  hotCommand,
  keysCommand,
  reportCommand,
  metricsCommand,
  bundleCommand,
  executeCommand,
  callCommand,
  setTimeoutCommand,
  importCommand,
  backupCommand,
  restoreCommand,
  compareCommand,
  demoCommand,
  completionCommand,
];

/** The command with this name; dashes and underscores are equivalent. */
export function findCommand(name: string): Command | undefined {
  const wanted = name.replaceAll('-', '_');
  return commands.find((command) => command.name === wanted);
}
