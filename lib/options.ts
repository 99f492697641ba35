import type { ConnectOptions } from '../resp/index.ts';
import type { OnEvent } from './events.ts';
import type { AddressMap } from './model/address.ts';
import type { Plan } from './plan/plan.ts';

/** How to reach the nodes; the same for all of them. */
export interface ConnectionOptions {
  /** ACL user, Redis 6.0 and later. */
  readonly username?: string;
  readonly password?: string;
  /** `true`, or options of `tls.connect`. Certificates are verified unless these say otherwise. @default false */
  readonly tls?: ConnectOptions['tls'];
  /** Where nodes are reached that announce addresses of another network, as behind NAT or in containers. @default as announced */
  readonly addressMap?: AddressMap;
  /** Version of IP to use where a host name has both. @default either */
  readonly family?: 4 | 6;
  /** Milliseconds for connecting, TLS and AUTH together. @default 5000 */
  readonly connectTimeout?: number;
  /** Milliseconds a node may take for a command. @default 10000 */
  readonly commandTimeout?: number;
}

/** How to follow and stop an operation. */
export interface ControlOptions {
  /** Stops at the next safe point, then rejects with the signal's reason. No slot stays open. */
  readonly signal?: AbortSignal;
  readonly onEvent?: OnEvent;
}

/** Hard limits of a move. Read before every batch: they may be changed while slots are on their way. */
export interface MoveLimits {
  /** Keys a second, over all nodes. @default none */
  keysPerSecond?: number;
  /** Bytes a second as MEMORY USAGE counts them, over all nodes. @default none */
  bytesPerSecond?: number;
}

/** How slots are moved. */
export interface MoveOptions {
  /**
   * `migrate`: key by key with MIGRATE, on every server. `atomic`: by the servers themselves, Valkey 9.0 and Redis 8.4 or newer.
   * `auto`: atomic where both nodes can, and MIGRATE where that fails repeatedly or limits are set.
   * @default 'auto'
   */
  readonly method?: 'auto' | 'atomic' | 'migrate';
  /**
   * Milliseconds one MIGRATE should hold up its source at most: batches are cut to that. Where one takes longer whatever is in it,
   * half of this is what its keys may add. Infinity: as many keys as go.
   * @default 5
   */
  readonly maxStall?: number;
  /**
   * Moves at one time. A source takes part in one of them; a target in up to four, but where it is to use the atomic migration of
   * Redis, which does one thing at a time, or an earlier run began the move. @default 8
   */
  readonly concurrency?: number;
  readonly limits?: MoveLimits;
  /** Bytes from which on a key is looked for before the move, named in the plan and moved alone. Infinity: none is. @default 8388608 */
  readonly bigKeySize?: number;
  /** Milliseconds MIGRATE may be without progress: its own timeout argument, divided among those under way. @default 2000, and more for big keys */
  readonly migrateTimeout?: number;
  /** Milliseconds an atomic migration may be without progress before it is cancelled. @default 60000 */
  readonly atomicTimeout?: number;
}

/** What every operation that changes a cluster takes. */
export interface OperationOptions extends ConnectionOptions, ControlOptions, MoveOptions {
  /** Look and plan only: nothing is changed. @default false */
  readonly dryRun?: boolean;
  /**
   * Called with the plan before anything is changed, unless there is nothing to do. Where it says false nothing is, and the
   * operation rejects with ClusterError `NOT_APPROVED`. @default every plan is approved
   */
  readonly approve?: (plan: Plan) => boolean | Promise<boolean>;
  /** Milliseconds to wait until the nodes agree with what was done. @default 60000 */
  readonly agreeTimeout?: number;
  /** Goes on where another operator is at work on the cluster, or the target has too little memory. @default false */
  readonly force?: boolean;
}
