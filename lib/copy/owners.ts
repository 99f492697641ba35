import { ConnectionError } from '../../resp/index.ts';
import { type Address, formatAddress, sameAddress } from '../model/address.ts';
import { slotOfKey } from '../model/slot.ts';
import { type ClusterView, nodeById, slotOwners } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { ServerClock } from '../nodes/server-clock.ts';

/** Slot owners when the cluster was last looked at. */
export class Owners {
  readonly #context: Context;
  readonly #seed: Address;
  readonly #clocks = new Map<string, ServerClock>();
  #bySlot: readonly (Address | undefined)[] = [];

  constructor(context: Context, seed: Address) {
    this.#context = context;
    this.#seed = seed;
  }

  /** Looks at the cluster again, and resolves to what it saw. */
  async refresh(): Promise<ClusterView> {
    const view = await this.#look();
    const addresses = new Map(view.nodes.map(({ id }) => [id, nodeById(view, id)?.address]));
    this.#bySlot = slotOwners(view).map((id) => (id === undefined ? undefined : addresses.get(id)));
    return view;
  }

  // The node that is asked first may itself be gone.
  async #look(): Promise<ClusterView> {
    const { connections, signal } = this.#context;
    const members = new Set(this.#bySlot.filter((address) => address !== undefined));
    const others = [...members].filter((address) => !sameAddress(address, this.#seed));
    for (const seed of [this.#seed, ...others]) {
      try {
        return await look(connections, seed, signal);
      } catch (error) {
        if (!(error instanceof ConnectionError) || seed === others.at(-1)) throw error;
      }
    }
    return look(connections, this.#seed, signal);
  }

  /** The master that owns the slot of a key, given as latin1; undefined if the slot has no owner. */
  ownerOf(key: string, slot: number = slotOfKey(key)): Address | undefined {
    return this.#bySlot[slot];
  }

  clockOf(owner: Address): ServerClock {
    const name = formatAddress(owner);
    const known = this.#clocks.get(name) ?? new ServerClock(this.#context.connections, owner);
    this.#clocks.set(name, known);
    return known;
  }
}
