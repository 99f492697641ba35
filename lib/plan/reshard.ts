import { type ClusterErrorCode, invalidArgument } from '../model/cluster-error.ts';
import type { Advice, Next } from '../model/next.ts';
import { countSlots, type NodeRecord, slotsOf } from '../model/node.ts';
import { formatSlots, toRanges } from '../model/slot.ts';
import { type MoveStep, nodeRef } from './plan.ts';

export interface ReshardRequest {
  /** Masters, without duplicates. */
  readonly sources: readonly NodeRecord[];
  readonly target: NodeRecord;
  /** How many slots, or which. */
  readonly slots: number | readonly number[];
}

/** The moves, or the reason why there are none. */
export type ReshardPlan = { readonly steps: readonly MoveStep[] } | { readonly refusal: ReshardRefusal };

export interface ReshardRefusal extends Advice {
  readonly code: ClusterErrorCode;
  readonly message: string;
}

/**
 * Moves slots from several masters to one. A number of slots is divided among the sources in proportion to their slots,
 * the largest first; each gives its lowest slots. Named slots come from the source that has them; slots that the target
 * already has stay. Throws ClusterError `INVALID_ARGUMENT` for a number below 1 or an empty list.
 */
export function draftReshard({ sources, target, slots }: ReshardRequest): ReshardPlan {
  const to = nodeRef(target);
  if (sources.some(({ id }) => id === target.id)) {
    const message = `Same node: ${to.address} cannot both give and receive slots`;
    return { refusal: { code: 'SAME_NODE', message, hint: 'Leave it out of the sources' } };
  }
  const parts = typeof slots === 'number' ? shareOut(sources, slots) : whoHas(sources, target, slots);
  if ('code' in parts) return { refusal: parts };
  const steps = parts.flatMap(([source, part]): MoveStep[] =>
    part.length === 0
      ? []
      : [{ type: 'move-slots', source: nodeRef(source), target: to, slots: toRanges(part) }],
  );
  return { steps };
}

type Part = readonly [source: NodeRecord, slots: readonly number[]];

function shareOut(sources: readonly NodeRecord[], wanted: number): Part[] | ReshardRefusal {
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw invalidArgument(`Not a number of slots: ${wanted} (expected 1 or more)`);
  }
  const given = sources
    .map((source) => ({ source, held: countSlots(source), count: 0 }))
    .sort((a, b) => b.held - a.held);
  const all = given.reduce((sum, { held }) => sum + held, 0);
  if (wanted > all) {
    const message = `Cannot move ${wanted} slots: the sources have ${all}`;
    const hint =
      all > 0 ? `Ask for ${all} slots or fewer, or name more sources` : 'Name sources that have slots';
    return { code: 'SLOTS_NOT_HELD', message, hint };
  }
  for (const [index, item] of given.entries()) {
    item.count = (index === 0 ? Math.ceil : Math.floor)((wanted * item.held) / all);
  }
  // Rounding may give fewer slots than asked for: the sources that lost most by rounding give one more.
  const short = wanted - given.reduce((sum, { count }) => sum + count, 0);
  const lost = ({ held, count }: (typeof given)[number]) => (wanted * held) / all - count;
  for (const item of given.toSorted((a, b) => lost(b) - lost(a)).slice(0, short)) item.count += 1;
  return given.map(({ source, count }) => [source, slotsOf(source).slice(0, count)]);
}

function whoHas(
  sources: readonly NodeRecord[],
  target: NodeRecord,
  wanted: readonly number[],
): Part[] | ReshardRefusal {
  if (wanted.length === 0) throw invalidArgument('No slots to move');
  const left = new Set(wanted);
  for (const slot of slotsOf(target)) left.delete(slot);
  const parts = sources.map((source): Part => [source, slotsOf(source).filter((slot) => left.delete(slot))]);
  if (left.size === 0) return parts;
  const message = `Cannot move slots: no source has ${formatSlots(left)}`;
  const hint = 'Name the masters that have them as sources';
  const next: readonly Next[] = [{ do: 'retry', options: { from: 'all' } }];
  return { code: 'SLOTS_NOT_HELD', message, hint, next };
}
