import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { awaitFoundersBans } from '../../lib/apply/admit.ts';
import { mayBeBanned } from '../../lib/apply/new-id.ts';
import type { Address } from '../../lib/model/address.ts';
import type { ClusterView, NodeReport } from '../../lib/model/view.ts';
import { Account } from '../../lib/nodes/account.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import type { Context } from '../../lib/nodes/context.ts';
import { mayBeHalfJoined } from '../../lib/operations/join-cluster.ts';
import { settingsOf } from '../../lib/settings.ts';
import { idOf, type Line, nodesText, portOf, viewOf } from '../helpers/views.ts';

function reportOf(lines: readonly Line[], currentEpoch: number): NodeReport {
  const view: ClusterView = viewOf({ 1: { lines, state: 'fail' } });
  const report = view.reports.get(idOf(1));
  assert.ok(report);
  return { ...report, info: { ...report.info, currentEpoch, slotsAssigned: lines[0]?.slots ? 1 : 0 } };
}

describe('mayBeBanned()', () => {
  const cases: readonly [string, readonly Line[], number, boolean][] = [
    ['never was a member', [{ node: 1, epoch: 0 }], 0, false],
    ['was reset softly', [{ node: 1, epoch: 0 }], 3, true],
    ['has a config epoch of its own', [{ node: 1, epoch: 2 }], 2, true],
    ['knows others', [{ node: 1, epoch: 2 }, { node: 2 }], 2, false],
    ['owns slots', [{ node: 1, epoch: 2, slots: '5' }], 2, false],
  ];
  for (const [name, lines, epoch, expected] of cases) {
    it(`is ${expected} of a node that ${name}`, () => {
      assert.equal(mayBeBanned(reportOf(lines, epoch)), expected);
    });
  }
});

describe('awaitFoundersBans()', () => {
  const nodes = [1, 2].map((node) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` }));

  async function waits(
    { mock }: TestContext,
    epoch: number,
    { slots = '', dryRun = false }: { readonly slots?: string; readonly dryRun?: boolean } = {},
  ): Promise<boolean> {
    let now = 0;
    mock.method(performance, 'now', () => now++ * 31_000);
    const info = `cluster_state:fail\r\ncluster_slots_assigned:${slots === '' ? 0 : 1}\r\ncluster_current_epoch:${epoch}\r\n`;
    const connections = {
      askAll: async ({ port }: Address) => [
        Buffer.from(
          `${nodesText(port - 7000, [{ node: port - 7000, epoch: 0, slots: port === 7001 ? slots : '' }])}\n`,
        ),
        Buffer.from(info),
      ],
    } as unknown as Connections;
    const waited: string[] = [];
    const context: Context = {
      ...{ connections, settings: settingsOf({ dryRun }), options: {}, signal: undefined },
      emit: (event) => waited.push(event.type),
      account: new Account(),
    };
    await awaitFoundersBans(context, nodes);
    mock.restoreAll();
    return now > 0;
  }

  it('waits if one was a member before, and only before the first step', async (context) => {
    assert.equal(await waits(context, 3), true);
    assert.equal(await waits(context, 0), false);
    assert.equal(await waits(context, 3, { slots: '5' }), false);
    assert.equal(await waits(context, 3, { dryRun: true }), false);
  });
});

describe('mayBeHalfJoined()', () => {
  const of = (...lines: Line[]) => mayBeHalfJoined(viewOf({ 1: { lines } }), idOf(3));
  const others: Line[] = [
    { node: 1, slots: '100-8191', epoch: 1 },
    { node: 2, slots: '8192-16383', epoch: 2 },
  ];

  it('is true of a master without slots, and of one that took the last slots that moved', () => {
    assert.equal(of(...others, { node: 3, epoch: 3 }), true);
    assert.equal(of(...others, { node: 3, epoch: 3, slots: '0-99' }), true);
  });

  it('is false of a master that had slots before others took some, and of one that has the last slot', () => {
    assert.equal(of(...others, { node: 3, epoch: 0, slots: '0-99' }), false);
    const moved: Line[] = [
      { node: 1, slots: '0-99', epoch: 1 },
      { node: 2, slots: '100-8191', epoch: 2 },
    ];
    assert.equal(of(...moved, { node: 3, epoch: 3, slots: '8192-16383' }), false);
  });
});
