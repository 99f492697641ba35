import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { reportHtml } from '../../lib/cli/report/html.ts';
import { reportMarkdown } from '../../lib/cli/report/markdown.ts';
import { formatBytes } from '../../lib/model/bytes.ts';
import { bundleOf } from '../../lib/operations/bundle-document.ts';
import { HOSTILE, reportWith } from '../helpers/hostile-report.ts';
import { runMain } from '../helpers/made-up-io.ts';

const dir = mkdtempSync(join(tmpdir(), 'redis-trib-report-'));
after(() => rmSync(dir, { recursive: true }));

const ID = ['1', '2', '3'].map((digit) => digit.repeat(40));
const node = (index: number, port: number, flags: string, slots: string, name = '') =>
  `${ID[index]} 10.0.0.${index + 1}:${port}@1${port}${name} ${flags} 0 0 ${index} connected ${slots}\n`;
const nodes =
  node(0, 7000, 'myself,master -', '0-8000') +
  node(1, 7000, 'master,fail -', '8001-16000', ',</title><script>alert(1)</script>') +
  node(2, 7000, `slave ${ID[0]}`, '');
const NODE = '10.0.0.1:7000';
const ZONE = '"><img/src=x/onerror=alert(1)>\u202e';

/** A file with the answers of a cluster whose zone is hostile, and some of whose nodes do not answer. */
function bundleFile(): string {
  const path = join(dir, 'bundle.json');
  const answers = new Map<string, string[]>([
    ['CLUSTER NODES', [nodes]],
    ['CLUSTER INFO', ['cluster_state:fail\r\ncluster_known_nodes:3\r\n']],
    ['INFO server', [`redis_version:8.6.0\r\navailability_zone:${ZONE}\r\n`]],
    ['INFO keyspace', ['db0:keys=12,expires=0\r\n']],
    ['INFO memory', ['used_memory:1048576\r\n']],
    ['INFO replication', ['role:master\r\n']],
    ['INFO persistence', ['loading:0\r\n']],
  ]);
  const document = bundleOf(
    { asked: [NODE], nodes: new Map([[NODE, { answers, keys: new Map() }]]) },
    { by: '1', at: '2026-01-02T03:04:05Z', isAnonymous: false },
  );
  writeFileSync(path, JSON.stringify(document));
  return path;
}

const UNPRINTABLE = /(?!\n)\p{Cc}|\p{Bidi_Control}/u;

describe('A report as HTML', () => {
  test('has the same markup whatever the text has in it', () => {
    const tagsOf = (html: string): string[] => html.match(/<[^>]*>/g) ?? [];
    const plain = tagsOf(reportHtml(reportWith('plain')));
    for (const text of HOSTILE) {
      const html = reportHtml(reportWith(text));
      assert.deepEqual(tagsOf(html), plain, text);
      assert.doesNotMatch(html, UNPRINTABLE, text);
    }
  });

  test('colours the verdict by the worst that was found', () => {
    const [found] = reportWith('plain').findings ?? [];
    assert.ok(found);
    const verdictOf = (ok: boolean, severity: 'error' | 'warning' | 'info'): string | undefined =>
      /class="verdict (\w+)"/.exec(
        reportHtml({ ...reportWith('plain'), ok, findings: [{ ...found, severity }] }),
      )?.[1];
    assert.deepEqual(
      [verdictOf(false, 'error'), verdictOf(true, 'warning'), verdictOf(true, 'info')],
      ['bad', 'warn', 'good'],
    );
  });

  test('allows nothing but its own style', () => {
    const html = reportHtml(reportWith('plain'));
    const [, policy = ''] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html) ?? [];
    const [, style = ''] = /<style>([^<]*)<\/style>/.exec(html) ?? [];
    const hash = createHash('sha256').update(style).digest('base64');
    assert.ok(policy.startsWith("default-src 'none'; "), policy);
    assert.ok(policy.includes(`style-src 'sha256-${hash}'`));
    assert.doesNotMatch(html, / (?:style|src|href|on\w+)=|<script|url\(|@import/);
  });
});

describe('A report as Markdown', () => {
  test('has no markup of the text in it outside of code', () => {
    for (const text of HOSTILE) {
      const markdown = reportMarkdown(reportWith(text));
      assert.doesNotMatch(markdown, UNPRINTABLE, text);
      // Fences are longer than any in the text.
      const prose = markdown.replace(/^( *)(`{3,})text\n[\s\S]*?\n\1\2$/gm, '');
      assert.doesNotMatch(prose.replaceAll('<!-- -->', '').replaceAll(/\\./g, ''), /[<>`[\]]/, text);
      assert.doesNotMatch(prose, /@\w|[^#]#\d|:\/\/|www\./, text);
      const [, , row = ''] = /((?:^\|.*\n?){3})/m.exec(prose)?.[0].split('\n') ?? [];
      assert.equal(row.replaceAll('\\|', '').match(/\|/g)?.length, 2, row);
    }
  });
});

describe('report', () => {
  test('writes a page about what a bundle has in it', async () => {
    const [from, html] = [bundleFile(), join(dir, 'page.html')];
    const ran = await runMain(['report', '--from', from, '--html', html, '--json']);
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    const { findings } = JSON.parse(ran.stdout) as { findings: { kind: string }[] };
    const page = readFileSync(html, 'utf8');
    for (const { kind } of findings) assert.ok(page.includes(`<code>${kind}</code>`), kind);
    assert.ok(findings.some(({ kind }) => kind === 'slots-uncovered'));
    for (const shown of [
      NODE,
      '16001 of 16384 covered',
      formatBytes(1048576),
      'Zones',
      '2026-01-02 03:04 UTC',
      '(no node)',
    ])
      assert.ok(page.includes(shown), shown);
    assert.doesNotMatch(page, /<script|<img/);
    const again = await runMain(['report', from]);
    assert.deepEqual([again.code, again.stderr], [0, '']);
    assert.match(again.stdout, /^## Cluster at 10\.0\.0\.1:7000\n/);
  });

  test('writes a page about a plan: before and after', async () => {
    const [source, target] = [
      { id: ID[0], address: NODE },
      { id: ID[1], address: '10.0.0.2:7000' },
    ];
    const plan = join(dir, 'plan.json');
    writeFileSync(
      plan,
      JSON.stringify({
        ...{ version: 1, operation: 'reshard', expect: { members: [source, target] }, masters: [source] },
        steps: [{ type: 'move-slots', source, target, slots: [[0, 99]] }],
        before: [
          { ...source, role: 'master', configEpoch: 1, slots: [[0, 16383]] },
          { ...target, role: 'master', configEpoch: 2, slots: [] },
        ],
      }),
    );
    const html = join(dir, 'plan.html');
    const ran = await runMain(['report', plan, '--html', html, '--markdown']);
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    for (const text of [ran.stdout, readFileSync(html, 'utf8')])
      for (const shown of ['Plan of reshard', 'Slots before', 'Slots after', '16284', '100 slots, 1 move'])
        assert.ok(text.includes(shown), shown);
  });

  test('says of a file that it cannot read, and of one that is neither', async () => {
    const missing = await runMain(['report', join(dir, 'missing.json')]);
    assert.deepEqual([missing.code, missing.stdout], [2, '']);
    const other = join(dir, 'other.json');
    writeFileSync(other, '{}');
    assert.equal((await runMain(['report', other])).code, 1);
    const check = await runMain(['check', '--from', other, '--json']);
    assert.deepEqual([check.code, JSON.parse(check.stdout).error.code], [1, 'BUNDLE_INVALID']);
    const both = await runMain(['check', NODE, '--from', other]);
    assert.equal(both.code, 2);
  });
});
