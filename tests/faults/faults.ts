import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeRecord } from '../../lib/model/node.ts';
import { eventually } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { banned, restartLoading, stranger, swap, wipe } from './misleading.ts';
import type { Random } from './random.ts';
import type { Strike } from './strike.ts';
import { ask, type Member, NODE_TIMEOUT_MS, recordsOf, replicaAmong, type World } from './world.ts';

/** The nodes of a fault, and what it may do. */
export interface Scene {
  readonly victim: Member;
  readonly members: readonly Member[];
  readonly random: Random;
}

/** What happened to a server. */
export interface Struck {
  /** When it was cut, frozen or killed, and when it was back. */
  readonly from: number;
  readonly to: number;
  /** When it learned that it was no longer a master: until then it acknowledges writes that will be lost. */
  readonly until: number;
}

export interface Fault {
  readonly name: string;
  /** What it does in the process of the tool. */
  readonly strike?: (scene: Scene) => Omit<Strike, 'at' | 'from'>;
  /** What it does to a server; resolves when that is repaired. */
  readonly hit?: (scene: Scene) => Promise<Struck>;
  /** What is so before the tool starts; the result ends it, after the first run. */
  readonly prepare?: (world: World, scene: Scene) => Promise<() => Promise<void>>;
  /** True if a replica should take over: the victim needs one. */
  readonly failsOver?: boolean;
  /** The only command that it concerns. @default all */
  readonly of?: 'join';
}

const kill = (name: string, signal: NonNullable<Strike['signal']>): Fault => ({
  name,
  strike: () => ({ signal }),
});

/** Every fault. Those of a server may be combined with the death of the tool. */
export const faults: readonly Fault[] = [
  kill('tool-kill', 'SIGKILL'),
  {
    name: 'failover',
    failsOver: true,
    hit: (scene) =>
      during(async () => {
        const replica = requireReplica(scene);
        await ask(replica.node, 'CLUSTER', 'FAILOVER');
        await tookOver(replica);
      }),
  },
  {
    name: 'freeze',
    hit: ({ victim: { node }, random }) =>
      during(async () => {
        await node.freeze();
        await sleep(random.between(100, NODE_TIMEOUT_MS - 300));
        await node.thaw();
      }),
  },
  {
    name: 'kill-failover',
    failsOver: true,
    hit: (scene) =>
      during(async () => {
        const { node } = scene.victim;
        await node.kill();
        await tookOver(requireReplica(scene));
        await sleep(scene.random.between(0, 500));
        await node.restart();
      }),
  },
  kill('tool-int', 'SIGINT'),
  {
    name: 'cut',
    hit: ({ victim: { node }, random }) =>
      during(async () => {
        node.cutOff();
        await sleep(random.between(50, NODE_TIMEOUT_MS - 300));
        node.reconnect();
      }),
  },
  {
    name: 'freeze-failover',
    failsOver: true,
    hit: (scene) =>
      during(async () => {
        const { node } = scene.victim;
        await node.freeze();
        await tookOver(requireReplica(scene)).finally(() => node.thaw());
      }, scene.victim),
  },
  {
    name: 'tool-cut',
    strike: ({ victim: { node }, random }) => ({ cut: { port: node.port, ms: random.between(100, 2500) } }),
  },
  {
    name: 'restart',
    hit: ({ victim: { node } }) =>
      during(async () => {
        await node.kill();
        await node.restart();
      }),
  },
  {
    name: 'cut-failover',
    failsOver: true,
    hit: (scene) =>
      during(async () => {
        const { node } = scene.victim;
        node.cutOff();
        await tookOver(requireReplica(scene)).finally(() => node.reconnect());
      }, scene.victim),
  },
  { name: 'tool-reset', strike: ({ victim: { node } }) => ({ cut: { port: node.port, ms: 0 } }) },
  kill('tool-term', 'SIGTERM'),
  {
    name: 'loading',
    failsOver: true,
    hit: (scene) => during(() => restartLoading(scene.victim.node, () => tookOver(requireReplica(scene)))),
  },
  stranger,
  banned,
  {
    name: 'wiped',
    failsOver: true,
    hit: (scene) =>
      during(async () => {
        const { node } = requireReplica(scene);
        await wipe(scene, node, () => tookOver(requireReplica(scene)));
      }),
  },
  {
    name: 'swap',
    failsOver: true,
    hit: (scene) => during(() => swap(scene, scene.victim.node, requireReplica(scene).node)),
  },
  { name: 'none' },
];

/** `deposed` is a former master that does not know it yet. */
async function during(work: () => Promise<void>, deposed?: Member): Promise<Struck> {
  const from = performance.now();
  await work();
  const to = performance.now();
  if (deposed) await becomes(deposed.node, 'replica');
  return { from, to, until: performance.now() };
}

function requireReplica({ members, victim }: Scene): Member {
  const replica = replicaAmong(members, victim);
  if (!replica) throw new Error(`${victim.node.address} has no replica`);
  return replica;
}

const tookOver = ({ node }: Member): Promise<void> => becomes(node, 'master');

function becomes(node: ServerNode, wanted: NodeRecord['role']): Promise<void> {
  return eventually(
    `${node.address} is a ${wanted}`,
    async () =>
      (await recordsOf(node)).some(({ flags, role }) => flags.includes('myself') && role === wanted),
    15_000,
  );
}
