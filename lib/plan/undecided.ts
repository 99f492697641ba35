import type { Advice } from '../model/next.ts';

/** A slot that needs repair but cannot be repaired without guessing. */
export interface Undecided extends Advice {
  readonly slot: number;
  /** Why it cannot be repaired. Worded to fit several slots too. */
  readonly reason: string;
  /** @default 'OPEN_SLOT' */
  readonly code?: 'OPEN_SLOT' | 'SLOTS_UNCOVERED' | 'KEY_CONFLICT';
}
