import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { globMatcher } from '../../lib/model/glob.ts';

describe('globMatcher()', () => {
  const cases: readonly (readonly [
    pattern: string,
    matching: readonly string[],
    other: readonly string[],
  ])[] = [
    ['*', ['', 'a', '\xff\0'], []],
    ['', [''], ['a']],
    ['user:*', ['user:', 'user:1', 'user:*'], ['user', 'xuser:1']],
    ['*:cart', [':cart', 'a:cart', 'a:cart:cart'], ['cart', 'a:carts']],
    ['a*b*c', ['abc', 'aXbXc', 'abbcc'], ['ab', 'acb']],
    ['h?llo', ['hello', 'h\xffllo'], ['hllo', 'heello']],
    ['h[ae]llo', ['hello', 'hallo'], ['hillo']],
    ['h[^e]llo', ['hallo'], ['hello']],
    ['h[a-c]llo', ['hbllo'], ['hdllo']],
    // The server takes the ends of a range in either order.
    ['h[c-a]llo', ['hbllo'], ['hdllo']],
    ['\\*', ['*'], ['a', '\\*']],
    ['[\\]]', [']'], ['\\']],
    ['[a', ['a'], ['[a', 'b']],
    ['a\\', ['a\\'], ['a']],
    ['{x}:?*', ['{x}:1'], ['{x}:', 'x:1']],
  ];
  for (const [pattern, matching, other] of cases) {
    test(`matches what MATCH ${JSON.stringify(pattern)} does`, () => {
      const matches = globMatcher(pattern);
      for (const text of matching) assert.ok(matches(text), text);
      for (const text of other) assert.ok(!matches(text), text);
    });
  }

  test('a text whose special characters are escaped matches itself and nothing longer', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const matches = globMatcher(text.replace(/[\\*?[\]^-]/g, '\\$&'));
        assert.ok(matches(text));
        assert.ok(!matches(`${text}x`));
      }),
    );
  });

  test('takes time that does not explode', () => {
    const started = performance.now();
    assert.ok(!globMatcher('*a'.repeat(50))('a'.repeat(40) + 'b'.repeat(5000)));
    assert.ok(performance.now() - started < 1000);
  });
});
