import { type Reply, ReplyError } from '../../resp/index.ts';
import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { FIRST_OF_VALKEY } from '../model/rdb-values.ts';
import type { MoveStep, NodeRef } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';
import { askInfo, serverVersion } from './node-info.ts';
import { inParallel } from './parallel.ts';

/** Redis up to 6.2 has no FUNCTION, and writes keys in this version of the RDB format, or in an older one. */
const BEFORE_FUNCTIONS = 9;
/** From 7.4 Redis has numbers of its own, which Valkey refuses, up to where Valkey's own begin (RDB_FOREIGN_VERSION_MIN, _MAX). */
const FIRST_FOREIGN = 12;

interface Server {
  /** `Redis` or `Valkey` and its version. */
  readonly name: string;
  /** True if it can move slots by itself: keys do not travel in the form of DUMP then. */
  readonly isAtomic: boolean;
}

/** Tells of moves whose target is sure to refuse the source's keys: MIGRATE sends them in the form of DUMP. */
export async function requireReadable(
  context: Context,
  moves: readonly MoveStep[],
  refuse: (error: ClusterError) => void,
): Promise<void> {
  const loaded = moves.filter(({ content }) => content && content.keys > 0);
  const nodes = new Map(
    loaded.flatMap(({ source, target }) => [source, target]).map((node) => [node.id, node]),
  );
  const servers = new Map(
    await inParallel([...nodes.values()], async (node) => [node.id, await askServer(context, node)] as const),
  );
  for (const { source, target } of loaded) {
    const [from, to] = [servers.get(source.id), servers.get(target.id)];
    if (!from || !to || from.name === to.name) continue;
    if (from.isAtomic && to.isAtomic && context.options.method !== 'migrate') continue;
    if (await canRead(context, source, target)) continue;
    const message =
      `Cannot move keys from ${source.address} to ${target.address}: ` +
      `${to.name} cannot read what ${from.name} writes`;
    const hint =
      'Nothing was changed. Upgrade the target first: keys move to servers of the same version or a newer one';
    refuse(nodeError('TARGET_TOO_OLD', target.address, message, { hint }));
  }
}

async function askServer({ connections }: Context, { address }: NodeRef): Promise<Server> {
  const info = await askInfo(connections, parseAddress(address), ['server']);
  const valkey = info.get('valkey_version');
  const version = valkey ?? info.get('redis_version') ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isAtomic = valkey === undefined ? major > 8 || (major === 8 && minor >= 4) : major >= 9;
  return { name: serverVersion(info), isAtomic };
}

// True too where it cannot be found out.
async function canRead(context: Context, source: NodeRef, target: NodeRef): Promise<boolean> {
  const [written, read] = await Promise.all([dumpVersion(context, source), dumpVersion(context, target)]);
  if (written === undefined || read === undefined) return true;
  if (read >= FIRST_OF_VALKEY && written >= FIRST_FOREIGN && written < FIRST_OF_VALKEY) return false;
  return written <= read || (await isRelaxed(context, target));
}

// Every DUMP ends with the version of its format, two bytes, and a checksum of eight; FUNCTION DUMP needs no key for that.
async function dumpVersion({ connections }: Context, { address }: NodeRef): Promise<number | undefined> {
  const [dump = null] = await connections.askAll(parseAddress(address), [['FUNCTION', 'DUMP']]);
  if (dump instanceof ReplyError) return isUnknown(dump) ? BEFORE_FUNCTIONS : undefined;
  const bytes = Buffer.from(String(dump), 'latin1');
  return bytes.length < 10 ? undefined : bytes.readUInt16LE(bytes.length - 10);
}

function isUnknown({ message }: ReplyError): boolean {
  return message.startsWith('ERR unknown command');
}

// Valkey takes newer versions on request.
async function isRelaxed({ connections }: Context, { address }: NodeRef): Promise<boolean> {
  const [reply] = await connections.askAll(parseAddress(address), [['CONFIG', 'GET', 'rdb-version-check']]);
  return isPair(reply) && reply[1] === 'relaxed';
}

function isPair(reply: Reply | undefined): reply is readonly [Reply, Reply] {
  return Array.isArray(reply) && reply.length === 2;
}
