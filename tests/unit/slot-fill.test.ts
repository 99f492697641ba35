import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type SlotHolder, slotFill } from '../../lib/operations/slot-fill.ts';
import { bulk, type MadeUpServer, startMadeUp } from '../helpers/made-up-server.ts';

const INFO = bulk('used_memory:2048\r\nmaxmemory:4096\r\ndb0:keys=3,expires=0\r\n');

/** A master with this id that has as many keys in each slot as its number says. */
function startMaster(id: string, refused?: RegExp): Promise<MadeUpServer> {
  return startMadeUp((words) => {
    const text = words.join(' ');
    if (refused?.test(text)) return `-NOPERM this user may not run ${words[0]}\r\n`;
    if (text === 'CLUSTER MYID') return bulk(id);
    if (words[0] === 'INFO') return INFO;
    return words[1] === 'COUNTKEYSINSLOT' ? `:${words[2]}\r\n` : '+OK\r\n';
  });
}

/** A server that answers no question about its cluster. */
const startLate = (): Promise<MadeUpServer> =>
  startMadeUp((words) => (words[0] === 'CLUSTER' ? () => {} : '+OK\r\n'));

const holder = (id: string, address: string, first: number, last: number): SlotHolder => ({
  ...{ id, address, slots: [[first, last]] },
});

describe('slotFill()', () => {
  test('has the keys of each slot from its owner, and the memory of each master', async () => {
    await using one = await startMaster('a');
    await using other = await startMaster('b');
    const holders = [
      holder('a', one.address, 0, 4),
      holder('b', other.address, 5, 9),
      { id: 'c', address: '127.0.0.1:1', slots: [] },
    ];
    const { keys, memory, failures } = await slotFill(holders, {});
    assert.deepEqual([...(keys?.subarray(0, 11) ?? [])], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, Number.NaN]);
    const known = [...memory].map(([id, { used, max }]) => [id, used, max]);
    assert.deepEqual(known.sort(), [
      ['a', 2048, 4096],
      ['b', 2048, 4096],
    ]);
    assert.equal(failures.size, 0);
    assert.equal(one.commands.filter(([, word]) => word === 'COUNTKEYSINSLOT').length, 5);
  });

  test('leaves out masters that refuse, are late, are gone or are another node', async () => {
    await using good = await startMaster('good');
    await using refusing = await startMaster('refusing', /COUNTKEYSINSLOT/);
    await using other = await startMaster('other');
    await using late = await startLate();
    const gone = await startMadeUp(() => '');
    await gone[Symbol.asyncDispose]();
    const holders = [
      holder('good', good.address, 0, 9),
      holder('refusing', refusing.address, 10, 19),
      holder('swapped', other.address, 20, 29),
      holder('late', late.address, 30, 39),
      holder('gone', gone.address, 40, 49),
    ];
    const { keys, memory, failures } = await slotFill(holders, { commandTimeout: 300 });
    assert.deepEqual([...memory.keys()], ['good']);
    assert.deepEqual(
      [...failures.keys()].sort(),
      [refusing, other, late, gone].map(({ address }) => address).sort(),
    );
    assert.match(failures.get(refusing.address) ?? '', /NOPERM/);
    assert.equal(
      keys?.findIndex((count) => Number.isNaN(count)),
      10,
    );
  });

  test('says that it knows nothing if no master answers, or none owns slots', async () => {
    await using refusing = await startMaster('a', /INFO/);
    const { keys, failures } = await slotFill([holder('a', refusing.address, 0, 9)], {});
    assert.deepEqual([keys, failures.size], [undefined, 1]);
    assert.equal((await slotFill([], {})).keys, undefined);
  });

  test('ends when it is aborted', async () => {
    await using late = await startLate();
    const stop = new AbortController();
    const ended = slotFill([holder('a', late.address, 0, 9)], { signal: stop.signal });
    stop.abort(new Error('enough'));
    await assert.rejects(ended, /enough/);
  });
});
