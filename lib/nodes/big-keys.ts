import { badReply, messageOf } from '../errors.ts';
import { type Address, parseAddress } from '../model/address.ts';
import { slotOfKey } from '../model/slot.ts';
import type { BigKey, NodeRef } from '../plan/plan.ts';
import type { Context } from './context.ts';
import { askDatabase } from './node-info.ts';

/** Keys listed or measured in one write: this takes the source a quarter of a millisecond or less. */
const KEYS_AT_ONCE = 250;
/**
 * GETKEYSINSLOT has no cursor: it lists a whole slot at once, at some 0.1 to 0.2 µs a key. Slots with more keys than this, which
 * take about 4 ms, are searched with a SCAN of the whole database. SCAN blocks nothing, but is costly if they are a small part of
 * it.
 */
const LARGEST_LIST = 20_000;
const TELL_EVERY_MS = 100;

/** Keys of one database by slot; slots without keys are left out. */
export interface DatabaseCount {
  readonly db: number;
  /** Keys in all slots. */
  readonly keys: number;
  readonly inSlot: ReadonlyMap<number, number>;
}

/** The total size of all keys of some slots, and the largest of them. */
export interface KeySizes {
  readonly bigKeys: readonly BigKey[];
  readonly bytesInSlot: ReadonlyMap<number, number>;
}

/**
 * Measures every key of these slots with MEMORY USAGE, a few at a time, so that the node's clients hardly notice: some 300,000
 * keys a second. Resolves to undefined, with a warning, if the ACL does not allow it.
 */
export async function findBigKeys(
  context: Context,
  source: NodeRef,
  counts: readonly DatabaseCount[],
): Promise<KeySizes | undefined> {
  const search = new Search(context, source, counts);
  try {
    for (const count of counts) await search.look(count);
    return search;
  } catch (error) {
    if (!(error instanceof NotAllowed)) throw error;
    const message = `Cannot look for big keys on ${source.address}: ${messageOf(error.cause)}`;
    context.emit({ type: 'warning', node: source.address, message });
    return undefined;
  }
}

class NotAllowed extends Error {}

class Search implements KeySizes {
  readonly bigKeys: BigKey[] = [];
  readonly bytesInSlot = new Map<number, number>();
  readonly #context: Context;
  readonly #source: NodeRef;
  readonly #address: Address;
  readonly #total: number;
  readonly #started = performance.now();
  #told = 0;
  #done = 0;

  constructor(context: Context, source: NodeRef, counts: readonly DatabaseCount[]) {
    this.#context = context;
    this.#source = source;
    this.#address = parseAddress(source.address);
    this.#total = counts.reduce((sum, { inSlot }) => sum + sumOf(inSlot.values()), 0);
  }

  async look({ db, inSlot }: DatabaseCount): Promise<void> {
    const [long, short] = [new Set<number>(), [] as [number, number][]];
    for (const [slot, keys] of inSlot) {
      if (keys > LARGEST_LIST) long.add(slot);
      else short.push([slot, keys]);
    }
    for (const slots of together(short)) await this.#lookAtSlots(db, slots);
    if (long.size > 0) await this.#scanFor(db, long);
  }

  // The counts are a moment old: keys added since may be left out.
  async #lookAtSlots(db: number, slots: readonly (readonly [slot: number, keys: number])[]): Promise<void> {
    const lists = await this.#ask(
      db,
      slots.map(([slot, keys]) => ['CLUSTER', 'GETKEYSINSLOT', slot, keys]),
    );
    const found = slots.flatMap(([slot], index) => {
      const list = lists[index];
      return Array.isArray(list) ? list.map((key) => ({ key: String(key), slot })) : [];
    });
    for (let at = 0; at < found.length; at += KEYS_AT_ONCE) {
      await this.#measure(db, found.slice(at, at + KEYS_AT_ONCE));
    }
  }

  async #scanFor(db: number, slots: ReadonlySet<number>): Promise<void> {
    let cursor = '0';
    do {
      const [reply] = await this.#ask(db, [['SCAN', cursor, 'COUNT', KEYS_AT_ONCE]]);
      if (!Array.isArray(reply))
        throw reply instanceof Error ? reply : badReply('SCAN did not return a list');
      const [next, keys] = reply as [string, string[]];
      cursor = String(next);
      const found = keys.map((key) => ({ key, slot: slotOfKey(key) })).filter(({ slot }) => slots.has(slot));
      await this.#measure(db, found);
    } while (cursor !== '0');
  }

  async #measure(db: number, keys: readonly { key: string; slot: number }[]): Promise<void> {
    const sizes = await this.#ask(
      db,
      keys.map(({ key }) => ['MEMORY', 'USAGE', key]),
    );
    const { bigKeySize } = this.#context.settings;
    for (const [index, { key, slot }] of keys.entries()) {
      // A key that is gone by now has no size, nor does one that has moved: the node answers ASK.
      const bytes = sizes[index];
      if (typeof bytes !== 'number') continue;
      this.bytesInSlot.set(slot, (this.bytesInSlot.get(slot) ?? 0) + bytes);
      if (bytes >= bigKeySize) this.bigKeys.push({ key, slot, bytes, ...(db === 0 ? {} : { db }) });
    }
    this.#done += keys.length;
    this.#tellNowAndThen();
  }

  async #ask(db: number, commands: Parameters<typeof askDatabase>[3]): ReturnType<typeof askDatabase> {
    this.#context.signal?.throwIfAborted();
    const replies = await askDatabase(this.#context.connections, this.#address, db, commands);
    for (const reply of replies) {
      if (reply instanceof Error && /^NOPERM|unknown command/i.test(reply.message)) {
        throw new NotAllowed(reply.message, { cause: reply });
      }
    }
    return replies;
  }

  #tellNowAndThen(): void {
    const elapsedMs = performance.now() - this.#started;
    if (elapsedMs - this.#told < TELL_EVERY_MS) return;
    this.#told = elapsedMs;
    const missing = [`${this.#source.address}: ${this.#done} of ${this.#total} keys looked at`];
    this.#context.emit({ type: 'waiting', what: 'the search for big keys', elapsedMs, missing });
  }
}

// Slots that together hold the keys of one write; a larger slot goes alone.
function* together(slots: readonly (readonly [number, number])[]): Generator<(readonly [number, number])[]> {
  let [some, keys]: [(readonly [number, number])[], number] = [[], 0];
  for (const slot of slots) {
    if (some.length > 0 && keys + slot[1] > KEYS_AT_ONCE) {
      yield some;
      [some, keys] = [[], 0];
    }
    some.push(slot);
    keys += slot[1];
  }
  if (some.length > 0) yield some;
}

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}
