import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { promoteReplica } from '../../lib/apply/steps/failover.ts';
import type { ClusterEvent } from '../../lib/events.ts';
import type { Address } from '../../lib/model/address.ts';
import { Account } from '../../lib/nodes/account.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import type { Context } from '../../lib/nodes/context.ts';
import { settingsOf } from '../../lib/settings.ts';
import { idOf, type Line, nodesText, portOf } from '../helpers/views.ts';

const refOf = (node: number) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` });
const [master, other, replica] = [1, 2, 3];

const before: readonly Line[] = [
  { node: master, slots: '0-8191' },
  { node: other, slots: '8192-16383' },
  { node: replica, flags: 'slave', master },
];
const after: readonly Line[] = [
  { node: master, flags: 'slave', master: replica },
  { node: other, slots: '8192-16383' },
  { node: replica, slots: '0-8191', epoch: 9 },
];

/** What each node reports at a time, and whether it answers. */
type State = Readonly<Record<number, readonly Line[]>>;
const all = (lines: readonly Line[]): State => ({ [master]: lines, [other]: lines, [replica]: lines });

interface Run {
  readonly asks: number;
  /** Times that the replica was made to send packets. */
  readonly meets?: number;
  readonly warnings: number;
  readonly pending: readonly string[];
  readonly failed?: { readonly code?: string };
}

/** `states` follow one another with each look at the replica; each CLUSTER FAILOVER takes the next list. */
async function run(
  lists: readonly (readonly State[])[],
  agreeTimeout = 2000,
  nodeTimeout = 20,
  {
    first = all(before),
    force = false,
    links = ['up'],
  }: {
    readonly first?: State | readonly State[];
    readonly force?: boolean;
    readonly links?: readonly string[];
  } = {},
): Promise<Run> {
  let [asks, meets, warnings, looks] = [0, 0, 0, 0];
  let states: readonly State[] = [first].flat();
  let state = states[0] ?? {};
  const account = new Account();
  const connections = {
    askAll: async ({ port }: Address, commands: readonly (readonly unknown[])[]) => {
      const node = port - 7000;
      if (commands[0]?.[1] === 'MEET') {
        meets += 1;
        return ['OK'];
      }
      if (commands[0]?.[0] === 'CONFIG') return [['cluster-node-timeout', `${nodeTimeout}`]];
      if (commands[0]?.[0] === 'INFO') {
        const status = links[Math.min(looks++, links.length - 1)];
        return ['redis_version:8.6.0', `role:slave\r\nmaster_link_status:${status}`];
      }
      if (node === replica) {
        state = states[0] ?? state;
        states = states.length > 1 ? states.slice(1) : states;
      }
      const lines = state[node];
      if (!lines) throw new Error('no answer');
      return [Buffer.from(`${nodesText(node, lines)}\n`), Buffer.from('cluster_state:ok\r\n')];
    },
    ask: async () => {
      states = lists[asks] ?? [all(before)];
      asks += 1;
      return 'OK';
    },
  } as unknown as Connections;
  const context: Context = {
    connections,
    settings: settingsOf({ agreeTimeout, force }),
    options: {},
    emit: (event: ClusterEvent) => {
      if (event.type === 'warning') warnings += 1;
    },
    signal: undefined,
    account,
  };
  const step = {
    type: 'failover',
    replica: refOf(replica),
    master: refOf(master),
    mode: 'graceful',
  } as const;
  const failed = await promoteReplica(context, step, [refOf(master), refOf(other)]).then(
    () => undefined,
    (error: { code?: string }) => error,
  );
  return {
    asks,
    ...(meets > 0 ? { meets } : {}),
    warnings,
    pending: [...account.promotions],
    ...(failed ? { failed } : {}),
  };
}

describe('promoteReplica()', () => {
  test('is done when the replica, its former master and others say so', async () => {
    assert.deepEqual(await run([[all(before), all(after)]]), { asks: 1, warnings: 0, pending: [] });
  });

  test('waits for the former master, and for others', async () => {
    const states: State[] = [
      { [master]: before, [other]: before, [replica]: after },
      { [master]: after, [other]: before, [replica]: after },
      { [master]: before, [other]: after, [replica]: after },
      all(after),
    ];
    assert.deepEqual(await run([states]), { asks: 1, warnings: 0, pending: [] });
  });

  test('does not wait for a former master that does not answer', async () => {
    assert.deepEqual(await run([[{ [other]: after, [replica]: after }]]), {
      asks: 1,
      warnings: 0,
      pending: [],
    });
  });

  test('asks again when a promotion was taken back, once there can be another election', async () => {
    const takenBack: State[] = [{ ...all(before), [replica]: after }, all(before)];
    assert.deepEqual(await run([takenBack, [all(after)]]), { asks: 2, warnings: 1, pending: [] });
  });

  test('is not done at one look: it may be taken back before the next', async () => {
    const takenBack: State[] = [all(after), all(before)];
    assert.deepEqual(await run([takenBack, [all(after)]]), { asks: 2, warnings: 1, pending: [] });
  });

  test('asks only once the replica has a link to its master', async () => {
    const links = ['down', 'down', 'up'];
    assert.deepEqual(await run([[all(after)]], 2000, 20, { links }), { asks: 1, warnings: 0, pending: [] });
    const { asks, failed } = await run([[all(after)]], 200, 20, { links: ['down'] });
    assert.deepEqual([asks, failed?.code], [0, 'NOT_REACHED']);
    assert.match(String(failed), /has no link to 127\.0\.0\.1:7001/);
  });

  test('asks only once its master and the voters have heard that it is a replica', async () => {
    const unheard = before.map((line) => (line.node === replica ? { node: replica } : line));
    for (const by of [master, other]) {
      const late = { ...all(before), [by]: unheard };
      const { asks, meets } = await run([[all(after)]], 2000, 20, { first: [late, late, all(before)] });
      assert.deepEqual([asks, meets], [1, 1], `node ${by}`);
    }
    const cut = before.map((line) => (line.node === master ? { ...line, link: 'disconnected' } : line));
    const first = { ...all(before), [replica]: cut };
    assert.equal((await run([], 100, 20, { first })).asks, 0);
  });

  test('does not ask while the master or the replica has a slot open, unless forced', async () => {
    const open = (node: number): State =>
      all(
        before.map((line) =>
          line.node === node ? { ...line, slots: `${line.slots ?? ''} [5->-${idOf(other)}]`.trim() } : line,
        ),
      );
    for (const node of [master, replica]) {
      const { failed, ...rest } = await run([[all(after)]], 2000, 20, { first: open(node) });
      assert.equal(failed?.code, 'OPEN_SLOT');
      assert.deepEqual(rest, { asks: 0, warnings: 0, pending: [] });
      const forced = await run([[all(after)]], 2000, 20, { first: open(node), force: true });
      assert.deepEqual(forced, { asks: 1, warnings: 1, pending: [] });
    }
    const elsewhere = await run([[all(after)]], 2000, 20, { first: open(other) });
    assert.deepEqual(elsewhere, { asks: 1, warnings: 0, pending: [] });
  });

  test('gives up in time if there can be no other election by then, and says that it may still happen', async () => {
    const takenBack: State[] = [{ ...all(before), [replica]: after }, all(before)];
    const { failed, ...rest } = await run([takenBack], 300, 15_000);
    assert.equal(failed?.code, 'NOT_REACHED');
    assert.deepEqual(rest, { asks: 1, warnings: 1, pending: [refOf(replica).address] });
  });
});
