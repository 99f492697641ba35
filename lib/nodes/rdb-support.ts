import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import type { Address } from '../model/address.ts';
import { dumpVersion, FOOTER_BYTES, RDB_VERSION, type RdbSupport } from '../rdb/versions.ts';
import type { Connections } from './connections.ts';
import { parseInfo } from './node-info.ts';
import { pairsIn } from './pairs.ts';
import { readServer, type Server } from './server.ts';

export interface ServerSupport extends RdbSupport {
  readonly server: Server;
}

/** What to ask a node to learn which versions of the RDB format it writes and reads. */
export const RDB_QUESTIONS: readonly Command[] = [
  ['INFO', 'server'],
  ['FUNCTION', 'DUMP'],
  ['CONFIG', 'GET', 'rdb-version-check'],
];

/** Reads the replies to the questions above. */
export function readRdbSupport([info = null, dump = null, check]: readonly Reply[]): ServerSupport {
  const server = readServer(parseInfo(info instanceof ReplyError ? '' : String(info)));
  const rdb = versionIn(dump, server);
  const isOlder = server.capabilities.writesOldSnapshots && rdb !== undefined;
  return {
    server,
    rdb,
    snapshot: isOlder ? Math.min(rdb, RDB_VERSION.redis72) : rdb,
    isRelaxed: pairsIn([check])?.get('rdb-version-check') === 'relaxed',
  };
}

/** Asks a node, in one round trip. What it refuses to say is left out. */
export async function askRdbSupport(connections: Connections, address: Address): Promise<ServerSupport> {
  return readRdbSupport(await connections.askAll(address, RDB_QUESTIONS));
}

// FUNCTION DUMP shows the version without a key. Redis up to 6.2 does not have it.
function versionIn(dump: Reply, { capabilities }: Server): number | undefined {
  if (dump instanceof ReplyError) return capabilities.hasFunctions ? undefined : RDB_VERSION.redis5;
  return typeof dump === 'string' && dump.length >= FOOTER_BYTES ? dumpVersion(dump) : undefined;
}
