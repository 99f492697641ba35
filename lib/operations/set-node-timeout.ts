import { type Context, nodeError } from '../apply/context.ts';
import { look } from '../apply/look.ts';
import { inParallel } from '../apply/parallel.ts';
import { messageOf } from '../errors.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

const SETTING = 'cluster-node-timeout';
const LEAST_MS = 100;

/** What became of one node. */
export interface NodeTimeoutSet {
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  /** Milliseconds before; null where the node gave no answer. */
  readonly before: number | null;
  /** Milliseconds as the node says now; null where it was not set, or only would be. */
  readonly after: number | null;
  /** True if it stands in the configuration file too: else it is lost when the server restarts. */
  readonly isSaved: boolean;
  /** Why it was not set, or not saved. */
  readonly error: Error | null;
}

export interface NodeTimeoutResult {
  /** True if every node was set, or, after a dry run, could be. */
  readonly ok: boolean;
  /** False after a dry run. */
  readonly applied: boolean;
  readonly timeout: number;
  /** Ordered by address. */
  readonly nodes: readonly NodeTimeoutSet[];
}

/**
 * Sets cluster-node-timeout on every node, has each write it to its configuration file, and reads it back. Rejects with
 * ClusterError `NODE_UNREACHABLE` before anything is changed where a node gives no answer, unless forced.
 *
 * There is no plan of steps: nodes need not agree about a setting, none depends on another, and the result of one is worth
 * keeping where another fails.
 */
export function setNodeTimeout(
  cluster: ClusterLike,
  timeout: number,
  options: OperationOptions = {},
): Promise<NodeTimeoutResult> {
  if (!Number.isInteger(timeout) || timeout < LEAST_MS || timeout > 0x7fffffff) {
    return Promise.reject(new RangeError(`Not a node timeout in ms from ${LEAST_MS} up: "${timeout}"`));
  }
  return withContext(cluster, options, async (context) => {
    const view = await look(context.connections, seedOf(cluster), context.signal);
    const before = await readAll(context, view);
    context.signal?.throwIfAborted();
    const [lost] = [...before].filter(([, value]) => value instanceof Error);
    if (lost && !options.force) refuse(context, view, lost[0], lost[1] as Error);
    const nodes = await inParallel(view.nodes, (node) =>
      setOne(context, view, node, timeout, before.get(node.id) ?? new Error('not asked')),
    );
    const ok = nodes.every(({ before, after }) => (options.dryRun ? before : after) !== null);
    return { ok, applied: options.dryRun !== true, timeout, nodes };
  });
}

function refuse({ options, emit }: Context, view: ClusterView, id: string, error: Error): void {
  const name = nodeName(view, id);
  const message = `Cannot set ${SETTING} on ${name}: ${error.message}`;
  const hint = 'Nothing was changed. Bring the node back, or have all others set with --force';
  if (!options.dryRun) throw nodeError('NODE_UNREACHABLE', name, message, { hint, cause: error });
  emit({ type: 'warning', node: name, message });
}

async function readAll(context: Context, view: ClusterView): Promise<Map<string, number | Error>> {
  const values = await inParallel(view.nodes, async (node): Promise<[string, number | Error]> => {
    try {
      const lost = view.unreachable.get(node.id);
      return [node.id, lost ?? (await read(context, node))];
    } catch (error) {
      return [node.id, error as Error];
    }
  });
  return new Map(values);
}

async function read({ connections }: Context, { address }: NodeRecord): Promise<number> {
  const reply = await connections.ask(address, ['CONFIG', 'GET', SETTING]);
  const value = Array.isArray(reply) ? Number(reply[1]) : Number.NaN;
  if (!Number.isInteger(value)) throw new Error(`it does not tell its ${SETTING}`);
  return value;
}

async function setOne(
  context: Context,
  view: ClusterView,
  node: NodeRecord,
  timeout: number,
  before: number | Error,
): Promise<NodeTimeoutSet> {
  const { connections, options, emit } = context;
  const known = { id: node.id, address: nodeName(view, node.id) };
  if (before instanceof Error) return { ...known, before: null, after: null, isSaved: false, error: before };
  if (options.dryRun) return { ...known, before, after: null, isSaved: false, error: null };
  try {
    // What was not begun when the operation is stopped is left alone.
    context.signal?.throwIfAborted();
    await connections.ask(node.address, ['CONFIG', 'SET', SETTING, timeout]);
    const unsaved = await connections.ask(node.address, ['CONFIG', 'REWRITE']).then(
      () => null,
      (error: unknown) => error as Error,
    );
    const after = await read(context, node);
    if (after !== timeout) throw new Error(`it says ${after} after it was set`);
    if (unsaved) {
      const message = `${known.address} could not save ${SETTING}, which is lost when it restarts: ${messageOf(unsaved)}`;
      emit({ type: 'warning', node: known.address, message });
    }
    return { ...known, before, after, isSaved: unsaved === null, error: unsaved };
  } catch (error) {
    if (context.signal?.aborted && error === context.signal.reason) throw error;
    return { ...known, before, after: null, isSaved: false, error: error as Error };
  }
}
