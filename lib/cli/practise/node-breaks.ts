import { appendFileSync, copyFileSync, renameSync, rmSync } from 'node:fs';
import { BE_QUICK, type BreaksOf, rejoinOf, setOn, startOf } from './break.ts';
import type { NODE_BREAKS } from './names.ts';
import {
  ALL,
  bePatient,
  fileOf,
  kill,
  nodeAt,
  part,
  relist,
  set,
  setPatience,
  start,
  tell,
} from './scene.ts';

const MOVED = [6, 7, 8, 9, 10, 11];

/** Nodes that do not answer as themselves. */
export const nodeBreaks: BreaksOf<typeof NODE_BREAKS> = {
  'node-unreachable': {
    what: ':7005 has just ended, and the others have not declared it failed yet: they wait ten minutes here',
    cure: [startOf(7005)],
    make: async (scene) => {
      await bePatient(scene);
      await kill(scene, 5);
    },
  },
  'node-failed': {
    what: ':7000 is dead, and its replica :7003 has taken its place',
    after: 'slots-uncovered',
    asks: [1],
    cure: [startOf(7000)],
    make: (scene) => kill(scene, 0),
  },
  'node-loading': {
    what: ':7005 was restarted, and reads its 30,000 keys from disk: 50 a second here (Redis 7.0 or newer)',
    cure: [`${setOn(7005)} key-load-delay 0`],
    make: async (scene) => {
      const keys = Array.from({ length: 30_000 }, (_, index) => [`{foo}:${index}`, 'value']);
      await tell(scene, 2, ['MSET', ...keys.flat()], ['WAIT', '1', '10000']);
      await tell(scene, 5, ['SAVE']);
      await kill(scene, 5);
      // In microseconds for each key, and how often it answers meanwhile.
      const slow = 'key-load-delay 20000\nloading-process-events-interval-bytes 1024\n';
      appendFileSync(fileOf(scene, 5, 'server.conf'), slow);
      await start(scene, 5);
    },
  },
  'node-refuses': {
    what: ':7002 has a password, "practise", that the others do not have',
    cure: ['redis-cli -p 7002 -a practise CONFIG SET requirepass ""'],
    make: (scene) => tell(scene, 2, ['CONFIG', 'SET', 'requirepass', 'practise']),
  },
  'node-moved': {
    what: 'All nodes came back with other addresses: they were on the ports 7000 to 7005, and are on 7006 to 7011 now',
    spares: 6,
    asks: MOVED,
    cure: [rejoinOf(MOVED)],
    make: async (scene) => {
      await Promise.all([...ALL, ...MOVED].map((place) => kill(scene, place)));
      for (const place of ALL)
        copyFileSync(fileOf(scene, place, 'nodes.conf'), fileOf(scene, place + 6, 'nodes.conf'));
      await Promise.all(MOVED.map((place) => start(scene, place)));
    },
  },
  'node-stranger': {
    what: ':7005 has its files at :7006 now, and an empty server is at its port. The others do not hear from either',
    spares: 1,
    cure: [rejoinOf([0, 6]), BE_QUICK],
    make: async (scene) => {
      await Promise.all([5, 6].map((place) => kill(scene, place)));
      const [own = '', empty = ''] = [5, 6].map((place) => fileOf(scene, place, 'nodes.conf'));
      renameSync(own, `${own}.old`);
      renameSync(empty, own);
      renameSync(`${own}.old`, empty);
      await part(scene);
    },
  },
  'node-wiped': {
    what: ':7005 was restarted without its nodes.conf: it has another id, and is in no cluster',
    or: 'node-failed',
    cure: ['redis-trib del_node :7000 ID', 'redis-trib replicate :7002 :7005'],
    make: async (scene) => {
      await kill(scene, 5);
      rmSync(fileOf(scene, 5, 'nodes.conf'));
      await start(scene, 5);
    },
  },
  'duplicate-id': {
    what: ':7006 was started with a copy of the nodes.conf of :7005',
    spares: 1,
    cure: [
      'redis-cli -p 7006 SHUTDOWN NOSAVE',
      'rm DIR/7006/nodes.conf',
      startOf(7006),
      // Until the others have the one that is left at its own address.
      'redis-trib wait :7000',
      'redis-trib add_node :7006 :7000 --replica',
    ],
    make: async (scene) => {
      await kill(scene, 6);
      copyFileSync(fileOf(scene, 5, 'nodes.conf'), fileOf(scene, 6, 'nodes.conf'));
      await start(scene, 6);
    },
  },
  'node-no-address': {
    what: ':7005 is gone for good, and :7000 was restarted with a nodes.conf without its address; :7006 is an empty server',
    isJudged: true,
    spares: 1,
    cure: ['redis-trib del_node :7000 ID', 'redis-trib replicate :7002 :7006'],
    make: async (scene) => {
      await kill(scene, 5);
      await relist(scene, [0], 5, (line) => line.replace(/ \S+:\d+@\d+(\S*) slave/, ' :0@0$1 slave,noaddr'));
    },
  },
  'node-bad-address': {
    what: ':7005 announces an invalid IP address',
    cure: [`${setOn(7005)} cluster-announce-ip ""`],
    make: (scene) => set(scene, 5, 'cluster-announce-ip', nodeAt(scene, 0)),
  },
  'node-in-handshake': {
    what: ':7000 was introduced to 127.0.0.1:1, where nothing answers. All wait ten minutes before they give up, instead of two seconds',
    cure: [BE_QUICK],
    make: async (scene) => {
      await setPatience(scene);
      await tell(scene, 0, ['CLUSTER', 'MEET', '127.0.0.1', '1']);
    },
  },
  'node-silent': {
    what: 'On :7005 nobody may run INFO',
    cure: ['redis-trib execute :7000 ACL SETUSER default +@all'],
    make: (scene) => tell(scene, 5, ['ACL', 'SETUSER', 'default', '-info']),
  },
};
