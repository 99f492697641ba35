import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const room = join(root, 'lib/move');

interface Rule {
  readonly number: number;
  readonly title: string;
  /** The functions and classes that enforce it, according to the document. */
  readonly code: readonly string[];
}

/** The numbered rules of docs/moving-slots.md. */
function rulesIn(text: string): Rule[] {
  const parts = text.split(/^(?=\d+\. \*\*)/m).slice(1);
  return parts.map((part) => {
    const [, number, title = ''] = /^(\d+)\. \*\*([^*]+)\*\*/.exec(part) ?? [];
    const [, code = ''] = /^ +Code: (.*(?:\n {3,}.*)*)/m.exec(part) ?? [];
    const names = [...code.matchAll(/`(\w+)(?:\(\))?`/g)].map(([, name = '']) => name);
    return { number: Number(number), title: title.replace(/\s+/g, ' ').replace(/\.$/, ''), code: names };
  });
}

/** Numbers of the rules that a source text cites: `Rule 7 (docs/moving-slots.md)`, `Rules 2, 3 and 7 (docs/moving-slots.md)`. */
function citedIn(text: string): Set<number> {
  const joined = text.replace(/\n\s*(?:\*|\/\/) ?/g, ' ');
  const cited = new Set<number>();
  for (const [, numbers = ''] of joined.matchAll(/\bRules? (\d[\d, and]*) \(docs\/moving-slots\.md\)/g))
    for (const [number] of numbers.matchAll(/\d+/g)) cited.add(Number(number));
  return cited;
}

const isDefinedIn = (text: string, name: string): boolean =>
  new RegExp(`\\b(?:function\\*?|class|const) ${name}\\b`).test(text);

const rules = rulesIn(readFileSync(join(root, 'docs/moving-slots.md'), 'utf8'));
const sources = new Map(
  readdirSync(room, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => [name, readFileSync(join(room, name), 'utf8')] as const),
);
const cited = new Map([...sources].map(([name, text]) => [name, citedIn(text)] as const));
const filesOf = (number: number) =>
  [...cited].filter(([, numbers]) => numbers.has(number)).map(([name]) => name);

describe('the rules of docs/moving-slots.md', () => {
  test('are numbered from 1, each with a title and the code that enforces it', () => {
    assert.ok(rules.length > 20);
    assert.deepEqual(
      rules.map(({ number }) => number),
      rules.map((_, index) => index + 1),
    );
    assert.deepEqual(
      rules.filter(({ title, code }) => title === '' || code.length === 0),
      [],
    );
  });

  test('exist, if the code of lib/move cites them', () => {
    const known = new Set(rules.map(({ number }) => number));
    const unknown = [...cited].flatMap(([name, numbers]) =>
      [...numbers].filter((number) => !known.has(number)).map((number) => `${name}: rule ${number}`),
    );
    assert.deepEqual(unknown, []);
  });

  test('are all cited in lib/move', () => {
    assert.deepEqual(
      rules.filter(({ number }) => filesOf(number).length === 0),
      [],
    );
  });

  test('name code that cites them', () => {
    const wrong = rules.flatMap(({ number, code }) =>
      code
        .filter((name) => !filesOf(number).some((file) => isDefinedIn(sources.get(file) ?? '', name)))
        .map((name) => `rule ${number}: ${name}`),
    );
    assert.deepEqual(wrong, []);
  });

  test('are cited in no other way', () => {
    const strange = [...sources].flatMap(([name, text]) => {
      const joined = text.replace(/\n\s*(?:\*|\/\/) ?/g, ' ');
      const all = [...joined.matchAll(/\b[Rr]ules? \d[\d, and]*/g)].length;
      const proper = [...joined.matchAll(/\bRules? \d[\d, and]* \(docs\/moving-slots\.md\)/g)].length;
      return all === proper ? [] : [name];
    });
    assert.deepEqual(strange, []);
  });
});

describe('lib/move/README.md', () => {
  const readme = readFileSync(join(room, 'README.md'), 'utf8');

  test('lists the rules by number and title, with the files that cite them', () => {
    const rows = [...readme.matchAll(/^\| (\d+) \| (.+) \| (.+) \|$/gm)].map(
      ([, number, title, files = '']) => ({
        ...{ number: Number(number), title },
        files: [...files.matchAll(/`([^`]+)`/g)].map(([, file]) => file).toSorted(),
      }),
    );
    assert.deepEqual(
      rows,
      rules.map(({ number, title }) => ({ number, title, files: filesOf(number).toSorted() })),
    );
  });

  test('names files that exist', () => {
    const named = [...readme.matchAll(/`([\w/.-]+\.ts)`/g)].map(([, file = '']) => file);
    assert.ok(named.length > rules.length);
    assert.deepEqual(
      named.filter((file) => !existsSync(join(room, file)) && !existsSync(join(root, file))),
      [],
    );
  });
});
