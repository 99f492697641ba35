import { ConnectionError } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { Context } from '../nodes/context.ts';
import { mayEvict, noRoomFor } from '../nodes/memory-room.ts';
import { askInfo } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { Owners } from './owners.ts';
import { type Lot, MOST_BYTES } from './read-keys.ts';

/** Besides the value, what of it is on its way is in the buffers of the node, and is read from there: of a big key, a part. */
const ON_ITS_WAY = 2;

/**
 * Room at masters that delete keys when they are full. What was moved to one is deleted at its source: to find out afterwards that some of
 * it was evicted would be too late. So each is asked before keys are sent to it.
 */
export class TargetRoom {
  readonly #context: Context;
  readonly #owners: Owners;
  /** By address: bytes of lots that are being written. */
  readonly #coming = new Map<string, number>();
  /** Addresses of masters that evict nothing, or do not say. */
  readonly #safe = new Set<string>();

  constructor(context: Context, owners: Owners) {
    this.#context = context;
    this.#owners = owners;
  }

  /** Does work that writes these keys. Before that, rejects with ClusterError `NO_MEMORY` if an owner may have to evict some. */
  async during<Result>({ keys, bytes = 0 }: Lot, work: () => Promise<Result>): Promise<Result> {
    const owners = new Set(keys.map((key) => this.#owners.ownerOf(key)).filter((one) => one !== undefined));
    const coming = bytes + ON_ITS_WAY * Math.min(bytes, MOST_BYTES);
    this.#add(owners, coming);
    try {
      await inParallel([...owners], (owner) => this.#require(owner));
      return await work();
    } finally {
      this.#add(owners, -coming);
    }
  }

  #add(owners: ReadonlySet<Address>, bytes: number): void {
    for (const name of [...owners].map(formatAddress))
      this.#coming.set(name, (this.#coming.get(name) ?? 0) + bytes);
  }

  async #require(owner: Address): Promise<void> {
    const name = formatAddress(owner);
    if (this.#safe.has(name)) return;
    const info = await askInfo(this.#context.connections, owner, ['memory']).catch((error: unknown) => error);
    // One that does not answer takes no keys either.
    if (info instanceof ConnectionError) return;
    if (!(info instanceof Map) || !mayEvict(info)) return void this.#safe.add(name);
    const hint = 'What was moved is there, and the rest is at the source. Raise maxmemory there';
    const error = noRoomFor(this.#coming.get(name) ?? 0, name, info, hint, { resumable: 'same-call' });
    if (error) throw error;
  }
}
