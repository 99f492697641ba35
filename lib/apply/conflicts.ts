import { ClusterError, retold } from '../errors.ts';
import { formatKey } from '../model/bytes.ts';
import type { Next } from '../model/next.ts';
import { asOneFailure, withAllOf } from '../nodes/failures.ts';

const KEPT: ReadonlySet<string> = new Set(['KEY_CONFLICT', 'KEYS_IN_DOUBT']);

/** Errors about keys that have different values on two nodes, kept until everything else is done. */
export class Conflicts {
  readonly #errors: ClusterError[] = [];
  readonly #keeps: boolean;
  /** Slots that these keys keep open: they have not changed their owner. */
  readonly openSlots: Set<number> = new Set();

  /** `keeps`: false to throw them at once. */
  constructor(keeps: boolean) {
    this.#keeps = keeps;
  }

  /** Waits for work. Rejects with its error, unless that is about keys that stay and is kept. */
  async keep(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!this.#keeps || !(error instanceof ClusterError) || !KEPT.has(error.code)) throw error;
      this.#errors.push(error);
      for (const slot of error.openSlots) this.openSlots.add(slot);
    }
  }

  /** Throws the kept errors, as one error. */
  throwIfAny(): void {
    // The one with the most ways on first: its list holds those of others that are like it.
    const [first, ...more] = this.#errors.toSorted((a, b) => b.next.length - a.next.length);
    if (!first) return;
    if (more.length === 0) throw first;
    const next = [...first.next];
    const isSame = (a: Next, b: Next) =>
      JSON.stringify({ ...a, cluster: '' }) === JSON.stringify({ ...b, cluster: '' });
    for (const one of more.flatMap((error) => error.next))
      if (!next.some((known) => isSame(known, one))) next.push(one);
    const others = more.reduce((sum, { keys }) => sum + keys.length, 0);
    const message = `${first.message}; and ${others} more between other nodes, for example ${formatKey(more[0]?.keys[0] ?? '')}`;
    throw retold(withAllOf(this.#errors, first, message), { next });
  }

  /** The failure that ends everything, merged with the errors kept before. */
  with(failure: unknown): unknown {
    return asOneFailure([failure, ...this.#errors]);
  }
}
