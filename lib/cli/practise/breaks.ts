import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Command as ServerCommand } from '../../../resp/index.ts';
import type { FindingKind } from '../../findings/finding.ts';
import { parseAddress } from '../../model/address.ts';
import type { BreakName } from './names.ts';
import { bePatient, fileOf, idOf, kill, nodeAt, type PracticeScene, set, start, tell } from './scene.ts';

/**
 * A fault to practise on. The cluster has three masters, on the ports 7000 to 7002, and their replicas, in the same order, on 7003 to 7005.
 * Texts say so whatever the ports are: `Practice` puts in those that there are.
 */
export interface Break {
  /** What is broken, as a sentence without its full stop. */
  readonly what: string;
  /** The finding by which `check` shows it, if it has another name than the break. */
  readonly shows?: FindingKind;
  /** The finding by which some servers show it instead. */
  readonly or?: FindingKind;
  /** True if it can be repaired only when all nodes that were killed have been declared failed. */
  readonly isJudged?: true;
  /** What repairs it, as on the page of the finding: DIR is the folder of the servers, ID the node that the finding advises to take out. */
  readonly cure: readonly string[];
  readonly make: (scene: PracticeScene) => Promise<unknown>;
  /** Empty servers that are not in the cluster, on the ports from 7006 on. @default 0 */
  readonly spares?: number;
  /** Zones by node, which `check` is to be given, and the cure in place of ZONES. */
  readonly zones?: Readonly<Record<string, string>>;
  /** Places of the nodes that `check` is to be asked at. @default the first node */
  readonly asks?: readonly number[];
}

/** Keys of slot 0. */
const KEYS = ['{06S}:1', '{06S}:2', '{06S}:3'];
const ALL = [0, 1, 2, 3, 4, 5];
const MOVED = [6, 7, 8, 9, 10, 11];
const FIX = 'redis-trib fix 127.0.0.1:7000';
const START = (port: number): string => `redis-server DIR/${port}/server.conf --daemonize yes`;
const SET_ON = (port: number): string => `redis-cli -p ${port} CONFIG SET`;
const SET_ON_ALL = 'redis-trib execute 127.0.0.1:7000 CONFIG SET';

/** Every break, by its name: that of the finding, if there is only one. */
export const breaks: Readonly<Record<BreakName, Break>> = {
  'slots-uncovered': {
    what: 'Slot 0 belongs to no node',
    cure: [FIX],
    make: (scene) => Promise.all(ALL.map((node) => tell(scene, node, ['CLUSTER', 'DELSLOTS', '0']))),
  },
  'dead-master': {
    what: '127.0.0.1:7002 and its only replica are gone for good, and the keys of its slots with them; 127.0.0.1:7006 and 127.0.0.1:7007 are empty servers',
    shows: 'slots-uncovered',
    isJudged: true,
    spares: 2,
    cure: [
      'redis-trib rescue 127.0.0.1:7000 127.0.0.1:7006',
      'redis-trib prune 127.0.0.1:7000',
      'redis-trib replicate 127.0.0.1:7006 127.0.0.1:7007',
    ],
    make: async (scene) => {
      await kill(scene, 5);
      await kill(scene, 2);
    },
  },
  'slot-open': {
    what: 'A move of slot 0 from 127.0.0.1:7000 to 127.0.0.1:7001 was cut short: one of its three keys has moved',
    cure: [FIX],
    make: async (scene) => {
      const [source, target] = [await idOf(scene, 0), await idOf(scene, 1)];
      await tell(scene, 0, ...KEYS.map((key): ServerCommand => ['SET', key, 'value']));
      await tell(scene, 1, ['CLUSTER', 'SETSLOT', '0', 'IMPORTING', source]);
      const { host, port } = parseAddress(nodeAt(scene, 1));
      await tell(
        scene,
        0,
        ['CLUSTER', 'SETSLOT', '0', 'MIGRATING', target],
        ['MIGRATE', host, `${port}`, KEYS[0] ?? '', '0', '5000'],
      );
    },
  },
  'keys-stray': {
    what: '127.0.0.1:7001 holds a key of slot 1, which 127.0.0.1:7000 owns. That does not have the key, and it is wanted',
    cure: [`${FIX} --stray-keys bring`],
    make: async (scene) => {
      const owner = await idOf(scene, 0);
      await tell(
        scene,
        1,
        ['CLUSTER', 'SETSLOT', '1', 'IMPORTING', owner],
        ['ASKING'],
        ['SET', '{t3034}', 'value'],
        ['CLUSTER', 'SETSLOT', '1', 'STABLE'],
      );
    },
  },
  'node-unreachable': {
    what: '127.0.0.1:7005 has just ended, and the others have not declared it failed yet: they wait ten minutes here',
    cure: [START(7005)],
    make: async (scene) => {
      await bePatient(scene);
      await kill(scene, 5);
    },
  },
  'node-failed': {
    what: '127.0.0.1:7000 is dead, and its replica 127.0.0.1:7003 has taken its place',
    asks: [1],
    cure: [START(7000)],
    make: (scene) => kill(scene, 0),
  },
  'node-refuses': {
    what: '127.0.0.1:7002 has got a password, "practise", that the others do not have',
    cure: ['redis-cli -p 7002 -a practise CONFIG SET requirepass ""'],
    make: (scene) => tell(scene, 2, ['CONFIG', 'SET', 'requirepass', 'practise']),
  },
  'node-moved': {
    what: 'All nodes came back with other addresses: they were on the ports 7000 to 7005, and are on 7006 to 7011 now',
    spares: 6,
    asks: MOVED,
    cure: [`redis-trib rejoin ${MOVED.map((place) => `127.0.0.1:${7000 + place}`).join(' ')}`],
    make: async (scene) => {
      await Promise.all([...ALL, ...MOVED].map((place) => kill(scene, place)));
      for (const place of ALL)
        copyFileSync(fileOf(scene, place, 'nodes.conf'), fileOf(scene, place + 6, 'nodes.conf'));
      await Promise.all(MOVED.map((place) => start(scene, place)));
    },
  },
  'node-wiped': {
    what: '127.0.0.1:7005 was restarted without its nodes.conf: it has another id, and is in no cluster',
    or: 'node-failed',
    cure: ['redis-trib del_node 127.0.0.1:7000 ID', 'redis-trib replicate 127.0.0.1:7002 127.0.0.1:7005'],
    make: async (scene) => {
      await kill(scene, 5);
      rmSync(fileOf(scene, 5, 'nodes.conf'));
      await start(scene, 5);
    },
  },
  'duplicate-id': {
    what: '127.0.0.1:7006 was started with a copy of the nodes.conf of 127.0.0.1:7005',
    spares: 1,
    cure: [
      'redis-cli -p 7006 SHUTDOWN NOSAVE',
      'rm DIR/7006/nodes.conf',
      START(7006),
      'redis-trib add_node 127.0.0.1:7006 127.0.0.1:7000 --replica',
    ],
    make: async (scene) => {
      await kill(scene, 6);
      copyFileSync(fileOf(scene, 5, 'nodes.conf'), fileOf(scene, 6, 'nodes.conf'));
      await start(scene, 6);
    },
  },
  'node-bad-address': {
    what: '127.0.0.1:7005 announces an IP address that is none',
    cure: [`${SET_ON(7005)} cluster-announce-ip ""`],
    make: (scene) => set(scene, 5, 'cluster-announce-ip', nodeAt(scene, 0)),
  },
  'node-silent': {
    what: 'On 127.0.0.1:7005 nobody may run INFO',
    cure: ['redis-trib execute 127.0.0.1:7000 ACL SETUSER default +@all'],
    make: (scene) => tell(scene, 5, ['ACL', 'SETUSER', 'default', '-info']),
  },
  'nodes-disagree': {
    what: 'All others were restarted with a nodes.conf without 127.0.0.1:7005, which still knows them',
    asks: [5],
    cure: ['redis-trib rejoin 127.0.0.1:7000 127.0.0.1:7005'],
    make: async (scene) => {
      const id = await idOf(scene, 5);
      const others = ALL.slice(0, 5);
      await Promise.all(others.map((place) => kill(scene, place)));
      for (const place of others) {
        const file = fileOf(scene, place, 'nodes.conf');
        const lines = readFileSync(file, 'latin1').split('\n');
        writeFileSync(file, lines.filter((line) => !line.startsWith(id)).join('\n'), 'latin1');
      }
      await Promise.all(others.map((place) => start(scene, place)));
    },
  },
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
    cure: [`${SET_ON(7005)} masteruser ""`, `${SET_ON(7005)} masterauth ""`],
    make: async (scene) => {
      await set(scene, 5, 'masteruser', 'nobody');
      await set(scene, 5, 'masterauth', 'wrong');
      await tell(scene, 2, ['CLIENT', 'KILL', 'TYPE', 'replica']);
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
  'cannot-follow': {
    what: '127.0.0.1:7005 has a masteruser that no node knows: its link to its master stands since before',
    cure: [`${SET_ON(7005)} masteruser ""`, `${SET_ON(7005)} masterauth ""`],
    make: async (scene) => {
      await set(scene, 5, 'masteruser', 'nobody');
      await set(scene, 5, 'masterauth', 'wrong');
    },
  },
  'master-without-slots': {
    what: '127.0.0.1:7006 is a master without slots, and not needed',
    spares: 1,
    cure: ['redis-trib del_node 127.0.0.1:7000 127.0.0.1:7006'],
    make: async ({ servers: { nodes }, signal }) => {
      const { joinNoLoad } = await import('../../operations/join-cluster.ts');
      await joinNoLoad(nodes[0] ?? '', nodes[6] ?? '', { signal });
    },
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
  'settings-differ': {
    what: '127.0.0.1:7005 has another cluster-node-timeout than the others',
    cure: [`${SET_ON_ALL} cluster-node-timeout 2000`],
    make: (scene) => set(scene, 5, 'cluster-node-timeout', '16000'),
  },
  'users-differ': {
    what: 'Only 127.0.0.1:7005 has the user "app", and nobody needs it',
    cure: ['redis-trib execute 127.0.0.1:7000 ACL DELUSER app'],
    make: (scene) => tell(scene, 5, ['ACL', 'SETUSER', 'app', 'on', '>practise', '~*', '+@read']),
  },
  'functions-differ': {
    what: 'Only 127.0.0.1:7001 has the function library "practise", and nobody needs it (Redis 7.0 or newer)',
    cure: ['redis-cli -p 7001 FUNCTION DELETE practise'],
    make: (scene) =>
      tell(scene, 1, [
        ...['FUNCTION', 'LOAD'],
        "#!lua name=practise\nredis.register_function('practise', function() return 1 end)",
      ]),
  },
  'memory-high': {
    what: '127.0.0.1:7002 and its replica have little more maxmemory than they use',
    cure: [`${SET_ON_ALL} maxmemory 0`],
    make: async (scene) => {
      const [info] = await tell(scene, 2, ['INFO', 'memory']);
      const used = Number(/^used_memory:(\d+)/m.exec(`${info}`)?.[1]);
      for (const node of [2, 5]) await set(scene, node, 'maxmemory', `${Math.round(1.03 * used)}`);
    },
  },
  'memory-policy-differs': {
    what: '127.0.0.1:7002 evicts keys when its memory is full, the others refuse writes',
    cure: [`${SET_ON_ALL} maxmemory-policy noeviction`],
    make: (scene) => set(scene, 2, 'maxmemory-policy', 'allkeys-lru'),
  },
  'save-failing': {
    what: '127.0.0.1:7002 cannot save its data: where its file should be is a folder',
    cure: ['rmdir DIR/7002/dump.rdb', 'redis-cli -p 7002 SAVE'],
    make: async (scene) => {
      rmSync(fileOf(scene, 2, 'dump.rdb'), { force: true });
      mkdirSync(fileOf(scene, 2, 'dump.rdb'));
      await tell(scene, 2, ['BGSAVE']);
    },
  },
};
