import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../lib/cli/io.ts';
import { moveOptions, sizeFlag } from '../../lib/cli/move-options.ts';

test('`moveOptions()` sets nothing that was not given, so that the defaults of the library apply', () => {
  assert.deepEqual(moveOptions({}), {});
});

test('`moveOptions()` reads every option', () => {
  const values = {
    method: 'migrate',
    'max-stall': '20',
    concurrency: '2',
    'max-keys-per-second': '5000',
    'max-bytes-per-second': '10mb',
    'big-keys': '1gb',
    timeout: '3000',
    'atomic-timeout': '90000',
  };
  assert.deepEqual(moveOptions(values), {
    method: 'migrate',
    maxStall: 20,
    concurrency: 2,
    limits: { keysPerSecond: 5000, bytesPerSecond: 10 * 1024 ** 2 },
    bigKeySize: 1024 ** 3,
    migrateTimeout: 3000,
    atomicTimeout: 90_000,
  });
});

test('`moveOptions()` accepts `off` for an unbounded stall or size', () => {
  assert.deepEqual(moveOptions({ 'max-stall': 'off', 'big-keys': 'off' }), {
    maxStall: Number.POSITIVE_INFINITY,
    bigKeySize: Number.POSITIVE_INFINITY,
  });
  assert.throws(() => moveOptions({ concurrency: 'off' }), UsageError);
});

test('`sizeFlag()` reads sizes as in redis.conf', () => {
  for (const [text, bytes] of Object.entries({
    '500000': 500_000,
    '1b': 1,
    '2k': 2000,
    '2kb': 2048,
    '3m': 3_000_000,
    '3MB': 3 * 1024 ** 2,
    '4g': 4_000_000_000,
    '4Gb': 4 * 1024 ** 3,
  })) {
    assert.equal(sizeFlag({ size: text }, 'size'), bytes, text);
  }
  assert.equal(sizeFlag({}, 'size'), undefined);
});
