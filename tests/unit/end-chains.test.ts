import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { endChains } from '../../lib/apply/end-chains.ts';
import type { ClusterEvent } from '../../lib/events.ts';
import type { Address } from '../../lib/model/address.ts';
import { Account } from '../../lib/nodes/account.ts';
import type { Connections } from '../../lib/nodes/connections.ts';
import type { Context } from '../../lib/nodes/context.ts';
import { settingsOf } from '../../lib/settings.ts';
import { ReplyError } from '../../resp/index.ts';
import { agreedView, idOf, type Line, nodesText } from '../helpers/views.ts';

const flat: readonly Line[] = [
  { node: 1, flags: 'slave', master: 3 },
  { node: 2, flags: 'slave', master: 3 },
  { node: 3, slots: '0-16383' },
];
/** 2 follows 1, which follows 3. */
const chained = flat.map((line) => (line.node === 2 ? { ...line, master: 1 } : line));

/** Each look takes so long. */
const LOOK_MS = 1000;
let nowMs = 0;
beforeEach(() => {
  nowMs = 0;
  mock.method(performance, 'now', () => nowMs);
});
afterEach(() => mock.restoreAll());

interface World {
  readonly lines?: readonly Line[];
  /** How often the chain is still there when it is looked at again. @default for ever, until the replica is told */
  readonly looks?: number;
  readonly refuses?: boolean;
  readonly dryRun?: boolean;
}

async function ended({ lines = chained, looks = Number.POSITIVE_INFINITY, refuses, dryRun }: World) {
  const [told, warnings]: [string[], ClusterEvent[]] = [[], []];
  let looked = 0;
  const now = (): readonly Line[] => ((told.length > 0 && !refuses) || looked > looks ? flat : lines);
  const connections = {
    askAll: async ({ port }: Address) => {
      if (port === 7001) {
        looked += 1;
        nowMs += LOOK_MS;
      }
      return [Buffer.from(`${nodesText(port - 7000, now())}\n`), Buffer.from('cluster_state:ok\r\n')];
    },
    ask: async ({ port }: Address, words: readonly string[]) => {
      told.push(`${port} ${words.join(' ')}`);
      if (refuses) throw new ReplyError('ERR I can only replicate a master, not a replica.');
      return 'OK';
    },
  } as unknown as Connections;
  const context: Context = {
    connections,
    settings: settingsOf({ dryRun: dryRun === true }),
    options: {},
    emit: (event) => {
      if (event.type === 'warning') warnings.push(event);
    },
    signal: undefined,
    account: new Account(),
  };
  const view = await endChains(context, agreedView(lines));
  return { told, warnings: warnings.length, looked, master: view.reports.get(idOf(2))?.myself.masterId };
}

describe('endChains()', () => {
  const [top, tells] = [idOf(3), [`7002 CLUSTER REPLICATE ${idOf(3)}`]];

  test('does not look again if every replica follows a master', async () => {
    assert.deepEqual(await ended({ lines: flat }), { told: [], warnings: 0, looked: 0, master: top });
  });

  test('waits for servers that end it', async () => {
    assert.deepEqual(await ended({ looks: 2 }), { told: [], warnings: 0, looked: 3, master: top });
  });

  test('tells a replica whom to follow if they do not, once', async () => {
    const { told, warnings, master } = await ended({});
    assert.deepEqual({ told, warnings, master }, { told: tells, warnings: 0, master: top });
  });

  test('goes on with a warning if that does not help', async () => {
    const { told, warnings, master } = await ended({ refuses: true });
    assert.deepEqual({ told, warnings, master }, { told: tells, warnings: 1, master: idOf(1) });
  });

  test('only warns in a dry run', async () => {
    assert.deepEqual(await ended({ dryRun: true }), { told: [], warnings: 1, looked: 0, master: idOf(1) });
  });
});
