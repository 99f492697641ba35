import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Heard, isAllHeard } from '../../lib/move/late-packets.ts';

const EPOCH = 7;

describe('isAllHeard()', () => {
  const cases: readonly [text: string, first: Heard, now: Heard, isHeard: boolean][] = [
    ['no PING was sent', heard('0'), heard('0'), true],
    ['a PING was sent before', heard('100'), heard('100'), false],
    ['a PING that was sent before has been answered', heard('100'), heard('0'), true],
    ['one has been answered, and another was sent', heard('100'), heard('200'), true],
    ['a PING was sent after the first look', heard('0'), heard('200'), true],
    ['the config epoch of the owner is not known yet', heard('0', 6), heard('0', 6), false],
    ['it has been heard of', heard('0', 6), heard('0', 7), true],
    ['a later one has been heard of', heard('0', 7), heard('0', 8), true],
  ];
  for (const [text, first, now, isHeard] of cases)
    test(`is ${isHeard} if ${text}`, () => assert.equal(isAllHeard(first, now, EPOCH), isHeard));
});

function heard(pingSent: string, configEpoch: number = EPOCH): Heard {
  return { pingSent, configEpoch };
}
