import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { whileServersRecover } from '../../lib/apply/node-timeout.ts';
import type { Address } from '../../lib/model/address.ts';
import { SHORT_NODE_TIMEOUT_MS as SHORT_MS } from '../../lib/model/setup.ts';
import { Account } from '../../lib/nodes/account.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import type { Context } from '../../lib/nodes/context.ts';
import { unevenTimeouts } from '../../lib/nodes/node-timeout.ts';
import type { OperationOptions } from '../../lib/options.ts';
import { settingsOf } from '../../lib/settings.ts';
import { ConnectionError } from '../../resp/index.ts';
import { idOf, type Line, portOf, reportOf } from '../helpers/views.ts';

const lines: readonly Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
];
const members = [1, 2].map((node) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` }));
const before = [15_000, 30_000];

interface World {
  readonly isDown?: boolean;
  readonly isFast?: true;
  readonly options?: OperationOptions;
  /** The second node takes the setting, and its reply is lost. */
  readonly losesReply?: boolean;
  readonly work?: () => Promise<void>;
}

/** What the nodes have during the work and after it, how long it may wait, and what is said. */
async function recovered({ isDown = true, isFast, options = {}, losesReply, work }: World) {
  const now = [...before];
  const said: string[] = [];
  let isLost = losesReply === true;
  const setOne = ({ port }: Address, value: unknown): string => {
    const index = port - portOf(1);
    now[index] = Number(value);
    if (!isLost || index !== 1) return 'OK';
    isLost = false;
    throw new ConnectionError('closed', { code: 'CLOSED', address: 'x:1' });
  };
  const connections = {
    askAll: async (address: Address, [command = []]: readonly (readonly unknown[])[]) =>
      command[1] === 'GET'
        ? [['name', String(now[address.port - portOf(1)])]]
        : [setOne(address, command[3])],
    ask: async (address: Address, [, , , value]: readonly unknown[]) => setOne(address, value),
  } as unknown as Connections;
  const context: Context = {
    connections,
    settings: settingsOf(options),
    options: {},
    emit: (event) => event.type === 'warning' && said.push(event.message),
    signal: undefined,
    account: new Account(),
  };
  const state = isDown ? 'fail' : 'ok';
  const reports = new Map(
    [1, 2].map((node) => {
      const report = reportOf(node, { lines });
      return [idOf(node), { ...report, info: { ...report.info, state } }] as const;
    }),
  );
  const step = { type: 'meet-again', nodes: members, members, serving: true } as const;
  let during: number[] = [];
  let waits = 0;
  const ended = whileServersRecover(
    context,
    { ...step, ...(isFast ? { isFast } : {}) },
    reports,
    async (one) => {
      during = [...now];
      waits = one.settings.agreeTimeout;
      await work?.();
    },
  );
  const error = await ended.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return { during, after: now, waits, said: said.length, error };
}

const left = { after: before, error: undefined };

describe('whileServersRecover()', () => {
  test('leaves the node timeouts alone, says that it takes long, and waits as long', async () => {
    assert.deepEqual(await recovered({}), { ...left, during: before, waits: 105_000, said: 1 });
    const options = { agreeTimeout: 5000 };
    assert.deepEqual(await recovered({ options }), { ...left, during: before, waits: 5000, said: 1 });
  });

  test('shortens them only if asked to, and only while the cluster does not serve', async () => {
    const short = [SHORT_MS, SHORT_MS];
    assert.deepEqual(await recovered({ isFast: true }), { ...left, during: short, waits: 60_000, said: 1 });
    const isDown = false;
    assert.deepEqual(await recovered({ isFast: true, isDown }), {
      ...left,
      during: before,
      waits: 60_000,
      said: 0,
    });
  });

  test('sets them again if the work fails, and where the reply was lost', async () => {
    const error = new Error('stopped');
    const work = () => Promise.reject(error);
    const failed = await recovered({ isFast: true, losesReply: true, work });
    assert.deepEqual([failed.during, failed.after, failed.error], [[SHORT_MS, SHORT_MS], before, error]);
  });
});

test('unevenTimeouts() names what a killed run left, and what differs', () => {
  const of = (...values: number[]) =>
    unevenTimeouts(new Map(values.map((ms, index) => [{ id: idOf(index + 1), address: `h:${index}` }, ms])));
  assert.equal(of(), undefined);
  assert.equal(of(5000, 5000), undefined);
  assert.match(of(5000, 15_000, 5000) ?? '', /5000 on h:0, h:2; 15000 on h:1/);
  assert.match(of(SHORT_MS, SHORT_MS) ?? '', /2001 on h:0, h:1/);
  assert.match(of(SHORT_MS, 15_000) ?? '', /2001 on h:0:/);
});
