import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import type { BatchEnd, BatchFailure } from './batch.ts';

/**
 * How an attempt failed, as far as the next step depends on it:
 * - `vanished`: nothing ran, because a key of the batch is not on the source any more.
 * - `refused`: nothing ran, for a reason that passes.
 * - `rejected`: the target refused keys for a reason that passes, and has no copy of them.
 * - `busy-key`: the target refused keys because it holds them already.
 *   Both are reported even if the target then stopped answering: `HIDING` is what that adds.
 * - `unanswered`: the target did not acknowledge all keys in time, and may have restored them or restore them later.
 * - `lost`: the source did not answer.
 */
export type Failure = 'vanished' | 'refused' | 'rejected' | 'busy-key' | 'unanswered' | 'lost';

/**
 * The state of a batch:
 * - `new`: nothing has failed.
 * - `failed`: an attempt failed, and left nothing on the target.
 * - `copied`: the target may hold copies of keys that are still on the source.
 * - `compared`: the target holds copies, and each may be overwritten: it is the same as on the source, or known to be older.
 */
export type BatchState = 'new' | 'failed' | 'copied' | 'compared';

/** Which keys that are no longer on the source may have left a copy on the target. */
export type Doubt =
  | 'none'
  /** All of them. */
  | 'all'
  /** Those that the target did not acknowledge: MIGRATE deletes keys in the order they are given. */
  | 'unacknowledged'
  /** All of them, if more are gone than the target acknowledged, which may be any of them. */
  | 'all-if-more-than-acknowledged';

/** What to do before the remaining keys are sent again. */
export interface Again {
  readonly do: 'send-again';
  readonly error: Error;
  /** The most keys that the target may have acknowledged. */
  readonly gone: number;
  /** Waits until both ends answer, after a pause or at once. A batch that only lost keys to a client does not wait. */
  readonly wait: 'no' | 'at-once' | 'after-pause';
  /** Ends whatever an earlier attempt left in flight, before the keys are looked at. */
  readonly fence: boolean;
  /** Asks the source which of the keys it still holds. If nothing ran it holds all of them. */
  readonly look: boolean;
  readonly doubt: Doubt;
  /** Makes the source delete the missing keys that have expired. */
  readonly sweep: boolean;
  /** Compares the keys on both ends, and leaves those in conflict where they are. */
  readonly compare: boolean;
  /** The state in which they are sent, unless comparing finds copies. */
  readonly state: BatchState;
}

/** What to do when a batch has ended. */
export type NextStep =
  | { readonly do: 'finish'; readonly gone: number; readonly stallMs: number }
  | { readonly do: 'hand-back' }
  /** `isUnsettled` if the target may have copies of the keys. */
  | { readonly do: 'give-up'; readonly error: Error; readonly isUnsettled: boolean }
  | Again;

/** How a batch is sent. */
export interface Sending {
  readonly replace: boolean;
  /** Waits for all other batches to the target, and holds others back. */
  readonly alone: boolean;
}

/** What was observed of the keys after a failure. */
export interface Seen {
  /** Keys as they were sent. */
  readonly keys: readonly string[];
  /** The most keys that the target may have acknowledged. */
  readonly gone: number;
  /** Those that are still on the source. */
  readonly left: readonly string[];
}

type Row = Pick<Again, 'wait' | 'fence' | 'look' | 'doubt' | 'sweep'> & {
  /** True if the target may hold copies of keys that are still on the source. */
  readonly leavesCopies: boolean;
};

/** The table under "When a MIGRATE fails" in docs/moving-slots.md. */
const ROWS: Readonly<Record<Failure, Row>> = {
  vanished: row('no', { look: true, doubt: 'all', sweep: true }),
  refused: row('after-pause', {}),
  rejected: row('after-pause', { look: true, doubt: 'all-if-more-than-acknowledged' }),
  'busy-key': row('at-once', { look: true, doubt: 'all-if-more-than-acknowledged', leavesCopies: true }),
  unanswered: row('after-pause', { fence: true, look: true, doubt: 'unacknowledged', leavesCopies: true }),
  // It is not known which keys were acknowledged: all that are gone would be named, and most of them have simply moved.
  lost: row('after-pause', { fence: true, look: true, leavesCopies: true }),
};

/** Of a target that refused a key, and may have stopped answering after that: it may restore the keys behind that one later. */
const HIDING: Partial<Row> = {
  wait: 'after-pause',
  fence: true,
  doubt: 'all-if-more-than-acknowledged',
  leavesCopies: true,
};

function row(wait: Row['wait'], rest: Partial<Row>): Row {
  return { wait, fence: false, look: false, doubt: 'none', sweep: false, leavesCopies: false, ...rest };
}

/** How a batch is sent in this state. `isGranted`: see `ReplaceAuthority`. Rules 5, 19 and 23 (docs/moving-slots.md). */
export function sendingIn(state: BatchState, isGranted: boolean): Sending {
  return { replace: isGranted ? state !== 'new' : state === 'compared', alone: state !== 'new' };
}

/** What to do when a batch that was sent in `state` has ended. */
export function afterEnd(end: BatchEnd, state: BatchState, isGranted: boolean): NextStep {
  if (end.type === 'moved') return { do: 'finish', gone: end.gone, stallMs: end.stallMs };
  if (end.type === 'held') return { do: 'hand-back' };
  const { error } = end;
  const kind = kindOf(end);
  const mayHide = end.type === 'failed' && end.isLate && kind !== 'unanswered';
  if (kind === 'hopeless') return { do: 'give-up', error, isUnsettled: mayHide };
  const { leavesCopies, doubt, ...rest } = mayHide ? { ...ROWS[kind], ...HIDING } : ROWS[kind];
  const mayHaveCopies = leavesCopies || !isGranted || state === 'copied';
  return {
    ...{ do: 'send-again', error, gone: end.type === 'failed' ? end.gone : 0, ...rest },
    doubt: mayHaveCopies ? doubt : 'none',
    compare: kind === 'busy-key' && !isGranted,
    state: kind === 'vanished' ? state : mayHaveCopies ? 'copied' : 'failed',
  };
}

/**
 * Keys whose copy on the target is in doubt: a client may have deleted them, or written them again.
 * Rule 25 (docs/moving-slots.md).
 */
export function doubtful(doubt: Doubt, { keys, gone, left }: Seen): readonly string[] {
  if (doubt === 'none') return [];
  const vanished = goneFrom(doubt === 'unacknowledged' ? keys.slice(gone) : keys, left);
  return doubt === 'all-if-more-than-acknowledged' && vanished.length <= gone ? [] : vanished;
}

/** Keys that are not among those left. */
export function goneFrom(keys: readonly string[], left: readonly string[]): readonly string[] {
  const isLeft = new Set(left);
  return keys.filter((key) => !isLeft.has(key));
}

/**
 * Which of the compared keys to send again, and in which state. A key that only one end holds is in neither list.
 * Rule 24 (docs/moving-slots.md).
 */
export function afterCompare(
  left: readonly string[],
  replaceable: readonly string[],
  different: readonly string[],
): { readonly keys: readonly string[]; readonly state: BatchState } {
  return { keys: goneFrom(left, different), state: replaceable.length > 0 ? 'compared' : 'copied' };
}

function kindOf({ type, error }: BatchFailure): Failure | 'hopeless' {
  if (type === 'refused' && isVanished(error)) return 'vanished';
  if (!isWorthRetrying(error)) return 'hopeless';
  if (type !== 'failed') return type;
  if (/IOERR/.test(error.message)) return 'unanswered';
  return isBusyKey(error) ? 'busy-key' : 'rejected';
}

/** True if the target refused a key because it holds it already. */
export function isBusyKey({ message }: Error): boolean {
  return message.includes('BUSYKEY');
}

/** True for an error that passes: the target is down, loading or does not serve yet, or the answer was lost. */
export function isWorthRetrying(error: Error): boolean {
  if (error instanceof ConnectionError) return true;
  if (!(error instanceof ReplyError)) return false;
  return /IOERR|BUSYKEY|LOADING|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|NOREPLICAS/.test(error.message);
}

// Rule 7 (docs/moving-slots.md): some or all keys of a transaction are missing (`getNodeByQuery`).
function isVanished({ code, message }: ReplyError): boolean {
  return code === 'ASK' || (code === 'TRYAGAIN' && message.includes('Multiple keys'));
}
