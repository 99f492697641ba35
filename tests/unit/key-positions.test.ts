import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { changeOf, mayBeKey, readCommands } from '../../lib/copy/follow/key-positions.ts';
import { chooseStart } from '../../lib/copy/follow/replication-link.ts';
import { fc } from '../helpers/properties.ts';

type Entry = readonly [string, number, readonly string[], number, number, number, ...unknown[]];
const write = (name: string, first: number, last: number, step: number, ...flags: string[]): Entry => [
  ...([name, -2, ['write', ...flags], first, last, step] as const),
];

/** As COMMAND of Redis 8.6 has it, in part. */
const REPLY = [
  write('set', 1, 1, 1),
  write('del', 1, -1, 1),
  write('mset', 1, -1, 2),
  write('copy', 1, 2, 1),
  write('move', 1, 1, 1),
  write('sort', 1, 1, 1, 'movablekeys'),
  write('georadius', 1, 1, 1, 'movablekeys'),
  write('zunionstore', 1, 1, 1, 'movablekeys'),
  write('lmpop', 0, 0, 0, 'movablekeys'),
  write('blmpop', 0, 0, 0, 'movablekeys'),
  write('msetex', 0, 0, 0, 'movablekeys'),
  write('migrate', 3, 3, 1, 'movablekeys'),
  write('xreadgroup', 0, 0, 0, 'movablekeys'),
  write('trimslots', 0, 0, 0),
  write('flushall', 0, 0, 0),
  write('swapdb', 0, 0, 0),
  write('some.module', 0, 0, 0),
  ['ping', -1, ['fast'], 0, 0, 0],
  ['multi', 1, ['fast'], 0, 0, 0],
  ['replconf', -1, ['admin'], 0, 0, 0],
  ['spublish', 3, ['pubsub'], 1, 1, 1],
  ['eval', -3, ['noscript', 'movablekeys'], 0, 0, 0],
  ['pfcount', -2, ['readonly'], 1, -1, 1],
  [
    ...(['xgroup', -2, [], 0, 0, 0, [], [], []] as const),
    [write('xgroup|create', 2, 2, 1), ['xgroup|help', 2, [], 0, 0, 0]],
  ],
  [...(['function', -2, [], 0, 0, 0, [], [], []] as const), [write('function|load', 0, 0, 0)]],
  [...(['cluster', -2, [], 0, 0, 0, [], [], []] as const), [write('cluster|flushslot', 0, 0, 0)]],
];
const known = readCommands(REPLY as never, 'here');

const keys = (line: string) => {
  const change = changeOf(line.split(' '), known);
  return change.what === 'keys' ? [...change.keys, ...(change.also ? [change.also] : [])] : change.what;
};

describe('changeOf()', () => {
  for (const [line, wanted] of [
    ['SET a 1', ['a']],
    ['set a 1', ['a']],
    ['DEL a b c', ['a', 'b', 'c']],
    ['MSET a 1 b 2', ['a', 'b']],
    ['COPY a b', ['a', 'b']],
    ['COPY a b DB 3 REPLACE', ['a', 'b', { db: 3, keys: ['b'] }]],
    ['MOVE a 2', ['a', { db: 2, keys: ['a'] }]],
    ['SORT a BY store LIMIT 0 1 GET store STORE b', ['b']],
    ['SORT a STORE b STORE c', ['c']],
    ['SORT a', 'any-key'],
    ['GEORADIUS a 1 1 5 km STORE b', ['b']],
    ['GEORADIUS a 1 1 5 km STOREDIST b ASC', ['b']],
    ['ZUNIONSTORE a 2 b c', ['a']],
    ['LMPOP 2 a b LEFT', ['a', 'b']],
    ['BLMPOP 0 1 a LEFT', ['a']],
    ['LMPOP 9 a LEFT', 'any-key'],
    ['LMPOP x a LEFT', 'any-key'],
    ['MSETEX 2 a 1 b 2 EX 9', ['a', 'b']],
    ['MIGRATE host 1 a 0 9', ['a']],
    ['XREADGROUP GROUP streams me STREAMS a b 1 2', ['a', 'b']],
    ['XGROUP CREATE a g $', ['a']],
    ['PFCOUNT a', ['a']],
    ['EVAL script 1 a', 'any-key'],
    ['FLUSHALL', 'any-key'],
    ['SWAPDB 0 1', 'any-key'],
    ['SOME.MODULE a', 'any-key'],
    ['NEVER.HEARD.OF a', 'any-key'],
    ['CLUSTER FLUSHSLOT 5', 'any-key'],
    ['CLUSTER SYNCSLOTS x', 'nothing'],
    ['TRIMSLOTS RANGES 1 5 6', 'nothing'],
    ['FUNCTION LOAD x', 'functions'],
    ['SPUBLISH channel text', 'nothing'],
    ['PING', 'nothing'],
    ['MULTI', 'nothing'],
    ['REPLCONF GETACK *', 'nothing'],
  ] as const) {
    test(line, () => assert.deepEqual(keys(line), wanted));
  }

  test('MIGRATE with KEYS', () => {
    const words = ['MIGRATE', 'host', '1', '', '0', '9', 'KEYS', 'a', 'b'];
    assert.deepEqual(changeOf(words, known), { what: 'keys', keys: ['a', 'b'] });
  });

  test('names what `mayBeKey()` keeps, so that no long key is lost', () => {
    const word = fc.constantFrom('a', 'STORE', 'BY', '0', '1', '2', 'KEYS', 'STREAMS', 'create', 'DB', '');
    const name = fc.constantFrom(...[...known.keys()].flatMap((one) => one.split('|')[0] ?? []));
    fc.assert(
      fc.property(name, fc.array(word, { maxLength: 9 }), (first, rest) => {
        const words = [first, ...rest].map((one, index) => (index > 0 && one === 'a' ? `a${index}` : one));
        let found: ReturnType<typeof changeOf>;
        try {
          found = changeOf(words, known);
        } catch (error) {
          assert.ok(error instanceof TypeError, 'a database that is none');
          return;
        }
        if (found.what !== 'keys') return;
        for (const key of found.keys.filter((one) => /^a\d/.test(one)))
          assert.ok(
            mayBeKey(words.slice(0, words.indexOf(key)), words.length, known),
            `${words.join(' ')}: ${key}`,
          );
      }),
    );
  });
});

describe('readCommands()', () => {
  for (const reply of [null, 'OK', 5, [null], ['set'], [[1, 2, 3]], [['set', 1, 'write', 1, 1, 1]]])
    test(`refuses ${JSON.stringify(reply)}`, () =>
      assert.throws(() => readCommands(reply as never, 'here'), { code: 'BAD_REPLY' }));
});

describe('chooseStart()', () => {
  const [id, former] = ['a'.repeat(40), 'b'.repeat(40)];
  const info = (fields: Readonly<Record<string, string>> = {}) =>
    new Map(
      Object.entries({
        repl_backlog_active: '1',
        master_replid: id,
        master_replid2: former,
        master_repl_offset: '1000',
        second_repl_offset: '501',
        repl_backlog_first_byte_offset: '401',
        ...fields,
      }),
    );
  const at = (offset: number, of = id) => ({ id: of, offset, db: 0 });
  for (const [what, from, isContinued, wanted] of [
    ['from where it was', [at(900)], true, at(900)],
    ['from the first byte of the backlog', [at(400)], true, at(400)],
    ['from now on if the backlog does not go back so far', [at(399)], false, at(1000)],
    ['from now on if the master has less than was read', [at(1001)], false, at(1000)],
    ['where a master was replaced', [at(9, id), at(500, former)], true, at(500, former)],
    ['from now on if the replica did not have all', [at(501, former)], false, at(1000)],
    ['from now on if the history is another', [at(900, 'c'.repeat(40))], false, at(1000)],
    ['from now on at first', [], false, at(1000)],
  ] as const) {
    test(what, () => assert.deepEqual(chooseStart(info(), from, true), { at: wanted, isContinued }));
  }

  test('asks for everything if there is no backlog, or the database is not known', () => {
    const all = { at: undefined, isContinued: false };
    assert.deepEqual(chooseStart(info({ repl_backlog_active: '0' }), [at(900)], true), all);
    assert.deepEqual(chooseStart(info(), [], false), all);
    assert.deepEqual(chooseStart(info(), [at(900)], false), { at: at(900), isContinued: true });
  });
});
