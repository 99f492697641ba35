import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { commands } from '../../lib/cli/commands.ts';
import { splitWords } from '../../lib/cli/exec.ts';
import { connectionFlags, outputFlags } from '../../lib/cli/flags.ts';
import { EXIT } from '../../lib/cli/io.ts';
import * as library from '../../lib/index.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { examplesIn, readme } from '../helpers/readme.ts';

function under(heading: string): string {
  const [, after = ''] = readme.split(`\n${heading}\n`);
  const level = heading.indexOf(' ');
  const section = after.split(new RegExp(`\n#{1,${level}} `))[0] ?? '';
  assert.ok(section.length > 0, `nothing under ${heading}`);
  return section;
}

function optionsIn(text: string): string[] {
  return [...text.matchAll(/`[^`]*`/g)].flatMap(([code]) => code.match(/--[a-z-]+/g) ?? []);
}

/** Sections of operations: what the heading says, the synopses below it, and the text. */
const operations = under('## Operations')
  .split(/^### /m)
  .slice(1)
  .map((section) => ({
    heading: section.split('\n')[0] ?? '',
    usages: [...section.matchAll(/^ {4}redis-trib (.+)$/gm)].map(([, usage = '']) => usage),
    text: section,
  }));

describe('The README', () => {
  test('has a section for each command, with its arguments', () => {
    const listed = operations.flatMap(({ usages }) => usages);
    assert.deepEqual(listed.sort(), commands.map(({ name, usage }) => `${name} ${usage}`.trim()).sort());
  });

  test('has a heading for each operation of the library', () => {
    const headed = operations.flatMap(({ heading }) =>
      [...heading.matchAll(/`(\w+)\(/g)].map(([, name]) => name),
    );
    const helpers = ['baseBalancePlan', 'describeStep', 'formatAddress', 'parseAddress'];
    const isClass = (value: unknown): boolean => String(value).startsWith('class ');
    const functions = Object.entries(library)
      .filter(([name, value]) => typeof value === 'function' && !isClass(value) && !helpers.includes(name))
      .map(([name]) => name);
    assert.ok(functions.length > 20);
    assert.deepEqual(headed.sort(), functions.sort());
  });

  test('names exactly the options that exist', () => {
    const text = operations.map((operation) => operation.text).join('\n') + under('## Options');
    const flags = [connectionFlags, outputFlags, ...commands.map((command) => command.flags ?? {})];
    const existing = new Set([
      '--version',
      ...flags.flatMap((some) => Object.keys(some).map((name) => `--${name}`)),
    ]);
    // Those of the other dialect stand in docs/redis-cli.md.
    const named = new Set(optionsIn(text).filter((option) => !option.startsWith('--cluster')));
    assert.deepEqual([...named].sort(), [...existing].sort());
  });

  test('lists options of a command in its section, and all that are its own', () => {
    const shared = new Set(optionsIn(under('## Options')));
    for (const { usages, text, heading } of operations) {
      const [name, ...more] = usages.map((usage) => usage.split(' ')[0]);
      if (name === undefined) continue;
      const flags = [name, ...more].flatMap((one) =>
        Object.keys(commands.find((command) => command.name === one)?.flags ?? {}),
      );
      const bullets = text.split('\n').filter((line) => /^(- | {2})/.test(line) && !line.startsWith('    '));
      for (const option of optionsIn(bullets.join('\n')))
        assert.ok(flags.includes(option.slice(2)), `${heading}: ${option}`);
      for (const flag of flags.filter((one) => !shared.has(`--${one}`))) {
        assert.ok(optionsIn(text).includes(`--${flag}`), `${heading}: --${flag}`);
      }
    }
  });

  test('lists exactly the exit codes that exist', () => {
    const listed = [...under('### Exit codes').matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
    assert.deepEqual(listed, Object.values(EXIT));
  });

  test('has the defaults that help has', () => {
    for (const command of commands) {
      const own = operations.find(({ usages }) =>
        usages.some((usage) => usage.split(' ')[0] === command.name),
      );
      const lines = `${own?.text}\n${under('## Options')}`.split('\n');
      for (const [name, { help }] of Object.entries({ ...connectionFlags, ...command.flags })) {
        const value = /\((\d+)\)$/.exec(help)?.[1];
        if (value === undefined) continue;
        const line = lines.find((text) => text.includes(`\`--${name} `));
        assert.ok(line?.includes(value), `${command.name} --${name} ${value}`);
      }
    }
  });

  test('has an example of each command, and of each function that is no command', () => {
    for (const { heading, usages, text } of operations) {
      const shown = examplesIn(text).map(({ line }) => line.split(' ')[0]);
      for (const usage of usages) assert.ok(shown.includes(usage.split(' ')[0]), `${heading}: ${usage}`);
      if (usages.length === 0) assert.match(text, /^```ts$/m, heading);
    }
  });

  test('shows command lines that are understood', async () => {
    const elsewhere = [...readme.matchAll(/^ {4}(?:npx )?redis-trib ([^#\n]*\d+\.\d+[^#\n]*)/gm)];
    const lines = [
      ...examplesIn(readme).map(({ line }) => line),
      ...elsewhere.map(([, line = '']) => line.trim()),
    ];
    assert.ok(lines.length > 50);
    const gone = AbortSignal.abort(new Error('Not today'));
    for (const line of lines) {
      const { code, stderr } = await runMain(splitWords(line), { signal: gone, canAsk: () => true });
      if (/10\.0\./.test(line) && !line.includes('--listen'))
        assert.equal(code, EXIT.interrupted, `${line}: ${stderr}`);
      else
        assert.ok(code !== EXIT.usage || /^Cannot .*(ENOENT|EADDRINUSE)/.test(stderr), `${line}: ${stderr}`);
    }
  });
});
