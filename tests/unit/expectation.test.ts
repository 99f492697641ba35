import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type Answers,
  type Expectation,
  failedReplicas,
  type RoleExpectation,
  unmet,
} from '../../lib/model/expectation.ts';
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

/** The nodes of which something is missing. */
function missingFrom(expectation: Expectation, answers: Readonly<Record<number, Answer | Error>>): string[] {
  return unmet(expectation, answersOf(answers)).map(({ node }) => node);
}

const healthy = { 1: { lines: halves }, 2: { lines: halves } };

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
    assert.deepEqual(missingFrom(expectation, healthy), []);
  });

  test('names a master that gives slots away which another owns by now, as it has heard', () => {
    const owners = [{ id: idOf(2), slots: [[8192, 8195]] as const }];
    const openAt = (mark: string, owner = 2) => {
      const lines = halves.map((line) =>
        line.node === owner ? line : { ...line, slots: `${line.slots} ${mark}` },
      );
      const answers = answersOf({ 1: { lines }, 2: { lines: halves } });
      return unmet({ members, owners }, answers).map(({ node, open }) => [node, open]);
    };
    assert.deepEqual(openAt(`[8192->-${idOf(2)}] [8195->-${idOf(2)}]`), [['127.0.0.1:7001', [8192, 8195]]]);
    assert.deepEqual(openAt(`[8196->-${idOf(2)}]`), [], 'it is not a slot of the plan');
    assert.deepEqual(openAt(`[8192-<-${idOf(2)}]`), [], 'another move may have begun since');
  });

  test('names members that do not answer', () => {
    const silent = { 1: { lines: halves }, 2: new Error('connect ECONNREFUSED') };
    assert.deepEqual(missingFrom({ members }, silent), ['127.0.0.1:7002']);
    assert.deepEqual(missingFrom({ members }, { 1: { lines: halves } }), ['127.0.0.1:7002']);
  });

  test('names a member that does not know another, with its id, so that they can be introduced', () => {
    const [missing, ...more] = unmet(
      { members },
      answersOf({ 1: { lines: [halves[0] as Line] }, 2: { lines: halves } }),
    );
    assert.deepEqual([missing?.node, missing?.unknown], ['127.0.0.1:7001', idOf(2)]);
    assert.deepEqual(more, []);
  });

  test('names members that do not know yet which role a node has, and is content with any that all know', () => {
    const asReplica = [halves[0] as Line, { node: 2, flags: 'slave', master: 1 }];
    const asMaster = [halves[0] as Line, { node: 2 }];
    const settled = [idOf(1), idOf(2)];
    const of = (at1: Line[], at2: Line[]) =>
      unmet({ members, settled }, answersOf({ 1: { lines: at1 }, 2: { lines: at2 } }));
    const behind = of(asMaster, asReplica);
    assert.deepEqual(
      behind.map(({ node, isRole }) => [node, isRole]),
      [['127.0.0.1:7001', true]],
    );
    assert.deepEqual([of(asReplica, asReplica), of(asMaster, asMaster)], [[], []]);
  });

  test('tells what a replica only does not hear from what it does not know', () => {
    const lines: Line[] = [
      { node: 1, flags: 'master,fail', link: 'disconnected', slots: '0-16383' },
      { node: 2, flags: 'slave', master: 1 },
    ];
    const owners = [{ id: idOf(1), slots: [[0, 16383]] as const }];
    const all: Record<number, Answer> = {
      1: { lines: [{ node: 1, slots: '0-16383' }, lines[1] as Line] },
      2: { lines, state: 'fail' },
    };
    const doubts = (expectation: RoleExpectation, answers: typeof all) =>
      unmet(expectation, answersOf(answers))
        .filter(({ node }) => node === members[1]?.address)
        .map(({ isDoubt }) => isDoubt === true);
    assert.deepEqual(doubts({ members, owners }, all), [true, true]);
    const other = [{ id: idOf(2), slots: [[0, 0]] as const }];
    assert.deepEqual(doubts({ members, owners: other }, all), [true, false, true]);
    // A master has a vote.
    const asMaster: typeof all = { ...all, 2: { lines: [lines[0] as Line, { node: 2 }], state: 'fail' } };
    assert.deepEqual(doubts({ members, owners }, asMaster), [false, false]);
  });

  for (const [flags, link] of [
    ['master,fail', 'connected'],
    ['master,fail?', 'connected'],
    ['master', 'disconnected'],
  ] as const) {
    test(`names a member that sees another as ${flags} and ${link}`, () => {
      const seen = [halves[0] as Line, { ...(halves[1] as Line), flags, link }];
      const answers = { 1: { lines: seen }, 2: { lines: halves } };
      assert.deepEqual(missingFrom({ members }, answers), ['127.0.0.1:7001']);
    });
  }

  test('names a member that still knows a node which should be gone', () => {
    const lines = [...halves, { node: 9, flags: 'master,noaddr' }];
    const answers = { 1: { lines }, 2: { lines: halves } };
    assert.deepEqual(missingFrom({ members, gone: [idOf(9)] }, answers), ['127.0.0.1:7001']);
  });

  test('names a member that sees another owner of given slots', () => {
    const expectation = { members, owners: [{ id: idOf(2), slots: [[100, 101]] as const }] };
    const moved: Line[] = [
      { node: 1, slots: '0-99 102-8191' },
      { node: 2, slots: '100-101 8192-16383' },
    ];
    assert.deepEqual(missingFrom(expectation, { 1: { lines: moved }, 2: { lines: moved } }), []);
    const late = { 1: { lines: moved }, 2: { lines: halves } };
    assert.deepEqual(missingFrom(expectation, late), ['127.0.0.1:7002']);
  });

  test('names a member that sees a replica as a master, or under another master', () => {
    const expectation = { members, replicas: [{ id: idOf(3), masterId: idOf(1) }] };
    const lines = (line: Line) => ({ 1: { lines: [...halves, line] }, 2: healthy[2] });
    const right = { node: 3, flags: 'slave', master: 1 };
    assert.deepEqual(missingFrom(expectation, lines(right)), []);
    assert.deepEqual(missingFrom(expectation, lines({ node: 3 })), ['127.0.0.1:7001']);
    assert.deepEqual(missingFrom(expectation, lines({ ...right, master: 2 })), ['127.0.0.1:7001']);
  });

  test('expects cluster_state:ok unless stateOk is false', () => {
    const answers = { 1: { lines: halves, state: 'fail' as const }, 2: { lines: halves } };
    assert.deepEqual(missingFrom({ members }, answers), ['127.0.0.1:7001']);
    assert.deepEqual(missingFrom({ members, stateOk: false }, answers), []);
  });

  test('names a member at whose address another node answers', () => {
    const [one] = members;
    assert.ok(one);
    const impostor = reportOf(5, { lines: [{ node: 5, slots: '0-16383' }] });
    assert.deepEqual(
      unmet({ members: [one] }, new Map([[one.id, impostor]])).map(({ node }) => node),
      [one.address],
    );
  });
});

describe('failedReplicas()', () => {
  const silent = new Error('did not answer');
  const seenAs = (flags: string, at2 = flags): Readonly<Record<number, Answer | Error>> => {
    const lines = (seen: string): Answer => ({
      lines: [...halves, { node: 3, flags: seen, ...(seen.startsWith('slave') ? { master: 1 } : {}) }],
    });
    return { 1: lines(flags), 2: lines(at2), 3: silent };
  };
  const all = [...members, { id: idOf(3), address: `127.0.0.1:${portOf(3)}` }];
  const rows: [what: string, answers: Readonly<Record<number, Answer | Error>>, isFailed: boolean][] = [
    ['a silent replica that all consider failed', seenAs('slave,fail'), true],
    ['one that is only suspected', seenAs('slave,fail?'), false],
    ['one that one member still hears', seenAs('slave,fail', 'slave'), false],
    ['a master', seenAs('master,fail'), false],
    ['one that answers', { ...seenAs('slave,fail'), 3: { lines: halves.concat({ node: 3 }) } }, false],
    ['one of which no other can be asked', { 1: silent, 2: silent, 3: silent }, false],
  ];
  for (const [what, answers, isFailed] of rows)
    test(`${isFailed ? 'names' : 'does not name'} ${what}`, () => {
      const found = failedReplicas({ members: all }, answersOf(answers));
      assert.deepEqual(
        found.map(({ id }) => id),
        isFailed ? [idOf(3)] : [],
      );
    });

  test('does not name one of which something is expected', () => {
    const expectation = { members: all, replicas: [{ id: idOf(3), masterId: idOf(1) }] };
    assert.deepEqual(failedReplicas(expectation, answersOf(seenAs('slave,fail'))), []);
  });

  test('names none where all must answer', () => {
    assert.deepEqual(failedReplicas({ members: all, allAnswer: true }, answersOf(seenAs('slave,fail'))), []);
  });
});
