import { invalidArgument, messageOf } from '../errors.ts';
import { hotSpotsOf, type NodeLoad } from '../findings/hot-spots.ts';
import { measureNode } from '../measure/measure-node.ts';
import { formatAddress } from '../model/address.ts';
import type { HotKey, HotNode, HotSlot, HotVerdict } from '../model/hot-spots.ts';
import type { NodeRecord } from '../model/node.ts';
import { unlessAborted } from '../nodes/abort.ts';
import { look } from '../nodes/look.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';
import { DEFAULTS } from '../settings.ts';
import { Cluster, type ClusterLike, seedOf, withContext } from './cluster.ts';

export interface HotSpotOptions extends ConnectionOptions, ControlOptions {
  /** Milliseconds to measure. @default 10000 */
  readonly forMs?: number;
  /** How many slots and keys to list. @default 10 */
  readonly top?: number;
  /**
   * Sets `cluster-slot-stats-enabled` on masters where it is off, and puts it back afterwards. It stays on if this process is killed.
   * @default false
   */
  readonly enableStats?: boolean;
  /**
   * Also reads commands with MONITOR, so many of each master at most, which slows busy masters down. Only names of keys are kept.
   * @default MONITOR is not used
   */
  readonly monitor?: number;
}

export interface HotSpotResult {
  /** True if all masters with slots were measured to the end. */
  readonly complete: boolean;
  /** Milliseconds that were to be measured. */
  readonly forMs: number;
  /** The masters with slots: how busy each is, and what could be measured on it. */
  readonly nodes: readonly HotNode[];
  /** The hottest first; empty if no server counts the load of slots. */
  readonly slots: readonly HotSlot[];
  /** The hottest first, those of one kind of evidence after another. */
  readonly keys: readonly HotKey[];
  /** What follows. */
  readonly verdicts: readonly HotVerdict[];
  /** Duration in milliseconds. */
  readonly elapsedMs: number;
}

const MOST_LISTED = 1000;
const TELL_EVERY_MS = 500;

/**
 * Finds the hottest slots and keys of a cluster, by what each server can say, and whether moving slots would help: the difference of
 * CLUSTER SLOT-STATS (Valkey 8.0, Redis 8.2), HOTKEYS (Redis 8.6), OBJECT FREQ with an LFU policy, and on request MONITOR. Writes no key.
 * A HOTKEYS session that it begins has ended when the call settles. A master that fails is named in the result. Rejects with ClusterError
 * `INVALID_ARGUMENT`, if the first node does not answer, and with the reason of `signal` once the servers were told to end what was begun.
 */
export async function findHotSpots(
  cluster: ClusterLike,
  options: HotSpotOptions = {},
): Promise<HotSpotResult> {
  const { forMs, top } = { ...DEFAULTS.findHotSpots, ...options };
  const { monitor, enableStats = false } = options;
  for (const [name, value] of Object.entries({ forMs, top, monitor }))
    if (value !== undefined && !(value >= 1))
      throw invalidArgument(`Not a number from 1 up for ${name}: "${value}"`);
  if (top > MOST_LISTED) throw invalidArgument(`Not a number from 1 to ${MOST_LISTED} for top: "${top}"`);
  return withContext(cluster, options, async (context) => {
    const started = performance.now();
    const timer = setInterval(() => {
      const elapsedMs = performance.now() - started;
      const left = Math.max(0, Math.round((forMs - elapsedMs) / 1000));
      context.emit({ type: 'waiting', what: 'the measurement to end', elapsedMs, missing: [`${left} s`] });
    }, TELL_EVERY_MS);
    try {
      const { connections, signal } = context;
      const view = await unlessAborted(look(connections, seedOf(cluster), signal), signal);
      const masters = view.nodes.filter(({ role, slots }) => role === 'master' && slots.length > 0);
      const measuring = { forMs, top, enableStats, monitorCommands: monitor };
      // All at the same time. Each has ended what it began when it is done, also after an abort.
      const measured = await Promise.all(
        masters.map((node) =>
          view.reports.has(node.id)
            ? measureNode(context, node, measuring)
            : silent(node, view.unreachable.get(node.id) ?? new Error('It does not answer')),
        ),
      );
      signal?.throwIfAborted();
      return {
        complete: measured.every(({ node }) => node.error === null),
        forMs,
        ...hotSpotsOf(measured, top, formatAddress(view.seed)),
        elapsedMs: performance.now() - started,
      };
    } catch (error) {
      // What a node was told in vain must not hold up the end.
      if (context.signal?.aborted && !(cluster instanceof Cluster)) context.connections.destroy();
      throw error;
    } finally {
      clearInterval(timer);
    }
  });
}

function silent({ id, address }: NodeRecord, error: Error): NodeLoad {
  const node = {
    node: formatAddress(address),
    id,
    commandsPerSecond: null,
    notes: [],
    error: messageOf(error),
  };
  return { node, slots: undefined, keys: [] };
}
