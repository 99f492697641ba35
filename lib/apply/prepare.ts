import type { NodeRef, Plan, Step } from '../plan/plan.ts';
import type { Context } from './context.ts';
import { claim } from './operators.ts';
import { preflight } from './preflight.ts';
import { survey } from './survey.ts';

/**
 * Does what comes before a plan is applied: makes sure that nobody else is at work, finds out what is in the slots that
 * move, and refuses what is sure to fail. A dry run claims nothing, and warns where it would refuse.
 * Resolves to the plan with what is in the slots.
 */
export async function prepare(context: Context, plan: Plan): Promise<Plan> {
  if (plan.steps.length === 0) return plan;
  if (!context.options.dryRun) await claim(context, nodesOf(plan));
  const surveyed = await survey(context, plan);
  await preflight(context, surveyed);
  return surveyed;
}

/** The masters, and every node that a step is about. */
export function nodesOf({ masters, steps }: Plan): NodeRef[] {
  const nodes = [...masters, ...steps.flatMap(nodesOfStep)];
  return [...new Map(nodes.map((node) => [node.address, node])).values()];
}

function nodesOfStep(step: Step): readonly NodeRef[] {
  switch (step.type) {
    case 'assign-slots':
    case 'load-functions':
    case 'reset':
    case 'take-slots':
      return [step.node];
    case 'meet':
      return step.nodes;
    case 'failover':
      return [step.replica];
    case 'replicate':
      return [step.replica, step.master];
    case 'move-slots':
      return [step.source, step.target];
    case 'close-slots':
      return [step.node, step.owner];
    case 'forget':
      return step.isDead ? [] : [step.node];
  }
}
