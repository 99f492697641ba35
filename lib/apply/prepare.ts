import type { Plan } from '../plan/plan.ts';
import type { Context } from './context.ts';
import { survey } from './survey.ts';

/** Does what comes before a plan is applied: its moves are told with what is in them. */
export async function prepare(context: Context, plan: Plan): Promise<Plan> {
  return survey(context, plan);
}
