import type { ClusterErrorCode } from '../errors.ts';
import { countSlots, type NodeRecord, slotsOf } from '../model/node.ts';
import { formatSlots, toRanges } from '../model/slot.ts';
import { type MoveStep, nodeRef } from './plan.ts';

export interface ReshardRequest {
  /** Masters, each once. */
  readonly sources: readonly NodeRecord[];
  readonly target: NodeRecord;
  /** How many, or which. */
  readonly slots: number | readonly number[];
}

/** Moves, or why there can be none. */
export type ReshardPlan = { readonly steps: readonly MoveStep[] } | { readonly refusal: Refusal };

export interface Refusal {
  readonly code: ClusterErrorCode;
  readonly message: string;
  readonly hint: string;
}

/**
 * Moves slots of several masters to one. A number of slots is shared among the sources by how many they have, the one with
 * most first; each gives its lowest. Of named slots each comes from whoever of the sources has it; those that the target
 * has already stay.
 */
export function planReshard({ sources, target, slots }: ReshardRequest): ReshardPlan {
  const to = nodeRef(target);
  if (sources.some(({ id }) => id === target.id)) {
    const message = `Same node: ${to.address} is to give slots and to receive them`;
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

function shareOut(sources: readonly NodeRecord[], wanted: number): Part[] | Refusal {
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw new RangeError(`Not a number of slots: ${wanted} (expected 1 or more)`);
  }
  const given = sources
    .map((source) => ({ source, held: countSlots(source), count: 0 }))
    .sort((a, b) => b.held - a.held);
  const all = given.reduce((sum, { held }) => sum + held, 0);
  if (wanted > all) {
    const message = `Cannot move ${wanted} slots: the sources have ${all}`;
    const hint = all > 0 ? `Write ${all} slots or fewer, or more sources` : 'Name sources that have slots';
    return { code: 'SLOTS_NOT_HELD', message, hint };
  }
  for (const [index, item] of given.entries()) {
    item.count = (index === 0 ? Math.ceil : Math.floor)((wanted * item.held) / all);
  }
  // Rounded down, the shares may come to less than what was asked for: those who lost most by it give one more.
  const short = wanted - given.reduce((sum, { count }) => sum + count, 0);
  const lost = ({ held, count }: (typeof given)[number]) => (wanted * held) / all - count;
  for (const item of given.toSorted((a, b) => lost(b) - lost(a)).slice(0, short)) item.count += 1;
  return given.map(({ source, count }) => [source, slotsOf(source).slice(0, count)]);
}

function whoHas(
  sources: readonly NodeRecord[],
  target: NodeRecord,
  wanted: readonly number[],
): Part[] | Refusal {
  if (wanted.length === 0) throw new RangeError('No slots to move');
  const left = new Set(wanted);
  for (const slot of slotsOf(target)) left.delete(slot);
  const parts = sources.map((source): Part => [source, slotsOf(source).filter((slot) => left.delete(slot))]);
  if (left.size === 0) return parts;
  const message = `Cannot move slots: no source has ${formatSlots(left)}`;
  const hint = 'Name the masters that have them as sources, or write: --from all';
  return { code: 'SLOTS_NOT_HELD', message, hint };
}
