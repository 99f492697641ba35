import { type ClusterError, invalidArgument, messageOf } from '../errors.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import { fieldDifferences } from '../findings/differences.ts';
import { describeUncovered, disagreements, uncoveredSlots } from '../findings/findings.ts';
import { outOfSync } from '../findings/out-of-sync.ts';
import { type Address, type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { goneNodes } from '../model/condition.ts';
import type { NodeDetails } from '../model/details.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import { addressesOf } from '../nodes/addresses-of.ts';
import type { Context } from '../nodes/context.ts';
import { withinTime } from '../nodes/deadline.ts';
import { lookWithReplication } from '../nodes/inspect.ts';
import { inParallel } from '../nodes/parallel.ts';
import { growingPause, notReached, waitUntil } from '../nodes/wait-until.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';
import { DEFAULTS } from '../settings.ts';
import { withReading } from './cluster.ts';

/**
 * `nodes`: at least so many nodes answer. `listening`: so does every node named, and every member. `serving`: every slot is served by a
 * master that answers, and no node reports `cluster_state:fail`. `in-sync`: every replica has what its master has. `agreed`: every node
 * knows all others for what they are.
 */
export type WaitCondition = { readonly nodes: number } | 'listening' | 'serving' | 'in-sync' | 'agreed';

export interface WaitOptions extends ConnectionOptions, ControlOptions {
  /** @default ['serving', 'agreed'] */
  readonly conditions?: readonly WaitCondition[];
  /** Milliseconds to wait. @default 60000 */
  readonly timeout?: number;
}

export interface WaitResult {
  readonly conditions: readonly WaitCondition[];
  /** How many nodes answer. */
  readonly nodes: number;
  readonly elapsedMs: number;
}

/** Time for a node to accept a connection or to answer before it counts as one that does not, unless options say otherwise. */
const ANSWER_MS = 2000;

/**
 * Waits until all conditions hold at once. Nodes that do not answer yet, and host names that do not resolve yet, are waited for; a
 * host name stands for all of its addresses. Rejects with ClusterError `NOT_REACHED`, which says what is missing, when the time is
 * up.
 */
export async function waitFor(nodes: readonly AddressLike[], options: WaitOptions = {}): Promise<WaitResult> {
  const { conditions = DEFAULTS.wait.conditions, timeout = DEFAULTS.wait.timeout } = options;
  const named = nodes.map(parseAddress);
  const [first] = named;
  if (!first) throw invalidArgument('Name at least one node of the cluster');
  const { connectTimeout = ANSWER_MS, commandTimeout = ANSWER_MS } = options;
  const started = performance.now();
  let lacking: readonly string[] = [`${formatAddress(first)} has not answered yet`];
  const what = conditions.map((one) => (typeof one === 'string' ? one : `${one.nodes} nodes`)).join(', ');
  const late = (): ClusterError => notReached(what, performance.now() - started, lacking);
  return withinTime(timeout, options.signal, late, (signal) =>
    withReading(first, { ...options, connectTimeout, commandTimeout, signal }, (context) =>
      waitUntil<WaitResult>(
        { what, pauseMs: growingPause(50, 500), signal, emit: context.emit },
        async () => {
          const seen = await observe(context, named);
          // A node that does not answer is missing for each of them.
          lacking = [...new Set(conditions.flatMap((condition) => lacks(condition, seen)))];
          if (lacking.length > 0) return { missing: lacking };
          return { done: { conditions, nodes: seen.answering, elapsedMs: performance.now() - started } };
        },
      ),
    ),
  );
}

/** What is known at one moment. */
export interface Observed {
  /** How many nodes answer, as members or at the addresses named. */
  readonly answering: number;
  /** Of each address named that does not answer: why. */
  readonly silent: readonly string[];
  /** The cluster of the first that answers; absent if none does. */
  readonly view?: ClusterView;
  readonly details?: ReadonlyMap<string, NodeDetails | Error>;
  /** Addresses named that answer and are not in that cluster. */
  readonly strangers: readonly string[];
}

async function observe(context: Context, named: readonly Address[]): Promise<Observed> {
  const { connections, signal } = context;
  const addresses = (await Promise.all(named.map((address) => addressesOf(context, address)))).flat();
  const answers = await inParallel(
    addresses,
    async (address): Promise<{ address: Address; id?: string; error?: Error }> => {
      try {
        return {
          address,
          id: String(await connections.ask(address, ['CLUSTER', 'MYID'], { early: true, signal })),
        };
      } catch (error) {
        signal?.throwIfAborted();
        return { address, error: error as Error };
      }
    },
  );
  const silent = answers.flatMap(({ address, error }) =>
    error ? [`${formatAddress(address)} does not answer: ${messageOf(error)}`] : [],
  );
  const ids = new Set(answers.flatMap(({ id }) => id ?? []));
  const [first] = answers.flatMap(({ address, id }) => (id === undefined ? [] : [address]));
  if (!first) return { answering: 0, silent, strangers: [] };
  try {
    const { view, details } = await lookWithReplication(connections, first, signal);
    const strangers = answers.flatMap(({ address, id }) =>
      id === undefined || view.nodes.some((node) => node.id === id) ? [] : [formatAddress(address)],
    );
    const answering = new Set([...ids, ...view.reports.keys()]).size;
    return { answering, silent, view, details, strangers };
  } catch (error) {
    signal?.throwIfAborted();
    return { answering: ids.size, silent: [...silent, messageOf(error)], strangers: [] };
  }
}

/** What a condition lacks, for people. */
export function lacks(
  condition: WaitCondition,
  { answering, silent, view, details, strangers }: Observed,
): string[] {
  if (typeof condition === 'object')
    return answering >= condition.nodes ? [] : [`${answering} of ${condition.nodes} nodes answer`, ...silent];
  if (condition === 'listening') return [...silent, ...(view ? absent(view) : [])];
  if (!view || !details) return silent.length > 0 ? [...silent] : ['no node answers'];
  switch (condition) {
    case 'serving': {
      const slots = uncoveredSlots(view);
      const failing = [...view.reports.values()].filter(({ info }) => info.state !== 'ok');
      const loading = [...details].filter(([, one]) => !(one instanceof Error) && one.loading);
      return [
        ...(slots.length > 0 ? [describeUncovered(slots)] : []),
        // Members take a node timeout to notice one that hangs.
        ...absent(view, ({ slots }) => slots.length > 0),
        ...failing.map(({ address }) => `${formatAddress(address)} reports cluster_state:fail`),
        ...loading.map(([id]) => `${nodeName(view, id)} is loading its data from disk`),
      ];
    }
    case 'in-sync':
      return view.nodes
        .filter(({ id, role }) => role === 'replica' && !goneNodes(view).includes(id))
        .flatMap((replica) => {
          const why = view.reports.has(replica.id)
            ? outOfSync(view, details, replica)
            : wordsOnCondition(view, replica.id).says;
          return why === undefined ? [] : [`${nodeName(view, replica.id)} ${why}`];
        });
    case 'agreed':
      return [
        ...strangers.map((name) => `${name} is not in the cluster of ${formatAddress(view.seed)}`),
        ...absent(view),
        ...disagreements(view).map(({ message }) => message),
        ...fieldDifferences(view)
          .filter(({ severity }) => severity === 'error')
          .map(({ message }) => message),
        ...[...view.reports.values()]
          .filter(({ inHandshake = [] }) => inHandshake.length > 0)
          .map(({ address }) => `${formatAddress(address)} is in handshake with another node`),
      ];
  }
}

/** Members of a kind that do not answer, apart from those that are gone. */
function absent(view: ClusterView, isWanted: (node: NodeRecord) => boolean = () => true): string[] {
  const gone = new Set(goneNodes(view));
  return view.nodes
    .filter((node) => view.unreachable.has(node.id) && !gone.has(node.id) && isWanted(node))
    .map(({ id }) => `${nodeName(view, id)} ${wordsOnCondition(view, id).says}`);
}
