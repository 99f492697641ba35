import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { replicateMaster } from '../../lib/apply/steps/replicate-master.ts';
import type { Address } from '../../lib/model/address.ts';
import { Account } from '../../lib/nodes/account.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import type { Context } from '../../lib/nodes/context.ts';
import { settingsOf } from '../../lib/settings.ts';
import { ReplyError } from '../../resp/index.ts';
import { idOf, type Line, nodesText, portOf } from '../helpers/views.ts';

const [master, replica, other] = [1, 2, 9];
const refOf = (node: number) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` });
const linesOf = (has: number): readonly Line[] =>
  has === replica
    ? [
        { node: master, flags: 'slave', master: replica },
        { node: replica, slots: '0-16383' },
      ]
    : [
        { node: has, slots: '0-16383' },
        { node: replica, flags: 'slave', master: has },
      ];

interface World {
  /** The node that the replica asks for its master, before it is told again. */
  readonly asks: number;
  readonly status: 'up' | 'down';
  /** Whose data it has. */
  readonly data?: number;
  /** What the master replies to its password. */
  readonly refuses?: string;
  /** The step of a plan that found it to be a replica. */
  readonly isAgain?: true;
  /** The master that it has by now. */
  readonly has?: number;
}

/** How often the replica was told to follow the master, and how that ended. */
async function told({ asks, status, data = master, refuses, isAgain, has = master }: World) {
  let times = 0;
  let to: unknown;
  const info = (node: number): string => {
    if (node !== replica || has === replica) return `role:master\r\nmaster_replid:${idOf(node)}\r\n`;
    const [at, link, of] = times > 0 ? [has, 'up', has] : [asks, status, data];
    return `role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:${portOf(at)}\r\nmaster_link_status:${link}\r\nmaster_replid:${idOf(of)}\r\n`;
  };
  const connections = {
    askAll: async ({ port }: Address, commands: readonly (readonly unknown[])[]) =>
      commands.map(([command, section]) => {
        if (command === 'INFO') return info(port - 7000);
        if (command === 'CONFIG') return ['masterauth', 'secret'];
        return Buffer.from(
          section === 'NODES' ? `${nodesText(port - 7000, linesOf(has))}\n` : 'cluster_state:ok\r\n',
        );
      }),
    ask: async (_: Address, [, , id]: readonly unknown[]) => {
      times += 1;
      to = id;
      return 'OK';
    },
    tryLogin: async () => {
      if (refuses) throw new ReplyError(refuses);
    },
  } as unknown as Connections;
  const context: Context = {
    connections,
    settings: settingsOf({ agreeTimeout: 200 }),
    options: {},
    emit: () => {},
    signal: undefined,
    account: new Account(),
  };
  const failed = await replicateMaster(context, {
    type: 'replicate',
    replica: refOf(replica),
    master: refOf(master),
    ...(isAgain ? { isAgain } : {}),
  }).then(
    () => undefined,
    (error: Error & { code?: string; next?: readonly { do: string }[] }) => error,
  );
  if (times > 0) assert.equal(to, idOf(has));
  return { times, failed };
}

describe('A node that follows its master already', () => {
  test('is left alone if it has a link, wherever it asks', async () => {
    assert.deepEqual(await told({ asks: master, status: 'up' }), { times: 0, failed: undefined });
    assert.deepEqual(await told({ asks: other, status: 'up' }), { times: 0, failed: undefined });
  });

  test('is told again if it asks for it elsewhere', async () => {
    assert.deepEqual(await told({ asks: other, status: 'down' }), { times: 1, failed: undefined });
  });

  test('is told again if it copies another server there', async () => {
    assert.deepEqual(await told({ asks: other, status: 'up', data: other }), { times: 1, failed: undefined });
  });

  test('is not told again if the master does not accept its password, which is named', async () => {
    const { times, failed } = await told({ asks: master, status: 'down', refuses: 'WRONGPASS no' });
    assert.equal(times, 0);
    assert.equal(failed?.code, 'NOT_REACHED');
    assert.match(failed?.message ?? '', /masterauth is not accepted: WRONGPASS no/);
    assert.equal(failed?.next?.[0]?.do, 'configure');
    assert.doesNotMatch(JSON.stringify(failed), /secret/);
  });

  test('asks the master that it has by now, if a plan only has it ask again', async () => {
    const world = { asks: other, status: 'down', isAgain: true } as const;
    assert.deepEqual(await told(world), { times: 1, failed: undefined });
    assert.deepEqual(await told({ ...world, has: 3 }), { times: 1, failed: undefined });
    assert.deepEqual(await told({ ...world, has: replica }), { times: 0, failed: undefined });
  });
});

describe('A node that has taken the place of its master', () => {
  test('is left alone', async () => {
    assert.deepEqual(await told({ asks: master, status: 'up', has: replica }), {
      times: 0,
      failed: undefined,
    });
  });
});

/** What is sent to a replica that leaves another master, whose new one has written so much more at each look. */
async function left(ahead: readonly number[]) {
  const sent: string[] = [];
  let looks = 0;
  const isTold = (): boolean => sent.some((text) => text.startsWith('CLUSTER REPLICATE'));
  const info = (node: number): string => {
    const priority = sent.some((text) => text.includes('replica-priority 1000100')) ? 1_000_100 : 100;
    if (node === replica)
      return `role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:${portOf(isTold() ? master : other)}\r\nmaster_link_status:up\r\nmaster_replid:r\r\nslave_repl_offset:0\r\nslave_priority:${priority}\r\n`;
    const offset = ahead[Math.min(looks++, ahead.length - 1)] ?? 0;
    return `role:master\r\nmaster_replid:r\r\nmaster_repl_offset:${offset}\r\n`;
  };
  const lines: Line[] = [
    { node: master, slots: '0-8191' },
    { node: other, slots: '8192-16383' },
    { node: replica, flags: 'slave', master: other },
  ];
  const replyTo = (node: number, command: readonly unknown[]): unknown => {
    const text = command.join(' ');
    if (text.startsWith('INFO')) return info(node);
    if (text === 'CONFIG GET replica-priority') return ['replica-priority', '100'];
    if (text.startsWith('CONFIG GET')) return ['cluster-replica-no-failover', 'no'];
    if (text === 'CLUSTER NODES') return Buffer.from(`${nodesText(node, lines)}\n`);
    if (text === 'CLUSTER INFO') return Buffer.from('cluster_state:ok\r\n');
    sent.push(text);
    return 'OK';
  };
  const connections = {
    askAll: async ({ port }: Address, commands: readonly (readonly unknown[])[]) =>
      commands.map((command) => replyTo(port - 7000, command)),
    ask: async ({ port }: Address, command: readonly unknown[]) => replyTo(port - 7000, command),
  } as unknown as Connections;
  const context: Context = {
    connections,
    settings: settingsOf({ agreeTimeout: 300 }),
    options: {},
    emit: () => {},
    signal: undefined,
    account: new Account(),
  };
  const code = await replicateMaster(context, {
    type: 'replicate',
    replica: refOf(replica),
    master: refOf(master),
  }).then(
    () => 'done',
    (error: { code?: string }) => error.code,
  );
  return { code, sent };
}

describe('A replica that leaves another master', () => {
  const bar = ['CONFIG SET replica-priority 1000100', 'CONFIG SET cluster-replica-no-failover yes'];
  const lift = ['CONFIG SET cluster-replica-no-failover no', 'CONFIG SET replica-priority 100'];
  const follow = `CLUSTER REPLICATE ${idOf(master)}`;

  test('may take over again once it has what its new master has', async () => {
    assert.deepEqual(await left([50_000_000, 9_000_000, 1000]), {
      code: 'done',
      sent: [...bar, follow, ...lift],
    });
  });

  test('may not while its link is up but it lacks what was written during the copy', async () => {
    assert.deepEqual(await left([50_000_000]), { code: 'NOT_REACHED', sent: [...bar, follow] });
  });
});
