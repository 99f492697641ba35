export { ConnectionError, ProtocolError, ReplyError } from '../resp/index.ts';

/** Why an operation could not go on. Stable: match on this, not on the message. */
export type ClusterErrorCode =
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
  | 'KEY_CONFLICT'
  | 'KEYS_IN_DOUBT'
  | 'MIGRATE_FAILED'
  | 'METHOD_UNSUPPORTED'
  | 'NOT_REACHED'
  | 'NO_MEMORY'
  | 'TARGET_TOO_OLD'
  | 'OTHER_OPERATOR'
  | 'NOT_APPROVED'
  | 'BAD_REPLY'
  | 'NOT_STANDALONE'
  | 'DATABASES_DIFFER'
  | 'RESTORE_FAILED'
  | 'BACKUP_FAILED'
  | 'BACKUP_INVALID'
  | 'DIRECTORY_NOT_EMPTY'
  | 'FILE_FAILED'
  | 'PLAN_INVALID'
  | 'PLAN_STALE'
  | 'NOT_REVERSIBLE'
  | 'NOT_STARTED';

export interface ClusterErrorDetails {
  /** `host:port` of the node it is about. */
  readonly address?: string;
  /** What to do next, a sentence. */
  readonly hint?: string;
  /** Slots that were left open, importing or migrating. */
  readonly openSlots?: readonly number[];
  /** True if the same call, made again, goes on where this one stopped. */
  readonly resumable?: boolean;
  /** Keys that could not be moved, as bytes in latin1 (one character a byte). */
  readonly keys?: readonly string[];
  readonly cause?: unknown;
}

/** An operation cannot go on. Says what was left behind, and what to do next. */
export class ClusterError extends Error {
  readonly code: ClusterErrorCode;
  readonly address: string | undefined;
  readonly hint: string | undefined;
  readonly openSlots: readonly number[];
  readonly resumable: boolean;
  readonly keys: readonly string[];

  constructor(code: ClusterErrorCode, message: string, details: ClusterErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.address = details.address;
    this.hint = details.hint;
    this.openSlots = details.openSlots ?? [];
    this.resumable = details.resumable ?? false;
    this.keys = details.keys ?? [];
  }
}

Object.defineProperty(ClusterError.prototype, 'name', { value: 'ClusterError' });

/** A reply that makes no sense: what answers is no Redis or Valkey server, one of an unknown kind, or broken. */
export function badReply(message: string, address?: string): ClusterError {
  return new ClusterError('BAD_REPLY', message, {
    ...(address === undefined ? {} : { address }),
    hint: 'Is it a Redis or Valkey server, and nothing between that changes what it says? See with: redis-cli -p PORT CLUSTER NODES',
  });
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
