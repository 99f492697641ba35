import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ClusterError } from '../../lib/errors.ts';
import type { ClusterEvent } from '../../lib/events.ts';
import { iterate } from '../../lib/operations/iterate.ts';
import type { ControlOptions } from '../../lib/options.ts';
import { fc } from '../helpers/properties.ts';

const event = (message: string): ClusterEvent => ({ type: 'warning', message });
const told = (one: ClusterEvent): string => (one.type === 'warning' ? one.message : one.type);

/** An operation that tells these events, a turn apart where there is a pause, and stops when it is aborted. */
function operation(events: readonly (string | 'pause')[], end: () => number = () => 7) {
  return async ({ signal, onEvent }: Required<ControlOptions>): Promise<number> => {
    for (const one of events) {
      if (one === 'pause') await turn();
      else onEvent(event(one));
      signal.throwIfAborted();
    }
    return end();
  };
}

describe('iterate()', () => {
  test('yields every event in order and returns the result, however they come', async () => {
    const events = fc.array(fc.constantFrom('a', 'b', 'pause'));
    await fc.assert(
      fc.asyncProperty(events, fc.boolean(), async (all, isSlow) => {
        const [seen, iterator] = [[] as string[], iterate(operation(all))];
        let next = await iterator.next();
        for (; !next.done; next = await iterator.next()) {
          seen.push(told(next.value));
          if (isSlow) await turn();
        }
        assert.equal(next.value, 7);
        assert.deepEqual(
          seen,
          all.filter((one) => one !== 'pause'),
        );
      }),
    );
  });

  test('throws the error of the operation after its last event', async () => {
    const seen: string[] = [];
    const failing = operation(['a', 'pause', 'b'], () => {
      throw new Error('it failed');
    });
    await assert.rejects(async () => {
      for await (const one of iterate(failing)) seen.push(told(one));
    }, /it failed/);
    assert.deepEqual(seen, ['a', 'b']);
  });

  for (const says of ['its reason', 'what had moved'])
    test(`aborts the operation when the loop is left, and waits for it to say ${says}`, async () => {
      let isSafe = false;
      const run = async ({ signal, onEvent }: Required<ControlOptions>): Promise<void> => {
        onEvent(event('a'));
        while (!signal.aborted) await turn();
        await turn();
        isSafe = true;
        throw says === 'its reason'
          ? signal.reason
          : new ClusterError('ABORTED', 'Aborted: nothing moved', { cause: signal.reason });
      };
      for await (const _ of iterate(run)) break;
      assert.ok(isSafe);
    });

  test('throws what the operation fails with after the loop was left', async () => {
    const run = async ({ signal, onEvent }: Required<ControlOptions>): Promise<void> => {
      onEvent(event('a'));
      while (!signal.aborted) await turn();
      throw new Error('slot 5 is open');
    };
    await assert.rejects(async () => {
      for await (const _ of iterate(run)) break;
    }, /slot 5 is open/);
    const early = operation(['a', 'b'], () => {
      throw new Error('slot 6 is open');
    });
    await assert.rejects(async () => {
      for await (const _ of iterate(early)) {
        await turn();
        break;
      }
    }, /slot 6 is open/);
  });

  test('stops for the signal of its caller, with the reason', async () => {
    const stop = new AbortController();
    const endless = async ({ signal, onEvent }: Required<ControlOptions>): Promise<void> => {
      for (;;) {
        onEvent(event('a'));
        await turn();
        signal.throwIfAborted();
      }
    };
    await assert.rejects(async () => {
      for await (const _ of iterate(endless, { signal: stop.signal })) stop.abort(new Error('enough'));
    }, /enough/);
  });
});
