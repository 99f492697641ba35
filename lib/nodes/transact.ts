import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import type { Address } from '../model/address.ts';
import type { Connections } from './connections.ts';
import { fromDatabase, inDatabase } from './node-info.ts';

/** Sends commands as one transaction in a database. Resolves to their replies. Throws the error if any of them is refused. */
export async function transact(
  connections: Connections,
  address: Address,
  db: number,
  commands: readonly Command[],
): Promise<readonly Reply[]> {
  const replies = await connections.askAll(address, inDatabase(db, [['MULTI'], ...commands, ['EXEC']]));
  const result = fromDatabase(db, replies).at(-1);
  if (Array.isArray(result)) {
    const refused = result.find((reply) => reply instanceof ReplyError);
    if (refused) throw refused;
    return result;
  }
  // EXEC says less about a refused command than the reply to that command does.
  throw replies.find((reply) => reply instanceof Error) ?? new TypeError('EXEC gave no list');
}
