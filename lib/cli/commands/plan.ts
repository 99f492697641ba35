import type { OperationOptions } from '../../index.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Command } from '../command.ts';
import { changeFlags, execFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

async function read(file: string): Promise<Plan> {
  const { readPlanFile } = await import('../plan-file.ts');
  return readPlanFile(file);
}

async function nodeOf(plan: Plan, options: OperationOptions): Promise<string> {
  const { findPlanNode } = await import('../../operations/find-plan-node.ts');
  return findPlanNode(plan, options);
}

export const applyCommand: Command<'apply'> = {
  name: 'apply',
  usage: 'FILE',
  arity: [1, 1],
  summary: 'Carry out a plan saved by --plan, or finish one that was begun',
  details:
    'Refused if the cluster is neither as the plan saw it nor as the plan makes it. Memory, other operators and ' +
    'the contents of the slots are checked again.',
  example: 'plan.json',
  asks: true,
  flags: { ...changeFlags, ...moveFlags, ...execFlags },
  run: async ({ positionals: [file = ''], options: given, values, io }) => {
    const { execOptions } = await import('../exec-options.ts');
    const options = { ...given, ...(await execOptions(values, io)) };
    const plan = await read(file);
    const { applyPlan } = await import('../../operations/apply-plan.ts');
    const result = await applyPlan(await nodeOf(plan, options), plan, options);
    const nothing = result.plan.steps.length === 0;
    return operated(
      result,
      nothing ? 'The plan is already done' : `Carried out the plan of ${plan.operation}`,
    );
  },
};

export const rollbackCommand: Command<'rollback'> = {
  name: 'rollback',
  usage: 'FILE',
  arity: [1, 1],
  summary: 'Undo what was done of a plan: slots, roles, and nodes that it added',
  details:
    'Refused before anything is changed if something cannot be undone: a node that was reset, keys that were given up.\n' +
    'Nodes that the plan added leave the cluster and get a new node id.',
  example: 'plan.json',
  asks: true,
  flags: { ...changeFlags, ...moveFlags },
  run: async ({ positionals: [file = ''], options }) => {
    const plan = await read(file);
    const { rollbackPlan } = await import('../../operations/rollback-plan.ts');
    const result = await rollbackPlan(await nodeOf(plan, options), plan, options);
    const nothing = result.plan.steps.length === 0;
    return operated(result, nothing ? 'Nothing to undo' : `Undid the plan of ${plan.operation}`);
  },
};

export const verifyCommand: Command<'verify'> = {
  name: 'verify',
  usage: 'FILE',
  arity: [1, 1],
  summary: 'Report how far a plan has come: done, partly, not begun, or the cluster differs',
  details: 'Exit code 0 only if all of it is done.',
  example: 'plan.json',
  run: async ({ positionals: [file = ''], options }) => {
    const plan = await read(file);
    const { verifyPlan } = await import('../../operations/verify-plan.ts');
    const { standingOutcome } = await import('../standing-view.ts');
    return standingOutcome(await verifyPlan(await nodeOf(plan, options), plan, options), plan);
  },
};
