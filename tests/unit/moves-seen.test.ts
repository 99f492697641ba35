import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClusterView } from '../../lib/model/view.ts';
import type { Task } from '../../lib/move/by-servers/task.ts';
import { type KeysSeen, MovesSeen } from '../../lib/move/moves-seen.ts';
import { idOf, type Line, portOf, viewOf } from '../helpers/views.ts';

/** Two masters and a replica of the first; the first owns slots up to this one, the second the rest. */
function shared(lastOfFirst: number, open: readonly number[] = []): ClusterView {
  const marks = (arrow: '>' | '<', peer: number): string =>
    open.map((slot) => ` [${slot}-${arrow}-${idOf(peer)}]`).join('');
  const lines = (observer: number): Line[] => [
    { node: 1, slots: `0-${lastOfFirst}${observer === 1 ? marks('>', 2) : ''}` },
    { node: 2, slots: `${lastOfFirst + 1}-16383${observer === 2 ? marks('<', 1) : ''}` },
    { node: 3, flags: 'slave', master: 1 },
  ];
  return viewOf({ 1: { lines: lines(1) }, 2: { lines: lines(2) }, 3: { lines: lines(3) } });
}

/** The replica has taken the place of its master. */
const failedOver: ClusterView = (() => {
  const lines: Line[] = [
    { node: 1, flags: 'slave', master: 3 },
    { node: 2, slots: '100-16383' },
    { node: 3, slots: '0-99', epoch: 9 },
  ];
  return viewOf({ 1: { lines }, 2: { lines }, 3: { lines } });
})();

const name = (node: number): string => `127.0.0.1:${portOf(node)}`;
const task: Task = {
  ...{ id: 'a', end: 'source', slots: [[0, 9]], source: idOf(1), target: idOf(2), state: 'connecting' },
  ...{ outcome: 'running', error: '', retries: 0, mark: '' },
};

describe('MovesSeen', () => {
  test('sees open slots, counts those that have moved, and how fast', () => {
    const seen = new MovesSeen();
    assert.deepEqual(seen.update(shared(99), [], 0), []);
    const ends = { source: name(1), target: name(2), by: 'open', state: null };
    const uncounted = { ...ends, keysLeft: null, keysPerSecond: null };
    assert.deepEqual(seen.update(shared(99, [98, 99]), [], 1000), [
      { ...uncounted, slotsOpen: 2, slotsDone: 0, slotsPerSecond: null, msLeft: null },
    ]);
    assert.deepEqual(seen.update(shared(97, [95, 96, 97]), [], 3000), [
      { ...uncounted, slotsOpen: 3, slotsDone: 2, slotsPerSecond: 1, msLeft: 3000 },
    ]);
  });

  test('says which slots to count, how many keys they have, and how fast these leave', () => {
    const seen = new MovesSeen();
    seen.update(shared(99, [98, 99]), [], 0);
    assert.deepEqual([seen.countedOn(idOf(1)), seen.countedOn(idOf(2))], [[98, 99], []]);
    const keys = (...counts: readonly (readonly [slot: number, keys: number])[]): KeysSeen => ({
      inSlots: new Map([[idOf(1), new Map(counts)]]),
      hidden: new Map(),
    });
    const at = (view: ClusterView, atMs: number, counts = keys()): unknown => {
      const [move] = seen.update(view, [], atMs, counts);
      return [move?.keysLeft, move?.keysPerSecond, move?.msLeft];
    };
    assert.deepEqual(at(shared(99, [98, 99]), 1000, keys([98, 500], [99, 300])), [800, null, null]);
    assert.deepEqual(at(shared(99, [98, 99]), 2000, keys([98, 500], [99, 100])), [600, 100, 6000]);
    // A count that did not come in time stays what it was.
    assert.deepEqual(at(shared(99, [98, 99]), 4000), [600, 50, 12_000]);
    // A slot that has arrived took all its keys along, and one that is new is not counted yet.
    assert.deepEqual(at(shared(98, [97, 98]), 5000, keys([98, 450])), [null, 70, 10_000]);
    // One that was closed on its source lost nothing.
    assert.deepEqual(at(shared(98, [97]), 10_000, keys([97, 70])), [70, 35, 2000]);
  });

  test('does not have very many slots counted', () => {
    const seen = new MovesSeen();
    const many = Array.from({ length: 1001 }, (_, slot) => slot);
    const [move] = seen.update(shared(9999, many), [], 0);
    assert.deepEqual([move?.slotsOpen, move?.keysLeft, seen.countedOn(idOf(1))], [1001, null, []]);
  });

  test('keeps a move for a while in which no slot is open, and forgets it then', () => {
    const seen = new MovesSeen();
    seen.update(shared(99, [99]), [], 0);
    seen.update(shared(98), [], 1000);
    assert.equal(seen.update(shared(98), [], 5000)[0]?.slotsDone, 1);
    assert.deepEqual(seen.update(shared(98), [], 7000), []);
  });

  for (const [server, seenAs] of [
    ['Valkey counts', (arrived: number) => ({ counted: arrived, hidden: 0 })],
    ['Redis hides', (arrived: number) => ({ counted: 0, hidden: arrived })],
  ] as const) {
    test(`follows a task by the keys that have arrived, which ${server}`, () => {
      const seen = new MovesSeen();
      const short: Task = { ...task, slots: [[8, 9]] };
      const at = (view: ClusterView, tasks: readonly Task[], atMs: number, arrived: number): unknown => {
        const { counted, hidden } = seenAs(arrived);
        const [move] = seen.update(view, tasks, atMs, {
          inSlots: new Map([
            [idOf(1), new Map([8, 9].map((slot) => [slot, 500]))],
            [idOf(2), new Map([[8, counted]])],
          ]),
          hidden: new Map([[idOf(2), hidden]]),
        });
        return [move?.keysLeft, move?.keysPerSecond, move?.msLeft];
      };
      at(shared(9), [short], 0, 0);
      assert.deepEqual(
        [seen.countedOn(idOf(1)), seen.countedOn(idOf(2))],
        [
          [8, 9],
          [8, 9],
        ],
      );
      assert.deepEqual([seen.isTaskTarget(idOf(1)), seen.isTaskTarget(idOf(2))], [false, true]);
      assert.deepEqual(at(shared(9), [short], 1000, 100), [900, 100, 9000]);
      assert.deepEqual(at(shared(9), [short], 2000, 600), [400, 300, 1333]);
      // All have arrived with its slots.
      assert.deepEqual(at(shared(7), [], 4000, 0), [0, 250, null]);
    });
  }

  test('sees a task once that both ends report, and one that was over between two looks', () => {
    const seen = new MovesSeen();
    const [move] = seen.update(shared(99), [task, { ...task, end: 'target' }], 0);
    assert.deepEqual([move?.by, move?.state, move?.slotsOpen], ['task', 'connecting', 10]);
    const quick = new MovesSeen();
    quick.update(shared(99), [], 0);
    assert.equal(quick.update(shared(49), [], 1000)[0]?.slotsDone, 50);
  });

  test('does not take a failover for a move', () => {
    const seen = new MovesSeen();
    seen.update(shared(99), [], 0);
    assert.deepEqual(seen.update(failedOver, [], 1000), []);
  });
});
