import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { slotsToReadAgain } from '../../lib/copy/scan-keys.ts';
import { expandSlots, formatSlots } from '../../lib/model/slot.ts';
import { agreedView, type Line } from '../helpers/views.ts';

const again = (before: readonly Line[], after: readonly Line[], cutShort: readonly number[] = []) =>
  formatSlots(slotsToReadAgain(agreedView(before), agreedView(after), new Set(cutShort)));

const before: Line[] = [
  { node: 1, slots: '0-9', epoch: 1 },
  { node: 2, slots: '10-19', epoch: 2 },
  { node: 3, slots: '20-16383', epoch: 3 },
];

describe('slotsToReadAgain()', () => {
  test('names none if nothing has changed but replicas', () => {
    assert.equal(again(before, before), '');
    assert.equal(again(before, [...before, { node: 4, flags: 'slave', master: 3, slots: '' }]), '');
  });

  test('names what was cut short', () => {
    assert.equal(again(before, before, [7, 5]), '5 7');
  });

  test('names slots that have another owner, and all of a master whose config epoch is another', () => {
    const moved: Line[] = [
      { node: 1, slots: '0-7', epoch: 1 },
      { node: 2, slots: '8-19', epoch: 4 },
      { node: 3, slots: '20-16383', epoch: 3 },
    ];
    // A slot that node 2 had may have gone to another and come back.
    assert.equal(again(before, moved), '8-19');
    // If node 2 had the highest epoch, it keeps that when it takes a slot. One that it loses and regains raises it.
    const highest = before.map((line) => (line.node === 2 ? { ...line, epoch: 9 } : line));
    const kept = moved.map((line) => (line.node === 2 ? { ...line, epoch: 9 } : line));
    assert.equal(again(highest, kept), '8-9');
  });

  test('names all slots of a master that another has replaced', () => {
    const [one, two] = before as [Line, Line, Line];
    const failedOver: Line[] = [one, two, { node: 4, slots: '20-16383', epoch: 5 }];
    assert.equal(again(before, failedOver), formatSlots(expandSlots([[20, 16_383]])));
  });
});
