import type { ClusterError } from '../errors.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { type Condition, conditionOf } from '../model/condition.ts';
import type { NodeRecord } from '../model/node.ts';
import type { ClusterView } from '../model/view.ts';
import { type Context, nodeError } from './context.ts';
import { askInfo, totalKeys } from './node-info.ts';
import { hasMasterLink } from './replication.ts';

const ANSWERING: readonly Condition['kind'][] = ['healthy', 'moved', 'loading', 'refuses-us'];

/** True if a node answers anything at all, be it that it cannot serve now. */
export function answersAnything(view: ClusterView, id: string): boolean {
  return ANSWERING.includes(conditionOf(view, id).kind);
}

/**
 * Rejects with ClusterError `KEYS_IN_DOUBT` if the master runs that a replica is to replace without its consent: what it has and the
 * replica has not would be lost. A replica that has never copied its master is promoted like any other (CLUSTER FAILOVER with FORCE
 * or TAKEOVER does not look at its data).
 */
export async function requireSilentMaster(
  context: Context,
  view: ClusterView,
  replica: Address,
  master: NodeRecord,
): Promise<void> {
  const { connections, settings } = context;
  if (settings.force) return;
  if (!answersAnything(view, master.id)) {
    // Others may not have noticed yet that it is down. Where they are right, a replica that follows it has what it has.
    const isReached = conditionOf(view, master.id).kind === 'unreachable-from-here';
    if (!isReached || (await hasMasterLink(context, replica))) return;
  }
  const count = async (address: Address): Promise<number | undefined> => {
    const info = await askInfo(connections, address, ['keyspace']).catch(() => undefined);
    return info && totalKeys(info);
  };
  const [there, here] = await Promise.all([count(master.address), count(replica)]);
  throw stillAlive(view, formatAddress(replica), master, [there, here]);
}

function stillAlive(
  view: ClusterView,
  replica: string,
  master: NodeRecord,
  [there, here]: readonly [number | undefined, number | undefined],
): ClusterError {
  const name = formatAddress(master.address);
  const { says, hint, next = [] } = wordsOnCondition(view, master.id);
  const isReached = view.reports.has(master.id);
  return nodeError(
    'KEYS_IN_DOUBT',
    replica,
    `Cannot fail over to ${replica} without its master: ${name} ${isReached ? 'answers' : says}. It holds ${keysOf(there)}, the replica ${keysOf(here)}`,
    {
      hint: ['Nothing was changed', ...(isReached || !hint ? [] : [hint])].join('. '),
      next: [
        ...(isReached
          ? [{ do: 'failover' as const, node: replica, options: { mode: 'graceful' } }]
          : next.filter((one) => one.do === 'wait')),
        { do: 'retry', options: { force: true }, when: 'anyway' },
      ],
    },
  );
}

function keysOf(count: number | undefined): string {
  if (count === undefined) return 'an unknown number of keys';
  return count === 1 ? '1 key' : `${count} keys`;
}
