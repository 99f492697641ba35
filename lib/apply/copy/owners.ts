import type { Address } from '../../model/address.ts';
import { keySlot } from '../../model/slot.ts';
import { nodeById, slotOwners } from '../../model/view.ts';
import type { Context } from '../context.ts';
import { look } from '../look.ts';

/** Which master has which slot, as it was when the cluster was last looked at. */
export class Owners {
  readonly #context: Context;
  readonly #seed: Address;
  #bySlot: readonly (Address | undefined)[] = [];

  constructor(context: Context, seed: Address) {
    this.#context = context;
    this.#seed = seed;
  }

  /** Looks at the cluster anew. */
  async refresh(): Promise<void> {
    const view = await look(this.#context.connections, this.#seed, this.#context.signal);
    const addresses = new Map(view.nodes.map(({ id }) => [id, nodeById(view, id)?.address]));
    this.#bySlot = slotOwners(view).map((id) => (id === undefined ? undefined : addresses.get(id)));
  }

  /** The master of a key, bytes as latin1; undefined where nobody owns its slot. */
  ownerOf(key: string): Address | undefined {
    return this.#bySlot[keySlot(Buffer.from(key, 'latin1'))];
  }
}
