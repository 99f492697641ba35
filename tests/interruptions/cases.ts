import assert from 'node:assert/strict';
import { ask, eventually } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import {
  assertAlone,
  assertLayout,
  assertSoon,
  at,
  idOfNode,
  keysOfSlot,
  seenBy,
  tell,
} from '../helpers/clusters.ts';
import { type Form, NODE_TIMEOUT_MS } from './stage.ts';

/** A command that is interrupted, and what must hold after it is run again. */
export interface Case {
  readonly name: string;
  readonly form: Form;
  /** Prepares the cluster before the command, given the keys that it holds. */
  readonly before?: (nodes: readonly ServerNode[], keys: Map<string, string>) => Promise<void>;
  readonly args: (nodes: readonly ServerNode[]) => readonly string[];
  /** The error code if an interrupted run had done everything but not reported it. */
  readonly done?: readonly string[];
  /** Fails unless the command has done its work. */
  readonly goal: (nodes: readonly ServerNode[]) => Promise<void>;
  /** The members of the cluster after it, by place. */
  readonly members: readonly number[];
  /** Roughly how many writes change something: one of them is chosen if only a sample is tried. */
  readonly writes: number;
  /** True if clients are not served until the command is done: until then they read and write nothing. */
  readonly unserved?: true;
}

const addresses = (nodes: readonly ServerNode[], ...places: readonly number[]): string[] =>
  places.map((place) => at(nodes, place).address);
const move = ['--method', 'migrate'];
const inZones = (nodes: readonly ServerNode[], zones: readonly string[]): string[] =>
  zones.flatMap((zone, place) => ['--zone', `${at(nodes, place).address}=${zone}`]);
const KEYS = 1500;

async function slotsByAddress(nodes: readonly ServerNode[]): Promise<Map<string, number>> {
  const seen = await seenBy(at(nodes, 0));
  return new Map(
    Object.entries(seen).map(([address, text]) => [
      address,
      (/^\d/.test(text) ? (text.match(/\d+(-\d+)?/g) ?? []) : []).reduce((sum, range) => {
        const [first = 0, last = first] = range.split('-').map(Number);
        return sum + last - first + 1;
      }, 0),
    ]),
  );
}

async function requireSlots(
  nodes: readonly ServerNode[],
  counts: readonly number[],
  slack = 0,
): Promise<void> {
  const slots = await slotsByAddress(nodes);
  for (const [place, count] of counts.entries()) {
    const has = slots.get(at(nodes, place).address) ?? 0;
    if (Math.abs(has - count) > slack)
      throw new Error(`${at(nodes, place).address} has ${has} slots, not ${count}`);
  }
}

/** So many slots on the masters, fewest first, and so many replicas. */
async function requireShape(
  nodes: readonly ServerNode[],
  counts: readonly number[],
  replicas: number,
): Promise<void> {
  const slots = [...(await slotsByAddress(nodes)).values()].filter((count) => count > 0);
  assert.deepEqual(
    slots.sort((a, b) => a - b),
    counts,
  );
  const seen = Object.values(await seenBy(at(nodes, 0)));
  assert.equal(seen.filter((text) => text.startsWith('replica of')).length, replicas);
}

const heldForFailed = (by: ServerNode, node: ServerNode): Promise<void> =>
  eventually('it is declared failed', async () =>
    new RegExp(`:${node.port}@\\S+ \\S*,fail[ ,]`).test(String(await ask(by, 'CLUSTER', 'NODES'))),
  );

async function openSlots(nodes: readonly ServerNode[], first: number, last: number): Promise<void> {
  const [source, target] = [at(nodes, 0), at(nodes, 1)];
  const [from, to] = [await idOfNode(source), await idOfNode(target)];
  const slots = Array.from({ length: last - first + 1 }, (_, index) => `${first + index}`);
  await tell(target, ...slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', from]));
  await tell(source, ...slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', to]));
}

/** Every command that changes a cluster. */
export const cases: readonly Case[] = [
  {
    name: 'start',
    form: { masters: 0 },
    args: (nodes) => ['start', ...addresses(nodes, 0), '--max-slots', '4000'],
    goal: (nodes) => assertLayout([[at(nodes, 0), '0-16383']]),
    members: [0],
    writes: 1,
  },
  {
    name: 'start_multi',
    form: { masters: 0 },
    args: (nodes) => ['start_multi', ...addresses(nodes, 0, 1, 2), '--max-slots', '2000'],
    goal: (nodes) =>
      assertLayout([
        [at(nodes, 0), '0-5461'],
        [at(nodes, 1), '5462-10922'],
        [at(nodes, 2), '10923-16383'],
      ]),
    members: [0, 1, 2],
    writes: 8,
  },
  {
    name: 'create',
    form: { masters: 0 },
    args: (nodes) => ['create', ...addresses(nodes, 0, 1, 2, 3), '--replicas', '1', '--yes'],
    goal: async (nodes) => {
      const seen = Object.values(await seenBy(at(nodes, 0)));
      if (seen.filter((text) => text.startsWith('replica of')).length !== 2)
        throw new Error('Not two replicas');
    },
    members: [0, 1, 2, 3],
    writes: 14,
  },
  {
    name: 'ensure of fresh nodes',
    form: { masters: 0 },
    args: (nodes) => ['ensure', ...addresses(nodes, 0, 1, 2, 3, 4), '--masters', '2', '--replicas', '1'],
    goal: (nodes) => requireShape(nodes, [8192, 8192], 3),
    members: [0, 1, 2, 3, 4],
    writes: 17,
  },
  {
    name: 'ensure of more',
    form: { masters: 2, replicas: [0], keys: KEYS },
    args: (nodes) => ['ensure', ...addresses(nodes, 0, 3, 4), '--masters', '3', ...move],
    goal: (nodes) => requireShape(nodes, [5461, 5461, 5462], 2),
    members: [0, 1, 2, 3, 4],
    writes: 150,
  },
  {
    name: 'ensure of more auto',
    form: { masters: 2, replicas: [0], keys: KEYS },
    args: (nodes) => [
      'ensure',
      ...addresses(nodes, 0, 3, 4),
      ...['--masters', '3', '--atomic-timeout', '3000'],
    ],
    goal: (nodes) => requireShape(nodes, [5461, 5461, 5462], 2),
    members: [0, 1, 2, 3, 4],
    writes: 12,
  },
  {
    name: 'join',
    form: { masters: 2, keys: KEYS },
    args: (nodes) => ['join', ...addresses(nodes, 0, 2), ...move],
    goal: (nodes) => requireSlots(nodes, [5461, 5461, 5461], 1),
    members: [0, 1, 2],
    writes: 150,
  },
  {
    name: 'join_no_load',
    form: { masters: 2 },
    args: (nodes) => ['join_no_load', ...addresses(nodes, 0, 2)],
    goal: (nodes) =>
      assertLayout([
        [at(nodes, 0), '0-8191'],
        [at(nodes, 1), '8192-16383'],
        [at(nodes, 2), ''],
      ]),
    members: [0, 1, 2],
    writes: 2,
  },
  {
    name: 'replicate',
    form: { masters: 2, keys: 100 },
    args: (nodes) => ['replicate', ...addresses(nodes, 0, 2)],
    goal: (nodes) =>
      assertLayout([
        [at(nodes, 0), '0-8191'],
        [at(nodes, 1), '8192-16383'],
        [at(nodes, 2), `replica of ${at(nodes, 0).address}`],
      ]),
    members: [0, 1, 2],
    writes: 3,
  },
  {
    name: 'quit',
    form: { masters: 3, keys: KEYS },
    args: (nodes) => ['quit', ...addresses(nodes, 2), ...move],
    goal: async (nodes) => {
      await assertAlone(at(nodes, 2));
      // A second run distributes what is left, wherever the first moved slots to.
      await requireSlots(nodes, [8192, 8192], 2000);
    },
    members: [0, 1],
    writes: 170,
  },
  {
    name: 'quit of a replica',
    form: { masters: 2, replicas: [0], keys: 100 },
    args: (nodes) => ['quit', ...addresses(nodes, 2)],
    goal: (nodes) => assertAlone(at(nodes, 2)),
    members: [0, 1],
    writes: 3,
  },
  {
    name: 'del_node --drain',
    form: { masters: 3, replicas: [2], keys: KEYS },
    args: (nodes) => ['del_node', ...addresses(nodes, 0, 2), '--drain', ...move],
    goal: async (nodes) => {
      await assertAlone(at(nodes, 2));
      // If it was cut off, its replica has taken over.
      const text = (await seenBy(at(nodes, 0)))[at(nodes, 3).address];
      if (!/^(replica of|\d)/.test(text ?? '')) throw new Error('The replica has no master');
    },
    members: [0, 1, 3],
    writes: 170,
  },
  {
    name: 'del_node of a dead node',
    form: { masters: 3, replicas: [0] },
    before: async (nodes) => {
      await at(nodes, 3).kill();
      for (const place of [0, 1, 2]) await heldForFailed(at(nodes, place), at(nodes, 3));
    },
    args: (nodes) => ['del_node', ...addresses(nodes, 0, 3)],
    done: ['NOT_SAME_CLUSTER'],
    goal: async (nodes) => {
      if (at(nodes, 3).address in (await seenBy(at(nodes, 1)))) throw new Error('It is known still');
    },
    members: [0, 1, 2],
    writes: 3,
  },
  {
    name: 'failover',
    form: { masters: 2, replicas: [0], keys: 100 },
    args: (nodes) => ['failover', ...addresses(nodes, 2)],
    goal: (nodes) =>
      assertLayout([
        [at(nodes, 0), `replica of ${at(nodes, 2).address}`],
        [at(nodes, 1), '8192-16383'],
        [at(nodes, 2), '0-8191'],
      ]),
    members: [0, 1, 2],
    writes: 1,
  },
  {
    name: 'replace',
    form: { masters: 2, replicas: [1], keys: 300 },
    args: (nodes) => {
      const [seed = '', replica = '', first = '', second = ''] = addresses(nodes, 1, 2, 3, 4);
      return ['replace', seed, `${seed}=${first}`, `${replica}=${second}`, '--yes'];
    },
    goal: async (nodes) => {
      await Promise.all([at(nodes, 1), at(nodes, 2)].map(assertAlone));
      await assertLayout([
        [at(nodes, 0), '0-8191'],
        [at(nodes, 3), '8192-16383'],
        [at(nodes, 4), `replica of ${at(nodes, 3).address}`],
      ]);
    },
    members: [0, 3, 4],
    writes: 14,
  },
  {
    name: 'spread',
    form: { masters: 3, replicas: [0, 0], keys: 100 },
    args: (nodes) => ['spread', ...addresses(nodes, 0), ...inZones(nodes, ['a', 'a', 'b', 'a', 'c'])],
    goal: (nodes) =>
      // A replica that was killed when all had its new role, and is started when the command has ended, counts as failed for a moment.
      assertSoon(async () => {
        const seen = await seenBy(at(nodes, 1));
        if (!/^\d/.test(seen[at(nodes, 4).address] ?? '')) throw new Error('Two masters are in one zone');
        // Two replicas where another master has none are too many, and one beside its master is none.
        const masters = [0, 3].map((place) => seen[at(nodes, place).address]).sort();
        const wanted = [2, 4].map((place) => `replica of ${at(nodes, place).address}`).sort();
        if (`${masters}` !== `${wanted}`) throw new Error(`The replicas are ${masters}`);
      }, 5000),
    members: [0, 1, 2, 3, 4],
    writes: 4,
  },
  {
    name: 'shutdown',
    form: { masters: 1 },
    args: (nodes) => ['shutdown', ...addresses(nodes, 0)],
    goal: (nodes) => assertAlone(at(nodes, 0)),
    members: [],
    writes: 1,
  },
  {
    name: 'fix',
    form: { masters: 2, keys: KEYS },
    before: (nodes) => openSlots(nodes, 0, 299),
    args: (nodes) => ['fix', ...addresses(nodes, 0), '--yes', ...move],
    goal: (nodes) =>
      assertLayout([
        [at(nodes, 0), '300-8191'],
        [at(nodes, 1), '0-299 8192-16383'],
      ]),
    members: [0, 1],
    writes: 40,
  },
  {
    name: 'fix half begun',
    form: { masters: 2, keys: 300 },
    before: async (nodes, keys) => {
      const [source, target] = [at(nodes, 0), at(nodes, 1)];
      const [sourceId, targetId] = [await idOfNode(source), await idOfNode(target)];
      // Only one end has these slots open, and their keys are on a node that does not own them.
      await tell(target, ...[10, 11].map((slot) => ['CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', sourceId]));
      await tell(source, ['CLUSTER', 'SETSLOT', '12', 'MIGRATING', targetId]);
      for (const key of keysOfSlot(10, 20, 'asked')) {
        await tell(target, ['ASKING'], ['SET', key, 'on the importer']);
        keys.set(key, 'on the importer');
      }
    },
    args: (nodes) => ['fix', ...addresses(nodes, 0), '--yes', '--stray-keys', 'bring', ...move],
    goal: async (nodes) => {
      // If it is killed when the owner has the keys, and before it closes the slot, it leaves a mark and no keys: that is a move.
      const isMoved = (await slotsByAddress(nodes)).get(at(nodes, 0).address) === 8192 - 3;
      await assertLayout([
        [at(nodes, 0), isMoved ? '0-9 13-8191' : '0-10 13-8191'],
        [at(nodes, 1), isMoved ? '10-12 8192-16383' : '11-12 8192-16383'],
      ]);
    },
    // Until the owner opens the slot, it answers for keys that are on the importing node.
    unserved: true,
    members: [0, 1],
    writes: 12,
  },
  {
    name: 'migrate_slots',
    form: { masters: 2, keys: KEYS },
    args: (nodes) => ['migrate_slots', ...addresses(nodes, 0, 1), '0-1499', '--resume', ...move],
    goal: (nodes) =>
      assertLayout([
        [at(nodes, 0), '1500-8191'],
        [at(nodes, 1), '0-1499 8192-16383'],
      ]),
    members: [0, 1],
    writes: 60,
  },
  {
    name: 'migrate_slots auto',
    form: { masters: 2, keys: KEYS },
    // By default it waits twice for a minute if nodes do not hear each other.
    args: (nodes) => [
      'migrate_slots',
      ...addresses(nodes, 0, 1),
      '0-1499',
      '--resume',
      '--atomic-timeout',
      '3000',
    ],
    goal: (nodes) =>
      assertLayout([
        [at(nodes, 0), '1500-8191'],
        [at(nodes, 1), '0-1499 8192-16383'],
      ]),
    members: [0, 1],
    writes: 2,
  },
  {
    name: 'reshard',
    form: { masters: 3, keys: KEYS },
    args: (nodes) => [
      'reshard',
      ...addresses(nodes, 0),
      '--from',
      'all',
      '--to',
      ...addresses(nodes, 2),
      '--slots',
      '0-299,6000-6299',
      '--yes',
      ...move,
    ],
    goal: (nodes) =>
      assertLayout([
        [at(nodes, 0), '300-5461'],
        [at(nodes, 1), '5462-5999 6300-10922'],
        [at(nodes, 2), '0-299 6000-6299 10923-16383'],
      ]),
    members: [0, 1, 2],
    writes: 40,
  },
  {
    name: 'rebalance',
    form: { masters: 3, keys: KEYS },
    args: (nodes) => [
      'rebalance',
      ...addresses(nodes, 0),
      '--weight',
      `${at(nodes, 0).address}=2`,
      '--yes',
      ...move,
    ],
    goal: (nodes) => requireSlots(nodes, [8192, 4096, 4096], 82),
    members: [0, 1, 2],
    writes: 120,
  },
  {
    name: 'rescue',
    form: { masters: 3 },
    before: async (nodes) => {
      await at(nodes, 2).kill();
      for (const place of [0, 1]) await heldForFailed(at(nodes, place), at(nodes, 2));
    },
    args: (nodes) => ['rescue', ...addresses(nodes, 0, 3)],
    goal: async (nodes) => {
      // With such a short node timeout, a link may be down for a moment on a busy machine.
      await assertSoon(async () => {
        for (const place of [0, 1, 3]) {
          const has = (await seenBy(at(nodes, place)))[at(nodes, 3).address];
          if (has !== '10923-16383') throw new Error(`The taker has ${has}`);
        }
      }, 5000);
    },
    members: [0, 1, 3],
    writes: 6,
    unserved: true,
  },
  {
    name: 'set_timeout',
    form: { masters: 3 },
    args: (nodes) => ['set_timeout', ...addresses(nodes, 0), `${NODE_TIMEOUT_MS + 500}`],
    goal: async (nodes) => {
      for (const node of nodes.slice(0, 3)) {
        const [, value] = (await ask(node, 'CONFIG', 'GET', 'cluster-node-timeout')) as string[];
        if (value !== `${NODE_TIMEOUT_MS + 500}`) throw new Error(`${node.address} says ${value}`);
      }
    },
    members: [0, 1, 2],
    writes: 6,
  },
];
