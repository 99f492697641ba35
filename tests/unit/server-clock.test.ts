import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Address, parseAddress } from '../../lib/model/address.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import { serverTime } from '../../lib/nodes/node-info.ts';
import { expireCommand, lifeQuestion, ServerClock } from '../../lib/nodes/server-clock.ts';
import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';

const time = (ms: number): Reply => [`${Math.floor(ms / 1000)}`, `${Math.round((ms % 1000) * 1000)}`];
const refusal = (message: string): ReplyError => new ReplyError(message);

describe('lifeQuestion()', () => {
  const anyTime = fc.integer({ min: 0, max: 2 ** 43 });

  test('does not depend on how long the answer took, nor on what the clock says', () => {
    fc.assert(
      fc.property(anyTime, anyTime, anyTime, anyTime, (offsetMs, askedAt, tookMs, ttlMs) => {
        const readAt = askedAt + tookMs;
        const serverTime = offsetMs + askedAt;
        const left = ttlMs - tookMs;
        assert.ok(
          Math.abs((lifeQuestion(offsetMs, true).left([serverTime + ttlMs], readAt) ?? 0) - left) < 1,
        );
        const replies = [time(serverTime), ttlMs];
        assert.ok(Math.abs((lifeQuestion(offsetMs, false).left(replies, readAt) ?? 0) - left) < 1);
      }),
    );
  });

  for (const [name, offsetMs, canSayWhen, commands] of [
    ['as a time, of a server that can say it', 0, true, ['PEXPIRETIME']],
    ['with the time beside it, of one that cannot', 0, false, ['TIME', 'PTTL']],
    ['as what is left, of one whose clock is not known', undefined, true, ['PTTL']],
  ] as const)
    test(`asks for it ${name}`, () => {
      const question = lifeQuestion(offsetMs, canSayWhen);
      assert.deepEqual(
        question.commands('a').map(([word]) => word),
        commands,
      );
      const replies = (last: Reply): Reply[] => [...commands.slice(1).map(() => time(0)), last];
      for (const none of [-1, -2]) assert.equal(question.left(replies(none), 5), undefined);
      assert.throws(() => question.left(replies(refusal('MOVED 0 a:1')), 5), ReplyError);
    });

  test('takes what is left as of now if TIME is refused', () => {
    assert.equal(lifeQuestion(1000, false).left([refusal('NOPERM no'), 70], 5), 70);
    assert.equal(lifeQuestion(undefined, false).left([70], 5), 70);
  });
});

test('expireCommand() gives a time by the clock of the server, but never one that may have passed', () => {
  const [name, key, time] = expireCommand('a', 5000, lifeQuestion(3_600_000, true));
  assert.deepEqual([name, key], ['PEXPIREAT', 'a']);
  assert.ok(Math.abs(Number(time) - performance.now() - 3_605_000) < 100);
  assert.deepEqual(expireCommand('a', 5, lifeQuestion(0, true)), ['PEXPIRE', 'a', 5]);
  assert.deepEqual(expireCommand('a', 5000, lifeQuestion(undefined, true)), ['PEXPIRE', 'a', 5000]);
});

describe('ServerClock', () => {
  const address = parseAddress('a:1');
  /** A server with this clock. The answers to the first question take so much longer. */
  function serverWith(offsetMs: number, replies: (commands: readonly Command[], now: number) => Reply[]) {
    let asked = 0;
    const connections = {
      askAll: async (_: Address, commands: readonly Command[]) => {
        asked += 1;
        const now = performance.now() + offsetMs;
        const waitUntil = performance.now() + (asked === 1 ? 40 : 0);
        while (performance.now() < waitUntil);
        return replies(commands, now);
      },
    } as unknown as Connections;
    return { clock: new ServerClock(connections, address), asked: () => asked };
  }

  test('knows the clock of the server by the answer that took least', async () => {
    const { clock, asked } = serverWith(3_600_000, (_, now) => [time(now), -2]);
    const { offsetMs = 0, commands } = await clock.question();
    assert.ok(Math.abs(offsetMs - 3_600_000) < 10, `${offsetMs}`);
    assert.deepEqual(commands('a'), [['PEXPIRETIME', 'a']]);
    const before = asked();
    await clock.question();
    assert.equal(asked(), before, 'it is known for a while');
  });

  for (const [name, time_, when, commands] of [
    ['has no PEXPIRETIME', undefined, refusal('ERR unknown command'), ['TIME', 'PTTL']],
    ['refuses PEXPIRETIME', undefined, refusal('NOPERM no'), ['TIME', 'PTTL']],
    ['does not own the slot', undefined, refusal('MOVED 0 a:2'), ['PEXPIRETIME']],
    ['refuses TIME', refusal('NOPERM no'), -2, ['PTTL']],
    ['answers nonsense', 'x', -2, ['PTTL']],
  ] as const)
    test(`asks a server that ${name} what it can answer`, async () => {
      const { clock } = serverWith(0, (_, now) => [time_ ?? time(now), when]);
      const question = await clock.question();
      assert.deepEqual(
        question.commands('a').map(([word]) => word),
        commands,
      );
    });

  test('asks again after a failure', async () => {
    let fails = true;
    const { clock } = serverWith(0, (_, now) => {
      if (fails) throw new Error('cut');
      return [time(now), -2];
    });
    await assert.rejects(clock.question(), /cut/);
    fails = false;
    assert.notEqual((await clock.question()).offsetMs, undefined);
  });
});

test('serverTime() reads TIME, and nothing else', () => {
  assert.equal(serverTime(['1700000000', '250000']), 1_700_000_000_250);
  for (const other of [undefined, null, 'x', ['x', 'y'], [], refusal('NOPERM no')])
    assert.equal(serverTime(other as Reply), undefined);
});
