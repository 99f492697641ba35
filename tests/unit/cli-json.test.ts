import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { checked } from '../../lib/cli/check-view.ts';
import { backedUp } from '../../lib/cli/commands/backup.ts';
import { restored } from '../../lib/cli/commands/restore.ts';
import { errorData } from '../../lib/cli/error-view.ts';
import { executed } from '../../lib/cli/execute-view.ts';
import { informed } from '../../lib/cli/info-view.ts';
import { listed } from '../../lib/cli/list-view.ts';
import { operated } from '../../lib/cli/outcome.ts';
import { timeoutSet } from '../../lib/cli/set-timeout-view.ts';
import { ClusterError } from '../../lib/errors.ts';
import { ClusterNode } from '../../lib/model/cluster-node.ts';
import { findingsOf } from '../../lib/model/findings.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { agreedView, detailsOf, idOf, nodesText } from '../helpers/views.ts';

const docs = readFileSync(new URL('../../docs/json.md', import.meta.url), 'utf8');

/** Fields that are described under a heading, `nodes[].id` for those of the items of a list. */
function described(heading: string): string[] {
  const [, after = ''] = docs.split(`\n### ${heading}\n`);
  const [section = ''] = after.split(/\n##/);
  const fields = [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, field = '']) => field);
  assert.ok(fields.length > 0, `no fields under ${heading}`);
  return fields.sort();
}

function fieldsOf(data: Readonly<Record<string, unknown>>, opened: readonly string[]): string[] {
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
  test('check', () => {
    const findings = findingsOf(view);
    const details = new Map([[idOf(1), detailsOf({})]]);
    const { data } = checked({ ok: false, findings, view, details });
    assert.deepEqual(fieldsOf(data, ['findings', 'nodes']), described('check'));
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
    const counts = { expired: 0, keys: 1, same: 0, bytes: 1, elapsedMs: 1 };
    const result = { applied: true, dir: '', date: '', databases, functions: [], ...counts };
    const { data } = restored(result, 'a:1', {});
    assert.deepEqual(fieldsOf(data, ['databases']), described('restore'));
  });

  test('commands that carry out a plan', () => {
    const plan = { version: 1, before: [], operation: 'join', steps: [], masters: [] } as const;
    const { data } = operated(
      {
        ...{ plan, applied: true, slots: 0, keys: 0, bytes: 0 },
        ...{ keysPerSecond: 0, longestStallMs: 0, elapsedMs: 0 },
      },
      'Done',
    );
    assert.deepEqual(fieldsOf(data, []), described('Commands that change a cluster'));
  });

  test('errors', () => {
    const error = new ClusterError('KEY_CONFLICT', 'no', { address: 'a:1', hint: 'do', keys: ['k'] });
    const data = errorData(error, { interrupted: false, password: undefined });
    assert.deepEqual(fieldsOf(data, []), described('error'));
  });
});

test('docs/json.md names every type of event and every kind of finding', () => {
  const read = (path: string) => readFileSync(new URL(`../../lib/${path}`, import.meta.url), 'utf8');
  const events = [...read('events.ts').matchAll(/readonly type: '([a-z-]+)'/g)].map(([, type]) => type);
  const listed = [...(docs.split('\n## Events\n')[1] ?? '').matchAll(/^\| `([a-z-]+)` \|/gm)];
  assert.deepEqual(listed.map(([, type]) => type).sort(), events.sort());
  const kinds = [...(read('model/finding.ts').split('FindingKind =')[1] ?? '').matchAll(/\| '([a-z-]+)'/g)];
  for (const [, kind] of kinds) assert.ok(docs.includes(`\`${kind}\``), `${kind} is not described`);
});

describe('--json-stream', () => {
  test('prints an event a line, then the document', async () => {
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

  test('ends with the document where it fails, and where the usage is wrong', async () => {
    const failed = await runMain(['check', '--json-stream', '127.0.0.1:1']);
    assert.deepEqual([failed.code, JSON.parse(failed.stdout).error.code], [1, 'ECONNREFUSED']);
    const wrong = await runMain(['check', '--json-stream']);
    assert.deepEqual([wrong.code, JSON.parse(wrong.stdout).error.code], [2, 'USAGE']);
  });
});
