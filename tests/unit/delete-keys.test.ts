import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deleteKeys } from '../../lib/copy/read-keys.ts';
import type { StoredKey } from '../../lib/copy/write-keys.ts';
import type { Command, Connection, Reply } from '../../resp/index.ts';

/** A source on which one of two keys was touched since they were read; by key: its PTTL and DUMP now. */
function touched(now: Readonly<Record<string, readonly [number, string | null]>>) {
  const deleted: string[] = [];
  let all = true;
  let unlinking: string[] = [];
  const reply = ([word, ...rest]: Command): Reply => {
    const key = String(rest[0]);
    if (word === 'PTTL') return now[key]?.[0] ?? -2;
    if (word === 'DUMP') return now[key]?.[1] ?? null;
    if (word === 'UNLINK') unlinking = rest.map(String);
    if (word !== 'EXEC') return 'OK';
    const isFirst = all;
    all = false;
    if (isFirst) return null;
    deleted.push(...unlinking);
    return [unlinking.length];
  };
  const connection = {
    pipeline: async (commands: readonly Command[]) => commands.map(reply),
    command: async (command: Command) => reply(command),
  };
  return { connection: connection as unknown as Connection, deleted };
}

const stored = (key: string, ttlMs?: number): StoredKey => ({
  key,
  dump: `value of ${key}`,
  ttlMs,
  readAt: performance.now(),
});

const cases: readonly [string, number | undefined, number, string | null, 'deleted' | 'kept' | 'gone'][] = [
  ['was not touched', undefined, -1, 'value of a', 'deleted'],
  ['expires when it did', 60_000, 59_900, 'value of a', 'deleted'],
  ['was given more time', 60_000, 3_600_000, 'value of a', 'kept'],
  ['was given less time', 3_600_000, 60_000, 'value of a', 'kept'],
  ['was made to expire', undefined, 60_000, 'value of a', 'kept'],
  ['does not expire any more', 60_000, -1, 'value of a', 'kept'],
  ['was written', undefined, -1, 'another', 'kept'],
  ['was deleted', undefined, -2, null, 'gone'],
];

describe('deleteKeys()', () => {
  for (const [name, before, ttl, dump, end] of cases) {
    test(`of a lot that was touched, a key that ${name}: ${end}`, async () => {
      const [a, b] = [stored('a', before), stored('b')];
      const { connection, deleted } = touched({ a: [ttl, dump], b: [-1, b.dump] });
      const result = await deleteKeys(connection, [a, b]);
      assert.deepEqual(deleted, end === 'deleted' ? ['a', 'b'] : ['b']);
      assert.deepEqual(result, {
        deleted: end === 'deleted' ? 2 : 1,
        changed: end === 'kept' ? [a] : [],
        newer: [],
      });
    });
  }

  test('resolves to the streams that have changed when they are deleted', async () => {
    const [stays, changes, other] = ['\x0fas it was', '\x15as it was', '\x00as it was'].map(
      (dump, index): StoredKey => ({ ...stored(`${index}`), dump }),
    );
    assert.ok(stays && changes && other);
    const sent: Command[] = [];
    const dumps = new Map([
      ['0', stays.dump],
      ['1', '\x15changed'],
    ]);
    const queued = (): Reply => [...sent.slice(1, -2).map(([, key]) => dumps.get(String(key)) ?? null), 3];
    const connection = {
      pipeline: async (commands: readonly Command[]) =>
        commands.map((command): Reply => {
          sent.push(command);
          return command[0] === 'EXEC' ? queued() : 'OK';
        }),
    } as unknown as Connection;
    const { deleted, newer } = await deleteKeys(connection, [stays, changes, other]);
    assert.deepEqual([deleted, newer], [3, [{ ...changes, dump: '\x15changed' }]]);
    assert.deepEqual(sent, [['MULTI'], ['DUMP', '0'], ['DUMP', '1'], ['UNLINK', '0', '1', '2'], ['EXEC']]);
  });
});
