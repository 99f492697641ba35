import { ClusterError } from '../errors.ts';
import { Irreversible, invert } from '../plan/inverse.ts';
import { LONGEST_PLAN, readPlan } from '../plan/parse.ts';
import type { Plan } from '../plan/plan.ts';
import { Misfit } from '../plan/read.ts';

/**
 * Reads a plan that was saved as JSON. Every field is looked at: an unknown version, field or type of step is refused, and so are
 * slots, ids and addresses that are none. Throws a ClusterError `PLAN_INVALID` that names the field.
 */
export function parsePlan(json: string): Plan {
  if (json.length > LONGEST_PLAN)
    throw invalid(`it has ${json.length} characters, where ${LONGEST_PLAN} is the most`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // What the parser says repeats part of the text.
    throw invalid('it is not JSON');
  }
  return checkPlan(value);
}

/** The same for a plan that is no text, or no more. */
export function checkPlan(value: unknown): Plan {
  try {
    return readPlan(value);
  } catch (error) {
    throw error instanceof Misfit ? invalid(error.message) : error;
  }
}

function invalid(why: string): ClusterError {
  return new ClusterError('PLAN_INVALID', `Not a plan: ${why}`, {
    hint: 'Make it anew with --dry-run --plan FILE',
  });
}

/**
 * The plan that takes back what a plan does: slots and roles are as before after it, and nodes that it brought into the
 * cluster are out of it again, under a new node id. Asks nobody; the same plan gives the same inverse.
 * Throws a ClusterError `NOT_REVERSIBLE` for what cannot be taken back, as a hard reset or keys that were given up.
 */
export function inversePlan(plan: Plan): Plan {
  try {
    return invert(plan);
  } catch (error) {
    if (!(error instanceof Irreversible)) throw error;
    const { address, hint, message } = error;
    throw new ClusterError('NOT_REVERSIBLE', message, { address, hint });
  }
}
