import { ReplyError } from '../../resp/index.ts';
import { badReply } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { NodeRef, StepOf } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';
import { inParallel } from './parallel.ts';

/** Libraries of functions by name, each with its code where that was asked for. */
export type Libraries = ReadonlyMap<string, string>;

/**
 * Finds the libraries of functions (Redis 7.0 and newer) that a node lacks which is to be a master beside these. Nothing but
 * replication spreads them, so a new master without them answers FCALL with an error as soon as it owns slots.
 * Rejects with ClusterError `NODE_NOT_EMPTY` where the node has another library of the same name, and `TARGET_TOO_OLD` where
 * it knows no functions.
 */
export async function lackingFunctions(
  context: Context,
  masters: readonly NodeRef[],
  node: NodeRef,
): Promise<StepOf<'load-functions'>[]> {
  const others = masters.filter(({ id }) => id !== node.id);
  const found = await inParallel(others, async (master) => ({
    master,
    names: [...((await askLibraries(context, master)) ?? new Map()).keys()].sort(),
  }));
  const fullest = found.reduce<(typeof found)[number] | undefined>(
    (most, one) => (one.names.length > (most?.names.length ?? 0) ? one : most),
    undefined,
  );
  if (!fullest) return [];
  const { master: from, names } = fullest;
  for (const { master, names: own } of found) {
    if (own.join() === names.join()) continue;
    const message = `${master.address} has other functions than ${from.address}: ${node.address} gets those of ${from.address}`;
    context.emit({ type: 'warning', node: master.address, message });
  }
  const [wanted, present] = await Promise.all([
    askLibraries(context, from, true),
    askLibraries(context, node, true),
  ]);
  if (!present) {
    throw nodeError(
      'TARGET_TOO_OLD',
      node.address,
      `Cannot give ${node.address} the functions of ${from.address}: it knows no FUNCTION`,
      { hint: 'Nothing was changed. Take a node of the same version as the others, or a newer one' },
    );
  }
  const lacking = [...(wanted ?? [])].filter(([name, code]) => {
    if (present.has(name) && present.get(name) !== code) throw otherLibrary(node, from, name);
    return !present.has(name);
  });
  return lacking.length === 0
    ? []
    : [{ type: 'load-functions', node, from, libraries: lacking.map(([name]) => name).sort() }];
}

function otherLibrary(node: NodeRef, from: NodeRef, name: string): Error {
  const shown = JSON.stringify(name);
  return nodeError(
    'NODE_NOT_EMPTY',
    node.address,
    `Node ${node.address} is not empty: its library of functions ${shown} is not that of ${from.address}`,
    { hint: `Nothing was changed. If it is not needed, take it away there with: FUNCTION DELETE ${name}` },
  );
}

/** Libraries of functions on a node; undefined where it knows no FUNCTION. */
export async function askLibraries(
  { connections }: Context,
  { address }: NodeRef,
  withCode = false,
): Promise<Libraries | undefined> {
  const command = ['FUNCTION', 'LIST', ...(withCode ? ['WITHCODE'] : [])];
  const [reply = null] = await connections.askAll(parseAddress(address), [command]);
  if (reply instanceof ReplyError) {
    if (reply.message.startsWith('ERR unknown command')) return undefined;
    throw reply;
  }
  if (!Array.isArray(reply)) throw badReply(`${address} answers FUNCTION LIST with no list`, address);
  return new Map(reply.map((library: unknown) => readLibrary(library, address, withCode)));
}

function readLibrary(library: unknown, address: string, withCode: boolean): [string, string] {
  const fields: readonly unknown[] = Array.isArray(library) ? library : [];
  const fieldOf = (field: string): unknown => fields[fields.indexOf(field) + 1];
  const [name, code] = [fieldOf('library_name'), withCode ? fieldOf('library_code') : ''];
  if (typeof name === 'string' && typeof code === 'string') return [name, code];
  throw badReply(`${address} answers FUNCTION LIST with a library that has no name or no code`, address);
}
