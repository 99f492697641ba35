import type { KeyState } from '../../model/key-difference.ts';
import { slotOfKey } from '../../model/slot.ts';
import { pause } from '../../nodes/wait-until.ts';
import { lots } from '../read-keys.ts';
import { compareLot } from './both-sides.ts';
import type { Comparing } from './compare-sides.ts';
import type { Side } from './side.ts';

/** Most keys that wait to be looked at again: then they are, before more are read. */
const MOST_WAITING = 10_000;
/** Most bytes of their names. */
const MOST_WAITING_BYTES = 8 * 1024 * 1024;
/** Names that are measured at once before they are looked at again. */
const MEASURED_AT_ONCE = 1000;
/** For what is being written to reach the other side. */
const PAUSE_MS = 500;

interface Suspect {
  /** The first side had it. */
  readonly isListed: boolean;
  /** How it differed; undefined if a side did not serve it. */
  readonly state: KeyState | undefined;
}

/** Keys that differed when they were last looked at. They are looked at again, some at a time: what is being written may settle. */
export class Suspects {
  readonly #one: Side;
  readonly #other: Side;
  readonly #comparing: Comparing;
  /** By database and key. */
  #keys = new Map<number, Map<string, Suspect>>();
  #count = 0;
  #bytes = 0;
  #settling: Promise<void> = Promise.resolve();

  constructor(one: Side, other: Side, comparing: Comparing) {
    this.#one = one;
    this.#other = other;
    this.#comparing = comparing;
  }

  add(db: number, key: string, suspect: Suspect): void {
    const keys = this.#keys.get(db) ?? new Map<string, Suspect>();
    this.#keys.set(db, keys);
    const known = keys.get(key);
    if (!known) {
      this.#count += 1;
      this.#bytes += key.length;
    }
    keys.set(key, { ...suspect, isListed: suspect.isListed || known?.isListed === true });
  }

  /** Keys of these slots are read again anyway: they would count twice. */
  forget(slots: ReadonlySet<number>): void {
    for (const keys of this.#keys.values()) {
      for (const key of keys.keys()) {
        if (!slots.has(slotOfKey(key)) || !keys.delete(key)) continue;
        this.#count -= 1;
        this.#bytes -= key.length;
      }
    }
  }

  /** Looks at them again if no more may wait. All who ask wait for that. */
  async settleIfMany(): Promise<void> {
    if (this.#count >= MOST_WAITING || this.#bytes >= MOST_WAITING_BYTES) await this.settle();
    else await this.#settling;
  }

  async settle(): Promise<void> {
    const taken = this.#keys;
    this.#keys = new Map();
    this.#count = 0;
    this.#bytes = 0;
    const before = this.#settling;
    this.#settling = before.then(() => this.#settleAll(taken));
    await this.#settling;
  }

  async #settleAll(databases: ReadonlyMap<number, ReadonlyMap<string, Suspect>>): Promise<void> {
    const { rounds, tally, databases: pairs } = this.#comparing;
    const { signal } = this.#one.source.context;
    for (const { db, to } of pairs) {
      let left = databases.get(db) ?? new Map<string, Suspect>();
      for (let round = 1; left.size > 0; round++) {
        const still = round === 1 ? left : await this.#stillDiffering(db, to, left, signal);
        const known = [...still].flatMap(([key, { state }]) => (state === undefined ? [] : [{ key, state }]));
        if (round >= rounds) for (const { key, state } of known) tally.differ({ db, key, state });
        left = round < rounds ? still : new Map([...still].filter(([, { state }]) => state === undefined));
        // What a side did not serve is looked at at once.
        if (left.size > 0 && round < rounds) await pause(PAUSE_MS, signal);
        signal?.throwIfAborted();
      }
    }
  }

  async #stillDiffering(
    db: number,
    to: number,
    suspects: ReadonlyMap<string, Suspect>,
    signal: AbortSignal | undefined,
  ): Promise<Map<string, Suspect>> {
    const still = new Map<string, Suspect>();
    const names = [...suspects.keys()];
    for (let at = 0; at < names.length; at += MEASURED_AT_ONCE) {
      const some = names.slice(at, at + MEASURED_AT_ONCE);
      const [own, their] = await Promise.all([this.#one.sizes(db, some), this.#other.sizes(to, some)]);
      const sizes = own.map((size, index) => size + (their[index] ?? 0));
      for (const lot of lots(some, sizes)) {
        signal?.throwIfAborted();
        const states = await compareLot({ one: this.#one, other: this.#other, db, to }, lot);
        for (const [index, key] of lot.keys.entries()) {
          const [state, isListed] = [states[index], suspects.get(key)?.isListed === true];
          if (state !== undefined) still.set(key, { isListed, state });
          else if (isListed) this.#comparing.tally.settle(slotOfKey(key));
        }
      }
    }
    return still;
  }
}
