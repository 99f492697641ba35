import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { roughly } from '../../lib/cli/figures.ts';
import type { Dialect } from '../../lib/move/by-servers/dialect.ts';
import { redis } from '../../lib/move/by-servers/redis.ts';
import { valkey } from '../../lib/move/by-servers/valkey.ts';
import type { MoveMethod } from '../../lib/move/choose-method.ts';
import { estimateMs } from '../../lib/move/estimate.ts';
import type { MoveStep, Step } from '../../lib/plan/plan.ts';
import { fc } from '../helpers/properties.ts';

const move = (source: number, target: number, keys: number, bytes: number, slots = 1): MoveStep => ({
  type: 'move-slots',
  source: { id: `s${source}`, address: `a:${source}` },
  target: { id: `t${target}`, address: `a:${target}` },
  slots: [[0, slots - 1]],
  content: { keys, bytes, bigKeys: [] },
});
const moves = fc.array(
  fc
    .tuple(fc.nat(5), fc.nat(5), fc.nat(1e6), fc.nat(1e9), fc.integer({ min: 1, max: 16384 }))
    .map((one) => move(...one)),
  { minLength: 1 },
);
const free = { concurrency: 8, limits: {} };
const byMigrate = (): MoveMethod => ({ method: 'migrate' });
const byServers =
  (dialect: Dialect): (() => MoveMethod) =>
  () => ({ method: 'atomic', dialect, fallsBack: true });
const meet: Step = { type: 'meet', nodes: [], to: [], serving: true };

describe('estimateMs()', () => {
  test('is nothing for a plan that neither moves slots nor introduces nodes', () => {
    assert.equal(estimateMs([], free, byMigrate), 0);
  });

  test('is what a limit makes of it, if the limit decides', () => {
    const one = move(1, 1, 60_000, 1e6);
    assert.equal(estimateMs([one], { ...free, limits: { keysPerSecond: 1000 } }, byMigrate), 60_100);
    assert.equal(estimateMs([one], { ...free, limits: { bytesPerSecond: 100_000 } }, byMigrate), 10_100);
  });

  test('has the time that new nodes take to serve, with moves or without', () => {
    const alone = estimateMs([meet], free, byMigrate);
    assert.ok(alone >= 5000);
    fc.assert(
      fc.property(moves, (all) => {
        assert.equal(estimateMs([meet, ...all], free, byMigrate), alone + estimateMs(all, free, byMigrate));
      }),
    );
  });

  test('is shorter if the servers move the keys', () => {
    for (const one of [move(1, 1, 1_000_000, 1e8), move(1, 1, 100_000, 5e8)])
      assert.ok(estimateMs([one], free, byServers(valkey)) < estimateMs([one], free, byMigrate));
  });

  test('is within a third of what was measured between nodes on one machine of two cores', () => {
    for (const [steps, methodOf, measured] of [
      // Redis 8.0, keys of 100 bytes.
      [[move(1, 1, 494_000, 6e7, 2700)], byMigrate, 4000],
      [[1, 2, 3].flatMap((target) => move(1, target, 250_000, 3e7, 1365)), byMigrate, 5970],
      [[meet, ...[1, 2, 3].map((source) => move(source, 1, 250_000, 3e7, 1365))], byMigrate, 9000],
      // Keys of 20 bytes.
      [[move(1, 1, 2_637_000, 1e8, 2700)], byServers(redis), 2200],
      [[move(1, 1, 2_637_000, 1e8, 2700)], byServers(valkey), 2400],
      [[meet, ...[1, 2, 3].map((source) => move(source, 1, 1_333_000, 5e7, 1365))], byServers(redis), 7800],
      [[meet, ...[1, 2, 3].map((source) => move(source, 1, 1_333_000, 5e7, 1365))], byServers(valkey), 8200],
    ] as const) {
      const estimated = estimateMs(steps, free, methodOf);
      assert.ok(Math.abs(estimated - measured) < measured / 3, `${estimated} of ${measured}`);
    }
  });

  test('never shrinks by another move, a limit, or fewer moves at once', () => {
    fc.assert(
      fc.property(moves, fc.integer({ min: 1, max: 1e5 }), (all, keysPerSecond) => {
        const whole = estimateMs(all, free, byMigrate);
        assert.ok(estimateMs(all.slice(1), free, byMigrate) <= whole);
        assert.ok(estimateMs(all, { ...free, limits: { keysPerSecond } }, byMigrate) >= whole);
        assert.ok(estimateMs(all, { ...free, concurrency: 1 }, byMigrate) >= whole);
      }),
    );
  });
});

test('`roughly()` says no more than an estimate knows', () => {
  for (const [ms, text] of [
    [0, 'a second'],
    [1400, 'a second'],
    [1700, '2 s'],
    [43_210, '40 s'],
    [119_000, '120 s'],
    [150_000, '3 min'],
    [9_000_000, '2.5 h'],
  ] as const)
    assert.equal(roughly(ms), text);
});
