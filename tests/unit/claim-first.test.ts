import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  addNode,
  applyPlan,
  delNode,
  drain,
  failover,
  fixMigrating,
  followKeys,
  importKeys,
  joinCluster,
  joinNoLoad,
  migrateSlots,
  type OperationOptions,
  type Plan,
  quitCluster,
  rebalance,
  rejoinCluster,
  replaceNodes,
  replicate,
  rescueCluster,
  reshard,
  restart,
  rollbackPlan,
  setNodeTimeout,
  shutdownCluster,
  startCluster,
} from '../../lib/index.ts';
import { startMadeUpCluster } from '../helpers/made-up-cluster.ts';
import { bulk, startMadeUp } from '../helpers/made-up-server.ts';
import { idOf, type Line } from '../helpers/views.ts';

const OTHER = 'id=7 addr=127.0.0.1:59852 name=redis-trib:change:0123abcd age=75 idle=0\n';
const SOURCE = 'cluster_enabled:0\r\nrole:master\r\ndb0:keys=1,expires=0\r\n';
const MEMBERS: readonly Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
];
const NEW = 3;

/** By operation: the call, with the addresses of a cluster's two masters and of a newcomer. */
const CHANGES: Readonly<
  Record<string, (nodes: readonly [string, string, string], options: OperationOptions) => Promise<unknown>>
> = {
  addNode: ([a, , c], options) => addNode(a, c, options),
  'addNode as a replica': ([a, , c], options) => addNode(a, c, { ...options, replicaOf: true }),
  applyPlan: ([a, b], options) => applyPlan(a, planOf(a, b), options),
  delNode: ([a, b], options) => delNode(a, b, { ...options, drain: true }),
  drain: ([a, b], options) => drain(a, b, options),
  failover: ([a], options) => failover(a, options),
  'failover by force': ([a], options) => failover(a, { ...options, mode: 'force' }),
  fixMigrating: ([a], options) => fixMigrating(a, options),
  followKeys: async ([a], options) => {
    await using source = await startMadeUpCluster({ 1: { lines: MEMBERS }, 2: { lines: MEMBERS } });
    return await followKeys(a, source.address(1), options);
  },
  importKeys: async ([a], options) => {
    await using source = await startMadeUp((words) =>
      bulk(words[0]?.toUpperCase() === 'INFO' ? SOURCE : 'OK'),
    );
    return await importKeys(a, `127.0.0.1:${source.port}`, options);
  },
  joinCluster: ([a, , c], options) => joinCluster(a, c, options),
  joinNoLoad: ([a, , c], options) => joinNoLoad(a, c, options),
  migrateSlots: ([a, b], options) => migrateSlots(a, b, [5], options),
  quitCluster: ([a], options) => quitCluster(a, options),
  rebalance: ([a], options) => rebalance(a, options),
  rejoinCluster: ([a, b], options) => rejoinCluster([a, b], options),
  replaceNodes: ([a, b, c], options) => replaceNodes(a, [{ node: b, by: c }], options),
  replicate: ([a, , c], options) => replicate(a, c, options),
  rescueCluster: ([a, , c], options) => rescueCluster(a, c, options),
  reshard: ([a, b], options) => reshard(a, { ...options, from: 'all', to: b, slots: 5 }),
  restart: ([a], options) => restart(a, { ...options, only: [a], restartServer: () => undefined }),
  rollbackPlan: ([a, b], options) => rollbackPlan(a, planOf(a, b), options),
  setNodeTimeout: ([a], options) => setNodeTimeout(a, 5000, options),
  shutdownCluster: ([a], options) => shutdownCluster(a, options),
  startCluster: ([, , c], options) => startCluster(c, options),
};

function planOf(a: string, b: string): Plan {
  const [source, target] = [
    { id: idOf(1), address: a },
    { id: idOf(2), address: b },
  ] as const;
  const before = [
    { ...source, role: 'master' as const, configEpoch: 1, slots: [[0, 8191] as const] },
    { ...target, role: 'master' as const, configEpoch: 2, slots: [[8192, 16383] as const] },
  ];
  const steps = [{ type: 'move-slots' as const, source, target, slots: [[5, 5] as const] }];
  return { version: 1, operation: 'reshard', before, masters: [source, target], steps };
}

describe('Before it looks and plans, the cluster is claimed by', () => {
  for (const [name, run] of Object.entries(CHANGES)) {
    it(`${name}, which is refused while another operator is active`, async () => {
      const commands: string[] = [];
      await using cluster = await startMadeUpCluster(
        {
          1: { lines: MEMBERS },
          2: { lines: MEMBERS },
          [NEW]: { lines: [{ node: NEW, slots: '' }], state: 'fail' },
        },
        {
          odd: (node, words) => {
            const text = words.slice(0, 2).join(' ').toUpperCase();
            commands.push(`${node} ${text}`);
            return text === 'CLIENT LIST' ? bulk(OTHER) : undefined;
          },
        },
      );
      const nodes = [cluster.address(1), cluster.address(2), cluster.address(NEW)] as const;
      await assert.rejects(run(nodes, { wait: 0 }), { code: 'OTHER_OPERATOR' });
      // The node asked first says who the masters are.
      const looks = commands.filter((text) => /^[^1] CLUSTER NODES/.test(text) && name !== 'startCluster');
      assert.deepEqual(looks, [], `it looked before it had claimed: ${commands.join(', ')}`);
    });
  }
});
