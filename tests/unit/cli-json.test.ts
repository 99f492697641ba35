import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { checked } from '../../lib/cli/check-view.ts';
import { backedUp } from '../../lib/cli/commands/backup.ts';
import { compared } from '../../lib/cli/commands/compare.ts';
import { followed, imported } from '../../lib/cli/commands/import.ts';
import { restored } from '../../lib/cli/commands/restore.ts';
import { describeError, errorData } from '../../lib/cli/error-view.ts';
import { executed } from '../../lib/cli/execute-view.ts';
import { foundHot } from '../../lib/cli/hot-view.ts';
import { informed } from '../../lib/cli/info-view.ts';
import { surveyed } from '../../lib/cli/keys-view.ts';
import { listed } from '../../lib/cli/list-view.ts';
import { operated } from '../../lib/cli/outcome.ts';
import { timeoutSet } from '../../lib/cli/set-timeout-view.ts';
import { verdictOutcome } from '../../lib/cli/stop-view.ts';
import { KeyTally } from '../../lib/copy/survey/key-tally.ts';
import { ClusterError, NOTHING_SO_FAR, ReplyError } from '../../lib/errors.ts';
import type { Stopped } from '../../lib/events.ts';
import { findingsOf } from '../../lib/findings/findings.ts';
import { ClusterNode } from '../../lib/model/cluster-node.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { agreedView, detailsOf, idOf, nodesText } from '../helpers/views.ts';

const docs = readFileSync(new URL('../../docs/json.md', import.meta.url), 'utf8');

/** The fields described under a heading, with `nodes[].id` for those of the items of a list. */
function described(heading: string): string[] {
  const [, after = ''] = docs.split(`\n### ${heading}\n`);
  const [section = ''] = after.split(/\n##/);
  const fields = [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, field = '']) => field);
  assert.ok(fields.length > 0, `no fields under ${heading}`);
  return fields.sort();
}

function fieldsOf(data: object, opened: readonly string[]): string[] {
  const fields = new Set<string>();
  for (const [name, value] of Object.entries(data)) {
    fields.add(name);
    if (!opened.includes(name)) continue;
    for (const item of value as Record<string, unknown>[]) {
      for (const inner of Object.keys(item)) fields.add(`${name}[].${inner}`);
    }
  }
  return [...fields].sort();
}

const view = agreedView(
  [
    { node: 1, slots: '0-8191' },
    { node: 2, slots: '8192-16000', flags: 'master,fail' },
    { node: 3, flags: 'slave', master: 1 },
  ],
  [2],
);
const node = new ClusterNode(view.nodes[0] as (typeof view.nodes)[number]);

describe('docs/json.md names exactly the fields of', () => {
  test('check', async () => {
    const findings = findingsOf(view);
    const details = new Map([[idOf(1), detailsOf({})]]);
    const { data } = await checked({ ok: false, findings, view, details });
    assert.deepEqual(fieldsOf(data, ['findings', 'nodes']), described('check'));
  });

  test('ok_to_stop', () => {
    const replica = { id: idOf(3), address: 'a:3', role: 'replica' as const, slots: [], others: 0 };
    const successor = { id: idOf(3), address: 'a:3', behind: 0 };
    const master = { id: idOf(1), address: 'a:1', role: 'master' as const, slots: [], successor };
    const reason = { kind: 'no-copy' as const, message: '', nodes: [], slots: [] };
    const voters = { all: 1, staying: 0, needed: 1 };
    const { data } = verdictOutcome({
      ok: false,
      nodes: [master, replica],
      voters,
      reasons: [reason],
      together: [],
    });
    assert.deepEqual(fieldsOf(data, ['nodes', 'reasons']), described('ok_to_stop'));
  });

  test('info', () => {
    const master = { id: idOf(1), address: 'a:1', slots: 1, slotRanges: [[0, 0]] as const, replicas: [] };
    const masters = [{ ...master, keys: null, usedMemory: null, error: new Error('gone') }];
    const { data } = informed({ ok: false, masters, keys: 0, slots: 1, usedMemory: 0, keysPerSlot: 0 });
    assert.deepEqual(fieldsOf(data, ['masters']), described('info'));
  });

  test('execute and call', () => {
    const { data } = executed([
      { node, result: 'PONG', error: null },
      { node, result: null, error: new Error('gone') },
    ]);
    assert.deepEqual(fieldsOf(data, ['results']), described('execute, call'));
  });

  test('list', () => {
    const { data } = listed({ nodes: [node], myself: node });
    assert.deepEqual(fieldsOf(data, ['nodes']), described('list'));
  });

  test('set_timeout', () => {
    const set = {
      id: idOf(1),
      address: 'a:1',
      before: 1,
      after: 2,
      isSaved: false,
      error: new Error('no file'),
    };
    const { data } = timeoutSet({ ok: true, applied: true, timeout: 2, nodes: [set] });
    assert.deepEqual(fieldsOf(data, ['nodes']), described('set_timeout'));
  });

  test('backup', () => {
    const file = {
      id: idOf(1),
      address: 'a:1',
      slots: '0',
      server: 'Redis 8.6.0',
      file: 'f',
      bytes: 1,
      sha256: '',
    };
    const manifest = { version: 1, date: '', problems: [], masters: [file] } as const;
    const { data } = backedUp({ dir: '', manifest, bytes: 1, elapsedMs: 1 });
    assert.deepEqual(fieldsOf(data, ['masters']), described('backup'));
  });

  test('restore', () => {
    const databases = [{ db: 0, keys: 1 }];
    const left = [{ why: 'module', keys: 1, examples: ['key'] }] as const;
    const counts = { expired: 0, strays: 0, keys: 1, same: 0, converted: 0, bytes: 1, elapsedMs: 1 };
    const result = { applied: true, dir: '', date: '', databases, functions: [], left, ...counts };
    const { data } = restored(result, 'a:1', {});
    assert.deepEqual(fieldsOf(data, ['databases', 'left']), described('restore'));
  });

  test('import', () => {
    const databases = [{ db: 0, keys: 1, to: 0 }];
    const left = [{ why: 'module', keys: 1, examples: ['key'] }] as const;
    const counts = { keys: 1, same: 0, converted: 0, deleted: 0, bytes: 1, elapsedMs: 1 };
    const result = { applied: true, source: 'a:1', nodes: ['a:1'], databases, left, ...counts };
    const { data } = imported(result, 'b:1', {});
    assert.deepEqual(fieldsOf(data, ['databases', 'left']), described('import'));
    const cutover = { nodes: ['a:1'], pausedMs: 1.5, pauseLeftMs: 9.5, compared: 1 };
    const ended = followed({ ...result, cutover }, 'b:1', {}, () => '');
    const opened = { ...ended.data, cutover: [ended.data.cutover] };
    const also = fieldsOf(opened, ['databases', 'left', 'cutover']).map((field) =>
      field.replace('cutover[]', 'cutover'),
    );
    assert.deepEqual(also.sort(), [...described('import'), ...described('import --cutover')].sort());
  });

  test('compare', async () => {
    const { data } = await compared({
      ...{ equal: false, sides: ['a:1', 'b:1'], databases: [{ db: 0, keys: 1, to: 0 }] },
      ...{ keys: 1, same: 0, differ: 1, missing: 0, surplus: 0, unknown: 0, settled: 0, elapsedMs: 1 },
      differences: [{ db: 0, key: '\xff', state: 'value' }],
      functions: [{ name: 'lib', state: 'missing' }],
    });
    assert.deepEqual(fieldsOf(data, ['databases', 'differences', 'functions']), described('compare'));
    assert.deepEqual(data.differences, [{ db: 0, key: { base64: '/w==' }, state: 'value' }]);
  });

  test('hot', async () => {
    const { data } = await foundHot(
      {
        ...{ complete: true, forMs: 1, elapsedMs: 1 },
        nodes: [
          {
            ...{ node: 'a:1', id: idOf(1), share: 1, commandsPerSecond: null, slotsBy: 'slot-stats' },
            ...{ keysBy: ['hotkeys'], notes: [], error: null },
          },
        ],
        slots: [
          {
            ...{ slot: 1, node: 'a:1', share: 1, nodeShare: 1, keys: 1 },
            ...{ cpuUsPerSecond: 1, networkBytesPerSecond: null },
          },
        ],
        keys: [
          {
            ...{ key: '\xff', slot: 1, node: 'a:1', by: 'hotkeys' },
            ...{ nodeShare: 1, networkShare: 1, frequency: null },
          },
        ],
        verdicts: [{ kind: 'uneven', message: '', next: [{ do: 'rebalance', options: { by: 'cpu' } }] }],
      },
      {},
    );
    assert.deepEqual(fieldsOf(data, ['nodes', 'slots', 'keys', 'verdicts']), described('hot'));
    assert.deepEqual(data.keys[0]?.key, { base64: '/w==' });
  });

  test('keys', () => {
    const key = { key: '\xff', type: 'string', bytes: 1, ttlMs: null, db: 0, on: 'a:1' };
    const tally = new KeyTally({ separator: ':', depth: 1, top: 1 });
    tally.add(key);
    const { data } = surveyed({
      ...{
        complete: true,
        sampled: false,
        read: 1,
        bytesAre: 'memory',
        movedSlots: 0,
        expired: 0,
        elapsedMs: 1,
      },
      sources: [{ name: 'a:1', kind: 'master', master: 'a:1', keys: 1, error: null }],
      ...tally.sums(),
    });
    const opened = ['prefixes', 'types', 'timesToLive', 'biggest', 'sources'];
    assert.deepEqual(fieldsOf(data, opened), described('keys'));
  });

  test('commands that carry out a plan', () => {
    const plan = { version: 1, before: [], operation: 'join', steps: [], masters: [] } as const;
    const { data } = operated(
      {
        ...{ plan, applied: true, slots: 0, keys: 0, bytes: 0 },
        ...{ keysPerSecond: 0, longestStallMs: 0, elapsedMs: 0, estimatedMs: 0 },
      },
      'Done',
    );
    assert.deepEqual(fieldsOf(data, []), described('Commands that change a cluster'));
  });

  test('errors', () => {
    const error = new ClusterError('KEY_CONFLICT', 'no', { address: 'a:1', hint: 'do', keys: ['k'] });
    const data = errorData(error, { interrupted: false, password: undefined, typed });
    assert.deepEqual(fieldsOf(data, []), described('error'));
  });
});

const typed = { dialect: 'native', values: {} } as const;

function stoppedWith(part: Partial<Stopped>): Stopped {
  const said = { openSlots: [], silent: [], resumable: 'same-call', next: [{ do: 'retry' }] } as const;
  return { type: 'stopped', moved: NOTHING_SO_FAR, ...said, ...part };
}

describe('An interruption', () => {
  const of = (openSlots: readonly number[] | undefined) => ({
    interrupted: true,
    password: undefined,
    typed,
    stopped: openSlots && stoppedWith({ openSlots }),
  });

  test('names what is open to people', () => {
    assert.match(describeError(new Error('stop'), of([3, 4, 9])), /\b3-4 9\b/);
  });

  test('names what is open to programs', () => {
    const named = [undefined, [], [3, 4, 9]].map((open) => errorData(new Error('stop'), of(open)).openSlots);
    assert.deepEqual(named, [[], [], [3, 4, 9]]);
  });

  test('says how far a copy that followed was behind', () => {
    const said = (behind: Stopped['behind']): string => {
      const stopped = stoppedWith({ moved: { ...NOTHING_SO_FAR, keys: 9 }, ...(behind ? { behind } : {}) });
      const context = { interrupted: true, password: undefined, typed, stopped };
      assert.deepEqual(errorData(new Error('stop'), context).behind, behind ?? null);
      return describeError(new Error('stop'), context);
    };
    assert.match(said({ keys: 3, ms: 1500 }), /\b3 changed keys\b.*\b1\.50 s behind/);
    assert.match(said({ keys: 1, ms: 20 }), /\b1 changed key was\b/);
    assert.match(said({ keys: 0, ms: 0 }), /No change was left/);
    assert.doesNotMatch(said(undefined), /change/);
  });
});

describe('What has moved', () => {
  const moved = { slots: 12, planned: 1000, keys: 1, bytes: 9 };

  test('is reported with an interruption, and so is what continues it', () => {
    const next = [{ do: 'retry-rest', slots: 988 }] as const;
    const stopped = stoppedWith({ moved, resumable: 'rest', next });
    const context = { interrupted: true, password: undefined, typed, stopped };
    const said = describeError(new Error('stop'), context);
    for (const word of ['12 of 1000 slots', '1 key', '--slots 988']) assert.ok(said.includes(word), said);
    const data = errorData(new Error('stop'), context);
    assert.deepEqual([data.moved, data.resumable, data.next], [moved, 'rest', next]);
  });

  test('is reported with an error', () => {
    const error = new ClusterError('NO_MEMORY', 'Full', { moved, resumable: 'same-call' });
    const context = { interrupted: false, password: undefined, typed };
    assert.ok(describeError(error, context).includes('12 of 1000 slots'));
    assert.deepEqual(errorData(error, context).moved, moved);
  });

  test('is reported if keys were copied', () => {
    const copied = { ...NOTHING_SO_FAR, keys: 3 };
    const stopped = stoppedWith({ moved: copied });
    const context = { interrupted: true, password: undefined, typed, stopped };
    assert.match(describeError(new Error('stop'), context), /\b3 keys\b/);
  });
});

test('A RangeError of the language is a bug and shows its stack', () => {
  const context = { interrupted: false, password: undefined, typed };
  const error = new RangeError('Invalid array length');
  assert.match(
    describeError(error, context),
    /^Unexpected error.*\nRangeError: Invalid array length\n\s+at /,
  );
  assert.equal(errorData(error, context).code, 'UNEXPECTED');
});

test('Open slots are shown with an error that does not name them itself', () => {
  const stopped = stoppedWith({ openSlots: [3, 4] });
  const context = { interrupted: false, password: undefined, typed, stopped };
  const error = new ReplyError('NOPERM no');
  assert.match(describeError(error, context), /^Slots left open: 3-4$/m);
  assert.deepEqual(errorData(error, context).openSlots, [3, 4]);
});

test('docs/json.md names every kind of finding', () => {
  const source = readFileSync(new URL('../../lib/findings/finding.ts', import.meta.url), 'utf8');
  const kinds = [...(source.split('FindingKind =')[1] ?? '').matchAll(/\| '([a-z-]+)'/g)];
  assert.ok(kinds.length > 0);
  for (const [, kind] of kinds) assert.ok(docs.includes(`\`${kind}\``), `${kind} is not described`);
});

describe('--json-stream', () => {
  test('prints one event a line, then the document', async () => {
    // A node that refuses CONFIG makes the dry run warn.
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (data) => {
        for (const [, word = ''] of data
          .toString()
          .matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n(?:\$\d+\r\n\w+\r\n)*/g)) {
          const port = (server.address() as { port: number }).port;
          const text = nodesText(1, [{ node: 1, slots: '0-16383' }]).replace(
            /:7001@17001/,
            `:${port}@${port}`,
          );
          if (word === 'CLUSTER') socket.write(`$${text.length}\r\n${text}\r\n`);
          else socket.write(word === 'CONFIG' ? '-NOPERM no\r\n' : word === 'PING' ? '+PONG\r\n' : '+OK\r\n');
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const ran = await runMain(['set_timeout', '--dry-run', '--json-stream', `127.0.0.1:${port}`, '5000']);
    server.close();
    const lines = ran.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ version, event, command }) => [version, event?.type ?? command]),
      [
        [1, 'warning'],
        [1, 'set_timeout'],
      ],
      ran.stdout + ran.stderr,
    );
    assert.deepEqual([ran.code, lines[1].ok, lines[1].nodes[0].error], [1, false, 'NOPERM no']);
  });

  test('ends with the document if it fails, or if the usage is wrong', async () => {
    const failed = await runMain(['check', '--json-stream', '127.0.0.1:1']);
    assert.deepEqual([failed.code, JSON.parse(failed.stdout).error.code], [1, 'ECONNREFUSED']);
    const wrong = await runMain(['check', '--json-stream']);
    assert.deepEqual([wrong.code, JSON.parse(wrong.stdout).error.code], [2, 'USAGE']);
  });
});
