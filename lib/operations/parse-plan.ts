import { ClusterError } from '../errors.ts';
import { Irreversible, invert } from '../plan/inverse.ts';
import { LONGEST_PLAN, readPlan } from '../plan/parse.ts';
import type { Plan } from '../plan/plan.ts';
import { Misfit } from '../plan/read.ts';

/**
 * Parses a plan saved as JSON and checks every field. Throws a ClusterError `PLAN_INVALID` that names the field for an
 * unknown version, field or type of step, and for a slot, id or address that is invalid.
 */
export function parsePlan(json: string): Plan {
  if (json.length > LONGEST_PLAN)
    throw invalid(`it has ${json.length} characters, the maximum is ${LONGEST_PLAN}`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // The parser's message repeats part of the text.
    throw invalid('it is not JSON');
  }
  return checkPlan(value);
}

/** The same for a plan that is parsed JSON. */
export function checkPlan(value: unknown): Plan {
  try {
    return readPlan(value);
  } catch (error) {
    throw error instanceof Misfit ? invalid(error.message) : error;
  }
}

function invalid(why: string): ClusterError {
  return new ClusterError('PLAN_INVALID', `Not a plan: ${why}`, {
    next: [{ do: 'plan' }],
  });
}

/**
 * The plan that undoes a plan: it restores slots and roles, and removes the nodes that the plan added, which get new node
 * ids. Asks no node; the same plan gives the same inverse. Throws a ClusterError `NOT_REVERSIBLE` for a step that cannot be
 * undone, such as a hard reset or slots taken without their keys.
 */
export function inversePlan(plan: Plan): Plan {
  try {
    return invert(plan);
  } catch (error) {
    if (!(error instanceof Irreversible)) throw error;
    const { address, next, message } = error;
    throw new ClusterError('NOT_REVERSIBLE', message, { address, next, hint: 'Nothing was changed' });
  }
}
