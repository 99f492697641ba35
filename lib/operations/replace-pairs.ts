import { ClusterError, invalidArgument } from '../errors.ts';
import {
  type Address,
  type AddressLike,
  formatAddress,
  parseAddress,
  sameAddress,
} from '../model/address.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import type { ClusterView } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { addressIn, namedNode } from '../nodes/named-masters.ts';
import { askNewcomer, hasLeft, isAcquainted, type Newcomer } from '../nodes/newcomer.ts';

/** A node as it was named, and the server that is to take its place. */
export interface Pair {
  readonly node: string;
  readonly by: Address;
}

/** A node that is to be replaced. */
export interface Leaver {
  readonly node: NodeRecord;
  /** True if no member knows it any more, and it has not been reset. */
  readonly isForgotten: boolean;
}

/** Reads pairs. Throws a ClusterError `INVALID_ARGUMENT` if none is given, or a server is named twice. */
export function readPairs(
  given: readonly { readonly node: string; readonly by: AddressLike }[],
): readonly Pair[] {
  const pairs = given.map(({ node, by }) => ({ node, by: parseAddress(by) }));
  if (pairs.length === 0) throw invalidArgument('Name at least one node, and the server that replaces it');
  for (const [index, { node, by }] of pairs.entries()) {
    const name = formatAddress(by);
    const before = pairs.slice(0, index);
    if (before.some((other) => sameAddress(other.by, by)))
      throw invalidArgument(`Cannot replace two nodes by one: ${name} is named twice`);
    if (before.some((other) => isNamed(other.node, node)))
      throw invalidArgument(`Cannot replace a node twice: ${node} is named twice`);
    if (pairs.some((other) => isNamed(other.node, name)))
      throw invalidArgument(`${name} is to leave and to take the place of ${node}`);
  }
  return pairs;
}

function isNamed(text: string, name: string, id?: string): boolean {
  const [one, other] = [addressIn(text), addressIn(name)];
  if (one && other) return sameAddress(one, other);
  return text === name || (text !== '' && id?.startsWith(text.toLowerCase()) === true);
}

/** A member that stays, or the given node: that may be one that leaves, and may have been reset by an earlier run. */
export async function stayingSeed(context: Context, seed: Address, pairs: readonly Pair[]): Promise<Address> {
  const { signal } = context;
  const { myself, records } = (await askNewcomer(context, seed)).report;
  const isLeaving = ({ id, address }: NodeRecord): boolean =>
    pairs.some(({ node }) => isNamed(node, formatAddress(address), id));
  if (!isLeaving({ ...myself, address: { ...myself.address, ...seed } })) return seed;
  const known = records.filter(
    (record) =>
      record.id !== myself.id && !isFailed(record) && record.address.host !== '' && !isLeaving(record),
  );
  const others = [...known.map(({ address }) => address), ...pairs.map(({ by }) => by)];
  for (const address of others) {
    try {
      const newcomer = await askNewcomer(context, address);
      if (newcomer.report.records.length > 1 || newcomer.report.info.slotsAssigned > 0) return address;
    } catch {
      signal?.throwIfAborted();
    }
  }
  return seed;
}

/**
 * The node that is to be replaced, also if all others have forgotten it and it is still to be reset. Undefined if that was done: it is alone
 * and was in a cluster before, or nobody knows it nor answers by its name, and the server that was to replace it is a member.
 */
export async function findLeaver(
  context: Context,
  view: ClusterView,
  { node: name, by }: Pair,
  newcomer: Newcomer,
): Promise<Leaver | undefined> {
  try {
    return { node: await namedNode(context, view, name), isForgotten: false };
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'NOT_SAME_CLUSTER') throw error;
    if (!isAcquainted(newcomer, view)) throw error;
    const address = addressIn(name);
    const there = address && (await askNewcomer(context, address).catch(() => undefined));
    context.signal?.throwIfAborted();
    if (there && isAcquainted(there, view)) {
      const { myself } = there.report;
      return { node: { ...myself, address: { ...myself.address, ...address } }, isForgotten: true };
    }
    if (there && !hasLeft(there.report)) throw error;
    if (!there) {
      const message = `No member knows ${name}, and it does not answer: it counts as replaced by ${formatAddress(by)}, which is a member`;
      if (!context.account.warned.has(message))
        context.emit({ type: 'warning', node: formatAddress(by), message });
      context.account.warned.add(message);
    }
    return undefined;
  }
}

/** Throws if a node is named twice by different names. */
export function requireDistinct(
  pairs: readonly Pair[],
  newcomers: readonly Newcomer[],
  leavers: readonly (Leaver | undefined)[],
): void {
  const byIds = newcomers.map(({ report }) => report.myself.id);
  const ids = leavers.map((leaver) => leaver?.node.id);
  for (const [index, { node, by }] of pairs.entries()) {
    const [byId = '', id] = [byIds[index], ids[index]];
    const name = formatAddress(by);
    if (byIds.indexOf(byId) < index)
      throw invalidArgument(`Cannot replace two nodes by one: ${name} is named twice`);
    if (id !== undefined && ids.indexOf(id) < index)
      throw invalidArgument(`Cannot replace a node twice: ${node} is named twice`);
    if (id !== byId && ids.includes(byId))
      throw invalidArgument(`${name} is to leave and to take the place of ${node}`);
  }
}
