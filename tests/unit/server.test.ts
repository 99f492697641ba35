import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseInfo } from '../../lib/nodes/node-info.ts';
import {
  type Capabilities,
  isAtLeast,
  mayNotFollow,
  readServer,
  readServerName,
} from '../../lib/nodes/server.ts';

type Capability = keyof Capabilities;

const redis62: readonly Capability[] = ['failsOverFromZero', 'pausesWrites'];
const redis7: readonly Capability[] = [...redis62, 'hasFunctions', 'hasExpireTime'];
const redis8: readonly Capability[] = [...redis7, 'hasShardIds', 'tellsForgotten'];
const valkey8: readonly Capability[] = [...redis8, 'waitsForReplicas', 'takesImportedSlots'];

/** The lines with the version, as servers of these versions write them, and what these servers can do. */
const SERVERS: readonly [lines: string, name: string, can: readonly Capability[]][] = [
  ['redis_version:6.0.16', 'Redis 6.0.16', []],
  ['redis_version:6.2.0', 'Redis 6.2.0', redis62],
  ['redis_version:7.0.12', 'Redis 7.0.12', redis7],
  ['redis_version:7.0.15', 'Redis 7.0.15', [...redis7, 'remembersUnclaimed']],
  ['redis_version:7.2.3', 'Redis 7.2.3', [...redis8, 'remembersUnclaimed']],
  ['redis_version:7.2.4', 'Redis 7.2.4', redis8],
  ['redis_version:8.0.2', 'Redis 8.0.2', redis8],
  ['redis_version:8.4.0', 'Redis 8.4.0', [...redis8, 'hidesKeys']],
  ['redis_version:8.6.3', 'Redis 8.6.3', [...redis8, 'hidesKeys']],
  ['redis_version:255.255.255', 'Redis 255.255.255', [...redis8, 'hidesKeys']],
  ['redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:7.2.9', 'Valkey 7.2.9', redis8],
  ['redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1', 'Valkey 8.1.1', valkey8],
  [
    'redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2',
    'Valkey 9.1.2',
    [...valkey8, 'writesOldSnapshots'],
  ],
  ['redis_version:ten', 'Redis ten', []],
  ['run_id:abc', 'Redis ?', []],
];

describe('`readServer()`', () => {
  for (const [lines, name, can] of SERVERS) {
    test(`knows ${name} and what it can do`, () => {
      const server = readServer(parseInfo(`# Server\r\n${lines}\r\ngcc_version:10.2.1\r\n`));
      assert.equal(server.name, name);
      assert.equal(`${server.family} ${server.version}`, name.toLowerCase());
      const able = Object.entries(server.capabilities).flatMap(([capability, has]) =>
        has ? capability : [],
      );
      assert.deepEqual(able.sort(), [...can].sort());
    });
  }
});

describe('`readServerName()`', () => {
  test('reads the names that `readServer()` gives', () => {
    for (const [lines, name] of SERVERS) assert.deepEqual(readServerName(name), readServer(parseInfo(lines)));
  });

  for (const text of ['', 'Redis', 'redis 7.0.15', 'KeyDB 6.3.4', 'Redis 7 0']) {
    test(`does not accept "${text}" as a server`, () => assert.equal(readServerName(text), undefined));
  }
});

test('`isAtLeast()` compares numbers, not text', () => {
  const cases: [string, number, number, boolean][] = [
    ['8.10.0', 8, 4, true],
    ['8.4.0', 8, 10, false],
    ['10.0.0', 9, 0, true],
    ['8', 8, 0, true],
    ['8', 8, 1, false],
    ['?', 0, 0, false],
  ];
  for (const [version, major, minor, is] of cases) {
    assert.equal(isAtLeast({ version }, major, minor), is, `${version} ${major}.${minor}`);
  }
});

test('`mayNotFollow()` is true of an older replica, and of one of the other family', () => {
  const cases: [string, string, boolean][] = [
    ['Redis 7.0.15', 'Redis 8.6.3', true],
    ['Redis 8.4.0', 'Redis 8.6.0', true],
    ['Redis 8.6.0', 'Redis 8.6.3', false],
    ['Redis 8.6.0', 'Redis 7.0.15', false],
    ['Valkey 9.1.0', 'Redis 7.0.15', true],
    ['Redis ?', 'Redis 8.6.0', false],
  ];
  for (const [replica, master, may] of cases) {
    const [one, other] = [readServerName(replica), readServerName(master)];
    assert.ok(one && other);
    assert.equal(mayNotFollow(one, other), may, `${replica} ${master}`);
  }
});
