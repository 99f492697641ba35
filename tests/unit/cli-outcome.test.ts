import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { operated } from '../../lib/cli/outcome.ts';
import { formatBytes, formatKey } from '../../lib/model/bytes.ts';
import type { OperationResult } from '../../lib/operations/carry-out.ts';
import type { BigKey, MoveStep } from '../../lib/plan/plan.ts';

const plan = { version: 1, before: [], operation: 'join', steps: [], masters: [] } as const;
const result: OperationResult = {
  ...{ plan, applied: true, slots: 1000, keys: 60_000, bytes: 7_444_889 },
  ...{ longestStallMs: 1.84, keysPerSecond: 146_341, elapsedMs: 410 },
};

describe('`operated()`', () => {
  test('says what moved, how fast, and how long clients waited', () => {
    assert.equal(
      operated(result, 'Joined').text,
      'Joined: 1000 slots with 60000 keys (7.1 MB) moved at 146k keys/s, longest stall 1.8 ms (0.41 s)',
    );
    const atomic = { ...result, slots: 1, keys: 1, longestStallMs: 0, bytes: 0, keysPerSecond: 3 };
    assert.equal(operated(atomic, 'Joined').text, 'Joined: 1 slot with 1 key moved at 3 keys/s (0.41 s)');
    const empty = { ...result, keys: 0, bytes: 0, longestStallMs: 0, keysPerSecond: 0 };
    assert.equal(operated(empty, 'Joined').text, 'Joined: 1000 slots with 0 keys moved (0.41 s)');
    assert.equal(operated({ ...empty, slots: 0 }, 'Joined').text, 'Joined (0.41 s)');
  });

  test('gives the same as data', () => {
    assert.deepEqual(operated(result, 'Joined').data, {
      ...{ applied: true, slots: 1000, keys: 60_000, bytes: 7_444_889 },
      ...{ longestStallMs: 1.8, keysPerSecond: 146_341, elapsedMs: 410, plan },
    });
  });

  test('lists keys, bytes and big keys of each move after a dry run', () => {
    const big = (key: string, db?: number): BigKey => {
      return { key, slot: 7, bytes: 104_857_600, ...(db === undefined ? {} : { db }) };
    };
    const move: MoveStep = {
      type: 'move-slots',
      source: { id: 'a', address: '127.0.0.1:7000' },
      target: { id: 'b', address: '127.0.0.1:7003' },
      slots: [[0, 7]],
      content: {
        keys: 60_000,
        bytes: 7_444_889,
        bigKeys: [big('caf\xc3\xa9\u001b'), big('x'.repeat(200), 3)],
      },
    };
    const dry = (step: MoveStep) =>
      operated({ ...result, plan: { ...plan, steps: [step] }, applied: false, estimatedMs: 1700 }, '').text;
    assert.deepEqual(dry(move).split('\n'), [
      'Would do, in this order:',
      '  1. Move 8 slots from 127.0.0.1:7000 to 127.0.0.1:7003: 0-7 (60000 keys, 7.1 MB)',
      '     big key "café\\u001b": 100.0 MB (slot 7)',
      `     big key "${'x'.repeat(80)}…": 100.0 MB (slot 7, database 3)`,
      'In all: 8 slots, 60000 keys, 7.1 MB, 1 move, about 2 s',
      'Nothing was changed',
    ]);
    const many = Array.from({ length: 12 }, (_, index) => big(`${index}`));
    const lines = dry({ ...move, content: { keys: 1, bytes: 5, bigKeys: many } }).split('\n');
    assert.match(lines[1] ?? '', / \(1 key, 5 bytes\)$/);
    assert.deepEqual([lines.length, lines.at(-3)], [15, '     and 2 more big keys']);
    const { content: _, ...unknown } = move;
    assert.equal(dry(unknown).split('\n').at(-2), 'In all: 8 slots, 1 move');
  });
});

test('`formatBytes()` takes the largest unit that leaves a number below 1024', () => {
  for (const [bytes, text] of [
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1024, '1.0 KB'],
    [1024 ** 2 - 1, '1.0 MB'],
    [7_444_889, '7.1 MB'],
    [1024 ** 3, '1.0 GB'],
    [1024 ** 5, '1024.0 TB'],
  ] as const) {
    assert.equal(formatBytes(bytes), text);
  }
});

test('`formatKey()` shows text as text, quotes what would break a line, and cuts what is long', () => {
  const held = (text: string): string => Buffer.from(text).toString('latin1');
  assert.equal(formatKey(held('ключ:1')), '"ключ:1"');
  assert.equal(formatKey('a\r\n"b'), '"a\\r\\n\\"b"');
  assert.equal(formatKey('x'.repeat(100)), `"${'x'.repeat(80)}…"`);
});
