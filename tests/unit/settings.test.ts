import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { migrateSlots, type OperationOptions } from '../../lib/index.ts';
import { SLOT_COUNT } from '../../lib/model/slot.ts';
import { DEFAULTS, settingsOf } from '../../lib/settings.ts';

const lib = fileURLToPath(new URL('../../lib/', import.meta.url));

type Literal = number | string | boolean;

/** The options of a file whose documented default is a value; defaults in words are left out. */
function documentedIn(file: string): Record<string, Literal> {
  const text = readFileSync(lib + file, 'utf8');
  const found: Record<string, Literal> = {};
  for (const [, said = '', name = ''] of text.matchAll(
    /@default ((?:(?!\*\/).)+?)\s*(?:\n\s*)?\*\/\s*(?:readonly )?(\w+)\?:/g,
  )) {
    const [literal] = /^(?:'[^']*'|\d+|true|false)(?=$|[,:])/.exec(said) ?? [];
    if (literal !== undefined) found[name] = JSON.parse(literal.replaceAll("'", '"')) as Literal;
  }
  return found;
}

describe('settingsOf()', () => {
  test('gives each option with a default the one that options.ts documents, and no others', () => {
    const { limits, migrateTimeoutGrows, agreeTimeoutGrows, ...settings } = settingsOf({});
    assert.deepEqual(settings, documentedIn('options.ts'));
    assert.deepEqual([limits, migrateTimeoutGrows, agreeTimeoutGrows], [{}, true, true]);
  });

  test('keeps given values, and the same limits object, which may change while slots move', () => {
    const limits = { keysPerSecond: 1 };
    const given: OperationOptions = {
      ...{ tls: true, connectTimeout: 1, commandTimeout: 2, method: 'atomic', maxStall: 3, concurrency: 4 },
      ...{
        bigKeySize: 5,
        migrateTimeout: 6,
        atomicTimeout: 7,
        dryRun: true,
        agreeTimeout: 8,
        restartTimeout: 10,
        wait: 9,
        force: true,
      },
      limits,
    };
    const settings = settingsOf(given);
    assert.deepEqual(settings, { ...given, migrateTimeoutGrows: false, agreeTimeoutGrows: false });
    assert.equal(settings.limits, limits);
  });

  test('refuses values that no operation can work with', () => {
    const numbers = ['maxStall', 'concurrency', 'bigKeySize', 'migrateTimeout', 'atomicTimeout'] as const;
    for (const name of [
      ...numbers,
      'agreeTimeout',
      'restartTimeout',
      'wait',
      'connectTimeout',
      'commandTimeout',
    ] as const) {
      for (const value of [Number.NaN, -1, '5', {}]) {
        assert.throws(() => settingsOf({ [name]: value }), { code: 'INVALID_ARGUMENT' }, `${name}: ${value}`);
      }
      assert.equal(settingsOf({ [name]: Number.POSITIVE_INFINITY })[name], Number.POSITIVE_INFINITY);
    }
    assert.throws(() => settingsOf({ concurrency: 0 }), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => settingsOf({ method: 'Atomic' as 'atomic' }), { code: 'INVALID_ARGUMENT' });
  });

  test('makes an operation reject before it connects to a node', async () => {
    const nobody = '127.0.0.1:1';
    await assert.rejects(migrateSlots(nobody, '127.0.0.1:2', [1], { agreeTimeout: Number.NaN }), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(migrateSlots(nobody, '127.0.0.1:2', [1]), { code: 'ECONNREFUSED' });
  });
});

describe('DEFAULTS', () => {
  /** Files that document options of one operation, and the defaults of that operation if it has any. */
  const own: Readonly<Record<string, Readonly<Record<string, Literal>>>> = {
    'operations/start-cluster.ts': DEFAULTS.start,
    'operations/create-cluster.ts': DEFAULTS.create,
    'operations/ensure-cluster.ts': DEFAULTS.ensure,
    'operations/rebalance.ts': DEFAULTS.rebalance,
    'operations/backup-cluster.ts': DEFAULTS.backup,
    'operations/compare-keys.ts': DEFAULTS.compare,
    'operations/follow-keys.ts': DEFAULTS.follow,
    'operations/restore-cluster.ts': DEFAULTS.restore,
    'operations/failover.ts': DEFAULTS.failover,
    'operations/fix-migrating.ts': DEFAULTS.fix,
    'operations/step-down.ts': DEFAULTS.stepDown,
    'operations/wait-for.ts': { timeout: DEFAULTS.wait.timeout },
    'operations/watch.ts': DEFAULTS.watch,
    'operations/survey-keys.ts': DEFAULTS.surveyKeys,
    'operations/find-hot-spots.ts': DEFAULTS.findHotSpots,
  };
  const files = [...readdirSync(`${lib}operations`).map((name) => `operations/${name}`), 'plan/from-view.ts'];

  for (const file of files) {
    const documented = documentedIn(file);
    if (Object.keys(documented).length === 0) continue;
    test(`are what ${file} documents`, () => {
      const defaults = own[file === 'plan/from-view.ts' ? 'operations/rebalance.ts' : file] ?? {};
      const all: Readonly<Record<string, unknown>> = { ...settingsOf({}), ...defaults };
      // An option that is off unless given needs no default.
      for (const [name, value] of Object.entries(documented)) assert.equal(all[name] ?? false, value, name);
      if (own[file]) for (const name of Object.keys(defaults)) assert.ok(name in documented, name);
    });
  }

  test('include the number of all slots', () => {
    assert.equal(DEFAULTS.start.maxSlots, SLOT_COUNT);
  });
});
