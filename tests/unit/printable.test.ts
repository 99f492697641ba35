import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Io } from '../../lib/cli/io.ts';
import { printableIo } from '../../lib/cli/printable.ts';

/** What comes out of this text. */
function printed(text: string, isColoured: boolean): string {
  let out = '';
  const write = (part: string): void => {
    out += part;
  };
  printableIo({ stdout: write, coloured: () => (isColoured ? write : undefined) } as unknown as Io).stdout(
    text,
  );
  return out;
}

describe('`printableIo()`', () => {
  const text = '>>> a\n[OK] b\n[ERR] c\u001b[2J\n[WARNING] d\n[INFO] e\n  [OK] f\n{"[OK]":1}\n';

  test('paints the lines that redis-cli paints, and nothing that a node has sent', () => {
    assert.deepEqual(printed(text, true).split('\n'), [
      '\u001b[29;1m>>> a\u001b[0m',
      '\u001b[32;1m[OK] b\u001b[0m',
      '\u001b[31;1m[ERR] c\\x1b[2J\u001b[0m',
      '\u001b[33;1m[WARNING] d\u001b[0m',
      '[INFO] e',
      '  [OK] f',
      '{"[OK]":1}',
      '',
    ]);
  });

  test('adds nothing where there are no colours', () => {
    assert.equal(printed(text, false), text.replace('\u001b', '\\x1b'));
  });
});
