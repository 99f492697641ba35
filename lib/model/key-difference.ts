/** A key that is not the same on two sides. */
export interface KeyDifference {
  /** Its database on the first side. */
  readonly db: number;
  /** As latin1. */
  readonly key: string;
  /**
   * `type`, `value`, `expiry`: both sides have it, and that differs. `missing`: the second does not have it. `surplus`: the first does
   * not. `unknown`: the bytes of its value differ, and what they mean is not known, as of modules.
   */
  readonly state: KeyState;
}

export type KeyState = 'type' | 'value' | 'expiry' | 'missing' | 'surplus' | 'unknown';
