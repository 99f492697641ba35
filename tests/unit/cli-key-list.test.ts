import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { KeyList, keyLines } from '../../lib/cli/key-list.ts';
import type { StrayKeys } from '../../lib/events.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { faultOf } from '../helpers/schemas.ts';

const settled: StrayKeys = {
  ...{ type: 'stray-keys', node: 'a:1', owner: 'b:2', dropped: 1, brought: 0 },
  // Bytes in latin1, as all keys are: an ä in UTF-8, and a byte that is not text.
  ...{ differing: ['k', '\xc3\xa4'], onlyThere: ['\xff'] },
};

describe('KeyList', () => {
  test('has a JSON line for each key, as text or, if it is not text, as base64', () => {
    const lines = keyLines([settled])
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    const ends = { node: 'a:1', owner: 'b:2' };
    assert.deepEqual(lines, [
      { ...ends, state: 'differs', key: 'k' },
      { ...ends, state: 'differs', key: 'ä' },
      { ...ends, state: 'only-there', key: { base64: '/w==' } },
    ]);
    for (const line of lines) assert.equal(faultOf(line, 'fix-list'), undefined);
  });

  test('replaces the file, which it writes before anything else happens', () => {
    const dir = mkdtempSync(join(tmpdir(), 'redis-trib-'));
    try {
      const path = join(dir, 'keys');
      const list = new KeyList(path);
      assert.equal(readFileSync(path, 'utf8'), '');
      list.write([settled]);
      assert.equal(readFileSync(path, 'utf8'), keyLines([settled]));
      assert.throws(() => new KeyList(join(dir, 'none', 'keys')), /Cannot write --list/);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('fix --stray-keys', () => {
  test('knows three answers, and asks no node if it is given another', async () => {
    const { code, stderr } = await runMain(['fix', '127.0.0.1:1', '--stray-keys', 'kept']);
    assert.equal(code, 2);
    assert.match(stderr, /Not an answer for --stray-keys: "kept" \(expected keep, bring or drop\)/);
  });
});
