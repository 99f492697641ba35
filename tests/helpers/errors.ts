import assert from 'node:assert/strict';
import { ClusterError, ReplyError } from '../../lib/index.ts';

/** MIGRATE repeats the error of its target. */
const OF_TARGET = /^ERR Target instance replied with error: (\S+)/;

/** The codes of an error and of what caused it, outermost first. */
export function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const { code } = error as { code?: unknown };
  const [, ofTarget] = (error instanceof ReplyError && OF_TARGET.exec(error.message)) || [];
  return [ofTarget ?? (typeof code === 'string' ? code : []), codesOf(error.cause)].flat();
}

/** Runs an operation that must end because its signal aborts for this reason, and resolves to what says how far it was. */
export async function abortOf(work: Promise<unknown>, reason: unknown): Promise<ClusterError> {
  const error = await failureOf(work);
  assert.equal(error.code, 'ABORTED', error.message);
  assert.equal(error.cause, reason);
  return error;
}

/** Runs an operation that must fail, and resolves to its error. */
export async function failureOf(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.then(
    () => assert.fail('it succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ClusterError, String(error));
  return error;
}
