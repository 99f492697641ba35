import { readFileSync, statSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import { openRecording } from '../operations/bundle-cluster.ts';
import { type Bundle, formatBundle, LONGEST_BUNDLE } from '../operations/bundle-document.ts';
import { parsePlan } from '../operations/parse-plan.ts';
import type { Invocation } from './command.ts';
import { UsageError } from './io.ts';
import { writeNew } from './new-file.ts';

/**
 * Opens the file that is read in place of CLUSTER. Throws a UsageError if it cannot be read, ClusterError `BUNDLE_INVALID` if it is not a
 * bundle, or `PLAN_INVALID` if it is not a plan where one may be.
 */
export function openFile(path: string, orPlan = false): Pick<Invocation, 'elsewhere' | 'bundled' | 'plan'> {
  const text = readText(path);
  if (orPlan && !/^\s*\{\s*"bundle"/.test(text)) return { elsewhere: [], plan: parsePlan(text) };
  const { elsewhere, ...bundled } = openRecording(text);
  return { elsewhere, bundled };
}

function readText(path: string): string {
  try {
    const found = statSync(path);
    if (!found.isFile()) throw new Error('it is not a file');
    if (found.size > LONGEST_BUNDLE)
      throw new Error(`it has ${found.size} bytes, the maximum is ${LONGEST_BUNDLE}`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read "${path}": ${messageOf(error)}`);
  }
}

/** Writes a bundle to a new file that only its owner can read. Returns its size in bytes. Throws as `formatBundle()` does. */
export function writeBundle(path: string, bundle: Bundle): number {
  const text = formatBundle(bundle);
  const exists = (): UsageError => new UsageError(`Cannot write --output "${path}": the file exists`);
  writeNew(path, text, '--output', { exists, mode: 0o600 });
  return Buffer.byteLength(text);
}

/** Where a bundle goes unless --output says otherwise: named after the time at which it was made. */
export function bundleName(at: string): string {
  return `redis-trib-${at.replace(/\.\d+/, '').replace(/[-:]/g, '')}.json`;
}
