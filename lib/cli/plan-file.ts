import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../errors.ts';
import { parsePlan } from '../operations/parse-plan.ts';
import type { OperationOptions } from '../options.ts';
import { LONGEST_PLAN } from '../plan/parse.ts';
import type { Plan } from '../plan/plan.ts';
import type { FlagValues } from './flags.ts';
import { UsageError } from './io.ts';
import { writeNew } from './new-file.ts';

/** Reads a plan from a file. Throws a UsageError if it cannot be read, ClusterError `PLAN_INVALID` if it is not a plan. */
export function readPlanFile(path: string): Plan {
  let text: string;
  try {
    const { size } = requireFile(path);
    if (size > LONGEST_PLAN) throw new Error(`it has ${size} bytes, the maximum is ${LONGEST_PLAN}`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read the plan "${path}": ${messageOf(error)}`);
  }
  return parsePlan(text);
}

function requireFile(path: string): { readonly size: number } {
  const found = statSync(path);
  if (!found.isFile()) throw new Error('it is not a file');
  return found;
}

/** Saves the plan of a command once: before anything is changed, if the plan is applied. */
export class PlanSaver {
  readonly #path: string | undefined;
  readonly #command: string;
  #isSaved = false;

  /** Throws a UsageError if the file cannot be created or exists already: it may be the only record to roll back by. */
  constructor(command: string, { plan }: FlagValues) {
    this.#command = command;
    if (plan === undefined) return;
    this.#path = String(plan);
    if (this.#path === '') throw new UsageError('--plan needs a file name');
    if (existsSync(this.#path)) throw alreadyThere(this.#path);
    const folder = dirname(this.#path);
    if (!existsSync(folder))
      throw new UsageError(`Cannot write --plan "${this.#path}": there is no folder "${folder}"`);
  }

  /** Extends `approve` to save the plan once it is approved. */
  approving(approve: OperationOptions['approve']): OperationOptions['approve'] {
    if (this.#path === undefined) return approve;
    return async (plan) => {
      if (approve && !(await approve(plan))) return false;
      // Open slots of an interrupted run are first closed by a plan of their own, which is not the one to save.
      const isOwn = plan.operation !== 'fix' || ['fix', 'apply', 'rollback'].includes(this.#command);
      if (isOwn) this.save(plan);
      return true;
    };
  }

  /** Saves the plan unless it is saved already: after a dry run, or if there was nothing to do. Returns the path. */
  save(plan: Plan | undefined): string | undefined {
    if (this.#path === undefined || !plan) return undefined;
    if (!this.#isSaved)
      writeNew(this.#path, `${JSON.stringify(plan)}\n`, '--plan', { exists: alreadyThere, isKept: true });
    this.#isSaved = true;
    return this.#path;
  }
}

function alreadyThere(path: string): UsageError {
  return new UsageError(
    `Cannot write --plan "${path}": the file exists. Carry it out with redis-trib apply ${path}, or name another file`,
  );
}
