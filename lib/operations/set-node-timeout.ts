import { claimThenLook } from '../apply/look-claimed.ts';
import { invalidArgument, isAbort, messageOf } from '../errors.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import type { Advice, Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { LARGEST_INT } from '../model/numbers.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { askNodeTimeout, NODE_TIMEOUT } from '../nodes/node-timeout.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { OperationOptions } from '../options.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';

const LEAST_MS = 100;

/** The result for one node. */
export interface NodeTimeoutSet {
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  /** The timeout before, in milliseconds; null if the node did not answer. */
  readonly before: number | null;
  /** The timeout that the node reports now, in milliseconds; null if it was not set, or after a dry run. */
  readonly after: number | null;
  /** True if it was written to the configuration file too; otherwise it is lost when the server restarts. */
  readonly isSaved: boolean;
  /** Why it was not set, or not saved. */
  readonly error: Error | null;
}

export interface NodeTimeoutResult {
  /** True if it was set on every node or, after a dry run, could be. */
  readonly ok: boolean;
  /** False after a dry run. */
  readonly applied: boolean;
  readonly timeout: number;
  /** Ordered by address. */
  readonly nodes: readonly NodeTimeoutSet[];
}

/**
 * Sets cluster-node-timeout on every node, makes each write it to its configuration file, and reads it back. Before
 * anything is changed, rejects with ClusterError `NODE_UNREACHABLE` if a node does not answer, unless forced.
 *
 * There is no plan of steps: nodes need not agree on a setting, none depends on another, and the setting of one is worth
 * keeping even if another fails.
 */
export function setNodeTimeout(
  cluster: ClusterLike,
  timeout: number,
  options: OperationOptions = {},
): Promise<NodeTimeoutResult> {
  if (!Number.isInteger(timeout) || timeout < LEAST_MS || timeout > LARGEST_INT) {
    return Promise.reject(invalidArgument(`Not a node timeout in ms from ${LEAST_MS} up: "${timeout}"`));
  }
  return withContext(cluster, options, async (context) => {
    const { settings } = context;
    const seed = seedOf(cluster);
    const view = await claimThenLook(context, seed, () => look(context.connections, seed, context.signal));
    const before = await readAll(context, view);
    context.signal?.throwIfAborted();
    const [lost] = [...before].filter(([, value]) => value instanceof Error);
    if (lost && !settings.force) refuse(context, view, lost[0], lost[1] as Error);
    const nodes = await inParallel(view.nodes, (node) =>
      setOne(context, view, node, timeout, before.get(node.id) ?? new Error('not asked')),
    );
    const ok = nodes.every(({ before, after }) => (settings.dryRun ? before : after) !== null);
    return { ok, applied: !settings.dryRun, timeout, nodes };
  });
}

function refuse({ settings, emit }: Context, view: ClusterView, id: string, error: Error): void {
  const name = nodeName(view, id);
  const message = `Cannot set ${NODE_TIMEOUT} on ${name}: ${error.message}`;
  const advice: Advice = view.reports.has(id) ? {} : wordsOnCondition(view, id);
  const next: readonly Next[] = [
    ...(advice.next ?? [{ do: 'retry', when: 'repaired' }]),
    { do: 'retry', options: { force: true }, when: 'anyway' },
  ];
  const hint = ['Nothing was changed', ...(advice.hint ? [advice.hint] : [])].join('. ');
  const details = { hint, next, cause: error };
  if (!settings.dryRun) throw nodeError('NODE_UNREACHABLE', name, message, details);
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

async function read(context: Context, { address }: NodeRecord): Promise<number> {
  const ms = await askNodeTimeout(context, address);
  if (ms instanceof Error) throw ms;
  return ms;
}

async function setOne(
  context: Context,
  view: ClusterView,
  node: NodeRecord,
  timeout: number,
  before: number | Error,
): Promise<NodeTimeoutSet> {
  const { connections, settings, emit } = context;
  const known = { id: node.id, address: nodeName(view, node.id) };
  if (before instanceof Error) return { ...known, before: null, after: null, isSaved: false, error: before };
  if (settings.dryRun) return { ...known, before, after: null, isSaved: false, error: null };
  try {
    // Nodes not begun when the operation is stopped are left alone.
    context.signal?.throwIfAborted();
    await connections.ask(node.address, ['CONFIG', 'SET', NODE_TIMEOUT, timeout]);
    const unsaved = await connections.ask(node.address, ['CONFIG', 'REWRITE']).then(
      () => null,
      (error: unknown) => error as Error,
    );
    const after = await read(context, node);
    if (after !== timeout) throw new Error(`it reports ${after} after it was set`);
    if (unsaved) {
      const message = `${known.address} could not save ${NODE_TIMEOUT}, which is lost when it restarts: ${messageOf(unsaved)}`;
      emit({ type: 'warning', node: known.address, message });
    }
    return { ...known, before, after, isSaved: unsaved === null, error: unsaved };
  } catch (error) {
    if (isAbort(error, context.signal)) throw error;
    return { ...known, before, after: null, isSaved: false, error: error as Error };
  }
}
