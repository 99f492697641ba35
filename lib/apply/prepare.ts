import { decideMethods, Methods } from '../move/decide-methods.ts';
import type { Context } from '../nodes/context.ts';
import type { MoveStep, NodeRef, Plan, Step } from '../plan/plan.ts';
import { claim } from './claim.ts';
import { requireOtherCopies } from './last-copy.ts';
import { preflight } from './preflight.ts';
import { survey } from './survey.ts';

/** A plan that may be applied. */
export interface PreparedPlan {
  /** With the content found in the slots that move. */
  readonly plan: Plan;
  /** How each of its moves is carried out. Kept apart from the plan: a saved plan does not contain it. */
  readonly methods: Methods;
}

/**
 * Everything that precedes applying a plan: makes sure that no other operator is active, decides how slots move, finds out what
 * is in them, and refuses what is certain to fail. A dry run announces nothing, and warns instead of refusing.
 */
export async function prepare(context: Context, plan: Plan): Promise<PreparedPlan> {
  if (plan.steps.length === 0) return { plan, methods: new Methods([]) };
  if (!context.settings.dryRun) await claim(context, nodesOfPlan(plan));
  if (plan.steps.some(({ type }) => type === 'meet')) {
    // Loaded only by operations that introduce nodes.
    const { admitPlanned } = await import('./admit.ts');
    await admitPlanned(context, plan);
  }
  await requireOtherCopies(context, plan);
  const moves = plan.steps.filter((step): step is MoveStep => step.type === 'move-slots');
  // In parallel with the survey, which takes as many round trips or more: it costs no extra time.
  const deciding = decideMethods(context, moves);
  const [surveyed, methods] = await Promise.all([survey(context, plan, deciding), deciding]);
  await preflight(context, surveyed, methods);
  return { plan: surveyed, methods };
}

/** The masters, and every node that a step is about. */
function nodesOfPlan({ masters, steps }: Plan): NodeRef[] {
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
    case 'meet-again':
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
    // They may be down.
    case 'restart':
      return [];
  }
}
