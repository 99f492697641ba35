import { randomInt } from 'node:crypto';
import process from 'node:process';

/** The seed that was asked for, or that of the environment; or a new one, so that each run tries something else. */
export function chooseSeed(asked: string | undefined = process.env.REDIS_TRIB_TEST_SEED): number {
  if (asked === undefined) return randomInt(1_000_000);
  if (/^\d{1,9}$/.test(asked)) return Number(asked);
  throw new Error(`Not a seed: "${asked}"`);
}
