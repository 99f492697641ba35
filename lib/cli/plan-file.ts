import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../errors.ts';
import { parsePlan } from '../operations/parse-plan.ts';
import type { OperationOptions } from '../options.ts';
import { LONGEST_PLAN } from '../plan/parse.ts';
import type { Plan } from '../plan/plan.ts';
import type { FlagValues } from './flags.ts';
import { UsageError } from './io.ts';

/** Reads the plan of a file. Throws a UsageError where it cannot be read, a ClusterError `PLAN_INVALID` for what is no plan. */
export function readPlanFile(path: string): Plan {
  let text: string;
  try {
    const { size } = requireFile(path);
    if (size > LONGEST_PLAN) throw new Error(`it has ${size} bytes, where ${LONGEST_PLAN} is the most`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read the plan "${path}": ${messageOf(error)}`);
  }
  return parsePlan(text);
}

function requireFile(path: string): { readonly size: number } {
  const found = statSync(path);
  if (!found.isFile()) throw new Error('it is no file');
  return found;
}

/** Saves the plan of a command, once: where it is carried out, before anything is changed. */
export class PlanSaver {
  readonly #path: string | undefined;
  readonly #command: string;
  #isSaved = false;

  /** Throws a UsageError for a file that cannot come to be, or is there already: it may be all there is to roll back by. */
  constructor(command: string, { plan }: FlagValues) {
    this.#command = command;
    if (plan === undefined) return;
    this.#path = String(plan);
    if (this.#path === '') throw new UsageError('--plan needs the name of a file');
    if (existsSync(this.#path)) throw alreadyThere(this.#path);
    const folder = dirname(this.#path);
    if (!existsSync(folder))
      throw new UsageError(`Cannot write --plan "${this.#path}": there is no folder "${folder}"`);
  }

  /** What approves a plan, with the plan saved once it is approved. */
  approving(approve: OperationOptions['approve']): OperationOptions['approve'] {
    if (this.#path === undefined) return approve;
    return async (plan) => {
      if (approve && !(await approve(plan))) return false;
      // What an interrupted run left is finished first, by a plan of its own that nobody asked for.
      const isOwn = plan.operation !== 'fix' || ['fix', 'apply', 'rollback'].includes(this.#command);
      if (isOwn) this.save(plan);
      return true;
    };
  }

  /** Saves it unless it is saved already: after a dry run, or where there was nothing to do. Tells where it is. */
  save(plan: Plan | undefined): string | undefined {
    if (this.#path === undefined || !plan) return undefined;
    if (!this.#isSaved) write(this.#path, `${JSON.stringify(plan)}\n`);
    this.#isSaved = true;
    return this.#path;
  }
}

function alreadyThere(path: string): UsageError {
  return new UsageError(
    `Cannot write --plan "${path}": the file is there already. Go on with it by: redis-trib apply ${path}; or name another`,
  );
}

// Written beside it and then given its name, so that nobody ever reads half of it; a link, unlike a rename, replaces nothing.
function write(path: string, text: string): void {
  const beside = `${path}.${globalThis.crypto.randomUUID()}.tmp`;
  try {
    const file = openSync(beside, 'wx');
    try {
      for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(file, rest));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    giveName(beside, path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`Cannot write --plan "${path}": ${messageOf(error)}. Nothing was changed`);
  } finally {
    rmSync(beside, { force: true });
  }
}

function giveName(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' || existsSync(to)) throw alreadyThere(to);
    // Some file systems have no links.
    renameSync(from, to);
  }
}
