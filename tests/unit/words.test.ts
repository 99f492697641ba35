import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { commands } from '../../lib/cli/commands.ts';

const lib = fileURLToPath(new URL('../../lib', import.meta.url));

/** Texts of a source in quotes of any kind, without what stands in comments. */
function stringsIn(source: string): string[] {
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`|\/(?![*/\s])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*(?=[\s.,;)])/g;
  return [...source.matchAll(token)].map(([text]) => text).filter((text) => /^['"`]/.test(text));
}

/** What only the command line may say: its commands by name, options, and that a command was typed. */
function namesCommandLine(text: string): boolean {
  const names = commands.flatMap(({ name }) => [name, name.replaceAll('_', '-')]).join('|');
  return new RegExp(`redis-trib (?:${names})\\b|(?:^|[^\\w-])--[a-z][a-z-]+|same command\\b`).test(text);
}

describe('strings below lib/cli', () => {
  const files = readdirSync(lib, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('cli/'))
    .map((file) => join(lib, file));

  test('are found in quotes of any kind, and not in comments', () => {
    const source = [
      "// 'no'",
      "/* 'no' */ const a = 'one';",
      'const b = "two"; // "no"',
      'const c = `three`;',
      "const d = /['`]/.test(a) ? 'it\\'s' : '';",
    ].join('\n');
    assert.deepEqual(stringsIn(source), ["'one'", '"two"', '`three`', "'it\\'s'", "''"]);
  });

  test('name the command line where they do', () => {
    const named = [
      'redis-trib fix 127.0.0.1:1',
      'use --force',
      '--mode takeover',
      'Run the same command again',
    ];
    assert.deepEqual(named.filter(namesCommandLine), named);
    assert.deepEqual(
      ['redis-trib:change:', 'redis-trib', 'a -- b', 'CLUSTER MEET'].filter(namesCommandLine),
      [],
    );
  });

  test('name no command and no option of the command line', () => {
    assert.ok(files.length > 100, `${files.length} files`);
    const found = files.flatMap((file) =>
      stringsIn(readFileSync(file, 'utf8'))
        .filter(namesCommandLine)
        .map((text) => `${relative(lib, file)}: ${text}`),
    );
    assert.deepEqual(found, []);
  });

  test('are not looked for in messages of our own', () => {
    // A sentence begins with a capital and a small letter; servers begin with a code in capitals.
    const tested =
      /(?:message|hint)\b[^\n;]*?\.(?:includes|startsWith|replace|replaceAll|match)\(\s*(['"`/][^)\n]*)/g;
    const server = [
      'already the owner of hash slot',
      'not the owner of hash slot',
      'Multiple keys',
      'BUSYKEY',
      'cluster support disabled',
      'ERR unknown command',
      'max number of clients',
      'No such client',
      'only replicate a master',
      'Please use SETSLOT only with masters',
      'containing keys',
      "Can't forget my master",
      'Master is down',
      'to a replica',
      'without any password configured',
    ];
    const found = files.flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(tested)]
        .map(([, text = '']) => text)
        .filter((text) => !server.some((one) => text.includes(one)))
        .map((text) => `${relative(lib, file)}: ${text}`),
    );
    assert.deepEqual(found, []);
  });
});
