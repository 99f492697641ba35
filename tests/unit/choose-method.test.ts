import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { redis } from '../../lib/move/by-servers/redis.ts';
import { valkey } from '../../lib/move/by-servers/valkey.ts';
import { chooseMethod, type KnownMove, type MoveMethod } from '../../lib/move/choose-method.ts';
import { decideAtStart, decideMethods, Methods } from '../../lib/move/decide-methods.ts';
import type { Ends } from '../../lib/move/ends.ts';
import { shareTargets } from '../../lib/move/move-slots.ts';
import type { Context } from '../../lib/nodes/context.ts';
import type { MoveStep } from '../../lib/plan/plan.ts';
import { type Settings, settingsOf } from '../../lib/settings.ts';
import { type Command, type Reply, ReplyError } from '../../resp/index.ts';

type Options = Pick<Settings, 'method' | 'limits'>;

const limits = { keysPerSecond: 100 };
const both = { source: { address: 'a:1', dialect: redis }, target: { address: 'b:1', dialect: redis } };
const neither = {
  source: { address: 'a:1', dialect: undefined },
  target: { address: 'b:1', dialect: undefined },
};

describe('chooseMethod()', () => {
  /** What is known, and whether it can be atomic; if not, the node that prevents it and why. */
  const table: [
    name: string,
    KnownMove,
    Options['limits'],
    isAtomic: boolean,
    node: string,
    reason: RegExp,
  ][] = [
    ['both nodes can', both, {}, true, '', /^$/],
    ['both can, and limits are none', both, { keysPerSecond: 0, bytesPerSecond: Infinity }, true, '', /^$/],
    ['keys are limited', both, limits, false, 'a:1', /cannot limit keys/],
    ['bytes are limited', both, { bytesPerSecond: 1 }, false, 'a:1', /cannot limit keys/],
    ['neither node can', neither, {}, false, 'a:1', /^a:1 has no atomic/],
    ['neither can and keys are limited', neither, limits, false, 'a:1', /cannot limit keys/],
    ['the source cannot', { ...both, source: neither.source }, {}, false, 'a:1', /^a:1 has no atomic/],
    ['the target cannot', { ...both, target: neither.target }, {}, false, 'b:1', /^b:1 has no atomic/],
    [
      'each has another',
      { ...both, target: { ...both.target, dialect: valkey } },
      ...([{}, false, 'b:1', /^a:1 has the atomic migration of redis, b:1 that of valkey$/] as const),
    ],
    [
      'no slot is open',
      { source: { ...both.source, openSlots: [] }, target: { ...both.target, openSlots: [] } },
      ...([{}, true, '', /^$/] as const),
    ],
    [
      'a slot is open at the source',
      { ...both, source: { ...both.source, openSlots: [7] } },
      ...([{}, false, 'a:1', /^slot 7 is open on a:1$/] as const),
    ],
    [
      'a slot is open at the target',
      { ...both, target: { ...both.target, openSlots: [7] } },
      ...([{}, false, 'b:1', /^slot 7 is open on b:1$/] as const),
    ],
    [
      'a slot is open between them',
      { source: { ...both.source, openSlots: [8] }, target: { ...both.target, openSlots: [7, 8] } },
      ...([{}, false, 'a:1', /^slots 7-8 are open on a:1 and b:1$/] as const),
    ],
    ['no key is in the way', { ...both, hasKeysInTheWay: false }, {}, true, '', /^$/],
    [
      'keys are in the way',
      { ...both, hasKeysInTheWay: true },
      ...([{}, false, 'b:1', /^b:1 holds keys of slots it does not own/] as const),
    ],
  ];

  for (const [name, move, limits, isAtomic, node, reason] of table) {
    test(`if ${name}`, () => {
      const [auto, atomic, migrate] = (['auto', 'atomic', 'migrate'] as const).map((method) =>
        chooseMethod({ method, limits }, move),
      );
      assert.deepEqual(migrate, { method: 'migrate' });
      if (isAtomic) {
        assert.deepEqual(auto, { method: 'atomic', dialect: redis, fallsBack: true });
        assert.deepEqual(atomic, { method: 'atomic', dialect: redis, fallsBack: false });
        return;
      }
      assert.deepEqual([auto?.method, atomic?.method], ['migrate', 'refused']);
      for (const chosen of [auto, atomic]) {
        const why = chosen && 'why' in chosen ? chosen.why : undefined;
        assert.equal(why?.address, node);
        assert.match(why?.reason ?? '', reason);
      }
    });
  }

  test('never uses MIGRATE if only atomic is allowed, nor atomic if the servers would refuse', () => {
    const dialect = fc.constantFrom(redis, valkey, undefined);
    const end = fc.record({
      address: fc.constantFrom('a:1', 'b:1'),
      dialect,
      openSlots: fc.array(fc.nat(3), { maxLength: 2 }),
    });
    const move = fc.record({ source: end, target: end, hasKeysInTheWay: fc.boolean() });
    const options = fc.record({
      method: fc.constantFrom('auto' as const, 'atomic' as const, 'migrate' as const),
      limits: fc.constantFrom({}, limits),
    });
    fc.assert(
      fc.property(options, move, (options, move) => {
        const chosen = chooseMethod(options, move);
        if (options.method === 'migrate') assert.equal(chosen.method, 'migrate');
        if (options.method === 'atomic') assert.notEqual(chosen.method, 'migrate');
        if (options.method === 'auto') assert.notEqual(chosen.method, 'refused');
        if (chosen.method !== 'atomic') return;
        assert.equal(chosen.dialect, move.source.dialect);
        assert.equal(chosen.dialect, move.target.dialect);
        assert.deepEqual([...move.source.openSlots, ...move.target.openSlots], []);
        assert.deepEqual([move.hasKeysInTheWay, options.limits], [false, {}]);
      }),
    );
  });
});

const node = (id: string) => ({ id, address: `${id}:1` });
const step = (source: string, target: string, more: Partial<MoveStep> = {}): MoveStep => ({
  ...{ type: 'move-slots', source: node(source), target: node(target), slots: [[5, 7]] },
  ...more,
});

/** A context whose nodes answer as scripted, and the commands they were sent. */
function contextOf(answer: (name: string, command: Command) => Reply, options: Partial<Settings> = {}) {
  const sent: string[] = [];
  const connections = {
    askAll: async ({ host }: { host: string }, commands: readonly Command[]) =>
      commands.map((command) => {
        sent.push(`${host} ${command.join(' ')}`);
        return answer(host, command);
      }),
  };
  const settings = settingsOf(options);
  return { context: { connections, settings } as unknown as Context, sent };
}

describe('decideMethods()', () => {
  const help: Readonly<Record<string, Reply>> = {
    a: ['MIGRATION IMPORT <start-slot end-slot>'],
    b: ['MIGRATION IMPORT <start-slot end-slot>'],
    c: ['SETSLOT <slot>'],
    d: new ReplyError('NOPERM this user has no permissions'),
  };
  const moves = [step('a', 'b'), step('a', 'b'), step('a', 'c'), step('b', 'a'), step('a', 'd')];
  const decided = (methods: Methods) => moves.map((move) => methods.of(move).method);

  test('asks each node once, however many moves it takes part in', async () => {
    const { context, sent } = contextOf((name) => help[name] ?? null);
    assert.deepEqual(decided(await decideMethods(context, moves)), [
      ...['atomic', 'atomic', 'migrate', 'atomic', 'migrate'],
    ]);
    assert.deepEqual(
      sent.sort(),
      ['a', 'b', 'c', 'd'].map((name) => `${name} CLUSTER HELP`),
    );
  });

  test('asks no node if the options decide it', async () => {
    for (const [options, method] of [
      [{ method: 'migrate' }, 'migrate'],
      [{ limits }, 'migrate'],
      [{ method: 'atomic', limits }, 'refused'],
    ] as const) {
      const { context, sent } = contextOf(() => assert.fail(), options);
      assert.deepEqual(
        decided(await decideMethods(context, moves)),
        moves.map(() => method),
      );
      assert.deepEqual(sent, []);
    }
  });

  test('refuses a move that cannot be atomic if only that is allowed', async () => {
    const { context } = contextOf((name) => help[name] ?? null, { method: 'atomic' });
    assert.deepEqual(decided(await decideMethods(context, moves)), [
      ...['atomic', 'atomic', 'refused', 'atomic', 'refused'],
    ]);
  });
});

describe('decideAtStart()', () => {
  interface Scene {
    readonly options?: Partial<Settings>;
    readonly openAt?: 'source' | 'target';
    /** Slots of which the target holds keys. */
    readonly held?: readonly number[];
    /** Keys on the target that it neither lists nor counts by slot. */
    readonly hidden?: number;
    /** Slots that the servers are moving from the source to the target. */
    readonly coming?: string;
    readonly move?: Partial<MoveStep>;
  }

  async function decide(scene: Scene): Promise<{ chosen: MoveMethod; sent: string[] }> {
    const { options = {}, openAt, held = [], hidden = 0, coming, move = {} } = scene;
    const count = (slot: unknown) => (held.includes(Number(slot)) ? 1 : 0);
    const task = { id: 't', slots: coming ?? '', source: 'a', dest: 'b', operation: 'import', state: 'x' };
    const { context, sent } = contextOf((_, [word, second, third]) => {
      if (word === 'EXEC') return [hidden, 0];
      if (second === 'COUNTKEYSINSLOT') return count(third);
      if (second === 'MIGRATION') return coming === undefined ? [] : [Object.entries(task).flat()];
      return word === 'CLUSTER' ? new ReplyError('ERR unknown subcommand') : 'QUEUED';
    }, options);
    const report = (end: string) => ({
      myself: { openSlots: end === openAt ? [{ slot: 99 }] : [], slots: [[100, 100]] },
    });
    const ends = {
      ...{ context, source: node('a'), target: node('b') },
      ...{ sourceReport: report('source'), targetReport: report('target') },
      ...{ sourceAddress: { host: 'a', port: 1 }, targetAddress: { host: 'b', port: 1 } },
    } as unknown as Ends;
    const fallsBack = options.method !== 'atomic';
    const prepared: MoveMethod = { method: 'atomic', dialect: redis, fallsBack };
    return { chosen: await decideAtStart(ends, step('a', 'b', move), prepared), sent };
  }

  const table: [name: string, scene: Scene, method: MoveMethod['method']][] = [
    ['nothing is in the way', {}, 'atomic'],
    ['a slot is open at the source', { openAt: 'source' }, 'migrate'],
    ['a slot is open at the target', { openAt: 'target' }, 'migrate'],
    [
      'a slot is open and only atomic is allowed',
      { openAt: 'target', options: { method: 'atomic' } },
      'refused',
    ],
    ['limits were set since', { options: { limits } }, 'migrate'],
    ['the target holds keys', { held: [6] }, 'migrate'],
    [
      'the target holds keys and only atomic is allowed',
      { held: [6], options: { method: 'atomic' } },
      'refused',
    ],
    ['the servers are bringing these keys', { held: [6], coming: '5-7' }, 'atomic'],
    ['the servers are bringing some of these keys', { held: [5, 7], coming: '5-6' }, 'migrate'],
    [
      'a resumed move may have left keys that are hidden',
      { hidden: 1, move: { isResumed: true } },
      'migrate',
    ],
    ['a resumed move has left none', { hidden: 0, move: { isResumed: true } }, 'atomic'],
    ['keys are hidden that no earlier move left', { hidden: 1 }, 'atomic'],
  ];
  const ends = { migrate: 'uses MIGRATE', atomic: 'leaves it to the servers', refused: 'refuses' };
  for (const [name, scene, method] of table) {
    test(`${ends[method]} if ${name}`, async () => {
      assert.equal((await decide(scene)).chosen.method, method);
    });
  }

  test('does not ask the target about keys if a slot is open', async () => {
    assert.deepEqual((await decide({ openAt: 'source' })).sent, []);
    assert.notDeepEqual((await decide({})).sent, []);
  });

  test('asks nothing about a move that was planned with MIGRATE', async () => {
    const prepared: MoveMethod = { method: 'migrate' };
    assert.equal(await decideAtStart({} as Ends, step('a', 'b'), prepared), prepared);
  });
});

describe('shareTargets()', () => {
  const migrate: MoveMethod = { method: 'migrate' };
  const byRedis: MoveMethod = { method: 'atomic', dialect: redis, fallsBack: true };
  const byValkey: MoveMethod = { method: 'atomic', dialect: valkey, fallsBack: true };
  const two = [step('a', 'z'), step('b', 'z')] as const;
  const resumed = step('b', 'z', { isResumed: true });

  const table: [
    name: string,
    moves: readonly MoveStep[],
    methods: MoveMethod[],
    shared: number,
    byMigrate: boolean,
  ][] = [
    ['run in parallel, all by MIGRATE', two, [migrate, migrate], 2, true],
    ['run in parallel, all by Valkey', two, [byValkey, byValkey], 2, false],
    ['do not run in parallel on Redis, which takes part in one at a time', two, [byRedis, byRedis], 0, false],
    ['do not run in parallel, MIGRATE beside atomic', two, [migrate, byValkey], 1, false],
    ['leave out what an earlier run began', [two[0], resumed], [migrate, migrate], 0, false],
  ];
  for (const [name, moves, chosen, shared, byMigrate] of table) {
    test(`lets moves that ${name}`, () => {
      const methods = new Methods(moves.map((move, index) => [move, chosen[index] ?? migrate]));
      const sharing = shareTargets(moves, methods);
      assert.deepEqual([sharing.moves.size, sharing.locks.get('z')?.byMigrate], [shared, byMigrate]);
    });
  }
});
