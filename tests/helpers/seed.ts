import { randomInt } from 'node:crypto';
import process from 'node:process';

/** Seed of the samples that tests take unless another is asked for, so that a test ends the same way each time. */
const FIXED_SEED = 2026;

/** The seed asked for, or that of the environment, or a new one: for commands that look for what no test has tried. */
export function chooseSeed(asked: string | undefined = process.env.REDIS_TRIB_TEST_SEED): number {
  return asked === undefined ? randomInt(1_000_000) : readSeed(asked);
}

/** The seed for the samples of a test: that of the environment, or always the same one. */
export function testSeed(): number {
  const asked = process.env.REDIS_TRIB_TEST_SEED;
  return asked === undefined ? FIXED_SEED : readSeed(asked);
}

function readSeed(text: string): number {
  if (/^-?\d{1,10}$/.test(text)) return Number(text);
  throw new Error(`Not a seed: "${text}"`);
}
