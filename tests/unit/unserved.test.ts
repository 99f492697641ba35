import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lostNodes } from '../../lib/model/condition.ts';
import { expandSlots } from '../../lib/model/slot.ts';
import { type AddressAnswer, type ClusterView, mergeReports, nodeById } from '../../lib/model/view.ts';
import { planFix } from '../../lib/plan/fix.ts';
import { nodeRef, type Step } from '../../lib/plan/plan.ts';
import { planRescue } from '../../lib/plan/rescue.ts';
import { keptAlone, unservedSlots } from '../../lib/plan/unserved.ts';
import { ConnectionError, ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';
import { type Answer, idOf, type Line, portOf, viewOf } from '../helpers/views.ts';

const [MASTER, REPLICA] = [3, 4];
const SLOTS = '10923-16383';

const masters: readonly Line[] = [
  { node: 1, slots: '0-5460' },
  { node: 2, slots: '5461-10922' },
];
const failed: Line = { node: MASTER, flags: 'master,fail', link: 'disconnected', slots: SLOTS };
const suspected: Line = { ...failed, flags: 'master,fail?' };
const replica: Line = { node: REPLICA, flags: 'slave', master: MASTER, epoch: MASTER };

const refused = new ConnectionError('connect ECONNREFUSED', { code: 'ECONNREFUSED', address: '' });
const down: AddressAnswer = { error: refused };
const says = (text: string): AddressAnswer => ({ error: new ReplyError(text) });
const alone: AddressAnswer = { id: idOf(9), isAlone: true };

interface World {
  /** What master 1 and master 2 list besides themselves. */
  readonly one: readonly Line[];
  readonly two?: readonly Line[];
  /** What the replica lists, where it answers. */
  readonly third?: readonly Line[];
  readonly at?: AddressAnswer;
  readonly atReplica?: AddressAnswer;
}

function seen({ one, two = one, third, at = down, atReplica = down }: World): ClusterView {
  const answers: Record<number, Answer> = {
    1: { lines: [...masters, ...one] },
    2: { lines: [...masters, ...two] },
    ...(third ? { [REPLICA]: { lines: [...masters, ...third] } } : {}),
  };
  const asked = new Map([
    [`127.0.0.1:${portOf(MASTER)}`, at],
    [`127.0.0.1:${portOf(REPLICA)}`, atReplica],
  ]);
  return { ...viewOf(answers), asked };
}

/** Who loses slots in steps of a plan: of the slots in question, how many are given away. */
function given(steps: readonly Step[]): number {
  const slots = steps.flatMap((step) => (step.type === 'take-slots' ? expandSlots(step.slots) : []));
  return slots.filter((slot) => slot >= 10923).length;
}

function decisions(view: ClusterView, force: boolean): { rescue: number; fix: number; keepers: string[] } {
  const lost = new Set(lostNodes(view, force));
  const taker = {
    ...nodeRef(view.nodes[0] as ClusterView['nodes'][number]),
    id: idOf(8),
    address: '127.0.0.1:7008',
  };
  const keepers = new Set(unservedSlots(view, lost).flatMap(({ keeper }) => keeper ?? []));
  return {
    rescue: given(planRescue(view, taker, lost).steps),
    fix: given(planFix(view, { holders: new Map(), sharing: new Map(), givenUp: lost }).steps),
    keepers: [...keepers],
  };
}

const ALL = 16383 - 10923 + 1;
type Kept = 'given' | 'forced' | 'kept' | 'by replica' | 'served';

const rows: readonly (readonly [name: string, World, Kept])[] = [
  ['a master that is dead', { one: [failed] }, 'given'],
  ['a master that came back empty', { one: [failed], at: alone }, 'given'],
  ['a master that is silent', { one: [suspected] }, 'forced'],
  [
    'a master that is silent, while one master has a link to it',
    { one: [suspected], two: [{ node: 3, slots: SLOTS }] },
    'kept',
  ],
  ['a master that most masters have a link to', { one: [{ node: MASTER, slots: SLOTS }] }, 'served'],
  ['a master that is loading', { one: [failed], at: says('LOADING') }, 'kept'],
  ['a master that refuses us', { one: [failed], at: says('NOAUTH') }, 'kept'],
  ['a master with a member at its address', { one: [failed], at: { id: idOf(9), isAlone: false } }, 'kept'],
  [
    'a dead master with a replica that answers',
    { one: [failed, replica], third: [failed, replica] },
    'by replica',
  ],
  [
    'a dead master with a replica that loads',
    { one: [failed, replica], atReplica: says('LOADING') },
    'by replica',
  ],
  [
    'a dead master with a dead replica',
    { one: [failed, { ...replica, flags: 'slave,fail', link: 'disconnected' }] },
    'given',
  ],
  ['a master that only its replica still knows', { one: [replica], third: [failed, replica] }, 'by replica'],
  [
    'a master that all know, and only its replica as the owner',
    { one: [{ ...failed, slots: '' }, replica], third: [failed, replica] },
    'by replica',
  ],
  ['slots that no member gives to anybody', { one: [] }, 'given'],
];

describe('The slots of', () => {
  for (const [name, world, kept] of rows) {
    test(`${name}: ${kept}`, () => {
      const view = seen(world);
      const [plain, forced] = [decisions(view, false), decisions(view, true)];
      const giving = { rescue: ALL, fix: ALL, keepers: [] };
      const keeping = (keepers: string[]) => ({ rescue: 0, fix: 0, keepers });
      const keeper = kept === 'by replica' ? idOf(REPLICA) : idOf(MASTER);
      const held = keeping(kept === 'served' ? [] : [keeper]);
      assert.deepEqual(plain, kept === 'given' ? giving : held);
      assert.deepEqual(forced, kept === 'given' || kept === 'forced' ? giving : held);
    });
  }
});

describe('keptAlone()', () => {
  const LAST = { owner: idOf(MASTER), slots: expandSlots([[10923, 16383]]) };
  const other: Line = { ...replica, node: 5 };
  const alone = (world: World, sibling?: readonly Line[], leaving: readonly number[] = []) => {
    const view = seen(world);
    const more = sibling && viewOf({ 5: { lines: [...masters, ...sibling] } });
    const reports = new Map([...view.reports, ...(more?.reports ?? [])]);
    const whole = mergeReports(view.seed, view.seedId, reports, view.unreachable, view.asked);
    return keptAlone(whole, idOf(REPLICA), new Set(leaving.map(idOf)));
  };

  test('names what is lost with the only replica of a dead master, also if only that replica knows it', () => {
    assert.deepEqual(alone({ one: [failed, replica], third: [failed, replica] }), LAST);
    assert.deepEqual(alone({ one: [], third: [failed, replica] }), LAST);
    assert.deepEqual(alone({ one: [suspected, replica], third: [suspected, replica] }), LAST);
  });

  test('names slots that were moving to its master when that failed', () => {
    const target: Line = { ...failed, slots: '' };
    const own: Line = { node: 2, slots: `5461-16383 [5461->-${idOf(MASTER)}]` };
    const answers = (sibling: readonly Line[]): Record<number, Answer> => ({
      1: {
        lines: [{ node: 1, slots: '0-5460' }, { node: 2, slots: '5461-16383' }, target, replica, ...sibling],
      },
      2: { lines: [{ node: 1, slots: '0-5460' }, own, target, replica, ...sibling] },
      [REPLICA]: { lines: [{ node: 1, slots: '0-5460' }, { node: 2, slots: '5461-16383' }, target, replica] },
    });
    const found = keptAlone(viewOf(answers([])), idOf(REPLICA));
    assert.deepEqual(found, { owner: idOf(MASTER), slots: [5461] });
    const two = { ...answers([other]), 5: { lines: [...masters, target, replica, other] } };
    assert.equal(keptAlone(viewOf(two), idOf(REPLICA)), undefined);
  });

  test('names nothing while its master serves or runs, another replica answers that stays, or another node has the slots', () => {
    const linked: Line = { node: MASTER, slots: SLOTS };
    assert.equal(alone({ one: [linked, replica], third: [linked, replica] }), undefined);
    assert.equal(alone({ one: [failed, replica], third: [failed, replica], at: says('LOADING') }), undefined);
    const both = { one: [failed, replica, other], third: [failed, replica, other] };
    assert.equal(alone(both, [failed, replica, other]), undefined);
    assert.deepEqual(alone(both, [failed, replica, other], [REPLICA, 5]), LAST);
    const taken: Line = { node: 5, epoch: 9, slots: SLOTS };
    const former: Line = { ...failed, slots: '' };
    assert.equal(
      alone({ one: [former, replica, taken], third: [former, replica, taken] }, [former, replica, taken]),
      undefined,
    );
  });
});

describe('Giving slots away', () => {
  const flags = fc.constantFrom('master', 'master,fail?', 'master,fail', 'master,noaddr');
  const link = fc.constantFrom('connected', 'disconnected');
  const slots = fc.constantFrom(SLOTS, '');
  const master = fc.option(fc.record({ node: fc.constant(MASTER), flags, link, slots }), { nil: undefined });
  const follower = fc.option(
    fc.record({
      node: fc.constant(REPLICA),
      flags: fc.constantFrom('slave', 'slave,fail'),
      link,
      master: fc.constant(MASTER),
      epoch: fc.constant(MASTER),
    }),
    { nil: undefined },
  );
  const lines = fc
    .tuple(master, follower)
    .map((both): Line[] => both.flatMap((line): Line[] => (line === undefined ? [] : [line])));
  const answer = fc.constantFrom<AddressAnswer>(
    down,
    says('LOADING'),
    says('NOAUTH'),
    says('NOPERM'),
    alone,
    {
      id: idOf(9),
      isAlone: false,
    },
  );
  const third = fc.option(
    slots.map((own): Line[] => [{ ...failed, slots: own }, replica]),
    { nil: undefined },
  );

  test('never takes the slots of a node that anything speaks for, force or not', () => {
    fc.assert(
      fc.property(
        lines,
        lines,
        third,
        answer,
        answer,
        fc.boolean(),
        (one, two, own, at, atReplica, force) => {
          const view = seen({ one, two, ...(own ? { third: own } : {}), at, atReplica });
          const { rescue, fix } = decisions(view, force);
          if (rescue === 0 && fix === 0) return;
          // Nobody lists a node that answers there: nothing says that these were its slots.
          const owns = [one, two, own ?? []].some((list) =>
            list.some(({ node, slots: some }) => node === MASTER && some),
          );
          if (!owns) return;
          assert.ok(!(at.error instanceof ReplyError), 'the owner answers');
          const records = [one, two].map((list) => list.find(({ node }) => node === MASTER));
          const linked = records.filter((line) => line?.flags === 'master' && line.link === 'connected');
          assert.ok(linked.length < 2, 'most masters have a link to the owner');
          assert.equal(
            force && linked.length > 0 && !records.some((line) => line?.flags === 'master,fail'),
            false,
          );
          assert.equal(own, undefined, 'a replica of the owner answers');
          const listed = [...one, ...two].some(({ node }) => node === REPLICA);
          assert.ok(
            !listed || !(atReplica.error instanceof ReplyError),
            'a replica of the owner answers something',
          );
          assert.equal(nodeById(view, idOf(MASTER))?.role ?? 'master', 'master');
        },
      ),
    );
  });
});
