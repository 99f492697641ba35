import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLinks } from '../../lib/move/hung-replicas.ts';
import type { Client } from '../../lib/nodes/client-list.ts';

const linksOf = (received: readonly (number | undefined)[]): Client[] =>
  received.map((bytes, id) => ({
    ...{ id: `${id}`, from: `h:${id}`, host: 'h', name: '', ageSeconds: 100, command: 'replconf' },
    received: bytes,
  }));

/** How many replicas hang, the bytes that came from each link before and now, and the links that count as theirs. */
const cases: readonly (readonly [
  name: string,
  hung: number,
  before: readonly (number | undefined)[],
  now: readonly (number | undefined)[],
  silent: readonly string[],
])[] = [
  ['a link from which nothing came', 1, [7, 7], [8, 7], ['1']],
  ['two of them', 2, [7, 8, 9], [7, 9, 9], ['0', '2']],
  ['none where something came from all', 1, [7, 7], [8, 9], []],
  ['none where nothing came from more than hang', 1, [7, 7], [7, 7], []],
  ['no link that is new', 1, [], [7], []],
  ['no link of which the server does not say what came', 1, [undefined], [undefined], []],
];

for (const [name, hung, before, now, silent] of cases) {
  test(`silentLinks() names ${name}`, () => {
    const found = silentLinks(hung, linksOf(before), linksOf(now));
    assert.deepEqual(
      found.map(({ id }) => id),
      silent,
    );
  });
}
