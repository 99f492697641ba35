import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BatchEnd, Lane } from '../../lib/move/by-migrate/batch.ts';
import type { Ends } from '../../lib/move/ends.ts';
import { settingsOf } from '../../lib/settings.ts';
import { type PreparedCommands, type Reply, ReplyError } from '../../resp/index.ts';

const TIME = ['1', '0'];
const ok = (answer: Reply): Reply[] => [TIME, 'OK', 'OK', 'QUEUED', 'QUEUED', 'QUEUED', [1, answer, 0], TIME];

/** A lane to a source that answers batches on demand, and the first key of each batch sent. */
function laneTo(): {
  lane: Lane;
  sent: string[];
  answer(reply: Reply): void;
  answerAll(replies: readonly Reply[]): void;
} {
  const sent: string[] = [];
  const waiting: ((replies: Reply[]) => void)[] = [];
  const connection = {
    closed: false,
    pipeline(commands: PreparedCommands | readonly unknown[]): Promise<Reply[]> {
      if (!('bytes' in commands)) return Promise.resolve([1, 'OK', []]);
      sent.push(String(commands.commands[4]?.at(-1)));
      return new Promise((resolve) => waiting.push(resolve));
    },
  };
  // Of keys, all but those named 'z'.
  const askAll = async (_: unknown, commands: readonly (readonly string[])[]): Promise<Reply[]> =>
    commands.map(([word, key]) => (word === 'EXISTS' ? Number(key !== 'z') : 'OK'));
  const ends = {
    context: { settings: settingsOf({}), connections: { get: async () => connection, askAll } },
    ...{ sourceAddress: {}, migrateTo: { host: 'target', port: 1 }, auth: [] },
  };
  return {
    ...{ lane: new Lane(ends as unknown as Ends, 1), sent },
    answer: (reply) => waiting.shift()?.(ok(reply)),
    answerAll: (replies) => waiting.shift()?.([...replies]),
  };
}

const batch = (key: string) => ({ slot: 1, db: 0, keys: [key] });
const options = { replace: false, timeoutMs: 1000 };
const turn = () => new Promise((resolve) => setImmediate(resolve));
const typesOf = async (ends: Promise<BatchEnd>[]) => (await Promise.all(ends)).map(({ type }) => type);

describe('Lane', () => {
  test('sends a batch only after the one before it succeeded', async () => {
    const { lane, sent, answer } = laneTo();
    const ends = [lane.send(batch('a'), options), lane.send(batch('b'), options)];
    await turn();
    assert.deepEqual(sent, ['a']);
    answer('OK');
    await turn();
    assert.deepEqual(sent, ['a', 'b']);
    answer('OK');
    assert.deepEqual(await typesOf(ends), ['moved', 'moved']);
  });

  test('does not send the batch behind a failed one, but then takes others', async () => {
    const { lane, sent, answer } = laneTo();
    const ends = [lane.send(batch('a'), options), lane.send(batch('b'), options)];
    await turn();
    answer(new ReplyError('IOERR error or timeout reading to target instance'));
    assert.deepEqual(await typesOf(ends), ['failed', 'held']);
    const again = lane.send(batch('c'), options);
    await turn();
    assert.deepEqual(sent, ['a', 'c']);
    answer('OK');
    assert.equal((await again).type, 'moved');
  });

  test('says of a failure whether it took long enough to hide that the target stopped answering', async ({
    mock,
  }) => {
    for (const [ms, isLate] of [
      [400, false],
      [1000, true],
    ] as const) {
      const { lane, answer } = laneTo();
      const end = lane.send(batch('a'), options);
      await turn();
      const now = performance.now() + ms;
      mock.method(performance, 'now', () => now);
      answer(new ReplyError('ERR Target instance replied with error: BUSYKEY'));
      const ended = await end;
      mock.restoreAll();
      assert.equal(ended.type === 'failed' && ended.isLate, isLate, `${ms} ms`);
    }
  });

  const oom = new ReplyError("OOM command not allowed when used memory > 'maxmemory'.");
  const aborted = new ReplyError('EXECABORT Transaction discarded because of previous errors.');
  const full: readonly Reply[] = [TIME, 'OK', 'OK', oom, oom, oom, aborted, TIME];
  const io = new ReplyError('IOERR error or timeout reading to target instance');
  const rows: [
    what: string,
    mayHaveCopies: boolean,
    before: Reply,
    migrated: Reply,
    after: Reply,
    end: object,
  ][] = [
    ['moves all', false, 9, 'OK', 6, { type: 'moved', gone: 3, isLoose: true }],
    ['moves some', false, 9, 'OK', 7, { type: 'moved', gone: 2, isLoose: true }],
    ['moves all that may have copies', true, 9, 'OK', 6, { type: 'moved', gone: 3, isLoose: true }],
    ['lacks a key that may have a copy', true, 9, 'OK', 7, { type: 'refused' }],
    ['fails', true, 9, io, 8, { type: 'failed', gone: 1, isLoose: true }],
    ['does not count', false, new ReplyError('ERR no'), 'OK', 0, { type: 'lost' }],
  ];
  for (const [what, mayHaveCopies, before, migrated, after, expected] of rows)
    test(`sends a source that is full the same without a transaction, which ${what}`, async () => {
      const { lane, sent, answerAll } = laneTo();
      const end = lane.send({ slot: 1, db: 0, keys: ['a', 'b', 'c'] }, { ...options, mayHaveCopies });
      await turn();
      answerAll(full);
      await turn();
      answerAll([TIME, before, 'OK', migrated, after, TIME]);
      const { type, ...rest } = await end;
      const { gone, isLoose } = rest as { gone?: number; isLoose?: boolean };
      assert.deepEqual(
        { type, ...(gone === undefined ? {} : { gone }), ...(isLoose ? { isLoose } : {}) },
        expected,
      );
      assert.equal(sent.length, 2);
    });

  test('sends a source that is full nothing more if it lacks a key that may have a copy on the target', async () => {
    const { lane, sent, answerAll } = laneTo();
    const end = lane.send({ slot: 1, db: 0, keys: ['a', 'z'] }, { ...options, mayHaveCopies: true });
    await turn();
    answerAll(full);
    const { type, ...rest } = await end;
    const { error } = rest as { error?: ReplyError };
    assert.deepEqual([type, error?.code, sent.length], ['refused', 'TRYAGAIN', 1]);
  });
});
