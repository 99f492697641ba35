import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { mapLegend, type SlotOwner, slotMap, slotMapLines } from '../../lib/cli/slot-map.ts';
import { mapText, planMaps, slotMapOf } from '../../lib/cli/slot-map-view.ts';
import type { TextLine } from '../../lib/cli/top/line.ts';
import { SLOT_COUNT, type SlotRange, toRanges } from '../../lib/model/slot.ts';
import type { PlannedNode } from '../../lib/plan/plan.ts';
import { fc } from '../helpers/properties.ts';

const owner = (name: string, ...slots: SlotRange[]): SlotOwner => ({ name, slots });
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const textOf = (lines: readonly TextLine[]): string[] => mapText(lines, false).split('\n').slice(0, -1);
const three = [
  owner('10.0.0.1:7000', [0, 5460]),
  owner('10.0.0.2:7000', [5461, 10922]),
  owner('10.0.0.3:7000', [10923, 16383]),
];
/** As many masters with equal shares. */
const evenly = (masters: number): SlotOwner[] =>
  Array.from({ length: masters }, (_, index) => {
    const at = (part: number): number => Math.floor((part * SLOT_COUNT) / masters);
    return owner(`10.0.0.${index + 1}:7000`, [at(index), at(index + 1) - 1]);
  });

describe('slotMap()', () => {
  test('shows three masters in 80 columns', () => {
    assert.deepEqual(slotMap(three, { columns: 80 }), [
      '                     0             4096           8192          12288',
      '10.0.0.1:7000  5461  ███████████████████▒······································',
      '10.0.0.2:7000  5462  ···················▓██████████████████▓···················',
      '10.0.0.3:7000  5461  ······································▒███████████████████',
    ]);
  });

  test('shows a fourth master that took a third of each, a long name, and a slot without a node', () => {
    const four = [
      owner('10.0.0.1:7000', [1365, 5460]),
      owner('10.0.0.2:7000', [6827, 10922]),
      owner('10.0.0.3:7000', [12288, 16383]),
      owner('a-very-long-host-name.example:7000', [0, 1364], [5461, 6826], [10923, 12000], [12002, 12287]),
    ];
    assert.deepEqual(slotMap(four, { columns: 80 }), [
      '                                      0                   8192',
      '10.0.0.1:7000                   4096  ···▓█████████▓···························',
      '10.0.0.2:7000                   4096  ·················▓█████████▒·············',
      '10.0.0.3:7000                   4096  ······························▒██████████',
      '…y-long-host-name.example:7000  4095  ███▒·········▒███░·········▓██▓··········',
      '(no node)                          1  ······························░··········',
    ]);
    assert.deepEqual(slotMap(four, { columns: 80, ascii: true }), [
      '                                      0                   8192',
      '10.0.0.1:7000                   4096  ...*#########*...........................',
      '10.0.0.2:7000                   4096  .................*#########+.............',
      '10.0.0.3:7000                   4096  ..............................+##########',
      '~y-long-host-name.example:7000  4095  ###+.........+###:.........*##*..........',
      '(no node)                          1  ..............................:..........',
    ]);
  });

  test('uses the width of 200 columns, but no more than a cell for 128 slots', () => {
    const [head = '', first = ''] = slotMap(three, { columns: 200 });
    assert.equal(first, `10.0.0.1:7000  5461  ${'█'.repeat(42)}▓${'·'.repeat(85)}`);
    assert.equal(head.trimStart(), `0${' '.repeat(31)}4096${' '.repeat(28)}8192${' '.repeat(28)}12288`);
    assert.equal(slotMap(three, { columns: 500 })[1], first);
  });

  test('shows as many lines as masters, none wider than the terminal, for 3 to 100 masters', () => {
    for (const masters of [3, 4, 10, 30, 62, 100]) {
      for (const columns of [60, 80, 120, 200]) {
        const lines = slotMap(evenly(masters), { columns });
        assert.equal(lines.length, masters + 1);
        for (const line of lines) assert.ok(line.length < columns, `${columns}: ${line}`);
        // The stairs: each begins where the one before ends.
        const begins = lines.slice(1).map((line) => line.search(/[░▒▓█]/));
        assert.deepEqual(
          begins,
          begins.toSorted((a, b) => a - b),
        );
      }
    }
  });

  test('shows every slot: a node has a mark exactly where it owns one, in ASCII too', () => {
    const slots = fc.array(fc.integer({ min: 0, max: SLOT_COUNT - 1 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(slots, fc.integer({ min: 20, max: 250 }), fc.boolean(), (some, columns, ascii) => {
        const ranges = toRanges(new Set(some));
        const lines = slotMap([owner('n', ...ranges)], { columns, ascii });
        assert.equal(lines.length, 3, 'the head, the node, and slots without one');
        const bar = (lines[1] ?? '').split(/ +/).at(-1) ?? '';
        const marked = [...bar].flatMap((cell, index) => ('·.'.includes(cell) ? [] : [index]));
        const cells = new Set(some.map((slot) => Math.floor((slot * bar.length) / SLOT_COUNT)));
        assert.deepEqual(
          marked,
          [...cells].sort((a, b) => a - b),
        );
      }),
    );
  });

  test('is nothing but a line for the free slots of a cluster without masters', () => {
    assert.match(slotMap([], { columns: 80 })[1] ?? '', /^\(no node\) {2}16384 {2}█+$/);
  });
});

describe('slotMap() with keys', () => {
  const GIB = 1024 ** 3;
  const [first, second, third] = three as [SlotOwner, SlotOwner, SlotOwner];
  const used = [
    { ...first, memory: { used: 11 * GIB, max: 16 * GIB } },
    { ...second, memory: { used: 5.5 * GIB, max: 0 } },
    third,
  ];
  /** Half as many with each master, and one slot with a great many. */
  const keys = new Float64Array(SLOT_COUNT).map((_, slot) =>
    slot === 9000 ? 900_000 : slot < 5461 ? 2500 : slot < 10923 ? 1250 : 625,
  );

  test('shows how many each master has, and in which slots they are', () => {
    assert.deepEqual(slotMap(used, { columns: 80, keys }), [
      '               slots   keys       memory  0                 8192',
      '10.0.0.1:7000   5461  13.7M  11.0G/16.0G  ████████████▒························',
      '10.0.0.2:7000   5462   7.7M         5.5G  ············▓███████████▓············',
      '10.0.0.3:7000   5461   3.4M            ?  ························▒████████████',
      'total          16384  24.8M            ?  ▇▇▇▇▇▇▇▇▇▇▇▇▅▄▄▄▄▄▄▄█▄▄▄▃▂▂▂▂▂▂▂▂▂▂▂▂',
    ]);
    const documented = three.map((one, at) => ({
      ...one,
      memory: { used: [11, 5.5, 2.9].map((size) => size * GIB)[at] ?? 0, max: 16 * GIB },
    }));
    for (const text of [...slotMap(documented, { columns: 80, keys }), mapLegend({ keys })])
      assert.ok(readme.includes(`\n    ${text}\n`), `README.md has no line: ${text}`);
    assert.match(mapLegend({ keys }), /^█ owns all .* Last line: keys in each cell$/);
  });

  test('leaves out memory if there is no room, and has signs of ASCII', () => {
    assert.deepEqual(slotMap(used, { columns: 60, keys, ascii: true }), [
      '               slots   keys  0              8192',
      '10.0.0.1:7000   5461  13.7M  #########*....................',
      '10.0.0.2:7000   5462   7.7M  .........:##########..........',
      '10.0.0.3:7000   5461   3.4M  ....................##########',
      'total          16384  24.8M  **********------#---..........',
    ]);
    assert.match(mapLegend({ keys, ascii: true }), /^# owns all/);
  });

  test('says where nothing is known, and shows slots without keys as empty', () => {
    const some = keys.map((count, slot) => (slot < 5461 ? Number.NaN : slot < 12_000 ? 0 : count));
    assert.deepEqual(slotMap(three, { columns: 60, keys: some }), [
      '               slots  keys  0              8192',
      '10.0.0.1:7000   5461     ?  ██████████▒····················',
      '10.0.0.2:7000   5462     0  ··········▓█████████▓··········',
      '10.0.0.3:7000   5461  2.7M  ····················▒██████████',
      'total          16384     ?  ??????????            ▃████████',
    ]);
  });

  test('is in the colours of the masters, each cell of keys in that of its owner', () => {
    const [, one = [], , , total = []] = slotMapLines(three, { columns: 80, keys });
    assert.equal(one[1]?.style, 'shard1');
    assert.deepEqual([...new Set(total.slice(1).map(({ style }) => style))], ['shard1', 'shard2', 'shard3']);
    const colours = mapText([total], true).match(/\[\d+m/g);
    assert.deepEqual([...new Set(colours)].length, 3);
    assert.ok(!mapText([total], false).includes('\u001b'));
  });

  test('is no wider than the terminal, for 3 to 100 masters, and its figures add up', () => {
    for (const masters of [3, 30, 100]) {
      for (const columns of [80, 200]) {
        const lines = slotMap(
          evenly(masters).map((one) => ({ ...one, memory: { used: 123 * GIB, max: 512 * GIB } })),
          { columns, keys: keys.map(() => 1) },
        );
        assert.equal(lines.length, masters + 2);
        for (const line of lines) assert.ok(line.length < columns, `${columns}: ${line}`);
        assert.match(lines.at(-1) ?? '', /^total +16384 {2}16\.4k /);
      }
    }
  });

  test('stands without what nodes write being obeyed', () => {
    const text = mapText(slotMapLines([owner('\u001b[2J', [0, 5])], { columns: 80 }), true);
    assert.ok(!text.includes('\u001b[2J'));
  });
});

describe('planMaps()', () => {
  const node = (port: number, ...slots: SlotRange[]): PlannedNode => {
    const address = `127.0.0.1:${port}`;
    return { id: `${port}`, address, role: 'master', configEpoch: 1, slots };
  };
  const ref = (port: number) => ({ id: `${port}`, address: `127.0.0.1:${port}` });
  const before = [node(7000, [0, 8191]), node(7001, [8192, 16383]), node(7002)];
  const steps = [{ type: 'move-slots', source: ref(7000), target: ref(7002), slots: [[0, 4095]] }] as const;

  test('show the masters before and after, with one that gets its first slots', () => {
    assert.deepEqual(textOf(planMaps({ before, steps: [...steps] }, { columns: 41 })), [
      'Slots before:',
      '                      0        8192',
      '127.0.0.1:7000  8192  █████████·········',
      '127.0.0.1:7001  8192  ·········█████████',
      '127.0.0.1:7002     0  ··················',
      'Slots after:',
      '                      0        8192',
      '127.0.0.1:7000  4096  ····▓████·········',
      '127.0.0.1:7001  8192  ·········█████████',
      '127.0.0.1:7002  4096  ████▒·············',
    ]);
  });

  test('show how many keys each master has before, and will have', () => {
    const keys = new Float64Array(SLOT_COUNT).map((_, slot) => (slot < 4096 ? 10 : 1));
    const shown = textOf(planMaps({ before, steps: [...steps] }, { columns: 80, keys }));
    const figures = shown.flatMap((text) => /^\S+ +\d+ +\S+(?= )/.exec(text) ?? []);
    assert.deepEqual(
      figures.map((text) => text.replace(/ +/g, ' ')),
      [
        ...[
          '127.0.0.1:7000 8192 45.1k',
          '127.0.0.1:7001 8192 8.2k',
          '127.0.0.1:7002 0 0',
          'total 16384 53.2k',
        ],
        ...[
          '127.0.0.1:7000 4096 4.1k',
          '127.0.0.1:7001 8192 8.2k',
          '127.0.0.1:7002 4096 41.0k',
          'total 16384 53.2k',
        ],
      ],
    );
  });

  test('are one if nothing changes', () => {
    assert.equal(planMaps({ before, steps: [] }, { columns: 80 }).length, 3);
  });

  test('stand in ASCII in a locale that has nothing else', () => {
    const holders = () => three.map(({ name, slots }) => ({ id: name, address: name, slots }));
    const shown = (env: Record<string, string>): string =>
      mapText(slotMapOf({ ok: true, text: '', data: {}, holders }, { env, columns: () => 80 }), false);
    assert.match(shown({}), /^.*\n.*█/);
    assert.match(shown({ LANG: 'de_DE.UTF-8' }), /█/);
    assert.doesNotMatch(shown({ LC_ALL: 'C', LANG: 'de_DE.UTF-8' }), /█/);
  });
});
