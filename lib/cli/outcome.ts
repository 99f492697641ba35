import type { OperationResult } from '../operations/result.ts';
import { describeStep } from '../plan/plan.ts';

/** What a command ends with: text for people, data for programs. */
export interface Outcome {
  /** False if the command ran but what it found is not well: exit code 1. */
  readonly ok: boolean;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Outcome of an operation that changes a cluster, or of its dry run. */
export function operated(result: OperationResult, done: string): Outcome {
  const { plan, applied, slots, keys, elapsedMs } = result;
  const data = { applied, slots, keys, elapsedMs: Math.round(elapsedMs), plan };
  if (!applied) return { ok: true, data, text: describePlan(result) };
  const moved = slots > 0 ? `: ${count(slots, 'slot')} with ${count(keys, 'key')} moved` : '';
  return { ok: true, data, text: `${done}${moved} (${seconds(elapsedMs)})` };
}

function describePlan({ plan }: OperationResult): string {
  if (plan.steps.length === 0) return 'Nothing to do';
  const steps = plan.steps.map((step, index) => `  ${index + 1}. ${describeStep(step)}`);
  return ['Would do, in this order:', ...steps, 'Nothing was changed'].join('\n');
}

/** `1 slot`, `2 slots`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
