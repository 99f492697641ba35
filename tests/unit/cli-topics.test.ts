import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { renderMarkdown } from '../../lib/cli/markdown.ts';
import { readTopic } from '../../lib/cli/read-topic.ts';
import { findTopic, sectionOf, topics } from '../../lib/cli/topics.ts';
import { runMain } from '../helpers/made-up-io.ts';

describe('`redis-trib help TOPIC`', () => {
  for (const topic of Object.keys(topics)) {
    test(`${topic}: prints the whole document, on stdout`, async () => {
      const { code, stdout, stderr } = await runMain(['help', topic]);
      assert.deepEqual([code, stderr], [0, '']);
      for (const [heading] of readTopic(topic).matchAll(/^#+ .+$/gm)) {
        assert.ok(
          stdout.includes(`\n${heading.replaceAll('**', '')}\n`) || stdout.startsWith(heading),
          heading,
        );
      }
      const text = stdout.replaceAll(/^ {4}.*$/gm, '');
      assert.doesNotMatch(text, /\]\(|\*\*|\\\||^\|/m, 'no markup that says nothing on a terminal');
    });
  }

  test('with a code prints only its section', async () => {
    for (const code of ['OTHER_OPERATOR', 'other_operator']) {
      const { stdout } = await runMain(['help', 'errors', code]);
      assert.match(stdout, /^### OTHER_OPERATOR\n\n/);
      assert.doesNotMatch(stdout, /METHOD_UNSUPPORTED/);
    }
  });

  test('with a code that has no section of its own prints its row', async () => {
    const { stdout } = await runMain(['help', 'errors', 'NOPERM']);
    assert.match(stdout, /^## ReplyError\n\ncode|^## ReplyError\n\n`NOPERM`/);
    assert.match(stdout, /^`NOPERM` +.*redis-trib help acl/m);
    assert.doesNotMatch(stdout, /LOADING/);
  });

  const refused: readonly [words: string, see: string, meant?: string][] = [
    ['errors OTHER_OPERATR', 'help errors', 'OTHER_OPERATOR'],
    ['errors WRONG', 'help errors'],
    ['findings slots-contestd', 'help findings', 'slots-contested'],
    ['findings toString', 'help findings'],
    ['plan aply', 'help plan', 'apply'],
    ['acl WRONG', 'help acl'],
    ['fix WRONG', 'help fix'],
    ['moving x', 'help moving'],
    ['connection x', 'help connection'],
    ['check x', 'help check'],
    ['add-node x', 'help add_node'],
    ['findings slot-open x', 'help findings slot-open'],
    ['slot-open', 'help findings slot-open'],
    ['other_operator', 'help errors other_operator'],
    ['findigs', '--help', 'findings'],
    ['toString', '--help'],
  ];
  for (const [words, see, meant] of refused)
    test(`${words}: is wrong usage, and names a similar word and the page that lists all`, async () => {
      const { code, stdout, stderr } = await runMain(['help', ...words.split(' ')]);
      assert.deepEqual([code, stdout], [2, '']);
      const [, hint] = stderr.split('\n');
      assert.equal(hint, `${meant ? `Did you mean ${meant}? ` : ''}See: redis-trib ${see}`);
    });

  test('finds names of topics in any case, but no inherited property', () => {
    assert.equal(findTopic('ACL'), 'acl');
    assert.equal(findTopic('toString'), undefined);
  });
});

describe('`sectionOf()`', () => {
  const document = [
    '# A',
    'a',
    '## `b`, c',
    'b',
    '### d',
    'd',
    '## e',
    '',
    '| x | y |',
    '|---|---|',
    '| `f`, `g` | h |',
    '| i | |',
  ];

  test('ends before the next heading of the same level', () => {
    assert.equal(sectionOf(document.join('\n'), 't', 'c'), '## `b`, c\nb\n### d\nd');
    assert.equal(sectionOf(document.join('\n'), 't', 'd'), '### d\nd');
    assert.equal(sectionOf(document.join('\n'), 't', 'E'), document.slice(6).join('\n'));
  });

  test('takes a row with its heading and the head of its table', () => {
    assert.equal(sectionOf(document.join('\n'), 't', 'g'), ['## e', '', ...document.slice(8, 11)].join('\n'));
  });
});

describe('`renderMarkdown()`', () => {
  test('fits paragraphs and lists into the columns', () => {
    assert.equal(
      renderMarkdown('a line that is **too** long\nand one more\n\n- first item of\n  a list\n- second', 16),
      'a line that is\ntoo long and one\nmore\n\n- first item of\n  a list\n- second',
    );
  });

  test('leaves code as it is', () => {
    assert.equal(
      renderMarkdown('    $ some --long | command line\n', 10),
      '    $ some --long | command line',
    );
    assert.equal(
      renderMarkdown('```ts\nlet a = 1;\n\nlet b;\n```\n', 10),
      '    let a = 1;\n    \n    let b;',
    );
  });

  test('lays out tables, and cuts the widest column', () => {
    assert.equal(renderMarkdown('| a | |\n|---|---|\n| b\\|c | d |\n', 40), 'b|c  d');
    assert.equal(
      renderMarkdown('| a | b |\n|---|---|\n| c | one two three four five |\n| d | e |\n', 20),
      'a  b\nc  one two three\n   four five\nd  e',
    );
  });

  test('turns links to documents into the command that shows them', () => {
    assert.equal(renderMarkdown('See [fix.md](fix.md).', 80), 'See redis-trib help fix.');
    assert.equal(renderMarkdown('See [docs/plan.md](docs/plan.md#apply).', 80), 'See redis-trib help plan.');
    assert.equal(renderMarkdown('The [rules](acl.md).', 80), 'The rules (redis-trib help acl).');
    assert.equal(renderMarkdown('See [trust.md](trust.md).', 80), 'See trust.md.');
    assert.equal(renderMarkdown('[an issue](https://a.b/c)', 80), 'an issue (https://a.b/c)');
  });
});
