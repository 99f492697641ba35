import { BE_QUICK, type BreaksOf, rejoinOf } from './break.ts';
import type { LAYOUT_BREAKS } from './names.ts';
import { ALL, addSpare, join, nodeAt, optionsOf, part, shardOf } from './scene.ts';

/** Layout. */
export const layoutBreaks: BreaksOf<typeof LAYOUT_BREAKS> = {
  'master-without-slots': {
    what: ':7006 is a master without slots, and not needed',
    spares: 1,
    cure: ['redis-trib del_node :7000 :7006'],
    make: (scene) => join(scene, 6),
  },
  'same-zone': {
    what: ':7003 is in zone a, as its master :7000 is, which has another replica, :7006, in zone b',
    spares: 1,
    zones: 'abcacbb',
    cure: ['redis-trib spread :7000 ZONES'],
    make: (scene) => addSpare(scene, 6),
  },
  'replicas-same-zone': {
    what: 'Both replicas of :7000, :7003 and :7006, are in zone b',
    spares: 1,
    zones: 'abcbcab',
    cure: ['redis-trib replicate :7002 :7006'],
    make: (scene) => addSpare(scene, 6),
  },
  'masters-same-zone': {
    what: 'After a failover, two of the three masters are in zone b',
    zones: 'abcbca',
    cure: ['redis-trib spread :7000 ZONES'],
    make: async (scene) => {
      const { failover } = await import('../../operations/failover.ts');
      await failover(nodeAt(scene, 3), optionsOf(scene));
    },
  },
  'replicas-uneven': {
    what: ':7006 and :7007 have become replicas of :7000, which has three now; the other masters have one each',
    spares: 2,
    cure: ['redis-trib spread :7000'],
    make: async (scene) => {
      for (const spare of [6, 7]) await addSpare(scene, spare);
    },
  },
  'shards-differ': {
    what: ':7005 has itself and its master in another shard than the others have them, and the nodes do not hear from one another (Redis 7.2 or newer)',
    cure: [rejoinOf(ALL), BE_QUICK],
    make: async (scene) => {
      const shard = await shardOf(scene, 2);
      await part(scene, (text, place) => (place === 5 ? text.replaceAll(shard, '5'.repeat(40)) : text));
    },
  },
};
