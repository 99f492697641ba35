import { ClusterError, retold } from '../errors.ts';

/**
 * Merges failures of work that ran in parallel into the one to throw: the first ClusterError or, if there is none, the first
 * error. It carries the open slots and keys of all of them, since otherwise some would stay open, or in doubt, without being
 * reported.
 */
export function asOneFailure(failures: readonly unknown[]): unknown {
  const known = [...new Set(failures)].filter((failure) => failure instanceof ClusterError);
  const [first, ...more] = known;
  if (!first || more.length === 0) return first ?? failures[0];
  return withAllOf(known, first, first.message);
}

/** The first of several errors, with a message, and with the open slots and keys of all of them. */
export function withAllOf(
  errors: readonly ClusterError[],
  first: ClusterError,
  message: string,
): ClusterError {
  const openSlots = [...new Set(errors.flatMap((error) => error.openSlots))].sort((a, b) => a - b);
  const keys = [...new Set(errors.flatMap((error) => error.keys))];
  return retold(first, { openSlots, keys, cause: first }, message);
}
