import type { CopyTally } from '../copy-tally.ts';
import type { KeySource } from '../key-source.ts';

/** What is followed, and where its changes go. */
export interface FollowScene {
  readonly source: KeySource;
  readonly target: KeySource;
  /** Databases of the source, with those of the target. */
  readonly databases: readonly { readonly db: number; readonly to: number }[];
  /** True if no database of the source may be left out. */
  readonly isEveryDatabase: boolean;
  /** True if the source has one database. */
  readonly isOneDatabase: boolean;
  /** RDB versions that the target reads. */
  readonly formats: readonly number[];
  /** The target has keys: what only it has is deleted. */
  readonly hasKeys: boolean;
  readonly tally: CopyTally;
}
