import type { ConnectOptions } from '../resp/index.ts';
import type { OnEvent } from './events.ts';

/** How to reach the nodes; the same for all of them. */
export interface ConnectionOptions {
  /** ACL user, Redis 6.0 and later. */
  readonly username?: string;
  readonly password?: string;
  /** `true`, or options of `tls.connect`. Certificates are verified unless these say otherwise. @default false */
  readonly tls?: ConnectOptions['tls'];
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

/** What every operation that changes a cluster takes. */
export interface OperationOptions extends ConnectionOptions, ControlOptions {
  /** Look and plan only: nothing is changed. @default false */
  readonly dryRun?: boolean;
  /** Milliseconds to wait until the nodes agree with what was done. @default 60000 */
  readonly agreeTimeout?: number;
  /** Milliseconds a MIGRATE may be without progress: its own timeout argument. @default 10000 */
  readonly migrateTimeout?: number;
}
