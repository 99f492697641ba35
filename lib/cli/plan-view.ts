import { formatBytes, formatKey } from '../model/bytes.ts';
import { type BigKey, describeStep, type Plan, type Step } from '../plan/plan.ts';
import { changeLines } from './change-view.ts';
import { count } from './figures.ts';

/** The steps of a plan, one a line, numbered, and what becomes of the nodes whose slots change. */
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
