import { ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import type { KeyLoad, NodeLoad, SlotLoad } from '../findings/hot-spots.ts';
import { formatAddress } from '../model/address.ts';
import type { HotNote } from '../model/hot-spots.ts';
import type { NodeRecord } from '../model/node.ts';
import { eitherSignal, unlessAborted } from '../nodes/abort.ts';
import type { Context } from '../nodes/context.ts';
import { askInfo, type NodeInfo, numberOf } from '../nodes/node-info.ts';
import { askSlotStats, type SlotStats } from '../nodes/slot-stats.ts';
import { pause } from '../nodes/wait-until.ts';
import { HotkeysCount } from './hotkeys.ts';
import { keysInSlots, mostFrequent } from './key-candidates.ts';
import { type Monitored, monitorKeys } from './monitor.ts';
import { StatsSwitch } from './stats-switch.ts';

/** What to measure, and for how long. */
export interface Measuring {
  readonly forMs: number;
  /** How many slots and keys are of interest. */
  readonly top: number;
  readonly enableStats: boolean;
  /** Commands to read with MONITOR; it is not used if undefined. */
  readonly monitorCommands: number | undefined;
}

/** The longest that a node may take to end what was begun on it, however the measurement ended. */
const CLEAN_UP_MS = 2000;
/** A node may take this long beside the measurement, if a command has no time limit. */
const UNLIMITED_MS = 10_000;
/** Parts of the time, of which each slot's busiest does not count. */
const PARTS = 4;
/** Slots of a node whose keys are looked at. */
const HOTTEST = 10;

/**
 * Measures what a master does: the load of its slots and its keys, by what its server counts. Never rejects: a failure, also an abort, is
 * in the result. What it began on the server has ended when it resolves, or a warning says what has not.
 */
export async function measureNode(
  context: Context,
  node: NodeRecord,
  measuring: Measuring,
): Promise<NodeLoad> {
  const { signal, settings } = context;
  const name = formatAddress(node.address);
  const late = new AbortController();
  const spareMs = 2 * (settings.commandTimeout || UNLIMITED_MS);
  const timer = setTimeout(
    () => late.abort(new Error(`It did not answer for ${spareMs} ms`)),
    measuring.forMs + spareMs,
  );
  const bounded: Context = { ...context, signal: eitherSignal(signal, late.signal) };
  const measurement = new Measurement(bounded, node, measuring);
  try {
    await measurement.run();
    return measurement.result(null);
  } catch (error) {
    return measurement.result(messageOf(error));
  } finally {
    clearTimeout(timer);
    const left = await measurement.cleanUp();
    if (left) context.emit({ type: 'warning', node: name, message: left });
  }
}

/** One measurement of one node. */
class Measurement {
  readonly #context: Context;
  readonly #node: NodeRecord;
  readonly #measuring: Measuring;
  readonly #count: HotkeysCount;
  readonly #switch: StatsSwitch;
  readonly #notes: HotNote[] = [];
  readonly #keys: KeyLoad[] = [];
  #slots: SlotLoad[] | undefined;
  #commandsPerSecond: number | null = null;

  constructor(context: Context, node: NodeRecord, measuring: Measuring) {
    this.#context = context;
    this.#node = node;
    this.#measuring = measuring;
    this.#count = new HotkeysCount(context, node.address);
    this.#switch = new StatsSwitch(context, node.address);
  }

  result(error: string | null): NodeLoad {
    const { id, address } = this.#node;
    const [node, commandsPerSecond] = [formatAddress(address), this.#commandsPerSecond];
    const notes = [...this.#notes, ...this.#count.notes];
    return { node: { node, id, commandsPerSecond, notes, error }, slots: this.#slots, keys: this.#keys };
  }

  async run(): Promise<void> {
    const { forMs, top, enableStats } = this.#measuring;
    const { signal } = this.#context;
    if (enableStats) await this.#enableStats();
    const isCounted = await this.#count.begin(forMs, top);
    const readings = [await this.#read()];
    const infoBefore = await this.#info();
    const started = performance.now();
    const monitored = this.#monitor();
    // What it rejects with is seen below.
    monitored.catch(() => {});
    for (let part = 0; part < PARTS; part++) {
      await pause(forMs / PARTS, signal);
      signal?.throwIfAborted();
      readings.push(await this.#read());
    }
    const elapsedMs = performance.now() - started;
    const infoAfter = await this.#info();
    this.#commandsPerSecond = commandRate(infoBefore, infoAfter, elapsedMs);
    this.#slots = this.#loads(readings);
    if (isCounted) await this.#readCount();
    this.#takeMonitored(await monitored);
    await this.#lookForKeys(infoAfter, isCounted);
  }

  /** Ends what was begun on the server. Resolves to what could not be ended. */
  async cleanUp(): Promise<string | undefined> {
    const ends = await Promise.allSettled([this.#count.end(CLEAN_UP_MS), this.#switch.off(CLEAN_UP_MS)]);
    const [count, stats] = ends.map((end) => end.status === 'rejected');
    const left = [
      ...(count ? ['the HOTKEYS session, which ends on its own'] : []),
      ...(stats ? ['cluster-slot-stats-enabled, which stays on'] : []),
    ];
    if (left.length === 0) return undefined;
    return `Could not end what was begun on ${formatAddress(this.#node.address)}: ${left.join(', and ')}`;
  }

  async #enableStats(): Promise<void> {
    const refusal = await this.#switch.on();
    if (refusal)
      this.#notes.push({
        kind: 'refused',
        message: `Counting the load of slots could not be enabled: ${refusal.message}`,
      });
  }

  async #read(): Promise<Reading> {
    const { connections, signal } = this.#context;
    const stats = await unlessAborted(askSlotStats(connections, this.#node.address), signal);
    return { stats, at: performance.now() };
  }

  async #info(): Promise<NodeInfo> {
    const { connections, signal } = this.#context;
    try {
      return await unlessAborted(askInfo(connections, this.#node.address, ['stats', 'memory']), signal);
    } catch (error) {
      if (error instanceof ReplyError) return new Map();
      throw error;
    }
  }

  async #monitor(): Promise<Monitored | undefined> {
    const { forMs, monitorCommands: mostCommands } = this.#measuring;
    if (mostCommands === undefined) return undefined;
    try {
      return await monitorKeys(this.#context, this.#node.address, { forMs, mostCommands });
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      this.#notes.push({ kind: 'refused', message: `MONITOR was refused: ${error.message}` });
      return undefined;
    }
  }

  #takeMonitored(monitored: Monitored | undefined): void {
    if (!monitored) return;
    const { commands, keys, isCut } = monitored;
    for (const [key, count] of keys.slice(0, this.#measuring.top))
      this.#keys.push({
        key,
        by: 'monitor',
        nodeShare: count / commands,
        networkShare: null,
        frequency: null,
      });
    if (isCut)
      this.#notes.push({ kind: 'monitor-stopped', message: `MONITOR was ended after ${commands} commands` });
  }

  #loads(readings: readonly Reading[]): SlotLoad[] | undefined {
    const last = readings.at(-1)?.stats;
    if (!last || readings.some(({ stats }) => !stats)) {
      this.#notes.push({
        kind: 'no-slot-stats',
        message: 'The load of slots is not known: the server has no CLUSTER SLOT-STATS, or does not allow it',
      });
      return undefined;
    }
    const loads = [...last.keys()].map((slot) =>
      loadOf(
        slot,
        readings.map(({ stats, at }) => ({ stats: stats?.get(slot), at })),
      ),
    );
    const isOff = loads.every((load) => load.cpuUsPerSecond === null && load.networkBytesPerSecond === null);
    if (!isOff) return loads;
    this.#notes.push({
      kind: 'stats-off',
      message: 'The load of slots is not known: cluster-slot-stats-enabled is off',
      next: [{ do: 'retry', options: { enableStats: true } }],
    });
    return undefined;
  }

  async #readCount(): Promise<void> {
    const session = await this.#count.read();
    if (!session) return;
    const { cpu, network, cpuUs, networkBytes } = session;
    for (const [key, us] of cpu)
      this.#keys.push({
        key,
        by: 'hotkeys',
        nodeShare: shareOf(us, cpuUs),
        networkShare: shareOf(network.get(key) ?? 0, networkBytes),
        frequency: null,
      });
  }

  /** By OBJECT FREQ, and in hot slots that have only one key. */
  async #lookForKeys(info: NodeInfo, isCounted: boolean): Promise<void> {
    const { top } = this.#measuring;
    const slots = this.#hottestSlots();
    const total = (this.#slots ?? []).reduce((sum, load) => sum + weightOf(load), 0);
    const keys = await keysInSlots(
      this.#context,
      this.#node.address,
      slots.map(({ slot }) => slot),
    );
    for (const load of slots) {
      const [key, ...more] = keys.get(load.slot) ?? [];
      if (key !== undefined && more.length === 0)
        this.#keys.push({
          key,
          by: 'only-key',
          nodeShare: shareOf(weightOf(load), total),
          networkShare: null,
          frequency: null,
        });
    }
    const hasFrequencies = /lfu$/.test(info.get('maxmemory_policy') ?? '');
    if (hasFrequencies) await this.#takeFrequencies([...keys.values()].flat(), top);
    const isExplained = this.#count.notes.length > 0;
    if (isCounted || isExplained || hasFrequencies || this.#measuring.monitorCommands !== undefined) return;
    this.#notes.push({
      kind: 'no-key-evidence',
      message:
        'The use of keys is not counted: that needs Redis 8.6, an LFU policy (maxmemory-policy), or MONITOR',
      next: [{ do: 'retry', options: { monitor: 100_000 } }],
    });
  }

  async #takeFrequencies(candidates: readonly string[], top: number): Promise<void> {
    try {
      const found = await mostFrequent(this.#context, this.#node.address, candidates, top);
      for (const [key, frequency] of found)
        this.#keys.push({ key, by: 'frequency', nodeShare: null, networkShare: null, frequency });
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      this.#notes.push({ kind: 'refused', message: `OBJECT FREQ was refused: ${error.message}` });
    }
  }

  #hottestSlots(): SlotLoad[] {
    return [...(this.#slots ?? [])]
      .filter((load) => weightOf(load) > 0)
      .sort((one, other) => weightOf(other) - weightOf(one))
      .slice(0, HOTTEST);
  }
}

function weightOf({ cpuUsPerSecond, networkBytesPerSecond }: SlotLoad): number {
  return cpuUsPerSecond ?? networkBytesPerSecond ?? 0;
}

/** Counters of slots at a time. */
interface Reading<Stats = ReadonlyMap<number, SlotStats>> {
  readonly stats: Stats | undefined;
  /** Milliseconds. */
  readonly at: number;
}

/**
 * What a slot took a second. A server that has to wait for a processor counts the wait as time of the command that it was at, which on a
 * busy machine may be more than all commands of a hot slot take: so the busiest part does not count for processor time.
 */
export function loadOf(slot: number, readings: readonly Reading<SlotStats>[]): SlotLoad {
  const [last] = readings.slice(-1);
  const rate = (left: number, ...fields: string[]): number | null => {
    if (!fields.every((field) => last?.stats?.has(field))) return null;
    const parts = readings.slice(1).map(({ stats, at }, index) => {
      const before = readings[index];
      const used = fields.reduce((sum, field) => sum + usedOf(field, before?.stats, stats), 0);
      return { used, ms: at - (before?.at ?? 0) };
    });
    const counted = parts.sort((one, other) => one.used / one.ms - other.used / other.ms);
    const kept = counted.slice(0, counted.length - left);
    const sumOf = (field: 'used' | 'ms'): number => kept.reduce((sum, part) => sum + part[field], 0);
    return (1000 * sumOf('used')) / sumOf('ms');
  };
  return {
    slot,
    cpuUsPerSecond: rate(1, 'cpu-usec'),
    networkBytesPerSecond: rate(0, 'network-bytes-in', 'network-bytes-out'),
    keys: last?.stats?.get('key-count') ?? 0,
  };
}

/** Counters that were reset meanwhile, or that are of a slot that came, are those since then. */
function usedOf(field: string, before: SlotStats | undefined, after: SlotStats | undefined): number {
  const [was, is] = [before?.get(field) ?? 0, after?.get(field) ?? 0];
  return is >= was ? is - was : is;
}

function commandRate(before: NodeInfo, after: NodeInfo, elapsedMs: number): number | null {
  const field = 'total_commands_processed';
  if (!before.has(field) || !after.has(field)) return null;
  return Math.max(0, (1000 * (numberOf(after, field) - numberOf(before, field))) / elapsedMs);
}

/** Counts of keys are estimates, which may be more than the whole. */
function shareOf(part: number, whole: number): number {
  return whole > 0 ? Math.min(1, part / whole) : 0;
}
