import { type KeyFigureSums, KeyTally } from '../copy/survey/key-tally.ts';
import { databasesOn, replicaOrMaster, surveyNode } from '../copy/survey/survey-node.ts';
import { invalidArgument, messageOf } from '../errors.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, openSlotsOf, reachableMasters, slotOwners } from '../model/view.ts';
import { Throttle } from '../move/throttle.ts';
import { eitherSignal, unlessAborted } from '../nodes/abort.ts';
import type { Context } from '../nodes/context.ts';
import { LONGEST_TIMER_MS } from '../nodes/deadline.ts';
import { look } from '../nodes/look.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { ConnectionOptions, ControlOptions, MoveLimits } from '../options.ts';
import { DEFAULTS } from '../settings.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';

/** Which keys to sum up, and how. */
export interface SummingOptions {
  /** Only keys that match this pattern, as SCAN takes it. @default all */
  readonly match?: string;
  /** What ends a part of a key. @default ':' */
  readonly separator?: string;
  /** How many parts of a key make its prefix. @default 1 */
  readonly depth?: number;
  /** How many prefixes and big keys to list. @default 20 */
  readonly top?: number;
}

export interface SurveyKeysOptions extends ConnectionOptions, ControlOptions, SummingOptions {
  /** Look at so many keys of each shard, drawn at random, instead of at all. @default all */
  readonly sample?: number;
  /** Keys per second that are looked at, over all nodes. @default none */
  readonly limits?: Pick<MoveLimits, 'keysPerSecond'>;
  /** Milliseconds that reading may take. What was read until then is the result. @default 3600000 */
  readonly timeout?: number;
}

/** What keys there are, by prefix, type and time to live, and the biggest of them. */
export interface KeySurvey extends KeyFigureSums {
  /** True if every shard, or every file, was read to its end, and no slot moved meanwhile. */
  readonly complete: boolean;
  /** True if counts and bytes are what was read of a sample, times what it stands for. */
  readonly sampled: boolean;
  /** Keys that were looked at. */
  readonly read: number;
  /** What bytes are: `memory` by MEMORY USAGE, with key and overhead; `file`: key and value as the file has them; or not known. */
  readonly bytesAre: 'memory' | 'file' | 'unknown';
  /** By shard or file: where its keys were read, and what went wrong. */
  readonly sources: readonly SurveyedSource[];
  /** Slots that changed hands meanwhile, or were open: some of their keys may not be counted. */
  readonly movedSlots: number;
  /** Keys of a backup that have expired since; they are not counted. */
  readonly expired: number;
  /** Duration in milliseconds. */
  readonly elapsedMs: number;
}

/** A shard that was read from one of its nodes, or a file of a backup. */
export interface SurveyedSource {
  /** Address of the node, or name of the file. */
  readonly name: string;
  readonly kind: 'master' | 'replica' | 'file';
  /** Address of the master that has the slots. */
  readonly master: string;
  /** Keys that it had at the start; null if it does not say. */
  readonly keys: number | null;
  /** Why it was not read to its end; null if it was. */
  readonly error: string | null;
}

/** Shards that are read in parallel. */
const MOST_NODES = 8;
/** A replica that is behind its master gets this long to catch up. */
const REPLICA_MS = 5000;
const TELL_EVERY_MS = 500;

/**
 * Sums up the keys of a cluster: memory and number by prefix, type and time to live, and the biggest of them. Reads replicas where one
 * is in sync, else the masters. Takes the same memory for any number of prefixes. Changes nothing and touches no key. A node that fails
 * is named in the result, which has what was found until then. Rejects with ClusterError `INVALID_ARGUMENT`, if the first node does not
 * answer, and with the reason of `signal`.
 */
export async function surveyKeys(cluster: ClusterLike, options: SurveyKeysOptions = {}): Promise<KeySurvey> {
  const { timeout = DEFAULTS.surveyKeys.timeout, sample } = options;
  const tally = keyTallyOf(options);
  for (const [name, value] of Object.entries({ timeout, sample }))
    if (value !== undefined && !(value >= 1))
      throw invalidArgument(`Not a number from 1 up for ${name}: "${value}"`);
  return withReading(cluster, options, async (context) => {
    const started = performance.now();
    const view = await look(context.connections, seedOf(cluster), context.signal);
    const over = new AbortController();
    const late = new Error(`The time is up, ${timeout} ms`);
    const timer = setTimeout(() => over.abort(late), Math.min(timeout, LONGEST_TIMER_MS));
    try {
      const settings = { ...context.settings, agreeTimeout: REPLICA_MS };
      const reading = { ...context, settings, signal: eitherSignal(context.signal, over.signal) };
      const shards = await readShards(reading, context, view, tally, options);
      const movedSlots = await countMoved(context, view);
      return {
        ...tally.sums(),
        complete: shards.sources.every(({ error }) => error === null) && movedSlots === 0,
        sampled: sample !== undefined,
        read: tally.seen,
        bytesAre: shards.isMeasured ? 'memory' : 'unknown',
        sources: shards.sources,
        movedSlots,
        expired: 0,
        elapsedMs: performance.now() - started,
      };
    } finally {
      clearTimeout(timer);
    }
  });
}

/** Where keys are summed up. Throws ClusterError `INVALID_ARGUMENT` for options that make no sense. */
export function keyTallyOf(options: SummingOptions): KeyTally {
  const { separator, depth, top } = { ...DEFAULTS.surveyKeys, ...options };
  if (separator === '') throw invalidArgument('The separator is empty');
  if (!(depth >= 1)) throw invalidArgument(`Not a number from 1 up for depth: "${depth}"`);
  if (!(top >= 1 && top <= MOST_LISTED))
    throw invalidArgument(`Not a number from 1 to ${MOST_LISTED} for top: "${top}"`);
  return new KeyTally({ separator: latin1(separator), depth, top });
}

const MOST_LISTED = 10_000;

/** Text as keys are here: one character a byte. */
export function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

async function readShards(
  reading: Context,
  { signal, emit }: Context,
  view: ClusterView,
  tally: KeyTally,
  { match, sample, limits = {} }: SurveyKeysOptions,
): Promise<{ readonly sources: readonly SurveyedSource[]; readonly isMeasured: boolean }> {
  const started = performance.now();
  const throttle = new Throttle(limits);
  const masters = view.nodes.filter(({ role, slots }) => role === 'master' && slots.length > 0);
  const reachable = new Set(reachableMasters(view).map(({ id }) => id));
  let [told, read, total, isMeasured] = [0, 0, 0, true];
  const onRead = (keys: number): void => {
    read += keys;
    const elapsedMs = performance.now() - started;
    if (elapsedMs - told < TELL_EVERY_MS) return;
    told = elapsedMs;
    emit({ type: 'waiting', what: 'all keys to be read', elapsedMs, missing: [`${read} of ${total} keys`] });
  };
  const surveying = {
    tally,
    match: match === undefined ? undefined : latin1(match),
    sample,
    admit: (keys: number) => throttle.admit(keys, 0, reading.signal),
    onUnmeasured: () => {
      isMeasured = false;
    },
    onRead,
  };
  const readShard = async (master: NodeRecord): Promise<SurveyedSource> => {
    const name = formatAddress(master.address);
    let source: SurveyedSource = { name, kind: 'master', master: name, keys: null, error: null };
    try {
      if (!reachable.has(master.id)) throw view.unreachable.get(master.id) ?? new Error('It does not answer');
      const node = await replicaOrMaster(reading, view, master);
      source = { ...source, name: formatAddress(node.address), kind: node.isReplica ? 'replica' : 'master' };
      const held = await databasesOn(reading, node);
      const keys = held.reduce((sum, database) => sum + database.keys, 0);
      total += sample === undefined ? keys : Math.min(sample, keys);
      source = { ...source, keys };
      await unlessAborted(surveyNode(reading, node, held, surveying), reading.signal);
      return source;
    } catch (error) {
      signal?.throwIfAborted();
      return { ...source, error: messageOf(error) };
    }
  };
  const sources = await inParallel(masters, readShard, MOST_NODES);
  return { sources, isMeasured };
}

/** Slots that have another owner than at first, or are open. If the node asked first is gone, another is asked. */
async function countMoved({ connections, signal }: Context, before: ClusterView): Promise<number> {
  const members = reachableMasters(before).map(({ address }) => address);
  for (const seed of [before.seed, ...members]) {
    try {
      const after = await look(connections, seed, signal);
      const [was, is] = [slotOwners(before), slotOwners(after)];
      const open = new Set([...openSlotsOf(before).keys(), ...openSlotsOf(after).keys()]);
      return was.filter((id, slot) => id !== is[slot] || open.has(slot)).length;
    } catch {
      signal?.throwIfAborted();
    }
  }
  return 0;
}
