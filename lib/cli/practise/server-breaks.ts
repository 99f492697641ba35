import { mkdirSync, rmSync } from 'node:fs';
import { BE_QUICK, type BreaksOf, SET_ON_ALL } from './break.ts';
import type { SERVER_BREAKS } from './names.ts';
import { fileOf, set, tell } from './scene.ts';

/** Servers. */
export const serverBreaks: BreaksOf<typeof SERVER_BREAKS> = {
  'settings-differ': {
    what: ':7005 has another cluster-node-timeout than the others',
    cure: [BE_QUICK],
    make: (scene) => set(scene, 5, 'cluster-node-timeout', '16000'),
  },
  'users-differ': {
    what: 'Only :7005 has the user "app", and nobody needs it',
    cure: ['redis-trib execute :7000 ACL DELUSER app'],
    make: (scene) => tell(scene, 5, ['ACL', 'SETUSER', 'app', 'on', '>practise', '~*', '+@read']),
  },
  'functions-differ': {
    what: 'Only :7001 has the function library "practise", and nobody needs it (Redis 7.0 or newer)',
    cure: ['redis-cli -p 7001 FUNCTION DELETE practise'],
    make: (scene) =>
      tell(scene, 1, [
        ...['FUNCTION', 'LOAD'],
        "#!lua name=practise\nredis.register_function('practise', function() return 1 end)",
      ]),
  },
  'memory-high': {
    what: ':7002 and its replica have little more maxmemory than they use',
    cure: [`${SET_ON_ALL} maxmemory 0`],
    make: async (scene) => {
      const [info] = await tell(scene, 2, ['INFO', 'memory']);
      const used = Number(/^used_memory:(\d+)/m.exec(`${info}`)?.[1]);
      for (const node of [2, 5]) await set(scene, node, 'maxmemory', `${Math.round(1.03 * used)}`);
    },
  },
  'memory-policy-differs': {
    what: ':7002 evicts keys when its memory is full, the others refuse writes',
    cure: [`${SET_ON_ALL} maxmemory-policy noeviction`],
    make: (scene) => set(scene, 2, 'maxmemory-policy', 'allkeys-lru'),
  },
  'save-failing': {
    what: ':7002 cannot save its data: where its file should be is a folder',
    cure: ['rmdir DIR/7002/dump.rdb', 'redis-cli -p 7002 SAVE'],
    make: async (scene) => {
      rmSync(fileOf(scene, 2, 'dump.rdb'), { force: true });
      mkdirSync(fileOf(scene, 2, 'dump.rdb'));
      await tell(scene, 2, ['BGSAVE']);
    },
  },
  'writes-refused': {
    what: ':7002 has one replica, and takes writes only with two',
    cure: ['redis-cli -p 7002 CONFIG SET min-replicas-to-write 0'],
    make: (scene) => set(scene, 2, 'min-replicas-to-write', '2'),
  },
};
