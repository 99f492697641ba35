import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lacksReplicas, MIN_REPLICAS } from '../../lib/model/refused-writes.ts';

describe('lacksReplicas()', () => {
  const rows: [good: number | undefined, needed: string | undefined, lacks: boolean][] = [
    [undefined, '0', false],
    [undefined, '2', false],
    [0, undefined, false],
    [0, '0', false],
    [0, '1', true],
    [1, '1', false],
    [1, '2', true],
    [3, '2', false],
  ];
  for (const [good, needed, lacks] of rows) {
    it(`of ${good ?? 'an unknown number'}, of ${needed ?? 'an unknown number'} needed: ${lacks}`, () => {
      const settings = needed === undefined ? undefined : new Map([[MIN_REPLICAS, needed]]);
      const own = good === undefined ? {} : { goodReplicas: good };
      assert.equal(lacksReplicas(own, settings) !== undefined, lacks);
    });
  }
});
