import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { roughly } from '../../lib/cli/figures.ts';
import { estimateMs } from '../../lib/move/estimate.ts';
import type { MoveStep } from '../../lib/plan/plan.ts';
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

describe('estimateMs()', () => {
  test('is nothing for a plan that moves nothing', () => {
    assert.equal(estimateMs([], free), 0);
  });

  test('is what a limit makes of it, if the limit decides', () => {
    const one = move(1, 1, 60_000, 1e6);
    assert.equal(estimateMs([one], { ...free, limits: { keysPerSecond: 1000 } }), 60_500);
    assert.equal(estimateMs([one], { ...free, limits: { bytesPerSecond: 100_000 } }), 10_500);
  });

  test('is shorter if the servers move the keys, as far as bytes allow', () => {
    const [small, big] = [move(1, 1, 1_000_000, 1e8), move(1, 1, 100, 1e9)];
    const byServers = () => true;
    assert.ok(estimateMs([small], free, byServers) < estimateMs([small], free) / 4);
    assert.ok(estimateMs([big], free, byServers) > estimateMs([big], free) / 2);
  });

  test('never shrinks by another move, a limit, or fewer moves at once', () => {
    fc.assert(
      fc.property(moves, fc.integer({ min: 1, max: 1e5 }), (all, keysPerSecond) => {
        const whole = estimateMs(all, free);
        assert.ok(estimateMs(all.slice(1), free) <= whole);
        assert.ok(estimateMs(all, { ...free, limits: { keysPerSecond } }) >= whole);
        assert.ok(estimateMs(all, { ...free, concurrency: 1 }) >= whole);
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
