import type { Command, ConnectOptions } from '../resp/index.ts';
import type { OnEvent } from './events.ts';
import type { AddressMap } from './model/address.ts';
import type { Plan } from './plan/plan.ts';

/** How to connect to the nodes. The same options apply to all of them. */
export interface ConnectionOptions {
  /** ACL user, for Redis 6.0 and later. @default the default user */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** `true`, or options of `tls.connect()`. Certificates are verified unless these say otherwise. @default false */
  readonly tls?: ConnectOptions['tls'];
  /** How to reach nodes that announce addresses of another network, as behind NAT or in containers. @default as announced */
  readonly addressMap?: AddressMap;
  /** IP version to use if a host name resolves to both. @default either */
  readonly family?: 4 | 6;
  /** Milliseconds for DNS lookup, TCP, TLS and authentication together. @default 5000 */
  readonly connectTimeout?: number;
  /** Milliseconds a node may take for one command. @default 10000 */
  readonly commandTimeout?: number;
  /**
   * Called synchronously with the commands that are sent to a node in one write, also with AUTH: they hold secrets. Must be fast
   * and must not throw. @default none
   */
  readonly onCommands?: (commands: readonly Command[], node: string) => void;
}

/** How to follow and stop an operation. */
export interface ControlOptions {
  /**
   * Stops at the next safe point, then rejects with ClusterError `ABORTED`, which says what had moved. No slot stays open. A call
   * that had not begun, or only looks, rejects with the signal's reason.
   */
  readonly signal?: AbortSignal;
  readonly onEvent?: OnEvent;
}

/** Hard limits of a move. Read before every batch, so you may change them while slots are being moved. */
export interface MoveLimits {
  /** Keys per second, over all nodes. @default none */
  keysPerSecond?: number;
  /** Bytes per second by MEMORY USAGE, over all nodes. @default none */
  bytesPerSecond?: number;
  /** While it is true, MIGRATE moves no more keys: slots on their way stay open. An abort ends the move anyway. */
  paused?: boolean;
}

/** How to move slots. */
export interface MoveOptions {
  /**
   * `migrate`: key by key with MIGRATE, on any server. `atomic`: by the servers themselves, from Valkey 9.0 or Redis 8.4 on.
   * `auto`: atomic if both nodes support it, and MIGRATE if that fails repeatedly or `limits` are set.
   * @default 'auto'
   */
  readonly method?: 'auto' | 'atomic' | 'migrate';
  /**
   * Milliseconds that one MIGRATE should block its source at most. Batches are sized to stay below. If even an empty MIGRATE
   * takes longer, its keys may add half of this. Infinity: as many keys as possible.
   * @default 5
   */
  readonly maxStall?: number;
  /**
   * Most moves in parallel. A source takes part in one move at a time. A target takes part in up to four, but in only one if
   * it uses Redis's atomic migration, which runs one task at a time, or if an earlier run began the move. @default 8
   */
  readonly concurrency?: number;
  readonly limits?: MoveLimits;
  /**
   * Keys of this many bytes or more are big: they are found before the move, listed in the plan and moved alone. Infinity:
   * no key is. @default 8388608
   */
  readonly bigKeySize?: number;
  /**
   * Milliseconds that MIGRATE may make no progress: its timeout argument, divided among the commands in flight.
   * @default 2000, and more for big keys
   */
  readonly migrateTimeout?: number;
  /** Milliseconds that an atomic migration may make no progress before it is cancelled. @default 60000 */
  readonly atomicTimeout?: number;
}

/** What happens to libraries of functions of a node that joins, if the cluster lacks them or has others of the same name. */
export type OwnFunctions = 'refuse' | 'replace';

/** Options of every operation that changes a cluster. */
export interface OperationOptions extends ConnectionOptions, ControlOptions, MoveOptions {
  /** Only look and plan, and change nothing. @default false */
  readonly dryRun?: boolean;
  /**
   * Called with the plan before anything is changed, unless there is nothing to do. If it returns false, nothing is changed
   * and the operation rejects with ClusterError `NOT_APPROVED`. @default every plan is approved
   */
  readonly approve?: (plan: Plan) => boolean | Promise<boolean>;
  /** Milliseconds to wait for the nodes to agree on the result. @default 60000 */
  readonly agreeTimeout?: number;
  /**
   * Milliseconds to wait for another operator that is changing the cluster, before the operation rejects with ClusterError
   * `OTHER_OPERATOR`. The plan is made after that. @default 2000
   */
  readonly wait?: number;
  /** Proceed even if another operator is active or the target is short of memory. @default false */
  readonly force?: boolean;
  /**
   * Restarts a server, for plans that restart some. Called when it may stop; the call may end before the server is back. If it
   * rejects, the operation stops. @default waits until someone has restarted it, as an event `restart` asks for
   */
  readonly restartServer?: (server: ServerToRestart) => void | Promise<void>;
  /** Milliseconds that a server may take to be back, with the data of its master. @default 300000 */
  readonly restartTimeout?: number;
}

/** A server that may stop now, to be restarted. */
export interface ServerToRestart {
  /** Its node id. */
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

/** Options of operations that add a node. */
export interface NewcomerOptions extends OperationOptions {
  /**
   * `refuse`: a node is refused if it has functions that the cluster lacks, or other ones of the same name. `replace`: it loses them,
   * and gets those of the cluster. @default it is refused
   */
  readonly functions?: OwnFunctions;
}
