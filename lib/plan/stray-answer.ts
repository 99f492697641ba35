import { invalidArgument } from '../model/cluster-error.ts';
import type { StrayAnswer } from './plan.ts';

/** The answer that an option gives; undefined if keys are to stay. Throws ClusterError `INVALID_ARGUMENT` if it is none. */
export function strayAnswerOf(given: 'keep' | StrayAnswer): StrayAnswer | undefined {
  if (!['keep', 'bring', 'drop'].includes(given))
    throw invalidArgument(`Not an answer for stray keys: "${given}" (expected keep, bring or drop)`);
  return given === 'keep' ? undefined : given;
}
