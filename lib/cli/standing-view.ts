import { shorten } from '../model/lists.ts';
import { formatSlots } from '../model/slot.ts';
import type { PlanStanding } from '../operations/verify-plan.ts';
import { describeStep, type Plan } from '../plan/plan.ts';
import type { Outcome } from './outcome.ts';

const SHOWN = 20;

/** The data of `verify`. */
export interface StandingData extends PlanStanding {
  /** The command that made the plan. */
  readonly operation: string;
}

/** Outcome of `verify`: how far a plan has come. */
export function standingOutcome(standing: PlanStanding, plan: Plan): Outcome<StandingData> {
  const { state, done, left, differences, missing, openSlots } = standing;
  const name = `The plan of ${plan.operation}`;
  const heads: Readonly<Record<PlanStanding['state'], string>> = {
    done: `${name} is done`,
    partly: `${name} is done in part`,
    'not-begun': `${name} has not begun`,
    differs: `The cluster is neither as the plan of ${plan.operation} saw it nor as it makes it`,
  };
  const lines = [
    heads[state],
    ...section(
      'What differs:',
      differences.map(({ text }) => text),
    ),
    ...section('What nodes do not report yet:', missing),
    ...(openSlots.length > 0 ? [`Slots left open: ${formatSlots(openSlots)}`] : []),
    ...(state === 'partly' ? section('Done:', done.map(describeStep)) : []),
    ...(state === 'partly' ? section('Left:', left.map(describeStep)) : []),
  ];
  return { ok: state === 'done', text: lines.join('\n'), data: { ...standing, operation: plan.operation } };
}

function section(head: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  return [head, ...shorten(items, SHOWN).map((item) => `  ${item}`)];
}
