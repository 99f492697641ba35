import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dialectOf } from '../../lib/move/by-servers/dialects.ts';
import { endingOf } from '../../lib/move/by-servers/ending.ts';
import { begin } from '../../lib/move/by-servers/find-task.ts';
import { redis } from '../../lib/move/by-servers/redis.ts';
import { readRanges, type Task } from '../../lib/move/by-servers/task.ts';
import { valkey } from '../../lib/move/by-servers/valkey.ts';
import { type Answer, within } from '../../lib/move/by-servers/watch.ts';
import type { Ends } from '../../lib/move/ends.ts';
import { pause } from '../../lib/nodes/wait-until.ts';
import { ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';

const [a, b, id] = ['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(40)];

/** An entry of CLUSTER MIGRATION STATUS, as Redis 8.6 gives it. */
function redisEntry(changes: Record<string, string | number> = {}): (string | number)[] {
  return Object.entries({
    ...{ id, slots: '0-50 52-99', source: a, dest: b, operation: 'import', state: 'accumulate-buffer' },
    ...{ last_error: '', retries: 0, create_time: 1795382413542, start_time: 1795382413542 },
    ...{ end_time: -1, write_pause_ms: 0, ...changes },
  }).flat();
}

/** An entry of CLUSTER GETSLOTMIGRATIONS, as Valkey 9.1 gives it. */
function valkeyEntry(changes: Record<string, string | number> = {}): (string | number)[] {
  return Object.entries({
    ...{ name: id, operation: 'EXPORT', slot_ranges: '0-9 20-29', target_node: b, source_node: a },
    ...{ create_time: 1795382431, last_update_time: 1795382431, last_ack_time: 1795382431 },
    ...{ state: 'snapshotting', message: '', cow_size: 0, remaining_repl_size: 0, ...changes },
  }).flat();
}

const redisTask = (changes?: Parameters<typeof redisEntry>[0]) => redis.readTasks([redisEntry(changes)])[0];
const valkeyTask = (changes?: Parameters<typeof valkeyEntry>[0]) =>
  valkey.readTasks([valkeyEntry(changes)])[0];

describe('redis', () => {
  it('reads what a target reports about a migration', () => {
    const { mark, ...task } = redisTask() as Task;
    assert.deepEqual(task, {
      id,
      end: 'target',
      slots: [
        [0, 50],
        [52, 99],
      ],
      source: a,
      target: b,
      state: 'accumulate-buffer',
      outcome: 'running',
      error: '',
      retries: 0,
    });
    assert.notEqual(mark, redisTask({ state: 'takeover' })?.mark);
    assert.notEqual(mark, redisTask({ retries: 1 })?.mark);
  });

  it('treats "failed" as the end only if it is not retried', () => {
    const target = { operation: 'import', state: 'failed' };
    const outcomes = [
      redisTask({ state: 'completed', end_time: 5 }),
      redisTask({ state: 'canceled', end_time: 5 }),
      redisTask({ ...target, end_time: -1 }),
      redisTask({ ...target, end_time: 5 }),
      redisTask({ operation: 'migrate', state: 'failed', end_time: -1 }),
    ].map((task) => task?.outcome);
    assert.deepEqual(outcomes, ['done', 'failed', 'running', 'failed', 'failed']);
  });

  it('gives commands for the target', () => {
    const ranges = [
      [0, 50],
      [52, 52],
    ] as const;
    assert.equal(redis.start(ranges, b).join(' '), 'CLUSTER MIGRATION IMPORT 0 50 52 52');
    assert.equal(redis.cancel(id).join(' '), `CLUSTER MIGRATION CANCEL ID ${id}`);
    assert.equal(redis.driver, 'target');
  });
});

describe('valkey', () => {
  it('reads what a source reports about a migration', () => {
    const { mark, ...task } = valkeyTask() as Task;
    assert.deepEqual(task, {
      id,
      end: 'source',
      slots: [
        [0, 9],
        [20, 29],
      ],
      source: a,
      target: b,
      state: 'snapshotting',
      outcome: 'running',
      error: '',
      retries: 0,
    });
    assert.equal(mark, valkeyTask({ last_ack_time: 1795382499 })?.mark);
    assert.notEqual(mark, valkeyTask({ remaining_repl_size: 1 })?.mark);
  });

  it('tells how a migration ended, and why it failed', () => {
    const ends = ['success', 'failed', 'cancelled'].map((state) => valkeyTask({ state })?.outcome);
    assert.deepEqual(ends, ['done', 'failed', 'failed']);
    assert.equal(valkeyTask({ state: 'failed', message: 'Connection lost' })?.error, 'Connection lost');
    assert.equal(valkeyTask({ operation: 'IMPORT' })?.end, 'target');
  });

  it('gives commands for the source', () => {
    const ranges = [
      [0, 50],
      [52, 52],
    ] as const;
    assert.equal(valkey.start(ranges, b).join(' '), `CLUSTER MIGRATESLOTS SLOTSRANGE 0 50 52 52 NODE ${b}`);
    assert.equal(valkey.cancel(id).join(' '), 'CLUSTER CANCELSLOTMIGRATIONS');
    assert.equal(valkey.driver, 'source');
  });
});

describe('A list of migrations', () => {
  it('may be empty', () => assert.deepEqual(redis.readTasks([]), []));

  it('may have unknown fields', () => {
    assert.equal(valkey.readTasks([[...valkeyEntry(), 'new', ['x']]])[0]?.id, id);
  });

  it('is refused if it is not one', () => {
    const refusal = new ReplyError('NOPERM no');
    assert.throws(() => redis.readTasks(refusal), refusal);
    for (const reply of ['OK', null, 5, undefined])
      assert.throws(() => valkey.readTasks(reply), { code: 'BAD_REPLY' });
    assert.throws(() => valkey.readTasks(['x']), { code: 'BAD_REPLY' });
    assert.throws(() => readRanges('0-5 x'), { code: 'BAD_REPLY' });
  });
});

describe('dialectOf()', () => {
  it('depends on what a node says it can do', () => {
    assert.equal(
      dialectOf(['CLUSTER <subcommand>', 'MIGRATION IMPORT <start-slot end-slot> |'])?.name,
      'redis',
    );
    assert.equal(dialectOf(['MIGRATESLOTS SLOTSRANGE start-slot end-slot NODE node-id'])?.name, 'valkey');
    assert.equal(dialectOf(['SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>)']), undefined);
    assert.equal(dialectOf(new ReplyError('NOPERM no')), undefined);
    assert.equal(dialectOf(undefined), undefined);
  });
});

describe('endingOf()', () => {
  const task = redisTask() as Task;
  const seen = (...tasks: (Task | undefined)[]): Answer => ({
    tasks: tasks.filter((entry) => entry !== undefined),
    usedMemory: 0,
  });
  const silent: Answer = { tasks: undefined, error: undefined };
  const source = (state: string, last_error = '') => redisTask({ operation: 'migrate', state, last_error });
  const target = (state: string, last_error = '') => redisTask({ state, last_error, end_time: 5 });

  it('is success as soon as one end says so', () => {
    assert.deepEqual(endingOf(task, [silent, seen(target('completed'))]), { type: 'done' });
    assert.deepEqual(endingOf(task, [seen(source('completed')), seen(target('takeover'))]), { type: 'done' });
  });

  it('is failure only when both ends say so', () => {
    const lost = 'Main and RDB channel clients are disconnected.';
    assert.equal(endingOf(task, [seen(source('failed')), silent]), undefined);
    assert.equal(endingOf(task, [seen(source('failed')), seen(target('takeover'))]), undefined);
    assert.equal(endingOf(task, [seen(), seen(target('takeover'))]), undefined);
    assert.deepEqual(endingOf(task, [seen(source('failed', lost)), seen(target('canceled', 'Cancelled'))]), {
      type: 'failed',
      reason: 'Cancelled',
    });
    assert.deepEqual(endingOf(task, [seen(source('failed', lost)), seen()]), {
      type: 'failed',
      reason: lost,
    });
    assert.deepEqual(endingOf(task, [seen(), seen()]), {
      type: 'failed',
      reason: 'the servers no longer list it',
    });
  });

  it('depends on the newest of several attempts', () => {
    const answer = seen(source('send-stream'), source('canceled'));
    assert.equal(endingOf(task, [answer, seen(target('failed'))]), undefined);
  });
});

describe('begin()', () => {
  /** Two ends of which the driving node gives these answers, one for each call. */
  function linkTo(answers: (readonly Reply[] | Error)[]): Ends {
    const connections = {
      async askAll() {
        const answer = answers.shift();
        if (answer === undefined || answer instanceof Error) throw answer ?? new Error('asked too often');
        return answer;
      },
    };
    const ends = { source: { id: a, address: 'a:1' }, target: { id: b, address: 'b:1' } };
    return { ...ends, context: { connections } } as unknown as Ends;
  }
  const slots = Array.from({ length: 10 }, (_, slot) => slot);
  const entry = valkeyEntry({ slot_ranges: '0-9' });
  const lost = new ConnectionError('lost', { code: 'CLOSED', address: 'a:1', sent: true });

  it('finds the migration in the list', async () => {
    const others = [valkeyEntry({ name: 'other', target_node: id }), entry, valkeyEntry({ name: 'older' })];
    const task = await begin(linkTo([['OK', others]]), valkey, slots);
    assert.equal(typeof task === 'string' ? task : task.id, id);
  });

  it('resolves to the reason if the server refuses', async () => {
    const refused = await begin(linkTo([[new ReplyError('ERR no'), []]]), valkey, slots);
    assert.equal(refused, 'a:1 refuses: ERR no');
  });

  it('finds out whether it was begun if the answer is lost', async () => {
    const task = await begin(linkTo([lost, lost, [[], ''], [[entry], '']]), valkey, slots);
    assert.equal(typeof task === 'string' ? task : task.id, id);
    const none = [
      [[], ''],
      [[valkeyEntry({ slot_ranges: '0-9', state: 'failed' })], ''],
      [[], ''],
    ];
    assert.equal(await begin(linkTo([lost, ...none]), valkey, slots), 'lost');
  });

  it('fails if the command was never sent', async () => {
    const unsent = new ConnectionError('refused', { code: 'ECONNREFUSED', address: 'a:1', sent: false });
    await assert.rejects(begin(linkTo([unsent]), valkey, slots), unsent);
  });
});

describe('within()', () => {
  it('gives up at the deadline, or when the signal aborts', async () => {
    const never = new Promise<number>(() => undefined);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    assert.equal(await within(Promise.resolve(5), 1000), 5);
    assert.equal(await within(never, 10), undefined);
    assert.equal(await within(never, 60_000, controller.signal), undefined);
    assert.equal(await pause(60_000, controller.signal), undefined);
    await assert.rejects(within(Promise.reject(new Error('no')), 1000), /no/);
  });
});
