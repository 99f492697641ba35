import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BatchEnd, Lane } from '../../lib/move/by-migrate/batch.ts';
import type { Ends } from '../../lib/move/ends.ts';
import { settingsOf } from '../../lib/settings.ts';
import { type PreparedCommands, type Reply, ReplyError } from '../../resp/index.ts';

const TIME = ['1', '0'];
const ok = (answer: Reply): Reply[] => [TIME, 'OK', 'OK', 'QUEUED', 'QUEUED', 'QUEUED', [1, answer, 0], TIME];

/** A lane to a source that answers batches on demand, and the first key of each batch sent. */
function laneTo(): { lane: Lane; sent: string[]; answer(reply: Reply): void } {
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
  const ends = {
    context: { settings: settingsOf({}), connections: { get: async () => connection } },
    ...{ sourceAddress: {}, migrateTo: { host: 'target', port: 1 }, auth: [] },
  };
  return {
    ...{ lane: new Lane(ends as unknown as Ends, 1), sent },
    answer: (reply) => waiting.shift()?.(ok(reply)),
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
});
