// Keys, many at a time, each on the master that owns its slot.
import { keySlot, listMasters } from '../../lib/index.ts';
import type { Reply } from '../../resp/index.ts';
import { connectTo } from '../bed/client.ts';

const CHUNK = 2000;

/** Sends each master one command for each key of its slots. Resolves to the replies by key. */
async function sendAll(
  seed: string,
  keys: Iterable<string>,
  command: (key: string) => string[],
): Promise<Map<string, Reply | Error>> {
  const { nodes } = await listMasters(seed);
  const owners = new Map(nodes.flatMap((node) => node.assignedSlots.map((slot) => [slot, node])));
  const byOwner = new Map(nodes.map((node) => [node, [] as string[]]));
  for (const key of keys) {
    const owner = owners.get(keySlot(key));
    if (!owner) throw new Error(`No node owns the slot of ${key}`);
    byOwner.get(owner)?.push(key);
  }
  const replies = new Map<string, Reply | Error>();
  await Promise.all(
    [...byOwner].map(async ([owner, own]) => {
      const connection = await connectTo(owner);
      try {
        for (let from = 0; from < own.length; from += CHUNK) {
          const some = own.slice(from, from + CHUNK);
          const answers = await connection.pipeline(some.map(command));
          for (const [index, key] of some.entries()) replies.set(key, answers[index] ?? null);
        }
      } finally {
        connection.destroy();
      }
    }),
  );
  return replies;
}

/** Sets keys. Rejects if a node refuses one. */
export async function load(seed: string, keys: ReadonlyMap<string, string>): Promise<void> {
  const replies = await sendAll(seed, keys.keys(), (key) => ['SET', key, keys.get(key) ?? '']);
  for (const reply of replies.values()) if (reply instanceof Error) throw reply;
}

/** Reads all keys back, and resolves to those that do not have their value. */
export async function lostOf(seed: string, keys: ReadonlyMap<string, string>): Promise<string[]> {
  const replies = await sendAll(seed, keys.keys(), (key) => ['GET', key]);
  return [...keys].filter(([key, value]) => replies.get(key) !== value).map(([key]) => key);
}
