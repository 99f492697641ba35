import { type Argument, ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';
import { invalidArgument } from '../errors.ts';
import { ClusterNode } from '../model/cluster-node.ts';
import { look } from '../nodes/look.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';

export interface ExecuteOptions extends ConnectionOptions {
  /** Leave replicas out. @default false */
  readonly mastersOnly?: boolean;
  /** Leave masters out. @default false */
  readonly replicasOnly?: boolean;
  /** Stops waiting immediately. Commands already sent may still run. */
  readonly signal?: AbortSignal;
}

/** The answer of one node: `error` is null if `result` has the reply, which may itself be null. */
export interface ExecuteResult {
  readonly node: ClusterNode;
  /** Strings are UTF-8 text, or Buffers if the bytes are not valid UTF-8. */
  readonly result: Reply;
  readonly error: Error | null;
}

/**
 * Runs a command on all nodes of a cluster in parallel. Results are ordered by address. A node that fails or cannot be
 * reached gives an entry with an `error`. Rejects only if the first node does not answer.
 */
export function execute(
  cluster: ClusterLike,
  command: readonly Argument[],
  options: ExecuteOptions = {},
): Promise<ExecuteResult[]> {
  if (command.length === 0) return Promise.reject(invalidArgument('Name a command to execute'));
  return withReading(cluster, options, async ({ connections, signal }) => {
    const view = await look(connections, seedOf(cluster), signal);
    const chosen = view.nodes.filter(({ role }) =>
      role === 'master' ? !options.replicasOnly || options.mastersOnly : !options.mastersOnly,
    );
    const bytes = command.map((argument) =>
      typeof argument === 'string' ? Buffer.from(argument, 'utf8') : argument,
    );
    return inParallel(chosen, async (record): Promise<ExecuteResult> => {
      const node = new ClusterNode(record, view.seed.host);
      const lost = view.unreachable.get(record.id);
      if (lost) return { node, result: null, error: lost };
      try {
        const options = { as: 'buffer' as const };
        return { node, result: toText(await connections.ask(record.address, bytes, options)), error: null };
      } catch (error) {
        if (!(error instanceof ReplyError || error instanceof ConnectionError)) throw error;
        return { node, result: null, error };
      }
    });
  });
}

function toText(reply: Reply): Reply {
  if (reply instanceof Uint8Array) {
    const text = reply.toString('utf8');
    return Buffer.from(text, 'utf8').equals(reply) ? text : reply;
  }
  return Array.isArray(reply) ? reply.map(toText) : reply;
}
