/** Why a key stays where it is: the cluster cannot hold its value, this program cannot read it, or it is not under its own name. */
export type LeftReason = 'field-expiry' | 'module' | 'unknown-type' | 'damaged' | 'refused' | 'leaving';

/** Keys that the cluster cannot hold, for one reason. */
export interface LeftKeys {
  /**
   * `field-expiry`: hashes whose fields expire, for servers that do not know that. `module`: values of modules, unless the cluster has
   * the module. `unknown-type`, `damaged`: values that cannot be read. `refused`: values that a node of the cluster refused. `leaving`:
   * streams of the source that a move which was cut short has left under another name.
   */
  readonly why: LeftReason;
  readonly keys: number;
  /** Some of them, as latin1. */
  readonly examples: readonly string[];
}

const WORDS: Readonly<Record<LeftReason, string>> = {
  'field-expiry': 'hashes whose fields expire, which the cluster does not know',
  module: 'values of modules, unless the cluster has these modules',
  'unknown-type': 'values of types that are not known',
  damaged: 'values that cannot be read',
  refused:
    'values that the cluster refuses, such as those of modules that it lacks or has in an older version',
  leaving:
    'streams that a move which was cut short has left under other names, with the end ":redis-trib-leaving"',
};

/** What the values are, in words: "hashes whose fields expire, which the cluster does not know". */
export function leftWords(why: LeftReason): string {
  return WORDS[why];
}
