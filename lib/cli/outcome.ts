import { formatBytes } from '../model/bytes.ts';
import type { OperationResult } from '../operations/result.ts';
import { count, duration, seconds, short } from './figures.ts';
import { planLines } from './plan-view.ts';

/** What a command ends with: text for people, data for programs. */
export interface Outcome {
  /** False if the command ran but what it found is not well: exit code 1. */
  readonly ok: boolean;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Outcome of an operation that changes a cluster, or of its dry run. */
export function operated(result: OperationResult, done: string): Outcome {
  const { plan, applied, slots, keys, bytes, longestStallMs, keysPerSecond, elapsedMs } = result;
  const data = {
    ...{ applied, slots, keys, bytes, keysPerSecond },
    longestStallMs: Math.round(10 * longestStallMs) / 10,
    elapsedMs: Math.round(elapsedMs),
    plan,
  };
  if (!applied) return { ok: true, data, text: describeDryRun(result) };
  const moved = slots > 0 ? `: ${describeMoved(result)}` : '';
  return { ok: true, data, text: `${done}${moved} (${seconds(elapsedMs)})` };
}

function describeMoved({ slots, keys, bytes, longestStallMs, keysPerSecond }: OperationResult): string {
  const what = `${count(slots, 'slot')} with ${count(keys, 'key')}`;
  if (keys === 0) return `${what} moved`;
  const size = bytes > 0 ? ` (${formatBytes(bytes)})` : '';
  // Atomic migration is not seen to hold anything up.
  const stall = longestStallMs > 0 ? `, longest stall ${duration(longestStallMs)}` : '';
  return `${what}${size} moved at ${short(keysPerSecond)} keys/s${stall}`;
}

function describeDryRun({ plan }: OperationResult): string {
  if (plan.steps.length === 0) return 'Nothing to do';
  return ['Would do, in this order:', ...planLines(plan), 'Nothing was changed'].join('\n');
}
