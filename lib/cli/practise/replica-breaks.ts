import { rmSync } from 'node:fs';
import { type BreaksOf, setOn } from './break.ts';
import type { REPLICA_BREAKS } from './names.ts';
import { ALL, fileOf, kill, set, start, tell } from './scene.ts';

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
    what: '127.0.0.1:7005 logs in to its master as a user that may not run PSYNC. It was copied by SYNC, and never says how far it is',
    cure: [
      'redis-trib execute 127.0.0.1:7000 ACL SETUSER practise +psync',
      'redis-trib del_node 127.0.0.1:7000 127.0.0.1:7005',
      'redis-trib replicate 127.0.0.1:7002 127.0.0.1:7005',
    ],
    make: async (scene) => {
      const user = ['practise', 'on', '>practise', '~*', '+@all', '-psync'];
      for (const node of ALL) await tell(scene, node, ['ACL', 'SETUSER', ...user]);
      // A master without a stream of its own has nothing to be behind of.
      await tell(scene, 2, ['SET', '{foo}', 'value']);
      await set(scene, 5, 'masteruser', 'practise');
      await set(scene, 5, 'masterauth', 'practise');
      await tell(scene, 2, ['CLIENT', 'KILL', 'TYPE', 'replica']);
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
