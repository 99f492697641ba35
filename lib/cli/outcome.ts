import { formatBytes } from '../model/bytes.ts';
import { countSlots } from '../model/node.ts';
import type { OperationResult } from '../operations/carry-out.ts';
import type { SlotHolder } from '../operations/slot-fill.ts';
import type { MoveStep, Plan } from '../plan/plan.ts';
import { count, duration, roughly, seconds, short } from './figures.ts';
import { planLines } from './plan-view.ts';

/** The result of a command: text for people, data for programs. */
export interface Outcome<Data extends object = object> {
  /** False if the command ran but found a problem: exit code 1. */
  readonly ok: boolean;
  readonly text: string;
  /** What its JSON document has besides the head: see documents.ts. */
  readonly data: Data;
  /** The masters and their slots, for --slot-map. Those of a plan are in its data. */
  readonly holders?: () => SlotHolder[];
}

/** Outcome of an operation that changes a cluster, or of its dry run. `already` is said if there was nothing to do. */
export function operated(
  result: OperationResult,
  done: string,
  already: string = done,
): Outcome<OperationResult> {
  const { plan, applied, slots, keys, bytes, longestStallMs, keysPerSecond, elapsedMs, estimatedMs } = result;
  const data: OperationResult = {
    ...{ applied, slots, keys, bytes, keysPerSecond },
    longestStallMs: Math.round(10 * longestStallMs) / 10,
    elapsedMs: Math.round(elapsedMs),
    ...(estimatedMs === undefined ? {} : { estimatedMs }),
    plan,
  };
  if (!applied) return { ok: true, data, text: describeDryRun(result) };
  const moved = slots > 0 ? `: ${describeMoved(result)}` : '';
  const said = plan.steps.length === 0 && slots === 0 ? already : done;
  return { ok: true, data, text: `${said}${moved} (${seconds(elapsedMs)})` };
}

function describeMoved({ slots, keys, bytes, longestStallMs, keysPerSecond }: OperationResult): string {
  const what = `${count(slots, 'slot')} with ${count(keys, 'key')}`;
  if (keys === 0) return `${what} moved`;
  const size = bytes > 0 ? ` (${formatBytes(bytes)})` : '';
  // The stall of an atomic migration is not measured.
  const stall = longestStallMs > 0 ? `, longest stall ${duration(longestStallMs)}` : '';
  return `${what}${size} moved at ${short(keysPerSecond)} keys/s${stall}`;
}

function describeDryRun({ plan, estimatedMs }: OperationResult): string {
  if (plan.steps.length === 0) return 'Nothing to do';
  const sums = planSums(plan, estimatedMs);
  const inAll = sums === undefined ? [] : [`In all: ${sums}`];
  return ['Would do, in this order:', ...planLines(plan), ...inAll, 'Nothing was changed'].join('\n');
}

/** All that a plan moves, in one line; undefined if it moves nothing. */
export function planSums({ steps }: Plan, estimatedMs?: number): string | undefined {
  const moves = steps.filter((step) => step.type === 'move-slots');
  if (moves.length === 0) return undefined;
  const sum = (of: (move: MoveStep) => number): number => moves.reduce((total, move) => total + of(move), 0);
  const [keys, bytes] = [sum(({ content }) => content?.keys ?? 0), sum(({ content }) => content?.bytes ?? 0)];
  // Keys are counted only if the source can be asked.
  const known = moves.every(({ content }) => content !== undefined);
  return [
    count(sum(countSlots), 'slot'),
    ...(known ? [count(keys, 'key'), formatBytes(bytes)] : []),
    count(moves.length, 'move'),
    ...(known && estimatedMs !== undefined ? [`about ${roughly(estimatedMs)}`] : []),
  ].join(', ');
}
