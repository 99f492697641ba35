import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { BREAKS } from '../../lib/cli/practise/names.ts';
import { listBreaks, Practice } from '../../lib/cli/practise/practice.ts';
import { topics } from '../../lib/cli/topics.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Text under each heading of this level, by the heading. */
function sections(text: string, level: string): Map<string, string> {
  const parts = text.split(new RegExp(`^${level} (.+)$`, 'm')).slice(1);
  const pairs = parts.flatMap((part, index) => (index % 2 === 0 ? [[part, parts[index + 1] ?? '']] : []));
  assert.equal(new Set(pairs.map(([name]) => name)).size, pairs.length, 'no section twice');
  return new Map(pairs as [string, string][]);
}

/** Members of a union of string literals in a source file. */
function unionIn(source: string, name: string): string[] {
  const [, union = ''] = new RegExp(`type ${name} =([^;]*);`).exec(source) ?? [];
  const members = [...union.matchAll(/'([^']+)'/g)].map(([, member = '']) => member);
  assert.ok(members.length > 5, name);
  return members.sort();
}

function clusterErrorCodes(): string[] {
  const sources = readdirSync(new URL('../../lib', import.meta.url), { recursive: true })
    .filter((name) => String(name).endsWith('.ts'))
    .map((name) => read(`lib/${name}`));
  const source = sources.find((one) => one.includes('type ClusterErrorCode ='));
  assert.ok(source);
  return unionIn(source, 'ClusterErrorCode');
}

describe('docs/errors.md', () => {
  const text = read('docs/errors.md');

  test('has exactly one section for each code of ClusterError', () => {
    assert.deepEqual([...sections(text, '###').keys()].sort(), clusterErrorCodes());
  });

  test('lists exactly the codes of ProtocolError', () => {
    const rows = [...(sections(text, '##').get('ProtocolError') ?? '').matchAll(/^\| `(\w+)` \|/gm)];
    assert.deepEqual(
      rows.map(([, code]) => code).sort(),
      unionIn(read('resp/errors.ts'), 'ProtocolErrorCode'),
    );
  });
});

describe('docs/findings.md', () => {
  const text = read('docs/findings.md');
  const kinds = unionIn(read('lib/findings/finding.ts'), 'FindingKind');

  test('has exactly one section for each kind of finding', () => {
    assert.deepEqual([...sections(text, '###').keys()].sort(), kinds);
  });

  test('has the commands that `demo --break` prints, in their order', () => {
    const pages = sections(text, '###');
    const told = [...text.matchAll(/`redis-trib demo --break ([a-z-]+)`/g)].map(([, name = '']) => name);
    assert.deepEqual(told.sort(), [...BREAKS].sort());
    for (const name of BREAKS) {
      const { kind, cure } = new Practice(name);
      const [, after = ''] = (pages.get(kind) ?? '').split(`\`redis-trib demo --break ${name}\`, then`);
      const [own = ''] = after.split('`redis-trib demo');
      assert.deepEqual(
        [...own.matchAll(/`([^`]+)`/g)].map(([, command]) => command),
        cure,
        name,
      );
    }
  });

  test('lists the faults of `demo --break` within the width of a terminal', () => {
    const lines = listBreaks(60).split('\n').slice(1);
    assert.deepEqual(
      lines.filter((line) => line.length > 60),
      [],
    );
    assert.deepEqual(
      lines.flatMap((line) => /^ {2}([a-z-]+)/.exec(line)?.[1] ?? []),
      BREAKS,
    );
  });

  test('says the cause, the risk, the cure and how to practise it', () => {
    for (const [kind, section] of sections(text, '###')) {
      for (const word of ['Cause', 'Risk', 'Cure', 'Practise'])
        assert.ok(section.includes(`\n- ${word}: `), `${kind}: ${word}`);
    }
  });
});

describe('docs/events.md', () => {
  const text = read('docs/events.md');
  const source = read('lib/events.ts');
  /** Fields of each type of event, without those of interfaces that it extends. */
  const events = new Map(
    [...source.matchAll(/\{[^{}]*?readonly type: '([a-z-]+)'([^{}]*)\}/g)].map(([, type = '', rest = '']) => [
      type,
      [...rest.matchAll(/readonly (\w+)\??:/g)].map(([, field = '']) => field),
    ]),
  );

  test('has exactly one section for each type of event', () => {
    assert.equal(events.size, [...source.matchAll(/readonly type: '/g)].length);
    assert.deepEqual([...sections(text, '###').keys()].sort(), [...events.keys()].sort());
  });

  test('names every field of each', () => {
    for (const [type, section] of sections(text, '###')) {
      for (const field of events.get(type) ?? [])
        assert.ok(section.includes(`\`${field}\``), `${type}: ${field}`);
    }
    const [, figures = ''] = /interface MoveFigures \{([^}]*)\}/.exec(source) ?? [];
    const fields = [...figures.matchAll(/readonly (\w+):/g)].map(([, field]) => field);
    assert.ok(fields.length > 5);
    for (const field of fields) assert.ok(text.includes(`\`${field}\``), field);
  });
});

describe('The README', () => {
  const readme = read('README.md');

  test('lists exactly the codes of ClusterError', () => {
    const [, section = ''] = readme.split('\nCodes of `ClusterError`:\n');
    const named = [...(section.split('\n## ')[0] ?? '').matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code);
    assert.deepEqual([...new Set(named)].sort(), clusterErrorCodes());
  });

  test('lists exactly the types of events', () => {
    const [, section = ''] = readme.split('\n## Events\n');
    const named = [...(section.split('\n## ')[0] ?? '').matchAll(/`([a-z]+(?:-[a-z]+)*)`/g)].map(
      ([, type]) => type,
    );
    const types = [...read('lib/events.ts').matchAll(/readonly type: '([a-z-]+)'/g)].map(([, type]) => type);
    assert.deepEqual(named.sort(), types.sort());
  });
});

describe('Documents', () => {
  const { files } = JSON.parse(read('package.json')) as { files: string[] };
  const documents = ['README.md', 'SECURITY.md', 'CHANGELOG.md'];
  documents.push(
    ...readdirSync(new URL('../../docs', import.meta.url))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  );

  test('that help prints are in the package, and no others', () => {
    const shipped = files.filter((file) => file.startsWith('docs/'));
    assert.deepEqual(
      shipped.sort(),
      Object.keys(topics)
        .map((topic) => `docs/${topic}.md`)
        .sort(),
    );
  });

  test('link only to files that exist, and to headings in them', () => {
    for (const file of documents) {
      for (const [, target = ''] of read(file).matchAll(/\]\(([^)]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const at = path === '' ? file : new URL(path, `file:///${file}`).pathname.slice(1);
        const headings = [...read(at).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
          heading
            .toLowerCase()
            .replace(/[^\w -]/g, '')
            .replaceAll(' ', '-'),
        );
        if (anchor !== undefined) assert.ok(headings.includes(anchor), `${file}: ${target}`);
      }
    }
  });
});
