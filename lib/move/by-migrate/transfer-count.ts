import { askInfo, type NodeInfo, numberOf } from '../../nodes/node-info.ts';
import { askAbout, type Ends, whoAnswers } from '../ends.ts';
import type { Batch } from './batch.ts';
import { endReplaced, keysAstray } from './migrate-errors.ts';

/** Counters of servers since a move began. Each RESTORE-ASKING that the target has acknowledged counts there. */
export interface Counted {
  /** Keys that left the sources, by the counts around each MIGRATE: those that the target acknowledged, and those that had expired. */
  readonly left: number;
  /** RESTORE-ASKING that the target has run. */
  readonly restored: number;
  /** Keys that expired on the sources. */
  readonly expired: number;
}

/** How many keys, at the least, left the sources and did not arrive. Other restores and expired keys only make it fewer. */
export function astray({ left, restored, expired }: Counted): number {
  return Math.max(0, left - restored - expired);
}

/**
 * True if keys went elsewhere. `isAnyThere`: the target has some of the keys that were sent last. `mayBeReset`: a server was
 * restarted, or was told CONFIG RESETSTAT, so its counters say less than it did.
 */
export function isAstray(missing: number, isAnyThere: boolean, mayBeReset: boolean): boolean {
  return missing > 0 && !(isAnyThere && mayBeReset);
}

interface Source {
  readonly ends: Ends;
  readonly expired: number;
}

/**
 * Sees that what left the sources of one target arrives there, for as long as keys move: the address that was proven at first may
 * lead elsewhere later. Shared by all moves to the target by MIGRATE. Rule 33 (docs/moving-slots.md).
 */
export class TransferCount {
  #left = 0;
  #forgiven = 0;
  /** Of those that left, how many were checked. */
  #checked = 0;
  #target: Promise<NodeInfo | undefined> | undefined;
  readonly #sources = new Map<string, Promise<Source | undefined>>();

  /** Reads the counters before the first batch of a move. */
  async begin(ends: Ends): Promise<void> {
    const { context, sourceAddress, targetAddress, source } = ends;
    this.#target ??= askInfo(context.connections, targetAddress, ['server', 'commandstats']).catch(
      () => undefined,
    );
    const counting = askInfo(context.connections, sourceAddress, ['stats']).then(
      (info) => ({ ends, expired: numberOf(info, 'expired_keys') }),
      () => undefined,
    );
    if (!this.#sources.has(source.id)) this.#sources.set(source.id, counting);
    await Promise.all([this.#target, counting]);
  }

  /** Notes keys that have left a source for the target. Those of a source whose counters were not read are not counted. */
  note({ source }: Ends, count: number): void {
    if (this.#sources.has(source.id)) this.#left += count;
  }

  /** How many keys have left the sources. */
  get left(): number {
    return this.#left;
  }

  /** How many keys left since others were last seen to arrive. */
  get unproven(): number {
    return this.#left - this.#checked;
  }

  /**
   * Rejects with ClusterError `TARGET_NOT_PROVEN` if keys that left the sources did not arrive, or another server answers in the
   * place of the target. `last` are keys that were sent last.
   * If servers do not tell, nothing is known, and this resolves.
   */
  async check(ends: Ends, last: Batch | undefined): Promise<void> {
    const left = this.#left - this.#forgiven;
    const before = await this.#target;
    if (left <= 0 || !before) return;
    const sources = await Promise.all(this.#sources.values());
    const noted = this.#left;
    const [{ target }, now, ...expired] = await Promise.all([
      whoAnswers(ends),
      askTargetInfo(ends),
      ...sources.map((source) => source && expiredSince(source)),
    ]);
    if (target === 'another') throw endReplaced(ends, 'target', this.unproven);
    if (!now || expired.includes(undefined)) return;
    const restored = Math.max(0, restores(now) - restores(before));
    const sum = expired.reduce<number>((total, count = 0) => total + count, 0);
    const missing = astray({ left, restored, expired: sum });
    if (missing === 0) {
      this.#checked = noted;
      return;
    }
    const isAnyThere = last !== undefined && (await isOneThere(ends, last));
    if (isAstray(missing, isAnyThere, await this.#mayBeReset(before, now))) throw keysAstray(ends, missing);
    this.#forgiven += missing;
    this.#checked = noted;
  }

  async #mayBeReset(before: NodeInfo, now: NodeInfo): Promise<boolean> {
    if (before.get('run_id') !== now.get('run_id') || restores(now) < restores(before)) return true;
    const sources = await Promise.all(this.#sources.values());
    const others = await Promise.all(
      sources.map(async (source) => {
        if (!source) return undefined;
        const { context, sourceAddress } = source.ends;
        return askInfo(context.connections, sourceAddress, ['commandstats']).catch(() => undefined);
      }),
    );
    return [now, ...others].some((info) => !info || hasResetStatistics(info));
  }
}

// Servers before 7.0 do not count subcommands apart.
function hasResetStatistics(info: NodeInfo): boolean {
  return info.has('cmdstat_config') || callsOf(info, 'config|resetstat') > 0;
}

function restores(info: NodeInfo): number {
  return callsOf(info, 'restore-asking');
}

function callsOf(info: NodeInfo, command: string): number {
  return Number(/^calls=(\d+)/.exec(info.get(`cmdstat_${command}`) ?? '')?.[1] ?? 0);
}

function askTargetInfo({ context, targetAddress }: Ends): Promise<NodeInfo | undefined> {
  return askInfo(context.connections, targetAddress, ['server', 'commandstats']).catch(() => undefined);
}

async function expiredSince({ ends, expired }: Source): Promise<number | undefined> {
  const { context, sourceAddress } = ends;
  const info = await askInfo(context.connections, sourceAddress, ['stats']).catch(() => undefined);
  // Fewer than before: the counter was reset.
  return info && Math.max(0, numberOf(info, 'expired_keys') - expired);
}

async function isOneThere(ends: Ends, { db, keys }: Batch): Promise<boolean> {
  const found = await askAbout(ends, 'target', db, ['EXISTS'], keys);
  return found.includes(1);
}
