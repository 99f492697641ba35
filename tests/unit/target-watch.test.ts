import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lossOf, type TargetLoss } from '../../lib/move/target-watch.ts';

describe('lossOf()', () => {
  type Said = [runId: string, evicted: string, keys: number];
  const info = ([runId, evicted, keys]: Said) =>
    new Map([
      ['run_id', runId],
      ['evicted_keys', evicted],
      ['db0', `keys=${keys},expires=0,avg_ttl=0`],
    ]);
  const rows: [title: string, before: Said, now: Said, moved: number, loss: TargetLoss['by'] | undefined][] =
    [
      ['nothing has happened', ['a', '0', 5], ['a', '0', 15], 10, undefined],
      ['clients deleted keys', ['a', '0', 5], ['a', '0', 3], 10, undefined],
      ['it evicted before', ['a', '7', 5], ['a', '7', 15], 10, undefined],
      ['it has evicted', ['a', '7', 5], ['a', '8', 15], 10, 'eviction'],
      ['its statistics were reset', ['a', '7', 5], ['a', '0', 15], 10, undefined],
      ['it was restarted, and saved all', ['a', '0', 5], ['b', '0', 15], 10, undefined],
      ['it was restarted, and clients wrote', ['a', '0', 5], ['b', '0', 99], 10, undefined],
      ['it was restarted, and lost what came', ['a', '0', 5], ['b', '0', 5], 10, 'restart'],
      ['it was restarted, and lost all', ['a', '0', 5], ['b', '0', 0], 0, 'restart'],
    ];
  it('a replica took its place, which it has back: failover', () => {
    const stream = (id: string, former: string) =>
      new Map([...info(['a', '0', 5]), ['master_replid', id], ['master_replid2', former]]);
    const [before, none] = [stream('one', '0'.repeat(40)), '0'.repeat(40)];
    assert.equal(lossOf(before, stream('three', 'two'), 0)?.by, 'failover');
    assert.equal(lossOf(before, before, 0), undefined);
    // It had no replica for an hour.
    assert.equal(lossOf(before, stream('two', none), 0), undefined);
  });
  for (const [title, before, now, moved, loss] of rows)
    it(`${title}: ${loss ?? 'no loss'}`, () => {
      assert.equal(lossOf(info(before), info(now), moved)?.by, loss);
    });
});
