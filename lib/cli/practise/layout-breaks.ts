import type { BreaksOf } from './break.ts';
import type { LAYOUT_BREAKS } from './names.ts';
import { nodeAt, type PracticeScene } from './scene.ts';

/** Makes a spare server another replica of the first master. */
async function addReplica(scene: PracticeScene, spare: number): Promise<void> {
  const { replicate } = await import('../../operations/replicate.ts');
  await replicate(nodeAt(scene, 0), nodeAt(scene, spare), { signal: scene.signal });
}

/** Layout. */
export const layoutBreaks: BreaksOf<typeof LAYOUT_BREAKS> = {
  'master-without-slots': {
    what: '127.0.0.1:7006 is a master without slots, and not needed',
    spares: 1,
    cure: ['redis-trib del_node 127.0.0.1:7000 127.0.0.1:7006'],
    make: async ({ servers: { nodes }, signal }) => {
      const { joinNoLoad } = await import('../../operations/join-cluster.ts');
      await joinNoLoad(nodes[0] ?? '', nodes[6] ?? '', { signal });
    },
  },
  'same-zone': {
    what: '127.0.0.1:7003 is in zone a, as its master 127.0.0.1:7000 is, which has another replica, 127.0.0.1:7006, in zone b',
    spares: 1,
    zones: {
      ...{ '127.0.0.1:7000': 'a', '127.0.0.1:7001': 'b', '127.0.0.1:7002': 'c' },
      ...{ '127.0.0.1:7003': 'a', '127.0.0.1:7004': 'c', '127.0.0.1:7005': 'b', '127.0.0.1:7006': 'b' },
    },
    cure: ['redis-trib spread 127.0.0.1:7000 ZONES'],
    make: (scene) => addReplica(scene, 6),
  },
  'replicas-same-zone': {
    what: 'Both replicas of 127.0.0.1:7000, 127.0.0.1:7003 and 127.0.0.1:7006, are in zone b',
    spares: 1,
    zones: {
      ...{ '127.0.0.1:7000': 'a', '127.0.0.1:7001': 'b', '127.0.0.1:7002': 'c' },
      ...{ '127.0.0.1:7003': 'b', '127.0.0.1:7004': 'c', '127.0.0.1:7005': 'a', '127.0.0.1:7006': 'b' },
    },
    cure: ['redis-trib replicate 127.0.0.1:7002 127.0.0.1:7006'],
    make: (scene) => addReplica(scene, 6),
  },
  'masters-same-zone': {
    what: 'After a failover, two of the three masters are in zone b',
    zones: {
      ...{ '127.0.0.1:7000': 'a', '127.0.0.1:7001': 'b', '127.0.0.1:7002': 'c' },
      ...{ '127.0.0.1:7003': 'b', '127.0.0.1:7004': 'c', '127.0.0.1:7005': 'a' },
    },
    cure: ['redis-trib spread 127.0.0.1:7000 ZONES'],
    make: async ({ servers: { nodes }, signal }) => {
      const { failover } = await import('../../operations/failover.ts');
      await failover(nodes[3] ?? '', { signal });
    },
  },
  'replicas-uneven': {
    what: '127.0.0.1:7006 and 127.0.0.1:7007 have become replicas of 127.0.0.1:7000, which has three now; the other masters have one each',
    spares: 2,
    cure: ['redis-trib spread 127.0.0.1:7000'],
    make: async (scene) => {
      for (const spare of [6, 7]) await addReplica(scene, spare);
    },
  },
};
