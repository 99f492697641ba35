import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checked } from '../../lib/cli/check-view.ts';
import type { Finding } from '../../lib/findings/finding.ts';
import { findingsOf } from '../../lib/findings/findings.ts';
import type { ClusterView } from '../../lib/model/view.ts';
import { agreedView, idOf, type Line } from '../helpers/views.ts';

async function linesOf(view: ClusterView, wanted: Finding['kind']): Promise<string[]> {
  const findings = findingsOf(view).filter(({ kind }) => kind === wanted);
  const { text, data } = await checked({
    ok: false,
    findings,
    view: { ...view, nodes: [] },
    details: new Map(),
  });
  assert.equal(data.findings.length, findings.length, 'JSON has all');
  return text.split('\n').filter((line) => !line.startsWith('[OK]'));
}

/** Two masters, with slots open between them from 0 on. */
function withOpen(count: number): ClusterView {
  const marks = (arrow: string, peer: number): string =>
    Array.from({ length: count }, (_, slot) => `[${slot}-${arrow}-${idOf(peer)}]`).join(' ');
  return agreedView([
    { node: 1, slots: `0-8191 ${marks('>', 2)}` },
    { node: 2, slots: `8192-16383 ${marks('<', 1)}` },
  ]);
}

describe('Many findings of one kind', () => {
  test('are one line with their number, and the slots and nodes', async () => {
    assert.deepEqual(await linesOf(withOpen(1000), 'slot-open'), [
      '[ERR] 1000 slots are open: 0-999, on 127.0.0.1:7001 and 127.0.0.1:7002',
      '  Next: Unless a move is under way: redis-trib fix 127.0.0.1:7001',
    ]);
  });

  test('are a line each up to ten', async () => {
    const lines = await linesOf(withOpen(10), 'slot-open');
    assert.equal(lines.filter((line) => line.startsWith('[ERR] Slot ')).length, 10);
    assert.equal(lines.length, 11);
  });

  test('name the first nodes, and some of the advice', async () => {
    const empty = Array.from({ length: 12 }, (_, index): Line => ({ node: index + 2, epoch: 0 }));
    const lines = await linesOf(
      agreedView([{ node: 1, slots: '0-16383' }, ...empty]),
      'master-without-slots',
    );
    assert.equal(
      lines[0],
      '[INFO] 12 nodes are masters without slots: 127.0.0.1:7002, 127.0.0.1:7003, 127.0.0.1:7004, 127.0.0.1:7005, 127.0.0.1:7006 and 7 more',
    );
    assert.equal(lines.filter((line) => line.startsWith('  Next: ')).length, 3);
    assert.equal(lines.at(-1), '  9 others have advice of their own: see --json');
  });
});
