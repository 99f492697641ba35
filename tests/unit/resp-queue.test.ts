import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RequestQueue } from '../../resp/queue.ts';
import type { Request } from '../../resp/request.ts';
import { fc } from '../helpers/properties.ts';

let last = 0;
const newRequest = (): Request => ({ id: ++last, settled: false }) as unknown as Request;

const actions = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('push' as const), count: fc.integer({ min: 1, max: 3000 }) }),
    fc.record({ type: fc.constantFrom('send' as const, 'shift' as const), count: fc.nat(3000) }),
    fc.record({ type: fc.constant('remove' as const), count: fc.nat(3000) }),
    fc.record({ type: fc.constant('clear' as const), count: fc.constant(0) }),
  ),
  { maxLength: 30 },
);

describe('RequestQueue', () => {
  test('keeps requests in order, whichever are sent, answered or removed', () => {
    fc.assert(
      fc.property(actions, (list) => {
        const queue = new RequestQueue();
        let model: Request[] = [];
        let sent = 0;
        for (const { type, count } of list) {
          if (type === 'push') {
            for (let index = 0; index < count; index++) {
              const request = newRequest();
              model.push(request);
              queue.push(request);
            }
          } else if (type === 'send') {
            for (let index = 0; index < count && sent < model.length; index++, sent++) queue.markSent();
          } else if (type === 'shift') {
            for (let index = 0; index < count && model.length > 0; index++) {
              model.shift();
              sent = Math.max(0, sent - 1);
              assert.equal(queue.shift(), model[0]);
            }
          } else if (type === 'remove') {
            const request = model[sent + (count % Math.max(1, model.length - sent))];
            if (request === undefined) continue;
            model = model.filter((one) => one !== request);
            queue.remove(request);
          } else {
            assert.deepEqual(queue.clear(), model);
            model = [];
            sent = 0;
          }
          assert.equal(queue.head, model[0]);
          assert.equal(queue.unsent, model[sent]);
        }
        assert.deepEqual(queue.clear(), model);
      }),
      { numRuns: 200 },
    );
  });

  test('is idle once every request is settled, though some wait for a reply', () => {
    const queue = new RequestQueue();
    const [first, second] = [newRequest(), newRequest()];
    assert.equal(queue.isIdle, true);
    queue.push(first);
    queue.push(second);
    queue.shift();
    assert.equal(queue.isIdle, false);
    second.settled = true;
    assert.equal(queue.isIdle, true);
    assert.equal(queue.head, second);
  });

  test('ignores the removal of a request that it does not hold', () => {
    const queue = new RequestQueue();
    const request = newRequest();
    queue.push(request);
    queue.remove(newRequest());
    assert.deepEqual(queue.clear(), [request]);
  });
});
