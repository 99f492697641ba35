// Advice is code: each place that says what to do next is in a table, with the test that does it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { dissolving } from '../../lib/plan/dissolving.ts';
import { followed } from '../helpers/advice-followed.ts';
import { advicePlaces, placesIn } from '../helpers/advice-places.ts';
import { agreedView, idOf, type Line, portOf } from '../helpers/views.ts';

const root = join(import.meta.dirname, '../..');
const places = advicePlaces(join(root, 'lib')).filter(({ act }) => act !== 'check' && act !== 'list');

describe('advice', () => {
  test('is listed, each place of it, and no other', () => {
    const listed = Object.entries(followed).flatMap(([where, acts]) =>
      Object.keys(acts).map((what) => `${where}: ${what}`),
    );
    const found = places.map(({ where, what }) => `${where}: ${what}`);
    assert.deepEqual(
      found.filter((one) => !listed.includes(one)),
      [],
      'new advice needs a test that follows it: see tests/helpers/advice-followed.ts',
    );
    assert.deepEqual(
      listed.filter((one) => !found.includes(one)),
      [],
      'nobody gives this advice any more',
    );
  });

  test('is followed by a test that exists, with real servers if it may destroy something', () => {
    const destroying = new Set(places.flatMap((one) => (one.destroys ? [`${one.where}: ${one.what}`] : [])));
    const texts = new Map<string, string>();
    for (const [where, acts] of Object.entries(followed)) {
      for (const [what, reference] of Object.entries(acts)) {
        const place = `${where}: ${what}`;
        const [, room, name, title] = /^(unit\/)?([\w-]+): (.+)$/.exec(reference) ?? [];
        assert.ok(name !== undefined && title !== undefined, `${place} has no test`);
        if (room) assert.ok(!destroying.has(place), `${place} needs a test with real servers`);
        const file = join(root, 'tests', room ?? 'integration', `${name}.test.ts`);
        const text = texts.get(file) ?? readFileSync(file, 'utf8');
        texts.set(file, text);
        const isTitle = (line: string) => /\b(it|test|describe)\(/.test(line) && line.includes(title);
        assert.ok(text.split('\n').some(isTitle), `${place} is said to be followed by "${reference}"`);
      }
    }
  });

  test('is found in every form in which it is written', () => {
    const text = [
      'export function one(): Next[] {',
      "  return [{ do: 'retry', options: { force: true }, when: isLost ? 'gone-for-good' : 'anyway' }];",
      '}',
      "interface Other { readonly do: 'retry' }",
      'const TWO: Next = {',
      "  do: 'command',",
      "  command: ['CLUSTER', 'RESET'],",
      '};',
    ].join('\n');
    assert.deepEqual(
      placesIn('file.ts', text).map(({ where, what, destroys }) => [where, what, destroys]),
      [
        ['file.ts one', 'retry {force} (gone-for-good or anyway)', true],
        ['file.ts TWO', 'command', true],
      ],
    );
  });
});

describe('dissolving()', () => {
  const name = (node: number): string => `127.0.0.1:${portOf(node)}`;
  const master: Line = { node: 1, slots: '0-16383' };
  const replicas: Line[] = [2, 3].map((node) => ({ node, flags: 'slave', master: 1, epoch: 1 }));
  const rows: readonly [title: string, lines: Line[], from: number, expected: string[]][] = [
    ['one node', [master], 1, ['shutdown 1']],
    [
      'a master, asked about its replicas',
      [master, ...replicas],
      1,
      ['quit 2', 'quit 3', 'shutdown 1 after-that'],
    ],
    ['a replica, which leaves last', [master, ...replicas], 2, ['quit 3', 'quit 2', 'shutdown 1 after-that']],
    [
      'two masters',
      [
        { node: 1, slots: '0-8191' },
        { node: 2, slots: '8192-16383' },
      ],
      2,
      ['quit 1', 'shutdown 2 after-that'],
    ],
    [
      'many nodes',
      [master, ...[2, 3, 4, 5].map((node) => ({ node, slots: '' }))],
      1,
      ['quit 2', 'retry  after-that'],
    ],
  ];
  for (const [title, lines, from, expected] of rows) {
    test(title, () => {
      const numbers = new Map([1, 2, 3, 4, 5].map((node) => [name(node), node]));
      assert.deepEqual(
        dissolving(agreedView(lines), idOf(from)).map(({ do: act, node, when }) =>
          [act, node === undefined ? '' : numbers.get(node), when]
            .filter((word) => word !== undefined)
            .join(' '),
        ),
        expected,
      );
    });
  }
});
