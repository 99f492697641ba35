import { ConnectionError, type ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';

/** Failures of reading all keys that pass: slots move, or a master fails over. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  'NOT_REACHED',
  'OPEN_SLOT',
  'SLOTS_UNCOVERED',
  'NODES_DISAGREE',
  'NODE_UNREACHABLE',
]);

/** True for a failure after which the same is tried again. */
export function isPassing(error: unknown): error is Error {
  if (error instanceof ClusterError) return PASSING_CODES.has(error.code);
  return error instanceof ConnectionError || (error as Partial<ReplyError> | null)?.code === 'LOADING';
}
