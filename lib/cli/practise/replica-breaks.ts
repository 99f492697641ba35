import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { BE_QUICK, type BreaksOf, rejoinOf, setOn } from './break.ts';
import type { REPLICA_BREAKS } from './names.ts';
import {
  ALL,
  addSpare,
  bePatient,
  fileOf,
  idOf,
  join,
  kill,
  lineOf,
  part,
  relist,
  set,
  shardOf,
  start,
  tell,
} from './scene.ts';

/** Replication. */
export const replicaBreaks: BreaksOf<typeof REPLICA_BREAKS> = {
  'master-without-replica': {
    what: ':7005, the only replica of :7002, is gone for good; :7006 is an empty server',
    isJudged: true,
    spares: 1,
    cure: ['redis-trib del_node :7000 :7005', 'redis-trib replicate :7002 :7006'],
    make: (scene) => kill(scene, 5),
  },
  'replica-link-down': {
    what: ':7005 logs in to its master as a user that does not exist, and is refused',
    cure: [`${setOn(7005)} masteruser ""`, `${setOn(7005)} masterauth ""`],
    make: async (scene) => {
      await set(scene, 5, 'masteruser', 'nobody');
      await set(scene, 5, 'masterauth', 'wrong');
      await tell(scene, 2, ['CLIENT', 'KILL', 'TYPE', 'replica']);
    },
  },
  'replica-misdirected': {
    what: ':7002 came back as :7006. Its replica :7005 has heard of that from others, and asks for it at the port where it was (Redis only)',
    only: 'redis',
    spares: 1,
    cure: ['redis-trib replicate :7006 :7005', BE_QUICK],
    make: async (scene) => {
      const replica = await idOf(scene, 5);
      await bePatient(scene);
      await Promise.all([2, 6].map((place) => kill(scene, place)));
      // It must not hear it from its master, since then it asks there.
      const text = readFileSync(fileOf(scene, 2, 'nodes.conf'), 'latin1');
      writeFileSync(
        fileOf(scene, 6, 'nodes.conf'),
        lineOf(text, replica, (line) => line.replace(/@\d+/, '@1')),
      );
      await set(scene, 5, 'cluster-node-timeout', '500');
      await start(scene, 6);
    },
  },
  'replica-of-replica': {
    what: ':7006 follows :7005, which is itself a replica, of :7002. The nodes do not hear from one another',
    spares: 1,
    cure: [rejoinOf([...ALL, 6]), BE_QUICK, 'redis-trib replicate :7002 :7006'],
    make: async (scene) => {
      await addSpare(scene, 6, 2);
      const [master, replica, last] = [await idOf(scene, 2), await idOf(scene, 5), await idOf(scene, 6)];
      await part(scene, (text) => lineOf(text, last, (line) => line.replace(master, replica)));
    },
  },
  'shard-shared': {
    what: ':7006 is a master without slots, and was restarted as one of the shard of :7000 (Redis 7.2 or newer)',
    spares: 1,
    cure: ['redis-trib replicate :7000 :7006'],
    make: async (scene) => {
      await join(scene, 6);
      const shard = await shardOf(scene, 0);
      await relist(scene, [...ALL, 6], 6, (line) => line.replace(/(shard-id=)\w+/, `$1${shard}`));
    },
  },
  'replica-mark': {
    what: ':7005 was restarted with a nodes.conf in which slot 16383 is open; its master has closed it (Valkey only)',
    only: 'valkey',
    cure: ['redis-trib fix :7000'],
    make: async (scene) => {
      const target = await idOf(scene, 0);
      await relist(scene, [5], 5, (line) => `${line} [16383->-${target}]`);
    },
  },
  'replica-copying': {
    what: ':7005 was restarted and asks for a first copy, which its master sends an hour later',
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
    what: 'A run that gave :7005 another master was killed before it was allowed to take over again',
    cure: ['redis-trib replicate :7002 :7005'],
    make: async (scene) => {
      await set(scene, 5, 'replica-priority', '1000100');
      await set(scene, 5, 'cluster-replica-no-failover', 'yes');
    },
  },
  'replica-lagging': {
    what: ':7005 logs in to its master as a user that may not run PSYNC. It was copied by SYNC, and never says how far it is',
    cure: [
      'redis-trib execute :7000 ACL SETUSER practise +psync',
      'redis-trib del_node :7000 :7005',
      'redis-trib replicate :7002 :7005',
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
    what: ':7005 has a masteruser that no node knows: its link to its master stands since before',
    cure: [`${setOn(7005)} masteruser ""`, `${setOn(7005)} masterauth ""`],
    make: async (scene) => {
      await set(scene, 5, 'masteruser', 'nobody');
      await set(scene, 5, 'masterauth', 'wrong');
    },
  },
};
