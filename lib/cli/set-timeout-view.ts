import type { NodeTimeoutResult } from '../operations/set-node-timeout.ts';
import { count } from './figures.ts';
import type { Outcome } from './outcome.ts';

/** The data of `set_timeout`. */
export interface TimeoutData extends Pick<NodeTimeoutResult, 'applied' | 'timeout'> {
  readonly nodes: readonly TimeoutOfNode[];
}

interface TimeoutOfNode {
  readonly id: string;
  readonly address: string;
  /** In milliseconds; null if the node did not answer. */
  readonly before: number | null;
  /** In milliseconds; null if it was not set. */
  readonly after: number | null;
  /** True if it was also written to the configuration file. */
  readonly saved: boolean;
  /** Why it was not set, or not saved. */
  readonly error?: string;
}

/** Outcome of `set_timeout`: a line for each node, then the number set. */
export function timeoutSet({ ok, applied, timeout, nodes }: NodeTimeoutResult): Outcome<TimeoutData> {
  const lines = nodes.map(({ address, before, after, isSaved, error }) => {
    if (before === null || (applied && after === null)) return `${address} not set: ${error?.message}`;
    const unsaved = applied && !isSaved ? ' (not saved: lost when it restarts)' : '';
    return `${address} ${before} → ${timeout} ms${unsaved}`;
  });
  const set = nodes.filter(({ after }) => after !== null).length;
  const failed = nodes.length - set;
  const last = applied
    ? `New node timeout set on ${count(set, 'node')}${failed > 0 ? `, not on ${failed}` : ''}`
    : 'Nothing was changed';
  return {
    ok,
    text: [...lines, last].join('\n'),
    data: {
      ...{ applied, timeout },
      nodes: nodes.map(({ id, address, before, after, isSaved, error }) => ({
        ...{ id, address, before, after, saved: isSaved },
        ...(error ? { error: error.message } : {}),
      })),
    },
  };
}
