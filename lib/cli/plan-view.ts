import { formatBytes, formatKey } from '../model/bytes.ts';
import { shorten } from '../model/lists.ts';
import { type BigKey, describeStep, type Plan, type Step } from '../plan/plan.ts';
import { changeLines } from './change-view.ts';

/** The numbered steps of a plan, one per line, then the nodes whose slots change. */
export function planLines(plan: Plan): string[] {
  const steps = plan.steps.flatMap((step, index) => [
    `  ${index + 1}. ${describeStep(step)}`,
    ...describeBigKeys(step),
  ]);
  return [...steps, ...changeLines(plan)];
}

const SHOWN_BIG_KEYS = 10;

function describeBigKeys(step: Step): string[] {
  const bigKeys = step.type === 'move-slots' ? (step.content?.bigKeys ?? []) : [];
  return shorten(bigKeys.map(describeBigKey), SHOWN_BIG_KEYS, 'big key').map((line) => `     ${line}`);
}

function describeBigKey({ key, slot, bytes, db }: BigKey): string {
  const where = db === undefined ? `slot ${slot}` : `slot ${slot}, database ${db}`;
  return `big key ${formatKey(key)}: ${formatBytes(bytes)} (${where})`;
}
