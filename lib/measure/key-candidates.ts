import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { badReply } from '../errors.ts';
import type { Address } from '../model/address.ts';
import { unlessAborted } from '../nodes/abort.ts';
import type { Context } from '../nodes/context.ts';

/** Keys that are asked about in one write. */
const AT_ONCE = 250;
/** Keys of a node whose frequency is asked for, beside those of its hottest slots. */
const MOST_SCANNED = 20_000;
const SCAN_COUNT = 1000;
/** Keys of one slot that are listed at most: the server lists them at once. */
const MOST_IN_SLOT = 2000;

/** Keys of these slots, in latin1; of large slots only some. Slots that the node does not serve are left out. */
export async function keysInSlots(
  context: Context,
  address: Address,
  slots: readonly number[],
): Promise<Map<number, string[]>> {
  const replies = await ask(
    context,
    address,
    slots.map((slot) => ['CLUSTER', 'GETKEYSINSLOT', slot, MOST_IN_SLOT]),
  );
  return new Map(
    slots.flatMap((slot, index): [number, string[]][] => {
      const reply = replies[index];
      return Array.isArray(reply) ? [[slot, reply.map(String)]] : [];
    }),
  );
}

/**
 * The most frequent keys of a node with an LFU policy: of these keys, and of 20,000 others. OBJECT FREQ does not count as use.
 * Throws a ReplyError if it is refused.
 */
export async function mostFrequent(
  context: Context,
  address: Address,
  candidates: readonly string[],
  top: number,
): Promise<[key: string, frequency: number][]> {
  let found = await frequenciesOf(context, address, candidates);
  let [cursor, scanned] = ['0', 0];
  do {
    const [reply] = await ask(context, address, [['SCAN', cursor, 'COUNT', SCAN_COUNT]]);
    if (reply instanceof ReplyError) throw reply;
    const [next, keys] = Array.isArray(reply) ? reply : [];
    if (typeof next !== 'string' || !Array.isArray(keys)) throw badReply('SCAN did not return a cursor');
    cursor = next;
    scanned += keys.length;
    found = best([...found, ...(await frequenciesOf(context, address, keys.map(String)))], top);
  } while (cursor !== '0' && scanned < MOST_SCANNED);
  return best(found, top);
}

async function frequenciesOf(
  context: Context,
  address: Address,
  keys: readonly string[],
): Promise<[key: string, frequency: number][]> {
  const found: [string, number][] = [];
  for (let at = 0; at < keys.length; at += AT_ONCE) {
    const some = keys.slice(at, at + AT_ONCE);
    const replies = await ask(
      context,
      address,
      some.map((key) => ['OBJECT', 'FREQ', key]),
    );
    for (const [index, key] of some.entries()) {
      const reply = replies[index];
      if (typeof reply === 'number') found.push([key, reply]);
      // A key that is gone or has moved says so; a user who may not ask must hear of it.
      else if (reply instanceof ReplyError && (reply.code === 'NOPERM' || reply.code === 'ERR')) throw reply;
    }
  }
  return found;
}

function best(found: readonly [string, number][], top: number): [string, number][] {
  return [...new Map(found)].sort(([, one], [, other]) => other - one).slice(0, top);
}

function ask(
  { connections, signal }: Context,
  address: Address,
  commands: readonly Command[],
): Promise<Reply[]> {
  signal?.throwIfAborted();
  return unlessAborted(connections.askAll(address, commands), signal);
}
