import { ClusterError } from '../errors.ts';
import { formatKey } from '../model/bytes.ts';

/** Errors about keys that have different values on two nodes, kept until everything else is done. */
export class Conflicts {
  readonly #errors: ClusterError[] = [];
  readonly #keeps: boolean;

  /** `keeps`: false to let them through at once. */
  constructor(keeps: boolean) {
    this.#keeps = keeps;
  }

  /** Waits for work. Rejects with its error, unless that is a conflict and kept. */
  async keep(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!this.#keeps || !(error instanceof ClusterError) || error.code !== 'KEY_CONFLICT') throw error;
      this.#errors.push(error);
    }
  }

  /** Throws what was kept, as one error. */
  throwIfAny(): void {
    const [first, ...more] = this.#errors;
    if (!first) return;
    if (more.length === 0) throw first;
    const keys = this.#errors.flatMap((error) => error.keys);
    const message = `${first.message}; and ${keys.length - first.keys.length} more between other nodes, for example ${formatKey(more[0]?.keys[0] ?? '')}`;
    throw new ClusterError('KEY_CONFLICT', message, {
      ...(first.address === undefined ? {} : { address: first.address }),
      ...(first.hint === undefined ? {} : { hint: first.hint }),
      openSlots: [...new Set(this.#errors.flatMap((error) => error.openSlots))].sort((a, b) => a - b),
      keys,
      cause: first,
    });
  }
}
