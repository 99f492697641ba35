import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  applyPlan,
  ClusterError,
  type Plan,
  parsePlan,
  rollbackPlan,
  type Step,
  verifyPlan,
} from '../../lib/index.ts';
import { fc } from '../helpers/properties.ts';
import { faultOf } from '../helpers/schemas.ts';
import { idOf } from '../helpers/views.ts';

const refOf = (node: number) => ({ id: idOf(node), address: `127.0.0.1:${7000 + node}` });
const [a, b] = [refOf(1), refOf(2)];

/** Every type of step with every field it can have. */
const everyStep: Step[] = [
  { type: 'assign-slots', node: a, slots: [[0, 5]], configEpoch: 1, maxSlots: 16384 },
  { type: 'meet', nodes: [a], to: [b], serving: true },
  { type: 'replicate', replica: a, master: b },
  {
    type: 'move-slots',
    source: a,
    target: { ...b, busPort: 1234 },
    slots: [
      [0, 5],
      [7, 7],
    ],
    isResumed: true,
    overwrites: true,
    content: { keys: 1, bytes: 2, bigKeys: [{ key: 'a\x00\xff', slot: 3, bytes: 9, db: 1 }] },
  },
  { type: 'close-slots', node: a, slots: [[1, 1]], owner: b, stayOpen: true },
  { type: 'take-slots', node: a, slots: [[1, 1]], from: [b] },
  { type: 'failover', replica: a, master: b, mode: 'force' },
  { type: 'forget', node: a, by: [b], isDead: true },
  { type: 'reset', node: a },
  { type: 'meet-again', nodes: [a], members: [a, b], serving: true, isFast: true },
  { type: 'replicate', replica: b, master: a, isAgain: true },
  { type: 'restart', nodes: [{ ...b, runId: idOf(7) }] },
];

const full: Plan = {
  version: 1,
  operation: 'del_node',
  steps: everyStep,
  masters: [a, b],
  expect: {
    members: [a, b],
    gone: [idOf(3)],
    owners: [{ id: idOf(2), slots: [[0, 5]] }],
    replicas: [{ id: idOf(1), masterId: idOf(2) }],
    stateOk: false,
  },
  loads: { by: 'cpu', nodes: [{ id: idOf(1), before: 1.5, after: 0 }] },
  reasons: [{ id: idOf(1), text: 'has most' }],
  before: [
    { ...a, role: 'master', configEpoch: 1, slots: [[0, 16383]] },
    { ...b, role: 'replica', masterId: idOf(1), configEpoch: 1, slots: [] },
    { id: idOf(9), address: ':0', role: 'replica', configEpoch: 0, slots: [] },
  ],
};

/** The plan as parsed JSON, to be modified. */
// biome-ignore lint/suspicious/noExplicitAny: it is made to fit no type
const loose = (): any => JSON.parse(JSON.stringify(full));

/** Fails unless the plan is refused in a short line that names all of these. */
function assertRefused(text: string, ...names: string[]): void {
  assert.throws(
    () => parsePlan(text),
    (error: unknown) => {
      assert.ok(error instanceof ClusterError, String(error));
      assert.equal(error.code, 'PLAN_INVALID');
      for (const name of names) assert.ok(error.message.includes(name), error.message);
      assert.ok(error.message.length < 300, `short: ${error.message.length}`);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may come to a terminal
      assert.doesNotMatch(error.message, /[\0-\x1f]/);
      return true;
    },
  );
}

describe('parsePlan()', () => {
  test('reads every field of a plan that JSON.stringify() wrote', () => {
    assert.deepEqual(parsePlan(JSON.stringify(full)), full);
  });

  test('refuses another version, invalid JSON, and anything that is not an object', () => {
    assertRefused(JSON.stringify({ ...full, version: 2 }), 'version');
    for (const text of ['{"version":1,', 'null', '[]', '5', '"plan"', '{}', '{"version":1}'])
      assertRefused(text);
  });

  test('names the wrong field', () => {
    // biome-ignore lint/suspicious/noExplicitAny: it is made to fit no type
    const cases: [(plan: any) => void, ...names: string[]][] = [
      [(plan) => Object.assign(plan, { extra: 1 }), '"extra"'],
      [(plan) => Object.assign(plan.steps[3], { extra: 1 }), 'steps[3]', '"extra"'],
      [(plan) => Object.assign(plan.steps[3].source, { extra: 1 }), 'steps[3].source'],
      [(plan) => Object.assign(plan.steps[3], { type: 'run' }), 'steps[3].type'],
      [(plan) => Object.assign(plan.steps[3], { type: 'toString' }), 'steps[3].type'],
      [(plan) => Object.assign(plan.steps[3], { type: '__proto__' }), 'steps[3].type'],
      [(plan) => plan.steps.push(null), 'steps[12].type'],
      [(plan) => Object.assign(plan.steps[3].source, { id: 'abc' }), 'steps[3].source.id'],
      [(plan) => Object.assign(plan.steps[3].source, { id: idOf(10).toUpperCase() }), 'steps[3].source.id'],
      [(plan) => Object.assign(plan.steps[3].source, { id: idOf(77) }), 'steps[3].source.id'],
      [(plan) => Object.assign(plan.steps[3], { target: plan.steps[3].source }), 'steps[3]'],
      [(plan) => Object.assign(plan.steps[3].source, { address: 'host' }), 'steps[3].source.address'],
      [(plan) => Object.assign(plan.steps[3].source, { address: ':0' }), 'steps[3].source.address'],
      [(plan) => Object.assign(plan.steps[3].source, { address: 'a:99999' }), 'address'],
      [(plan) => Object.assign(plan.steps[3].source, { address: 'a\x1b[2J:1' }), 'address'],
      [(plan) => Object.assign(plan.steps[3].source, { address: 'me:pw@a:1' }), 'address'],
      [(plan) => plan.steps[3].slots.push([16383, 16384]), 'steps[3].slots[2][1]'],
      [(plan) => plan.steps[3].slots.push([-1, 5]), 'slots[2][0]'],
      [(plan) => plan.steps[3].slots.push([9, 8]), 'slots[2]'],
      [(plan) => plan.steps[3].slots.push([1, 2]), 'slots[2]'],
      [(plan) => plan.steps[3].slots.push([1.5, 2]), 'steps[3].slots[2]'],
      [(plan) => plan.steps[3].slots.push([8]), 'steps[3].slots[2]'],
      [(plan) => plan.steps[3].slots.push([8, 9, 10]), 'steps[3].slots[2]'],
      [(plan) => Object.assign(plan.steps[3], { slots: '0-5' }), 'steps[3].slots'],
      [(plan) => Object.assign(plan.steps[6], { mode: 'now' }), 'steps[6].mode'],
      [(plan) => Object.assign(plan.steps[7], { isDead: false }), 'steps[7].isDead'],
      [(plan) => Object.assign(plan, { operation: 'a\nb' }), 'operation'],
      [(plan) => Object.assign(plan.reasons[0], { text: 'a\x1b[2J' }), 'reasons[0].text'],
      [(plan) => Object.assign(plan.before[1], plan.before[0]), 'before[1].id'],
      [(plan) => Object.assign(plan.before[0], { masterId: idOf(2) }), 'before[0].masterId'],
      [(plan) => delete plan.before, 'before'],
      [(plan) => Object.assign(plan.expect.members[0], { id: idOf(66) }), 'expect.members[0].id'],
    ];
    for (const [modify, ...names] of cases) {
      const plan = loose();
      modify(plan);
      assertRefused(JSON.stringify(plan), ...names);
    }
  });

  test('is not fooled by names of prototypes', () => {
    const text = JSON.stringify(full);
    assertRefused(text.replace('{"version"', '{"__proto__":{"x":1},"version"'), '"__proto__"');
    assertRefused(text.replace('"type":"reset"', '"constructor":{},"type":"reset"'), '"constructor"');
    assert.equal(({} as { x?: unknown }).x, undefined);
  });

  test('refuses endless lists and texts', () => {
    const plan = loose();
    plan.before = new Array(20_001).fill(plan.before[0]);
    assertRefused(JSON.stringify(plan), 'before', '20001', '20000');
    assertRefused(`"${'x'.repeat(64 * 1024 * 1024)}"`, '67108864');
  });

  test('refuses what docs/schema/plan.json refuses', () => {
    assert.equal(faultOf(loose(), 'plan'), undefined);
    // biome-ignore lint/suspicious/noExplicitAny: it is made to fit no type
    const misfits: ((plan: any) => void)[] = [
      (plan) => Object.assign(plan, { extra: 1 }),
      (plan) => Object.assign(plan, { version: 2 }),
      (plan) => Object.assign(plan.steps[3], { type: 'run' }),
      (plan) => Object.assign(plan.steps[3].source, { id: 'abc' }),
      (plan) => plan.steps[3].slots.push([16383, 16384]),
      (plan) => plan.steps[3].slots.push([8]),
      (plan) => Object.assign(plan.steps[6], { mode: 'now' }),
      (plan) => delete plan.before,
    ];
    for (const modify of misfits) {
      const plan = loose();
      modify(plan);
      assert.notEqual(faultOf(plan, 'plan'), undefined, `${modify}`);
      assertRefused(JSON.stringify(plan));
    }
  });

  test('reads or refuses any input, and throws nothing else', () => {
    const paths = fc.array(fc.nat(), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(paths, fc.jsonValue(), (path, value) => {
        const plan = loose();
        let at = plan;
        for (const [index, choice] of path.entries()) {
          const keys = Object.keys(at);
          const key = keys[choice % Math.max(1, keys.length)];
          if (key === undefined) break;
          if (index === path.length - 1 || typeof at[key] !== 'object' || at[key] === null) {
            at[key] = value;
            break;
          }
          at = at[key];
        }
        try {
          const text = JSON.stringify(plan);
          parsePlan(text);
          assert.equal(faultOf(JSON.parse(text), 'plan'), undefined, text);
        } catch (error) {
          assert.ok(error instanceof ClusterError && error.code === 'PLAN_INVALID', String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('applyPlan(), verifyPlan(), rollbackPlan()', () => {
  test('reject anything that is not a plan, without throwing', async () => {
    const nothing = {} as Plan;
    for (const carryOut of [applyPlan, verifyPlan, rollbackPlan]) {
      const outcome = carryOut('127.0.0.1:1', nothing).catch((error) => error.code);
      assert.equal(await outcome, 'PLAN_INVALID');
    }
  });
});
