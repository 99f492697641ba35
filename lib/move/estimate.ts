import { countSlots } from '../model/node.ts';
import type { MoveLimits } from '../options.ts';
import type { MoveStep, Step } from '../plan/plan.ts';
import { BYTES_OF_KEY } from './by-servers/arrivals.ts';
import type { MoveMethod } from './choose-method.ts';
import { costsWithin, weightOf } from './cost.ts';

/** What `costsWithin` counts, in a millisecond, from one source by MIGRATE: as measured between nodes on one machine of two cores. */
const BY_MIGRATE = 160;
/** The same with keys and their bytes if the servers move them, in one stream. */
const BY_SERVERS = 1300;
/** A task of the servers begins with a fork. */
const MS_PER_TASK = 150;
/** Preparing, and the nodes agreeing at the end. */
const MS_AROUND = 100;
/** A new node serves once it has known the others for five seconds, however many there are; sooner only with a shorter node timeout. */
const MS_TO_SERVE = 5200;
/** A target takes from so many sources at once as fast as from one. */
const [SOURCES_BY_MIGRATE, SOURCES_BY_SERVERS] = [4, 2];

/** What moves share and obey. */
export interface Pacing {
  readonly concurrency: number;
  readonly limits: MoveLimits;
}

/**
 * Milliseconds that a plan may take, before anything is known of the machines and the network: an order of magnitude, exact only if
 * a limit or a wait of the servers decides. Sources give at the same time, each to one target after the other, up to the concurrency.
 */
export function estimateMs(
  steps: readonly Step[],
  { concurrency, limits }: Pacing,
  methodOf: (move: MoveStep) => MoveMethod,
): number {
  const introducing = steps.some(({ type }) => type === 'meet') ? MS_TO_SERVE : 0;
  const moves = steps.filter((step) => step.type === 'move-slots');
  if (moves.length === 0) return introducing;
  const bySource = new Map<string, number>();
  const byTarget = new Map<string, number>();
  let [keys, bytes, all] = [0, 0, 0];
  for (const move of moves) {
    const { source, target, content } = move;
    const { ms, sources } = timeOf(move, methodOf(move));
    bySource.set(source.id, (bySource.get(source.id) ?? 0) + ms);
    byTarget.set(target.id, (byTarget.get(target.id) ?? 0) + ms / sources);
    keys += content?.keys ?? 0;
    bytes += content?.bytes ?? 0;
    all += ms;
  }
  const limited = Math.max(
    limits.keysPerSecond === undefined ? 0 : (1000 * keys) / limits.keysPerSecond,
    limits.bytesPerSecond === undefined ? 0 : (1000 * bytes) / limits.bytesPerSecond,
  );
  const moving = Math.max(limited, all / concurrency, ...bySource.values(), ...byTarget.values());
  return Math.round(introducing + MS_AROUND + moving);
}

/** How long a move takes on its own, and from how many sources its target takes at once. */
function timeOf(move: MoveStep, chosen: MoveMethod): { readonly ms: number; readonly sources: number } {
  const { keys = 0, bytes = 0 } = move.content ?? {};
  const slots = countSlots(move);
  if (chosen.method === 'atomic') {
    const sources = chosen.dialect.onePerNode ? 1 : SOURCES_BY_SERVERS;
    return { ms: MS_PER_TASK + (keys + bytes / BYTES_OF_KEY) / BY_SERVERS, sources };
  }
  const load = { slots, keys, bytes, weight: weightOf({ slots, keys, bytes }) };
  return { ms: costsWithin(load, {})(load) / BY_MIGRATE, sources: SOURCES_BY_MIGRATE };
}
