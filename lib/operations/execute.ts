import { type Argument, ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';
import { look } from '../apply/look.ts';
import { inParallel } from '../apply/parallel.ts';
import { ClusterNode } from '../model/cluster-node.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './run.ts';

export interface ExecuteOptions extends ConnectionOptions {
  /** Leave replicas out. @default false */
  readonly mastersOnly?: boolean;
  /** Leave masters out. @default false */
  readonly replicasOnly?: boolean;
  /** Stops waiting at once. What was sent by then may still be carried out. */
  readonly signal?: AbortSignal;
}

/** What one node answered: `error` is null where `result` holds the reply, which may itself be null. */
export interface ExecuteResult {
  readonly node: ClusterNode;
  /** Strings are UTF-8 text, or Buffers where the bytes are no valid UTF-8. */
  readonly result: Reply;
  readonly error: Error | null;
}

/**
 * Runs a command on every node of a cluster at once; results in the order of addresses. A node that fails, or cannot be
 * reached, is an entry with an `error` and does not stop the others. Rejects only where the first node gives no answer.
 */
export function execute(
  cluster: ClusterLike,
  command: readonly Argument[],
  options: ExecuteOptions = {},
): Promise<ExecuteResult[]> {
  if (command.length === 0) return Promise.reject(new RangeError('Name a command to execute'));
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
