import type { Reply } from '../../resp/index.ts';
import type { ExecuteResult } from '../operations/execute.ts';
import type { Outcome } from './outcome.ts';

/** The data of `execute` and `call`. */
export interface ExecuteData {
  readonly results: readonly Executed[];
}

interface Executed {
  readonly node: string;
  readonly nodeId: string;
  readonly role: 'master' | 'slave';
  /** The reply; `{"base64": …}` for bytes that are not text. */
  readonly result?: unknown;
  /** In its place if the node failed. */
  readonly error?: string;
}

/** Outcome of `execute`: `ADDRESS +reply` or `ADDRESS -error` for each node. */
export function executed(results: readonly ExecuteResult[]): Outcome<ExecuteData> {
  return {
    ok: results.every(({ error }) => error === null),
    text: results
      .map(({ node, result, error }) => `${node.addr()} ${error ? `-${error.message}` : `+${show(result)}`}`)
      .join('\n'),
    data: {
      results: results.map(({ node, result, error }) => ({
        node: node.addr(),
        nodeId: node.nodeId,
        role: node.roleInCluster,
        ...(error ? { error: error.message } : { result: toJson(result) }),
      })),
    },
  };
}

function show(reply: Reply): string {
  if (reply === null) return '(nil)';
  if (typeof reply === 'string') return reply.trimEnd();
  return typeof reply === 'object' ? JSON.stringify(toJson(reply)) : String(reply);
}

// JSON has no bytes and no exact integers beyond 2^53.
function toJson(reply: Reply): unknown {
  if (reply instanceof Error) return { error: reply.message };
  if (reply instanceof Uint8Array) return { base64: Buffer.from(reply).toString('base64') };
  if (typeof reply === 'bigint') return reply.toString();
  return Array.isArray(reply) ? reply.map(toJson) : reply;
}
