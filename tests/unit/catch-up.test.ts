import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { outdated } from '../../lib/apply/catch-up.ts';
import { type Answer, idOf, type Line, reportOf } from '../helpers/views.ts';

const halves: Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
];
const withReplica: Line[] = [...halves, { node: 3, flags: 'slave', master: 1 }];

/** Which node has to send a packet to which, by number. */
function pairs(answers: Readonly<Record<number, Answer | Error>>): string[] {
  const entries = Object.entries(answers).map(
    ([node, answer]) =>
      [idOf(Number(node)), answer instanceof Error ? answer : reportOf(Number(node), answer)] as const,
  );
  const numbers = new Map([1, 2, 3].map((number) => [idOf(number), number]));
  return outdated(new Map(entries)).map(
    ({ speaker, listener }) => `${numbers.get(speaker)} to ${numbers.get(listener)}`,
  );
}

describe('outdated()', () => {
  test('is empty if every node knows what the others say of themselves', () => {
    assert.deepEqual(
      pairs({ 1: { lines: withReplica }, 2: { lines: withReplica }, 3: { lines: withReplica } }),
      [],
    );
  });

  test('names a node that knows another but not its slots, as after answering its handshake', () => {
    const unheard: Line[] = [{ node: 1 }, { node: 2, slots: '8192-16383' }];
    assert.deepEqual(pairs({ 1: { lines: halves }, 2: { lines: unheard } }), ['1 to 2']);
    const partly: Line[] = [
      { node: 1, slots: '0-8191' },
      { node: 2, slots: '8192-9000' },
    ];
    assert.deepEqual(pairs({ 1: { lines: partly }, 2: { lines: halves } }), ['2 to 1']);
  });

  test('names a node that sees a replica as a master, or under another master', () => {
    const asMaster: Line[] = [...halves, { node: 3 }];
    const ofOther: Line[] = [...halves, { node: 3, flags: 'slave', master: 2 }];
    assert.deepEqual(
      pairs({ 1: { lines: asMaster }, 2: { lines: ofOther }, 3: { lines: withReplica } }).sort(),
      ['3 to 1', '3 to 2'],
    );
  });

  test('ignores nodes that do not know the other at all, or do not answer', () => {
    assert.deepEqual(pairs({ 1: { lines: halves }, 2: { lines: [halves[1] as Line] } }), []);
    assert.deepEqual(
      pairs({ 1: { lines: [{ node: 1, slots: '0-8191' }, { node: 2 }] }, 2: new Error('gone') }),
      [],
    );
  });
});
