import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError, type Reply, ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import type { Address } from '../../model/address.ts';
import { sortConflicts } from './conflict.ts';
import { askSource, type Link } from './link.ts';

/** A batch is given up when it has failed for this long. */
const RETRY_FOR_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** A node that takes longer over PING is not asked for more. */
const PING_TIMEOUT_MS = 1000;
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
  let replace = false;
  const started = performance.now();
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    const failure = await migrateOnce(link, keys, replace);
    if (!failure) return keys.length;
    if (ours) {
      replace = true;
    } else if (isBusyKey(failure)) {
      const { same, different } = await sortConflicts(link, keys);
      if (different.length > 0) throw keyConflict(link, slot, different);
      replace = same.length > 0;
    }
    if (!isWorthRetrying(failure)) throw cannotMigrate(link, slot, failure);
    link.context.emit({ type: 'retry', node: link.source.address, slot, reason: failure.message });
    // While the target is frozen a MIGRATE would only hold up the source, and all its clients, until it times out.
    do {
      if (performance.now() - started > RETRY_FOR_MS) throw cannotMigrate(link, slot, failure);
      await sleep(pause);
    } while (!(await answers(link, link.sourceAddress)) || !(await answers(link, link.targetAddress)));
  }
}

async function answers(link: Link, address: Address): Promise<boolean> {
  try {
    await link.context.connections.ask(address, ['PING'], { timeout: PING_TIMEOUT_MS });
    return true;
  } catch (error) {
    return error instanceof ReplyError;
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
      hint: `Clients see the value on ${ownerOf(link, slot)}. Delete the key on the side that is wrong, then run the same command again`,
    },
  );
}

function ownerOf({ source, target, targetReport }: Link, slot: number): string {
  const isTarget = targetReport.myself.slots.some(([first, last]) => first <= slot && slot <= last);
  return isTarget ? target.address : source.address;
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
