import type { Advice, Next } from './next.ts';

/** Why an operation could not continue. Stable: match on this, not on the message. `ABORTED`: by the signal; `cause` is its reason. */
export type ClusterErrorCode =
  | 'INVALID_ARGUMENT'
  | 'NOT_CLUSTER_ENABLED'
  | 'ALREADY_IN_CLUSTER'
  | 'NOT_IN_CLUSTER'
  | 'NOT_SAME_CLUSTER'
  | 'SAME_NODE'
  | 'AMBIGUOUS_NODE'
  | 'SLOTS_NOT_HELD'
  | 'SLOTS_UNCOVERED'
  | 'OPEN_SLOT'
  | 'NODE_NOT_EMPTY'
  | 'NODE_UNREACHABLE'
  | 'NOT_A_MASTER'
  | 'HAS_REPLICAS'
  | 'NO_REPLICA'
  | 'LAST_NODE'
  | 'MORE_NODES'
  | 'NODES_DISAGREE'
  | 'COMMAND_REFUSED'
  | 'KEY_CONFLICT'
  | 'KEYS_LEFT_BEHIND'
  | 'KEYS_IN_DOUBT'
  | 'MIGRATE_FAILED'
  | 'TARGET_NOT_PROVEN'
  | 'METHOD_UNSUPPORTED'
  | 'NOT_REACHED'
  | 'NO_MEMORY'
  | 'TARGET_TOO_OLD'
  | 'CREDENTIALS_DIFFER'
  | 'OTHER_OPERATOR'
  | 'NOT_APPROVED'
  | 'BAD_REPLY'
  | 'NOT_STANDALONE'
  | 'SAME_CLUSTER'
  | 'DATABASES_DIFFER'
  | 'RESTORE_FAILED'
  | 'BACKUP_FAILED'
  | 'BACKUP_INVALID'
  | 'BUNDLE_INVALID'
  | 'DIRECTORY_NOT_EMPTY'
  | 'FILE_FAILED'
  | 'PLAN_INVALID'
  | 'PLAN_STALE'
  | 'NOT_REVERSIBLE'
  | 'NOT_STARTED'
  | 'ABORTED'
  | 'RESTART_FAILED';

/**
 * What continues an operation that stopped: the same call, the same call with `resume: true`, a call for the slots that are left,
 * or none, because nothing was begun or something else has to be done first.
 */
export type Resumable = 'same-call' | 'with-resume' | 'rest' | 'no';

/** What an operation had moved or copied when it stopped. */
export interface MovedSoFar {
  readonly slots: number;
  /** Slots that its plan moves. */
  readonly planned: number;
  readonly keys: number;
  /** Bytes of these keys, an estimate. */
  readonly bytes: number;
}

/** The figures of an operation that has moved nothing. */
export const NOTHING_SO_FAR: MovedSoFar = { slots: 0, planned: 0, keys: 0, bytes: 0 };

export interface ClusterErrorDetails extends Advice {
  /** `host:port` of the node it is about. */
  readonly address?: string | undefined;
  /** Slots that were left open, importing or migrating. */
  readonly openSlots?: readonly number[];
  /** @default 'no' */
  readonly resumable?: Resumable;
  /** @default nothing */
  readonly moved?: MovedSoFar;
  /** Keys that could not be moved, as bytes in latin1 (one character a byte). */
  readonly keys?: readonly string[];
  readonly cause?: unknown;
  /** @internal By `performance.now()`. @default when the cause was noticed, or now */
  readonly noticedAt?: number | undefined;
}

/** The error of an operation that cannot continue. Says what was moved, what was left behind, and what to do next. */
export class ClusterError extends Error {
  readonly code: ClusterErrorCode;
  readonly address: string | undefined;
  /** A sentence that is true for any caller. */
  readonly hint: string | undefined;
  /** What to do next, the best first. */
  readonly next: readonly Next[];
  readonly openSlots: readonly number[];
  readonly resumable: Resumable;
  readonly moved: MovedSoFar;
  readonly keys: readonly string[];
  readonly #noticedAt: number;

  constructor(code: ClusterErrorCode, message: string, details: ClusterErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.address = details.address;
    this.hint = details.hint;
    this.openSlots = details.openSlots ?? [];
    this.resumable = details.resumable ?? 'no';
    this.next = details.next ?? (this.resumable === 'no' ? [] : [{ do: 'retry' }]);
    this.moved = details.moved ?? NOTHING_SO_FAR;
    this.keys = details.keys ?? [];
    this.#noticedAt = details.noticedAt ?? noticedAt(details.cause) ?? performance.now();
  }

  /** @internal When the failure was noticed, by `performance.now()`. */
  get noticedAt(): number {
    return this.#noticedAt;
  }
}

Object.defineProperty(ClusterError.prototype, 'name', {
  get(this: ClusterError) {
    // As the platform names what an aborted call rejects with: callers tell it by that.
    return this.code === 'ABORTED' ? 'AbortError' : 'ClusterError';
  },
});

/** When a failure was noticed, by `performance.now()`; undefined of what is not an error of this library. */
export function noticedAt(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('noticedAt' in error)) return undefined;
  return typeof error.noticedAt === 'number' ? error.noticedAt : undefined;
}

/** The same error with other details, or another message. */
export function retold(
  error: ClusterError,
  details: ClusterErrorDetails,
  message: string = error.message,
): ClusterError {
  const { code, address, hint, next, openSlots, resumable, moved, keys } = error;
  const own = {
    address,
    hint,
    next,
    openSlots,
    resumable,
    moved,
    keys,
    cause: error.cause,
    noticedAt: error.noticedAt,
  };
  const again = new ClusterError(code, message, { ...own, ...details });
  // Where it came about is what counts.
  if (error.stack !== undefined && message === error.message) again.stack = error.stack;
  return again;
}

/** The error for an argument that no call of this kind takes. */
export function invalidArgument(message: string): ClusterError {
  return new ClusterError('INVALID_ARGUMENT', message);
}
