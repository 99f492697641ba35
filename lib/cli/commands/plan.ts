import type { OperationOptions } from '../../index.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Command } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

async function read(file: string): Promise<Plan> {
  const { readPlanFile } = await import('../plan-file.ts');
  return readPlanFile(file);
}

async function nodeOf(plan: Plan, options: OperationOptions): Promise<string> {
  const { findPlanNode } = await import('../../operations/find-plan-node.ts');
  return findPlanNode(plan, options);
}

export const apply: Command = {
  name: 'apply',
  usage: 'FILE',
  arity: [1, 1],
  summary: 'Carry out a plan that --plan saved, or finish one that was begun',
  details:
    'Refused where the cluster is neither as the plan saw it nor as the plan makes it. Memory, other operators and\n' +
    'what is in the slots are looked at anew.',
  example: 'plan.json',
  asks: true,
  flags: { ...changeFlags, ...moveFlags },
  run: async ({ positionals: [file = ''], options }) => {
    const plan = await read(file);
    const { applyPlan } = await import('../../operations/apply-plan.ts');
    const result = await applyPlan(await nodeOf(plan, options), plan, options);
    const nothing = result.plan.steps.length === 0;
    return operated(
      result,
      nothing ? 'Nothing is left to do of the plan' : `Carried out the plan of ${plan.operation}`,
    );
  },
};

export const rollback: Command = {
  name: 'rollback',
  usage: 'FILE',
  arity: [1, 1],
  summary: 'Take back what was done of a plan: slots, roles and nodes that it brought in',
  details:
    'Refused before anything is changed for what cannot be taken back: a node that was reset, keys that were given up.\n' +
    'Nodes that the plan brought in leave under a new node id.',
  example: 'plan.json',
  asks: true,
  flags: { ...changeFlags, ...moveFlags },
  run: async ({ positionals: [file = ''], options }) => {
    const plan = await read(file);
    const { rollbackPlan } = await import('../../operations/rollback-plan.ts');
    const result = await rollbackPlan(await nodeOf(plan, options), plan, options);
    const nothing = result.plan.steps.length === 0;
    return operated(
      result,
      nothing ? 'Nothing is to be taken back' : `Took back the plan of ${plan.operation}`,
    );
  },
};

export const verify: Command = {
  name: 'verify',
  usage: 'FILE',
  arity: [1, 1],
  summary: 'Tell how far a plan has come: done, partly, not begun, or the cluster differs',
  details: 'Exit code 0 only where all of it is done.',
  example: 'plan.json',
  run: async ({ positionals: [file = ''], options }) => {
    const plan = await read(file);
    const { verifyPlan } = await import('../../operations/verify-plan.ts');
    const { standingOutcome } = await import('../standing-view.ts');
    return standingOutcome(await verifyPlan(await nodeOf(plan, options), plan, options), plan);
  },
};
