import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClusterNode } from '../../lib/model/cluster-node.ts';
import type { NodeRecord } from '../../lib/model/node.ts';
import { expandSlots, SLOT_COUNT } from '../../lib/model/slot.ts';
import { nodeById, openSlotsOf, slotOwners, standIn } from '../../lib/model/view.ts';
import { windows } from '../../lib/move/windows.ts';
import { countKeyspace } from '../../lib/nodes/newcomer.ts';
import { planFix } from '../../lib/plan/fix.ts';
import { planGiveAway } from '../../lib/plan/give-away.ts';
import { pickSlots } from '../../lib/plan/moves.ts';
import { nodeRef, type Step } from '../../lib/plan/plan.ts';
import { planRescue } from '../../lib/plan/rescue.ts';
import { planStart, splitSlots } from '../../lib/plan/start.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, portOf, viewOf } from '../helpers/views.ts';

const refOf = (node: number) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` });

function recordOf(line: Line): NodeRecord {
  const record = nodeById(agreedView([line]), idOf(line.node));
  assert.ok(record);
  return record;
}

describe('splitSlots()', () => {
  test('gives the remainder to the first master', () => {
    assert.deepEqual(splitSlots(1), [[0, 16383]]);
    assert.deepEqual(splitSlots(2), [
      [0, 8191],
      [8192, 16383],
    ]);
    assert.deepEqual(splitSlots(3), [
      [0, 5461],
      [5462, 10922],
      [10923, 16383],
    ]);
  });

  test('leaves no slot out and gives none twice, for any number of masters', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: SLOT_COUNT }), (masters) => {
        const shares = splitSlots(masters);
        assert.equal(shares.length, masters);
        let next = 0;
        for (const [first, last] of shares) {
          assert.equal(first, next);
          assert.ok(last >= first);
          next = last + 1;
        }
        assert.equal(next, SLOT_COUNT);
      }),
    );
  });

  for (const masters of [0, -1, 1.5, Number.NaN, 16385]) {
    test(`refuses ${masters} masters`, () =>
      assert.throws(() => splitSlots(masters), { code: 'INVALID_ARGUMENT' }));
  }
});

describe('planStart()', () => {
  test('assigns slots with config epochs of their own, then introduces the nodes', () => {
    assert.deepEqual(planStart([refOf(1), refOf(2)], 1000), {
      operation: 'start',
      masters: [refOf(1), refOf(2)],
      steps: [
        { type: 'assign-slots', node: refOf(1), slots: [[0, 8191]], configEpoch: 1, maxSlots: 1000 },
        { type: 'assign-slots', node: refOf(2), slots: [[8192, 16383]], configEpoch: 2, maxSlots: 1000 },
        { type: 'meet', nodes: [refOf(1), refOf(2)], to: [], serving: true },
      ],
    });
  });
});

describe('pickSlots()', () => {
  const [first, second, third] = [{ node: 1, slots: '100-109 0-9' }, { node: 2 }, { node: 3 }].map(
    (line) => new ClusterNode(recordOf(line)),
  );
  assert.ok(first && second && third);
  const refs = new Map([1, 2, 3].map((node) => [idOf(node), refOf(node)]));

  test('takes the slots of a source in the order of its list, each once', () => {
    const moves = pickSlots(
      [
        [first, second, 3],
        [first, third, 8],
      ],
      refs,
    );
    assert.deepEqual(moves, [
      { type: 'move-slots', source: refOf(1), target: refOf(2), slots: [[100, 102]] },
      {
        type: 'move-slots',
        source: refOf(1),
        target: refOf(3),
        slots: [
          [0, 0],
          [103, 109],
        ],
      },
    ]);
  });

  test('drops moves of no slots, and of a node to itself', () => {
    assert.deepEqual(
      pickSlots(
        [
          [first, second, 0],
          [first, first, 5],
        ],
        refs,
      ),
      [],
    );
  });

  for (const count of [21, -1, 1.5, Number.NaN]) {
    test(`refuses to move ${count} slots of 20`, () => {
      assert.throws(() => pickSlots([[first, second, count]], refs), { code: 'INVALID_ARGUMENT' });
    });
  }

  test('refuses more than there are in all moves together', () => {
    const moves = [
      [first, second, 12],
      [first, third, 9],
    ] as const;
    assert.throws(() => pickSlots(moves, refs), { code: 'INVALID_ARGUMENT' });
  });

  test('refuses a node that is not a master of the cluster', () => {
    const stranger = new ClusterNode(recordOf({ node: 9, slots: '1-2' }));
    assert.throws(() => pickSlots([[first, stranger, 1]], refs), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => pickSlots([[stranger, first, 1]], refs), { code: 'INVALID_ARGUMENT' });
  });
});

describe('planGiveAway()', () => {
  test('gives equal shares in order, and the remainder to the last', () => {
    const others = [2, 3, 4].map((node) => recordOf({ node }));
    assert.deepEqual(
      planGiveAway(recordOf({ node: 1, slots: '0-9' }), others).map(({ target, slots }) => [
        target.id,
        slots,
      ]),
      [
        [idOf(2), [[0, 2]]],
        [idOf(3), [[3, 5]]],
        [idOf(4), [[6, 9]]],
      ],
    );
  });

  test('moves nothing from a master without slots, or to one that would get none', () => {
    const others = [2, 3, 4].map((node) => recordOf({ node }));
    assert.deepEqual(planGiveAway(recordOf({ node: 1 }), others), []);
    assert.deepEqual(
      planGiveAway(recordOf({ node: 1, slots: '7' }), others).map(({ target }) => target.id),
      [idOf(4)],
    );
  });

  test('moves every slot once, for any slots and any number of others', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 0, max: 16383 }), { maxLength: 300 }),
        fc.integer({ min: 1, max: 20 }),
        (slots, count) => {
          const others = Array.from({ length: count }, (_, index) => recordOf({ node: index + 2 }));
          const moves = planGiveAway(recordOf({ node: 1, slots: slots.join(' ') }), others);
          const moved = moves.flatMap((move) => expandSlots(move.slots));
          assert.deepEqual(
            moved.toSorted((a, b) => a - b),
            slots.toSorted((a, b) => a - b),
          );
          assert.equal(new Set(moves.map(({ target }) => target.id)).size, moves.length);
        },
      ),
    );
  });
});

describe('planRescue()', () => {
  const taker = refOf(9);

  test('gives the slots of each lost master, and unowned slots, to the new one', () => {
    const view = agreedView(
      [
        { node: 1, slots: '0-99' },
        { node: 2, flags: 'master,fail', slots: '100-8191' },
        { node: 3, flags: 'master,fail', slots: '8192-16380' },
        { node: 4, flags: 'slave', master: 1 },
      ],
      [2, 3],
    );
    const plan = planRescue(view, taker, new Set([idOf(2), idOf(3)]));
    assert.deepEqual(plan.masters, [refOf(1)]);
    assert.deepEqual(plan.steps, [
      { type: 'meet', nodes: [taker], to: [refOf(1), refOf(4)], serving: false },
      { type: 'take-slots', node: taker, slots: [[16381, 16383]], from: [] },
      { type: 'take-slots', node: taker, slots: [[100, 8191]], from: [refOf(2)] },
      { type: 'take-slots', node: taker, slots: [[8192, 16380]], from: [refOf(3)] },
    ]);
  });

  test('has no steps if every slot is served', () => {
    const view = agreedView(
      [
        { node: 1, slots: '0-16383' },
        { node: 2, flags: 'master,fail' },
      ],
      [2],
    );
    assert.deepEqual(planRescue(view, taker, new Set([idOf(2)])).steps, []);
  });
});

describe('planFix()', () => {
  const to = (node: number, slot: number) => `[${slot}->-${idOf(node)}]`;
  const from = (node: number, slot: number) => `[${slot}-<-${idOf(node)}]`;
  const owns = '0-8191';
  const rest = '8192-16383';
  const move = (source: number, target: number, slot: number): Step => ({
    type: 'move-slots',
    source: refOf(source),
    target: refOf(target),
    slots: [[slot, slot]],
  });
  const close = (node: number, owner: number, slot: number): Step => ({
    type: 'close-slots',
    node: refOf(node),
    owner: refOf(owner),
    slots: [[slot, slot]],
  });
  const cases: [string, Line[], Step[]][] = [
    [
      'finishes a move that both ends have open',
      [
        { node: 1, slots: `${owns} ${to(2, 5)}` },
        { node: 2, slots: `${rest} ${from(1, 5)}` },
      ],
      [move(1, 2, 5)],
    ],
    [
      'finishes a move that only the owner has open',
      [
        { node: 1, slots: `${owns} ${to(2, 5)}` },
        { node: 2, slots: rest },
      ],
      [move(1, 2, 5)],
    ],
    [
      'finishes a move that only the target has open',
      [
        { node: 1, slots: owns },
        { node: 2, slots: `${rest} ${from(1, 5)}` },
      ],
      [move(1, 2, 5)],
    ],
    [
      'closes a slot that its owner migrates to a node that is gone',
      [
        { node: 1, slots: `${owns} ${to(9, 5)}` },
        { node: 2, slots: rest },
      ],
      [close(1, 1, 5)],
    ],
    [
      'closes a slot that its owner migrates to a replica',
      [
        { node: 1, slots: `${owns} ${to(3, 5)}` },
        { node: 2, slots: rest },
        { node: 3, flags: 'slave', master: 1 },
      ],
      [close(1, 1, 5)],
    ],
    [
      'closes an import from a node that does not own the slot',
      [
        { node: 1, slots: owns },
        { node: 2, slots: rest },
        { node: 3, slots: from(2, 5) },
      ],
      [close(3, 1, 5)],
    ],
    [
      'closes an import from a node that is gone',
      [
        { node: 1, slots: owns },
        { node: 2, slots: `${rest} ${from(9, 5)}` },
      ],
      [close(2, 1, 5)],
    ],
    [
      'closes a migration of a former owner',
      [
        { node: 1, slots: `${owns} ${to(2, 9000)}` },
        { node: 2, slots: rest },
      ],
      [close(1, 2, 9000)],
    ],
    [
      'closes two imports from the owner, which migrates to neither',
      [
        { node: 1, slots: owns },
        { node: 2, slots: `${rest} ${from(1, 5)}` },
        { node: 3, slots: from(1, 5) },
      ],
      [close(2, 1, 5), close(3, 1, 5)],
    ],
    [
      'finishes the one of two imports that the owner migrates to',
      [
        { node: 1, slots: `${owns} ${to(3, 5)}` },
        { node: 2, slots: `${rest} ${from(1, 5)}` },
        { node: 3, slots: from(1, 5) },
      ],
      [move(1, 3, 5), close(2, 3, 5)],
    ],
    [
      'finishes to the promoted replica of the node that the owner migrates to',
      [
        { node: 1, slots: `${owns} ${to(2, 5)}` },
        { node: 2, flags: 'slave', master: 3 },
        { node: 3, slots: rest },
      ],
      [move(1, 3, 5)],
    ],
    [
      'finishes from the promoted replica of the node that the target imports from',
      [
        { node: 1, flags: 'slave', master: 3 },
        { node: 2, slots: `${rest} ${from(1, 5)}` },
        { node: 3, slots: owns },
      ],
      [move(3, 2, 5)],
    ],
    [
      'ignores replicas, which repeat the open slots of their masters',
      [
        { node: 1, slots: `${owns} ${to(2, 5)}` },
        { node: 2, slots: `${rest} ${from(1, 5)}` },
        { node: 3, flags: 'slave', master: 1, slots: to(2, 5) },
        { node: 4, flags: 'slave', master: 2, slots: from(1, 5) },
      ],
      [move(1, 2, 5)],
    ],
    [
      'finishes from the promoted replica even if replicas have other moves open',
      [
        { node: 1, flags: 'slave', master: 3, slots: to(2, 5) },
        { node: 2, slots: `${rest} ${from(3, 5)}` },
        { node: 3, slots: `${owns} ${to(2, 5)}` },
        { node: 4, flags: 'slave', master: 2, slots: from(1, 5) },
      ],
      [move(3, 2, 5)],
    ],
    [
      'closes the slots of owners first, because they take no key of a slot that they give away',
      [
        { node: 1, slots: `${owns} ${to(9, 6)}` },
        { node: 2, slots: `${rest} ${from(9, 5)} ${from(9, 6)}` },
      ],
      [close(1, 1, 6), { ...close(2, 1, 5), slots: [[5, 6]] } as Step],
    ],
    [
      'closes an import of the owner itself',
      [
        { node: 1, slots: `${owns} ${from(2, 5)}` },
        { node: 2, slots: rest },
      ],
      [close(1, 1, 5)],
    ],
  ];
  for (const [what, lines, steps] of cases) {
    test(what, () => assert.deepEqual(planFix(agreedView(lines)), { steps, undecided: [] }));
  }

  test('does nothing if no slot is open', () => {
    assert.deepEqual(planFix(agreedView([{ node: 1, slots: owns }])), { steps: [], undecided: [] });
  });

  test('joins slots between the same nodes into one step, moves first', () => {
    const lines = [
      { node: 1, slots: `${owns} ${to(2, 3)} ${to(2, 4)} ${to(9, 5)}` },
      { node: 2, slots: `${rest} ${from(1, 3)} ${from(1, 6)}` },
    ];
    assert.deepEqual(planFix(agreedView(lines)).steps, [
      {
        type: 'move-slots',
        source: refOf(1),
        target: refOf(2),
        slots: [
          [3, 4],
          [6, 6],
        ],
      },
      close(1, 1, 5),
    ]);
  });

  test('first tells the target of a move the owner, if it missed a failover', () => {
    const lines = (owner: string) => [
      { node: 1, flags: 'slave', master: 3 },
      { node: 2, slots: `${rest} ${from(1, 5)}` },
      { node: 3, slots: owner },
    ];
    const view = viewOf({
      1: { lines: lines(owns) },
      2: { lines: lines('0-4 6-8191'), state: 'fail' },
      3: { lines: lines(owns) },
    });
    assert.deepEqual(planFix(view).steps, [{ ...close(2, 3, 5), stayOpen: true }, move(3, 2, 5)]);
  });

  test('first tells a node the owner of a slot that it imports from a dead one, so that it serves again', () => {
    const seen = (dead: string, heir: string) => [
      { node: 1, flags: 'master,fail', slots: dead },
      { node: 2, slots: `6-8191 ${from(1, 5)} ${from(3, 9000)}` },
      { node: 3, slots: `8192-16383 ${to(2, 9000)}` },
      { node: 4, epoch: 9, slots: heir },
    ];
    const view = viewOf({
      2: { lines: seen('5', '0-4'), state: 'fail' },
      3: { lines: seen('', '0-5') },
      4: { lines: seen('', '0-5') },
    });
    assert.deepEqual(planFix(view).steps, [
      { ...close(2, 4, 5), stayOpen: true },
      move(3, 2, 9000),
      close(2, 4, 5),
    ]);
  });

  test('leaves a slot whose owner or target does not answer', () => {
    const lines = [
      { node: 1, slots: `${owns} ${to(2, 5)}` },
      { node: 2, slots: rest },
      { node: 3, slots: from(2, 9000) },
    ];
    const { steps, undecided } = planFix(agreedView(lines, [2]));
    assert.deepEqual([steps, undecided.map(({ slot }) => slot)], [[], [5, 9000]]);
  });

  test('gives a slot that its source has closed to the node that still imports it', () => {
    const view = viewOf({
      1: {
        lines: [
          { node: 1, slots: '0-4 6-99' },
          { node: 2, slots: '5 8192-16383' },
        ],
      },
      2: {
        lines: [
          { node: 1, slots: '0-99' },
          { node: 2, slots: `8192-16383 ${from(1, 5)}` },
        ],
      },
    });
    assert.deepEqual(planFix(view), {
      steps: [{ type: 'take-slots', node: refOf(2), from: [refOf(1)], slots: [[5, 5]], isBegun: true }],
      undecided: [],
    });
  });

  test('leaves a slot that nobody owns', () => {
    const { steps, undecided } = planFix(agreedView([{ node: 1, slots: `0-4 ${from(2, 5)}` }, { node: 2 }]));
    assert.deepEqual([steps, undecided.map(({ slot }) => slot)], [[], [5]]);
  });

  test('closes or reports every open slot, and gives none to a node but its owner or the other end', () => {
    const node = fc.integer({ min: 1, max: 5 });
    const given = fc.uniqueArray(fc.record({ to: node, slot: fc.integer({ min: 0, max: 5 }) }), {
      maxLength: 3,
      selector: ({ slot }) => slot,
    });
    const slot = fc.integer({ min: 0, max: 5 });
    const open = fc.record({
      on: node,
      peer: fc.integer({ min: 1, max: 6 }),
      slot,
      isImporting: fc.boolean(),
    });
    const world = fc.record({
      given,
      owners: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 6, maxLength: 6 }),
      open: fc.uniqueArray(open, {
        maxLength: 8,
        selector: (item) => `${item.on} ${item.slot} ${item.isImporting}`,
      }),
      replica: fc.option(fc.integer({ min: 2, max: 5 })),
      silent: fc.option(fc.integer({ min: 2, max: 5 })),
    });
    fc.assert(
      fc.property(world, ({ owners, given, open, replica, silent }) => {
        // Only the node that gave a slot away sees the new owner, which does not claim it yet
        const seenOwners = (observer: number) =>
          owners.map((owner, slot) => {
            const gift = given.find((one) => one.slot === slot);
            return gift && observer === owner ? gift.to : owner;
          });
        const lines = (observer: number) =>
          [1, 2, 3, 4, 5].map((node): Line => {
            const slots = seenOwners(observer).flatMap((owner, slot) =>
              owner === node && node !== replica ? [`${slot}`] : [],
            );
            const own = observer === node ? open.filter(({ on, peer }) => on === node && peer !== node) : [];
            const marks = own.map(({ peer, slot, isImporting }) => (isImporting ? from : to)(peer, slot));
            const role = node === replica ? { flags: 'slave', master: node === 1 ? 2 : 1 } : {};
            return { node, slots: [...slots, ...marks].join(' '), ...role };
          });
        const asking = [1, 2, 3, 4, 5].filter((node) => node !== silent);
        const view = viewOf(Object.fromEntries(asking.map((node) => [node, { lines: lines(node) }])));
        const ownerOf = slotOwners(view);
        const { steps, undecided } = planFix(view);
        const decided = new Set<number>();
        for (const step of steps) {
          if (step.type === 'take-slots') {
            // Both ends have it open, and nobody else claims it
            for (const slot of expandSlots(step.slots)) {
              decided.add(slot);
              assert.equal(ownerOf[slot], undefined);
              const [item, ...more] = openSlotsOf(view).get(slot) ?? [];
              assert.deepEqual(
                [item?.nodeId, item?.direction, standIn(view, item?.peer ?? '')?.id, more],
                [step.node.id, 'importing', step.from[0]?.id, []],
              );
              const source = view.reports.get(step.from[0]?.id ?? '');
              const seen = source?.records.find(({ slots }) =>
                slots.some(([first, last]) => first <= slot && slot <= last),
              );
              assert.equal(seen?.id, step.node.id);
            }
            continue;
          }
          assert.ok(step.type === 'move-slots' || step.type === 'close-slots', step.type);
          for (const slot of expandSlots(step.slots)) {
            decided.add(slot);
            const items = openSlotsOf(view).get(slot) ?? [];
            const owner = ownerOf[slot];
            const isPartner = (id: string) =>
              items.some(
                ({ nodeId, direction, peer }) =>
                  nodeId === owner && direction === 'migrating' && standIn(view, peer)?.id === id,
              ) ||
              items.some(
                ({ nodeId, direction, peer }) =>
                  nodeId === id && direction === 'importing' && standIn(view, peer)?.id === owner,
              );
            if (step.type === 'move-slots') {
              assert.equal(step.source.id, owner);
              assert.ok(isPartner(step.target.id), 'moves to the other end');
              assert.equal(nodeById(view, step.target.id)?.role, 'master');
              assert.ok(view.reports.has(step.target.id));
            } else {
              assert.ok(
                step.owner.id === owner || isPartner(step.owner.id),
                'closes to the owner or the other end',
              );
              assert.ok(
                items.some(({ nodeId }) => nodeId === step.node.id),
                'closes what is open',
              );
            }
          }
        }
        for (const { slot } of undecided) assert.ok(!decided.has(slot));
        assert.deepEqual(
          [...decided, ...undecided.map(({ slot }) => slot)].toSorted((a, b) => a - b),
          [...openSlotsOf(view).keys()],
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe('windows()', () => {
  test('keeps the order, and takes at most 500 slots or 20000 keys, but always one slot', () => {
    const sizes = (keys: number[]) =>
      [
        ...windows(
          keys.map((_, slot) => slot),
          keys,
          {},
        ),
      ].map(({ length }) => length);
    assert.deepEqual(sizes([]), []);
    assert.deepEqual(sizes(new Array(1250).fill(0)), [500, 500, 250]);
    assert.deepEqual(sizes([20_000, 1, 19_999, 1]), [1, 2, 1]);
    assert.deepEqual(sizes([1_000_000, 1_000_000]), [1, 1]);
  });

  test('loses no slot and opens none twice, for any numbers of keys', () => {
    const anyKeys = fc.array(fc.oneof(fc.nat(50), fc.nat(30_000)), { maxLength: 1200 });
    fc.assert(
      fc.property(anyKeys, (keys) => {
        const slots = keys.map((_, index) => index * 3);
        const cut = [...windows(slots, keys, {})];
        assert.deepEqual(cut.flat(), slots);
        for (const window of cut) {
          const held = window.reduce((sum, slot) => sum + (keys[slot / 3] ?? 0), 0);
          assert.ok(window.length <= 500 && (held <= 20_000 || window.length === 1));
        }
      }),
    );
  });
});

describe('nodeRef()', () => {
  test('includes a bus port only if servers would not assume it', () => {
    assert.deepEqual(nodeRef({ id: 'a', address: { host: '::1', port: 7000, busPort: 17000 } }), {
      id: 'a',
      address: '[::1]:7000',
    });
    assert.deepEqual(nodeRef({ id: 'a', address: { host: 'b', port: 7000, busPort: 7777 } }), {
      id: 'a',
      address: 'b:7000',
      busPort: 7777,
    });
  });
});

describe('countKeyspace()', () => {
  test('counts the keys of all databases', () => {
    assert.equal(countKeyspace('# Keyspace\r\n'), 0);
    assert.equal(
      countKeyspace('# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\ndb3:keys=5,expires=1,avg_ttl=9\r\n'),
      17,
    );
  });
});
