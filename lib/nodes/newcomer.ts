import { ReplyError } from '../../resp/index.ts';
import { loginRefused } from '../findings/newcomer-faults.ts';
import type { Address } from '../model/address.ts';
import { formatAddress } from '../model/address.ts';
import { formatKey } from '../model/bytes.ts';
import type { Advice, Next } from '../model/next.ts';
import { expandSlots, nameSlots, slotsAre } from '../model/slot.ts';
import type { ClusterView, NodeReport } from '../model/view.ts';
import { type Context, nodeError } from './context.ts';
import { askNode } from './look.ts';
import { parseInfo, totalKeys } from './node-info.ts';

/** A node that will become a member, and how many keys it holds. */
export interface Newcomer {
  readonly report: NodeReport;
  readonly keys: number;
  /** One of its keys, if it holds any in database 0. */
  readonly key?: string;
}

/**
 * Asks a node that will become a member something. Rejects with ClusterError `CREDENTIALS_DIFFER` if it does not log us in though
 * `member` does.
 */
export async function besideMember<Result>(
  { connections, options }: Context,
  member: Address,
  address: Address,
  ask: () => Promise<Result>,
): Promise<Result> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    // If it refuses us too, its error is the one that counts.
    await connections.get(member);
    const fault = loginRefused(formatAddress(address), formatAddress(member), error, options.username);
    if (!fault) throw error;
    const { code, message, next } = fault;
    const hint = `Nothing was changed. ${fault.hint}`;
    throw nodeError(code, address, message, { hint, next, cause: error });
  }
}

/** Asks a node that will become a member. Rejects with ClusterError `NOT_CLUSTER_ENABLED` for a standalone server. */
export async function askNewcomer(context: Context, address: Address): Promise<Newcomer> {
  const report = await askNode(context.connections, address, context.signal);
  const keyspace = String(
    await context.connections.ask(address, ['INFO', 'keyspace'], { signal: context.signal }),
  );
  const keys = countKeyspace(keyspace);
  const [key] = keys === 0 ? [] : await context.connections.askAll(address, [['RANDOMKEY']]);
  return { report, keys, ...(typeof key === 'string' ? { key } : {}) };
}

/** Keys in all databases, from the reply of INFO keyspace. */
export function countKeyspace(info: string): number {
  return totalKeys(parseInfo(info));
}

/** True if the node knows no other node and owns nothing. */
export function isFresh({ report }: Pick<Newcomer, 'report'>): boolean {
  return report.records.length === 1 && report.info.state !== 'ok' && report.info.slotsAssigned === 0;
}

/** True of a node that is in no cluster and on its way into none: it knows no other node and owns nothing. */
export function isOutside(report: NodeReport): boolean {
  const isAlone = report.records.length === 1 && (report.inHandshake ?? []).length === 0;
  return isAlone && isFresh({ report }) && report.myself.role === 'master';
}

/**
 * True of a node that is in no cluster, but was in one since it was started: it knows no other node and owns nothing, and has sent
 * packets on the cluster bus. CLUSTER RESET leaves that count as it is (clusterReset); a node that never had a neighbour has sent none.
 */
export function hasLeft(report: NodeReport): boolean {
  return isOutside(report) && report.info.messagesSent > 0;
}

/** True if the node and the cluster know one another: it is a member, or its introduction was interrupted. */
export function isAcquainted({ report }: Newcomer, view: ClusterView): boolean {
  const ids = new Set(view.nodes.map(({ id }) => id));
  return report.records.some(({ id }) => ids.has(id));
}

/** The error for a node that is already in a cluster. Nothing is advised that would take a healthy member out of it. */
export function alreadyInCluster({ report, keys }: Newcomer, hint?: string): Error {
  const name = formatAddress(report.address);
  const others = report.records.length - 1;
  const { slots } = report.myself;
  const owned = others === 0 && slots.length > 0 ? `: it owns ${nameSlots(expandSlots(slots))}` : '';
  if (others === 0 && keys > 0)
    return nodeError(
      'ALREADY_IN_CLUSTER',
      name,
      `Node ${name} is a cluster of its own, with keys (${keys})${owned}`,
      {
        hint: 'They may be the only copy. Back them up first, and restore the backup into the cluster afterwards',
      },
    );
  return nodeError('ALREADY_IN_CLUSTER', name, `Node ${name} is already in a cluster${owned}`, {
    hint:
      hint ??
      (others > 0 ? `It is a member of a cluster of ${others + 1} nodes. Name another node` : undefined),
    next: others > 0 ? [{ do: 'list', cluster: name }] : [{ do: 'shutdown', node: name, when: 'not-needed' }],
  });
}

/**
 * The error for nodes that know nobody and own the slots of keys that they were started with (verifyClusterConfigWithData), if these
 * are not the slots that they would be given. The way on keeps each of them where it is.
 */
export function holdOwnSlots(newcomers: readonly Newcomer[], { report, keys }: Newcomer): Error {
  const name = formatAddress(report.address);
  const others = newcomers.filter((one) => one.report !== report);
  return nodeError(
    'NODE_NOT_EMPTY',
    name,
    `Node ${name} is not empty: it still contains keys (${keys}) of slots that it took on its own`,
    {
      hint: 'They may be the only copy. To keep them, make the nodes a cluster as they are',
      next: [
        ...others.map(
          ({ report: { address } }): Next => ({
            do: 'command',
            node: name,
            command: ['CLUSTER', 'MEET', address.host, `${address.port}`],
          }),
        ),
        { do: 'fix', cluster: name, when: 'after-that' },
      ],
    },
  );
}

/** True of a node that knows nobody, and owns slots and keys. */
export function hasOwnSlots({ report, keys }: Newcomer): boolean {
  return report.records.length === 1 && report.info.slotsAssigned > 0 && keys > 0;
}

/** Throws unless the node knows no other node and owns nothing. */
export function requireFresh(newcomer: Newcomer): void {
  if (!isFresh(newcomer)) throw alreadyInCluster(newcomer);
  requireNoMarks(newcomer);
}

// It knows no other node, so these are of no move that could go on.
function requireNoMarks({ report, keys }: Newcomer): void {
  const { openSlots } = report.myself;
  if (openSlots.length === 0 || keys > 0) return;
  const name = formatAddress(report.address);
  const open = [...new Set(openSlots.map(({ slot }) => slot))];
  throw nodeError('OPEN_SLOT', name, `Node ${name} is not empty: ${slotsAre(open)} open on it`, {
    openSlots: open,
    hint: 'Nothing was changed. It knows none of the nodes that it would move them from or to',
    next: [
      { do: 'command', node: name, command: ['CLUSTER', 'RESET'] },
      { do: 'retry', when: 'after-that' },
    ],
  });
}

/** What to do about keys that must not be there. */
export function emptying(node: string): Advice {
  const hint = 'Save what is needed, then empty the node';
  return { hint, next: [{ do: 'command', node, command: ['FLUSHALL'] }] };
}

/** Throws if the node holds keys: they would belong to other nodes' slots, out of reach or in the way. */
export function requireNoKeys({ report, keys, key }: Newcomer): void {
  if (keys === 0) return;
  const name = formatAddress(report.address);
  const example = key === undefined ? '' : `, for example ${formatKey(key)}`;
  throw nodeError(
    'NODE_NOT_EMPTY',
    name,
    `Node ${name} is not empty: it still contains keys (${keys}${example})`,
    {
      ...(report.myself.openSlots.length > 0
        ? { hint: 'An interrupted run left slots open on it', next: [{ do: 'fix', cluster: name }] }
        : report.records.length > 1
          ? // They came by a move to a member, and no other node may have them.
            {
              hint: 'They may be the only copies of keys of its cluster',
              next: [{ do: 'fix', cluster: name }],
            }
          : emptying(name)),
    },
  );
}
