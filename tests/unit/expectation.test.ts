import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Answers, type Expectation, unmet } from '../../lib/model/expectation.ts';
import { type Answer, idOf, type Line, portOf, reportOf } from '../helpers/views.ts';

const halves: Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
];
const members = [1, 2].map((node) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` }));

function answersOf(answers: Readonly<Record<number, Answer | Error>>): Answers {
  return new Map(
    Object.entries(answers).map(([node, answer]) => [
      idOf(Number(node)),
      answer instanceof Error ? answer : reportOf(Number(node), answer),
    ]),
  );
}

function textsOf(expectation: Expectation, answers: Readonly<Record<number, Answer | Error>>): string[] {
  return unmet(expectation, answersOf(answers)).map(({ text }) => text);
}

const well = { 1: { lines: halves }, 2: { lines: halves } };

describe('unmet()', () => {
  test('is empty when every member says what is expected', () => {
    const expectation: Expectation = {
      members,
      gone: [idOf(9)],
      owners: [
        { id: idOf(1), slots: [[0, 8191]] },
        { id: idOf(2), slots: [[8192, 16383]] },
      ],
    };
    assert.deepEqual(textsOf(expectation, well), []);
  });

  test('names members that give no answer, with the reason', () => {
    assert.deepEqual(textsOf({ members }, { 1: { lines: halves }, 2: new Error('connect ECONNREFUSED') }), [
      '127.0.0.1:7002 gives no answer: connect ECONNREFUSED',
    ]);
    assert.deepEqual(textsOf({ members }, { 1: { lines: halves } }), [
      '127.0.0.1:7002 gives no answer: not asked',
    ]);
  });

  test('names who does not know whom, by id, so that they can be introduced again', () => {
    const [missing, ...more] = unmet(
      { members },
      answersOf({ 1: { lines: [halves[0] as Line] }, 2: { lines: halves } }),
    );
    assert.deepEqual(missing, {
      node: '127.0.0.1:7001',
      text: '127.0.0.1:7001 does not know 127.0.0.1:7002',
      unknown: idOf(2),
    });
    assert.deepEqual(more, []);
  });

  for (const [flags, link, text] of [
    ['master,fail', 'connected', '127.0.0.1:7001 holds 127.0.0.1:7002 for failed'],
    ['master,fail?', 'connected', '127.0.0.1:7001 holds 127.0.0.1:7002 for failed'],
    ['master', 'disconnected', '127.0.0.1:7001 has no link to 127.0.0.1:7002 on the cluster bus'],
  ] as const) {
    test(`does not take a member that is ${flags} and ${link} for well`, () => {
      const seen = [halves[0] as Line, { ...(halves[1] as Line), flags, link }];
      assert.deepEqual(textsOf({ members }, { 1: { lines: seen }, 2: { lines: halves } }), [text]);
    });
  }

  test('tells of a node that is not gone', () => {
    const lines = [...halves, { node: 9, flags: 'master,noaddr' }];
    assert.deepEqual(textsOf({ members, gone: [idOf(9)] }, { 1: { lines }, 2: { lines: halves } }), [
      `127.0.0.1:7001 still knows node ${idOf(9)}`,
    ]);
  });

  test('tells of slots whose owner a member sees otherwise, those in no list being anybody’s', () => {
    const expectation = { members, owners: [{ id: idOf(2), slots: [[100, 101]] as const }] };
    const moved: Line[] = [
      { node: 1, slots: '0-99 102-8191' },
      { node: 2, slots: '100-101 8192-16383' },
    ];
    assert.deepEqual(textsOf(expectation, { 1: { lines: moved }, 2: { lines: moved } }), []);
    assert.deepEqual(textsOf(expectation, { 1: { lines: moved }, 2: { lines: halves } }), [
      '127.0.0.1:7002 does not agree yet who owns slots 100-101',
    ]);
  });

  test('tells of a replica that is none, or of another master', () => {
    const expectation = { members, replicas: [{ id: idOf(3), masterId: idOf(1) }] };
    const lines = (line: Line) => ({ 1: { lines: [...halves, line] }, 2: well[2] });
    const right = { node: 3, flags: 'slave', master: 1 };
    assert.deepEqual(textsOf(expectation, lines(right)), []);
    assert.deepEqual(textsOf(expectation, lines({ node: 3 })), [
      '127.0.0.1:7001 holds 127.0.0.1:7003 for a master',
    ]);
    assert.deepEqual(textsOf(expectation, lines({ ...right, master: 2 })), [
      `127.0.0.1:7001 holds 127.0.0.1:7003 for a replica of ${idOf(2)}`,
    ]);
  });

  test('wants cluster_state:ok unless told otherwise', () => {
    const answers = { 1: { lines: halves, state: 'fail' as const }, 2: { lines: halves } };
    assert.deepEqual(textsOf({ members }, answers), ['127.0.0.1:7001 says cluster_state:fail']);
    assert.deepEqual(textsOf({ members, stateOk: false }, answers), []);
  });

  test('tells of another node that answers in a member’s place', () => {
    const [one] = members;
    assert.ok(one);
    const impostor = reportOf(5, { lines: [{ node: 5, slots: '0-16383' }] });
    assert.deepEqual(
      unmet({ members: [one] }, new Map([[one.id, impostor]])).map(({ text }) => text),
      [`127.0.0.1:7001 answers as node ${idOf(5)}, not ${idOf(1)}`],
    );
  });
});
