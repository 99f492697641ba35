import { countSlots } from '../model/node.ts';
import type { MoveLimits } from '../options.ts';
import type { MoveStep } from '../plan/plan.ts';
import { BYTES_PER_SECOND, KEYS_PER_SECOND } from './cost.ts';

/** Servers that move slots themselves send their keys in one stream. */
const TIMES_FASTER = 8;
/** Opening and closing a slot, in windows of many. */
const MS_PER_SLOT = 0.4;
/** Preparing, and the nodes agreeing at the end. */
const MS_AROUND = 500;
/** A target takes from so many sources at once. */
const SOURCES_PER_TARGET = 4;

/** What moves share and obey. */
export interface Pacing {
  readonly concurrency: number;
  readonly limits: MoveLimits;
}

/**
 * Milliseconds that moves may take, before anything is known of the machines and the network: an order of magnitude, exact only if
 * a limit decides. Sources give at the same time, each to one target after the other, up to the concurrency.
 */
export function estimateMs(
  moves: readonly MoveStep[],
  { concurrency, limits }: Pacing,
  isByServers?: (move: MoveStep) => boolean,
): number {
  if (moves.length === 0) return 0;
  const bySource = new Map<string, number>();
  const byTarget = new Map<string, number>();
  let [keys, bytes, all] = [0, 0, 0];
  for (const move of moves) {
    const { source, target, slots, content } = move;
    const faster = isByServers?.(move) ? TIMES_FASTER : 1;
    const held = { keys: content?.keys ?? 0, bytes: content?.bytes ?? 0 };
    const ms =
      1000 * Math.max(held.keys / KEYS_PER_SECOND / faster, held.bytes / BYTES_PER_SECOND) +
      (MS_PER_SLOT / faster) * countSlots({ slots });
    bySource.set(source.id, (bySource.get(source.id) ?? 0) + ms);
    byTarget.set(target.id, (byTarget.get(target.id) ?? 0) + ms / SOURCES_PER_TARGET);
    keys += held.keys;
    bytes += held.bytes;
    all += ms;
  }
  const limited = Math.max(
    limits.keysPerSecond === undefined ? 0 : (1000 * keys) / limits.keysPerSecond,
    limits.bytesPerSecond === undefined ? 0 : (1000 * bytes) / limits.bytesPerSecond,
  );
  return Math.round(
    MS_AROUND + Math.max(limited, all / concurrency, ...bySource.values(), ...byTarget.values()),
  );
}
