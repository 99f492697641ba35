import { rmSync } from 'node:fs';
import { type BreaksOf, setOn } from './break.ts';
import type { REPLICA_BREAKS } from './names.ts';
import { fileOf, kill, set, start, tell } from './scene.ts';

/** Replication. */
export const replicaBreaks: BreaksOf<typeof REPLICA_BREAKS> = {
  'master-without-replica': {
    what: '127.0.0.1:7005, the only replica of 127.0.0.1:7002, is gone for good; 127.0.0.1:7006 is an empty server',
    isJudged: true,
    spares: 1,
    cure: [
      'redis-trib del_node 127.0.0.1:7000 127.0.0.1:7005',
      'redis-trib replicate 127.0.0.1:7002 127.0.0.1:7006',
    ],
    make: (scene) => kill(scene, 5),
  },
  'replica-link-down': {
    what: '127.0.0.1:7005 logs in to its master as a user that is not there, and is refused',
    cure: [`${setOn(7005)} masteruser ""`, `${setOn(7005)} masterauth ""`],
    make: async (scene) => {
      await set(scene, 5, 'masteruser', 'nobody');
      await set(scene, 5, 'masterauth', 'wrong');
      await tell(scene, 2, ['CLIENT', 'KILL', 'TYPE', 'replica']);
    },
  },
  'replica-copying': {
    what: '127.0.0.1:7005 was restarted and asks for a first copy, which its master sends an hour later',
    cure: ['redis-cli -p 7002 CONFIG SET repl-diskless-sync-delay 0'],
    make: async (scene) => {
      await set(scene, 2, 'repl-diskless-sync', 'yes');
      await set(scene, 2, 'repl-diskless-sync-delay', '3600');
      await kill(scene, 5);
      // It must not begin where it has been.
      rmSync(fileOf(scene, 5, 'dump.rdb'), { force: true });
      await start(scene, 5);
    },
  },
  'replica-barred': {
    what: 'A run that gave 127.0.0.1:7005 another master was killed before it was allowed to take over again',
    cure: ['redis-trib replicate 127.0.0.1:7002 127.0.0.1:7005'],
    make: async (scene) => {
      await set(scene, 5, 'replica-priority', '1000100');
      await set(scene, 5, 'cluster-replica-no-failover', 'yes');
    },
  },
  'replica-lagging': {
    what: '127.0.0.1:7002 has written 65 MiB and sends nothing to its replica: it was told to pause for an hour (Redis 7.0 or newer)',
    cure: ['redis-cli -p 7002 CLIENT UNPAUSE'],
    make: async (scene) => {
      // A link without data is ended after this time.
      for (const node of [2, 5]) await set(scene, node, 'repl-timeout', '7200');
      const write = "redis.call('SET', KEYS[1], string.rep('x', 66 * 1048576)); redis.call('DEL', KEYS[1])";
      // In one packet: the pause begins before the server next sends anything.
      await tell(scene, 2, ['EVAL', write, '1', '{foo}'], ['CLIENT', 'PAUSE', '3600000', 'WRITE']);
    },
  },
  'cannot-follow': {
    what: '127.0.0.1:7005 has a masteruser that no node knows: its link to its master stands since before',
    cure: [`${setOn(7005)} masteruser ""`, `${setOn(7005)} masterauth ""`],
    make: async (scene) => {
      await set(scene, 5, 'masteruser', 'nobody');
      await set(scene, 5, 'masterauth', 'wrong');
    },
  },
};
