import { relative } from 'node:path';
import process from 'node:process';
import fc from 'fast-check';
import { testSeed } from './seed.ts';

/** Longer text says nothing more: a case of 16384 slots takes 100 kB. */
const LONGEST_TEXT = 1000;
const STACK_LINES = 12;
const SHOWN_ITEMS = 12;

fc.configureGlobal({ seed: testSeed(), reporter: report });

/** fast-check with the seed of this run, so that a test takes the same samples each time, and with short reports. */
export { fc };

function report<Values>(run: fc.RunDetails<Values>): void {
  if (!run.failed) return;
  const { seed, counterexamplePath, counterexample, numRuns, errorInstance } = run;
  const error = errorInstance instanceof Error ? errorInstance : new Error(String(errorInstance));
  const [message = ''] = error.message.split('\n\n');
  const stack = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  throw new Error(
    [
      `Property failed after ${numRuns} samples (seed ${seed}, path "${counterexamplePath}"): ${cut(message)}`,
      `Counterexample: ${cut(summaryOf(counterexample))}`,
      `Repeat it with: REDIS_TRIB_TEST_SEED=${seed} node --import tsx --test ${sourceOf(process.argv[1] ?? 'FILE')}`,
      ...stack.slice(0, STACK_LINES),
    ].join('\n'),
  );
}

/** The file under tests/ that was bundled into this one, from the folder that the command is run in. */
function sourceOf(path: string): string {
  return relative(process.cwd(), path)
    .replace(/^dist-tests/, 'tests')
    .replace(/\.js$/, '.ts');
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}

/** A value as text, long arrays by their length. */
export function summaryOf(value: unknown): string {
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${value.byteLength} bytes)`;
  if (Array.isArray(value)) {
    if (value.length > SHOWN_ITEMS) return `Array(${value.length})`;
    return `[${value.map(summaryOf).join(', ')}]`;
  }
  if (value instanceof Map || value instanceof Set) return `${value.constructor.name}(${value.size})`;
  if (value !== null && typeof value === 'object') {
    return `{ ${Object.entries(value)
      .map(([name, item]) => `${name}: ${summaryOf(item)}`)
      .join(', ')} }`;
  }
  return fc.stringify(value);
}
