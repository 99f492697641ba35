import type { MoveTotal } from '../../events.ts';
import type { MoveLimits } from '../../options.ts';
import { roughly } from '../figures.ts';
import { brief } from './marks.ts';
import type { MoveKey } from './state.ts';

/** What this process moves itself. */
export interface OwnMove {
  readonly total: MoveTotal;
  /** False if the servers move all of it: nobody but they set the pace. */
  readonly hasPace: boolean;
  readonly limits: Readonly<MoveLimits>;
}

/** Where nothing has moved yet, the first limit. */
const FIRST_LIMIT = 1000;

/** Changes limits as a key says. `pace` is how many keys move in a second. */
export function limit(limits: MoveLimits, key: MoveKey, pace: number): void {
  const { keysPerSecond } = limits;
  const most = keysPerSecond ?? (pace > 0 ? pace : FIRST_LIMIT);
  if (key === 'pause') limits.paused = !limits.paused;
  else if (key === 'slower') limits.keysPerSecond = Math.max(1, Math.round(most / 2));
  else if (key === 'unlimited') delete limits.keysPerSecond;
  else if (keysPerSecond !== undefined) limits.keysPerSecond = keysPerSecond * 2;
}

/** How far it is, how fast, how long it will still take, and what holds it back. */
export function ownFigures({ total, hasPace, limits }: OwnMove): string {
  const { slotsDone, slots, keysDone, keys, keysPerSecond, etaMs } = total;
  return [
    `${slotsDone} of ${slots} slots`,
    `${brief(keysDone)} of ${brief(keys)} keys`,
    ...(limits.paused && hasPace
      ? ['paused']
      : [`${brief(keysPerSecond)}/s`, ...(etaMs === null ? [] : [`${roughly(etaMs)} left`])]),
    ...(limits.keysPerSecond === undefined ? [] : [`at most ${brief(limits.keysPerSecond)}/s`]),
  ].join(', ');
}

/** The keys that act on it, with what they do. */
export function ownKeys({ hasPace, limits }: OwnMove): string {
  return hasPace ? `space ${limits.paused ? 'go on' : 'pause'}  - slower  + faster  0 no limit  ` : '';
}
