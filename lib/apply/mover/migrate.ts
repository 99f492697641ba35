import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError, type Reply, ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { sortConflicts } from './conflict.ts';
import { askSource, type Link } from './link.ts';

/** MIGRATE is given up after this many failures in a row of one batch. */
const ATTEMPTS = 6;
const FIRST_PAUSE_MS = 50;
/** On top of what MIGRATE may take: its timeout counts for connecting and again for the transfer. */
const COMMAND_SLACK_MS = 10_000;

/**
 * Moves keys of one open slot. `ours` says that this process opened the slot: then the source is the authority for every key
 * it holds, and an older copy on the target, left by a MIGRATE whose answer was lost, is replaced. In a slot that was
 * found open nothing is replaced unless both sides hold the same value.
 * Resolves to how many keys are gone from the source.
 */
export async function migrateKeys(
  link: Link,
  slot: number,
  keys: readonly string[],
  ours: boolean,
): Promise<number> {
  let replace: string[] = [];
  for (let attempt = 1; ; attempt++) {
    const failure = await migrateOnce(link, keys, replace.length > 0);
    if (!failure) return keys.length;
    if (isBusyKey(failure) && !ours) {
      const { same, different } = await sortConflicts(link, keys);
      if (different.length > 0) throw keyConflict(link, slot, different);
      if (same.length > 0) replace = same;
    } else if (ours) {
      replace = [...keys];
    }
    if (attempt >= ATTEMPTS || !isWorthRetrying(failure)) throw cannotMigrate(link, slot, failure);
    link.context.emit({ type: 'retry', node: link.source.address, slot, reason: failure.message });
    await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1));
  }
}

async function migrateOnce(
  link: Link,
  keys: readonly string[],
  replace: boolean,
): Promise<Error | undefined> {
  const { host, port } = link.migrateTo;
  const options = replace ? ['REPLACE', ...link.auth] : link.auth;
  try {
    const connection = await link.context.connections.get(link.sourceAddress);
    await connection.command(['MIGRATE', host, port, '', 0, link.timeoutMs, ...options, 'KEYS', ...keys], {
      timeout: 2 * link.timeoutMs + COMMAND_SLACK_MS,
    });
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

function isBusyKey(error: Error): boolean {
  return error instanceof ReplyError && error.message.includes('BUSYKEY');
}

// What passes by itself: the target is not there, is still loading or does not serve yet, or the answer was lost.
function isWorthRetrying(error: Error): boolean {
  if (error instanceof ConnectionError) return true;
  if (!(error instanceof ReplyError)) return false;
  return /IOERR|BUSYKEY|LOADING|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|NOREPLICAS/.test(error.message);
}

function keyConflict(link: Link, slot: number, keys: readonly string[]): ClusterError {
  return new ClusterError(
    'KEY_CONFLICT',
    `Cannot move slot ${slot} from ${link.source.address} to ${link.target.address}: ` +
      `${keys.length} keys have different values on both, for example "${keys[0]}"`,
    {
      address: link.source.address,
      keys,
      openSlots: [slot],
      hint: `Clients see the value on ${link.source.address}. Delete the key on the side that is wrong, then run the same command again`,
    },
  );
}

function cannotMigrate(link: Link, slot: number, cause: Error): ClusterError {
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot migrate slot ${slot} from ${link.source.address} to ${link.target.address}: ${cause.message}`,
    { address: link.source.address, cause, openSlots: [slot], resumable: true },
  );
}

/** Reads the reply of GETKEYSINSLOT. */
export function readKeys(reply: Reply | undefined): string[] {
  if (Array.isArray(reply)) return reply.map(String);
  throw reply instanceof Error ? reply : new TypeError('GETKEYSINSLOT gave no list');
}

/** Keys the source still holds in these slots, at most `most` each. */
export async function listKeys(link: Link, slots: readonly number[], most: number): Promise<string[][]> {
  const replies = await askSource(
    link,
    slots.map((slot) => ['CLUSTER', 'GETKEYSINSLOT', slot, most]),
  );
  return replies.map(readKeys);
}
