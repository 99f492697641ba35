import { formatBytes, formatKey } from '../model/bytes.ts';
import type { OperationResult } from '../operations/result.ts';
import { type BigKey, describeStep, type Step } from '../plan/plan.ts';
import { count, duration, seconds, short } from './figures.ts';

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
  if (!applied) return { ok: true, data, text: describePlan(result) };
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

function describePlan({ plan }: OperationResult): string {
  if (plan.steps.length === 0) return 'Nothing to do';
  const steps = plan.steps.flatMap((step, index) => [
    `  ${index + 1}. ${describeStep(step)}`,
    ...describeBigKeys(step),
  ]);
  return ['Would do, in this order:', ...steps, 'Nothing was changed'].join('\n');
}

const SHOWN_BIG_KEYS = 10;

function describeBigKeys(step: Step): string[] {
  const bigKeys = step.type === 'move-slots' ? (step.content?.bigKeys ?? []) : [];
  const rest = bigKeys.length - SHOWN_BIG_KEYS;
  return [
    ...bigKeys.slice(0, SHOWN_BIG_KEYS).map((key) => `     ${describeBigKey(key)}`),
    ...(rest > 0 ? [`     and ${count(rest, 'big key')} more`] : []),
  ];
}

function describeBigKey({ key, slot, bytes, db }: BigKey): string {
  const where = db === undefined ? `slot ${slot}` : `slot ${slot}, database ${db}`;
  return `big key ${formatKey(key)}: ${formatBytes(bytes)} (${where})`;
}
