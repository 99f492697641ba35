import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { commands } from '../../lib/cli/commands.ts';
import { changeFlags, connectionFlags, moveFlags, outputFlags } from '../../lib/cli/flags.ts';
import { manPage } from '../helpers/man-page.ts';

const page = manPage();
const dir = mkdtempSync(join(tmpdir(), 'redis-trib-man-'));
const file = join(dir, 'redis-trib.1');
writeFileSync(file, page);
after(() => rmSync(dir, { recursive: true, force: true }));

/** What a program says about the page, or undefined if the program is not there. */
function said(program: string, ...args: string[]): { text: string } | undefined {
  const { error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return error ? undefined : { text: stdout + stderr };
}

describe('The manual page', () => {
  test('has every command and every option', () => {
    for (const { name, usage, flags = {} } of commands) {
      const lines = page.split(`\n.B ${`${name} ${usage}`.trimEnd().replaceAll('-', '\\-')}\n`);
      assert.equal(lines.length, 2, name);
      for (const flag of Object.keys({
        ...flags,
        ...outputFlags,
        ...changeFlags,
        ...moveFlags,
        ...connectionFlags,
      }))
        assert.ok(page.includes(`\\-\\-${flag.replaceAll('-', '\\-')}`), `${name} --${flag}`);
    }
  });

  test('has only macros at the beginning of lines, and only ASCII', () => {
    for (const line of page.split('\n')) {
      assert.match(line, /^(\.(TH|SH|SS|TP|B|I|BR|IR|RI|RS|RE|br)( |$)|(?![.'])|\\&)/);
      assert.match(line, /^[ -~]*$/);
    }
  });

  const groff = said('groff', '-man', '-ww', '-z', '-Tutf8', file);
  const mandoc = said('mandoc', '-Tlint', '-Wwarning', file);
  test('is right to groff and mandoc', { skip: !groff && !mandoc && 'neither is installed' }, () => {
    for (const answer of [groff, mandoc]) {
      // It has no date: two builds give the same bytes.
      const complaints = answer?.text.split('\n').filter((line) => line !== '' && !/missing date/.test(line));
      assert.deepEqual(complaints ?? [], []);
    }
  });

  const lexgrog = said('lexgrog', file);
  test('is found by apropos', { skip: !lexgrog && 'there is no lexgrog' }, () => {
    assert.match(lexgrog?.text ?? '', /"redis-trib - create, grow, shrink/);
  });
});
