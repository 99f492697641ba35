export { ConnectionError, ProtocolError, ReplyError } from '../resp/index.ts';
export {
  ClusterError,
  type ClusterErrorCode,
  type ClusterErrorDetails,
  invalidArgument,
  type MovedSoFar,
  NOTHING_SO_FAR,
  noticedAt,
  type Resumable,
  retold,
} from './model/cluster-error.ts';

import type { ReplyError } from '../resp/index.ts';
import { ClusterError } from './model/cluster-error.ts';
import type { Next } from './model/next.ts';

/** The error for a reply that makes no sense: the peer is not a Redis or Valkey server, or an unknown or broken one. */
export function badReply(message: string, address?: string): ClusterError {
  return new ClusterError('BAD_REPLY', message, {
    address,
    hint: 'Make sure that it is a Redis or Valkey server, and that nothing in between changes its replies',
    next: [
      { do: 'command', ...(address === undefined ? {} : { node: address }), command: ['CLUSTER', 'NODES'] },
    ],
  });
}

/** Approval was refused, or could not be asked for. */
export function notApproved(
  message: string,
  hint = 'Nothing was changed',
  next: readonly Next[] = [],
): ClusterError {
  return new ClusterError('NOT_APPROVED', message, { hint, next });
}

/** True if a call ended with this because its signal aborted: with the signal's reason, or with `ABORTED`, which has it as its cause. */
export function isAbort(error: unknown, signal: AbortSignal | undefined): boolean {
  if (!signal?.aborted) return false;
  if (error instanceof ClusterError && error.code === 'ABORTED' && error.cause === signal.reason) return true;
  return error === signal.reason;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The command that a user may not run, according to the server's refusal: `cluster|forget`, for one. Older servers do not name the user. */
export function missingRight({
  message,
}: ReplyError): { readonly user: string | undefined; readonly command: string } | undefined {
  const [, user, command] =
    /(?:User (\S+)|this user) has no permissions to run the '([^']+)' command/.exec(message) ?? [];
  return command === undefined ? undefined : { user, command };
}
