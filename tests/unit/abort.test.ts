import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import process from 'node:process';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { unlessAborted } from '../../lib/nodes/abort.ts';

const never = new Promise<never>(() => {});
const failing = (): Promise<never> => Promise.reject(new Error('late'));

describe('unlessAborted()', () => {
  it('settles like the promise, and removes its listener from the signal', async () => {
    const { signal } = new AbortController();
    assert.equal(await unlessAborted(Promise.resolve(1), signal), 1);
    await assert.rejects(unlessAborted(failing(), signal), /late/);
    assert.equal(await unlessAborted(Promise.resolve(2), undefined), 2);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  it('rejects with the reason of the signal, aborted before or during the wait, and leaves no rejection unhandled', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    let fail = (_: Error): void => {};
    const late = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const waiting = assert.rejects(unlessAborted(late, controller.signal), reason);
    controller.abort(reason);
    await waiting;
    fail(new Error('late'));
    await assert.rejects(unlessAborted(never, controller.signal), reason);
    await assert.rejects(unlessAborted(failing(), controller.signal), reason);
    await turn();
  });

  it('can use one signal for many nodes without a warning', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): number => warnings.push(warning);
    process.on('warning', note);
    const controller = new AbortController();
    const all = Array.from({ length: 40 }, () => unlessAborted(never, controller.signal));
    const ended = Promise.allSettled(all);
    controller.abort();
    await ended;
    await turn();
    process.off('warning', note);
    assert.deepEqual(warnings, []);
  });
});
