import { type Reply, ReplyError } from '../../resp/index.ts';
import { badReply } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Context } from './context.ts';

/** Function libraries by name, each with its code if that was asked for. */
export type Libraries = ReadonlyMap<string, string>;

/** Function libraries on a node; undefined if it does not know FUNCTION. */
export async function askLibraries(
  { connections }: Context,
  { address }: NodeRef,
  withCode = false,
): Promise<Libraries | undefined> {
  const command = ['FUNCTION', 'LIST', ...(withCode ? ['WITHCODE'] : [])];
  const [reply = null] = await connections.askAll(parseAddress(address), [command]);
  return readLibraries(reply, address, withCode);
}

/** Reads the reply of FUNCTION LIST. Throws the error if it is one, unless the node does not know FUNCTION. */
export function readLibraries(reply: Reply, address: string, withCode = false): Libraries | undefined {
  if (reply instanceof ReplyError) {
    if (reply.message.startsWith('ERR unknown command')) return undefined;
    throw reply;
  }
  if (!Array.isArray(reply)) throw badReply(`${address} does not answer FUNCTION LIST with a list`, address);
  return new Map(reply.map((library: unknown) => readLibrary(library, address, withCode)));
}

function readLibrary(library: unknown, address: string, withCode: boolean): [string, string] {
  const fields: readonly unknown[] = Array.isArray(library) ? library : [];
  const fieldOf = (field: string): unknown => fields[fields.indexOf(field) + 1];
  const [name, code] = [fieldOf('library_name'), withCode ? fieldOf('library_code') : ''];
  if (typeof name === 'string' && typeof code === 'string') return [name, code];
  throw badReply(`${address} answers FUNCTION LIST with a library without name or code`, address);
}
