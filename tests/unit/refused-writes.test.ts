import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cannotSave, lacksReplicas, MIN_REPLICAS, STOP_WRITES } from '../../lib/model/refused-writes.ts';

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

describe('cannotSave()', () => {
  type DiskError = 'snapshot' | 'append' | undefined;
  const rows: [error: DiskError, stops: string | undefined, save: string, refuses: boolean][] = [
    [undefined, 'yes', '3600 1', false],
    ['snapshot', 'yes', '3600 1', true],
    ['snapshot', 'yes', '', false],
    ['snapshot', 'no', '3600 1', false],
    ['snapshot', undefined, '3600 1', false],
    ['append', 'no', '', true],
  ];
  for (const [diskError, stops, save, refuses] of rows) {
    it(`after ${diskError ?? 'another error'}, ${STOP_WRITES} ${stops}, save "${save}": ${refuses ? 'refuses writes' : 'takes writes'}`, () => {
      const settings =
        stops === undefined
          ? undefined
          : new Map([
              [STOP_WRITES, stops],
              ['save', save],
            ]);
      const own = diskError ? { diskError } : {};
      assert.equal(cannotSave(own, settings) !== undefined, refuses);
    });
  }
});
