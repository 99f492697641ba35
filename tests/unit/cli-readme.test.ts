import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { commands } from '../../lib/cli/commands.ts';
import { connectionFlags, outputFlags } from '../../lib/cli/flags.ts';
import { EXIT } from '../../lib/cli/io.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** Rows of the table under a heading, as cells. */
function tableUnder(heading: string): string[][] {
  const [, after = ''] = readme.split(`\n${heading}\n`);
  const [section = ''] = after.split(/\n##/);
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  assert.ok(rows.length > 2, `no table under ${heading}`);
  return rows.slice(2).map((line) => line.slice(2, -2).split(/ \| ?/));
}

function optionsIn(text: string): string[] {
  return [...text.matchAll(/`[^`]*`/g)].flatMap(([code]) => code.match(/--[a-z-]+/g) ?? []);
}

test('the README lists exactly the commands that exist, with their arguments', () => {
  const listed = tableUnder('## Commands').flatMap(([cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, words]) => words),
  );
  assert.deepEqual(listed.sort(), commands.map(({ name, usage }) => `${name} ${usage}`.trim()).sort());
});

test('the README names exactly the options that exist', () => {
  const tables = [...tableUnder('## Commands'), ...tableUnder('### Options')].flat().join(' ');
  const flags = [connectionFlags, outputFlags, ...commands.map((command) => command.flags ?? {})];
  const existing = new Set([
    '--version',
    ...flags.flatMap((some) => Object.keys(some).map((name) => `--${name}`)),
  ]);
  const named = new Set(optionsIn(tables));
  assert.deepEqual([...named].sort(), [...existing].sort());
});

test("the README's own options of a command stand in that command's row", () => {
  const rows = new Map(tableUnder('## Commands').map(([cell = '', text = '']) => [cell, text]));
  for (const [cell, text] of rows) {
    const name = /`(\w+)/.exec(cell)?.[1];
    const flags = Object.keys(commands.find((command) => command.name === name)?.flags ?? {});
    for (const option of optionsIn(text))
      assert.ok(flags.includes(option.slice(2)), `${name} has no ${option}`);
  }
});

test('the README lists exactly the exit codes that exist', () => {
  const listed = tableUnder('### Exit codes').map(([code]) => Number(code));
  assert.deepEqual(listed, Object.values(EXIT));
});

test('defaults in the README are those in help', () => {
  const options = tableUnder('### Options')
    .map((cells) => cells.join(' '))
    .join('\n');
  for (const command of commands) {
    for (const [name, { help }] of Object.entries({ ...connectionFlags, ...command.flags })) {
      const value = /\((\d+)\)$/.exec(help)?.[1];
      if (value === undefined) continue;
      const line = options.split('\n').find((text) => text.includes(`\`--${name} `));
      assert.ok(line?.includes(value), `--${name} ${value}`);
    }
  }
});
