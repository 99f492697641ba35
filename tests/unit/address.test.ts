import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  formatAddress,
  hasDefaultBusPort,
  isHost,
  parseAddress,
  sameAddress,
} from '../../lib/model/address.ts';
import { fc } from '../helpers/properties.ts';

describe('parseAddress()', () => {
  for (const [text, host, port] of [
    ['127.0.0.1:7000', '127.0.0.1', 7000],
    ['localhost:1', 'localhost', 1],
    ['node-1.example.com:65535', 'node-1.example.com', 65535],
    ['[::1]:7000', '::1', 7000],
    ['[fe80::1%eth0]:7000', 'fe80::1%eth0', 7000],
    ['::1:7000', '::1', 7000],
    ['2001:db8::8:7000', '2001:db8::8', 7000],
    ['a:b:c:d:e:f:1:2:7000', 'a:b:c:d:e:f:1:2', 7000],
    ['::ffff:127.0.0.1:7000', '::ffff:127.0.0.1', 7000],
    ['fe80::1%eth0:7000', 'fe80::1%eth0', 7000],
  ] as const) {
    test(`reads ${text}`, () => assert.deepEqual(parseAddress(text), { host, port }));
  }

  test('reads a bus port', () => {
    assert.deepEqual(parseAddress('10.0.0.1:7000@17001'), { host: '10.0.0.1', port: 7000, busPort: 17001 });
    assert.deepEqual(parseAddress('[::1]:7000@17000'), { host: '::1', port: 7000, busPort: 17000 });
  });

  test('takes an address in parts', () => {
    assert.deepEqual(parseAddress({ host: '::1', port: 7000 }), { host: '::1', port: 7000 });
    assert.deepEqual(parseAddress({ host: 'a', port: 1, busPort: 2 }), { host: 'a', port: 1, busPort: 2 });
  });

  for (const text of [
    '',
    '127.0.0.1',
    ':7000',
    '[]:7000',
    '[::1]',
    '[::1]7000',
    'host:',
    'host:0',
    'host:65536',
    'host:-1',
    'host:7000x',
    'host:70000000',
    'host: 7000',
    ' host:7000',
    'ho st:7000',
    'host:7000@',
    'host:7000@0',
    'host:7000@65536',
    'host:7000@a',
    'a@b:7000',
    '127.0.0.1:7000127.0.0.1:7001',
    '127.0.0.1:7000127.0.0.1:7001127.0.0.1:7002',
    'host:7000:7001',
    '1:2:7000',
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseAddress(text), { code: 'INVALID_ARGUMENT' });
    });
  }

  for (const value of [
    undefined,
    null,
    7000,
    {},
    { host: 'a' },
    { host: '', port: 1 },
    { host: 'a', port: 0 },
    { host: 'a', port: '7000' },
  ]) {
    test(`refuses ${JSON.stringify(value)}`, () => {
      assert.throws(() => parseAddress(value as never), { code: 'INVALID_ARGUMENT' });
    });
  }

  test('reads what formatAddress() writes', () => {
    const port = fc.integer({ min: 1, max: 65535 });
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
    fc.assert(
      fc.property(host, port, (host, port) => {
        assert.deepEqual(parseAddress(formatAddress({ host, port })), { host, port });
      }),
    );
  });
});

describe('formatAddress()', () => {
  test('puts only IPv6 hosts in brackets, and omits the bus port', () => {
    assert.equal(formatAddress({ host: '::1', port: 7000 }), '[::1]:7000');
    assert.equal(formatAddress({ host: '10.0.0.1', port: 7000, busPort: 1 }), '10.0.0.1:7000');
  });
});

describe('isHost()', () => {
  test('is true of addresses and names, and false of what has a port or more glued to it', () => {
    for (const host of ['10.0.0.1', '::1', 'fe80::1%eth0', '::ffff:10.0.0.1', 'node-1.example', 'node_1'])
      assert.equal(isHost(host), true, host);
    for (const text of [
      '',
      '10.0.0.1:7000',
      '[::1]:7000',
      'redis://a',
      'a b',
      '10.0.0.1,10.0.0.2',
      'node-1:7000',
    ])
      assert.equal(isHost(text), false, text);
  });
});

describe('sameAddress()', () => {
  test('compares host and port', () => {
    const here = { host: 'a', port: 1 };
    assert.ok(sameAddress(here, { host: 'a', port: 1, busPort: 5 }));
    assert.ok(!sameAddress(here, { host: 'b', port: 1 }));
    assert.ok(!sameAddress(here, { host: 'a', port: 2 }));
  });
});

describe('hasDefaultBusPort()', () => {
  test('is true if the bus port is unknown, or the client port plus 10000', () => {
    assert.ok(hasDefaultBusPort({ host: 'a', port: 7000 }));
    assert.ok(hasDefaultBusPort({ host: 'a', port: 7000, busPort: 17000 }));
    assert.ok(!hasDefaultBusPort({ host: 'a', port: 7000, busPort: 17001 }));
  });
});
