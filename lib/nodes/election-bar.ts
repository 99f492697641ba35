import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { parseAddress } from '../model/address.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Context } from './context.ts';
import { mustDo } from './must-do.ts';
import { askInfo, type NodeInfo, numberOf } from './node-info.ts';
import { pairsIn } from './pairs.ts';

const [BAR, PRIORITY] = ['cluster-replica-no-failover', 'replica-priority'];

/** Added to the priority of a replica that is barred, which nothing in a cluster uses, as a mark that it is to be lifted again. */
const MARK = 1_000_000;

/**
 * Keeps a replica from being elected. One that has just been given another master still has the keys of the former one, and would be
 * elected if its new master failed before it has copied that (clusterHandleSlaveFailover goes by how long it has had no link).
 * A node that refuses CONFIG is left as it is, with a warning.
 */
export async function barElection({ connections, emit }: Context, node: NodeRef): Promise<void> {
  const ask = (commands: readonly Command[]): Promise<Reply[]> =>
    connections.askAll(parseAddress(node.address), commands);
  const settings = pairsIn(await ask([BAR, PRIORITY].map((name): Command => ['CONFIG', 'GET', name])));
  if (settings?.get(BAR) === 'yes') return;
  if (settings) {
    const priority = Number(settings.get(PRIORITY) ?? 100) % MARK;
    const replies = await ask([
      ['CONFIG', 'SET', PRIORITY, `${priority + MARK}`],
      ['CONFIG', 'SET', BAR, 'yes'],
    ]);
    if (replies.every((reply) => !(reply instanceof ReplyError))) return;
  }
  const message = `${node.address} refuses CONFIG: if its new master fails before it has copied that, it may be elected with the keys of its former one`;
  emit({ type: 'warning', node: node.address, message });
}

/** Lets a replica take over again that `barElection()` has barred, in this run or in one that was cut short. True if it was. */
export async function liftElectionBar(context: Context, node: NodeRef): Promise<boolean> {
  const info = await askReplication(context, node);
  if (!isBarred(info)) return false;
  const what = `let ${node.address} take over again`;
  await mustDo(context, node, ['CONFIG', 'SET', BAR, 'no'], what);
  await mustDo(context, node, ['CONFIG', 'SET', PRIORITY, `${priorityIn(info) % MARK}`], what);
  return true;
}

/** True of a replica that `barElection()` has barred. */
export async function isElectionBarred(context: Context, node: NodeRef): Promise<boolean> {
  return isBarred(await askReplication(context, node));
}

/** The same, by its replication in INFO. */
export function isBarred(info: NodeInfo): boolean {
  return priorityIn(info) >= MARK;
}

const priorityIn = (info: NodeInfo): number => numberOf(info, 'slave_priority');

function askReplication({ connections }: Context, { address }: NodeRef): Promise<NodeInfo> {
  return askInfo(connections, parseAddress(address), ['replication']);
}
