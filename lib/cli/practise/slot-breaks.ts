import type { Command as ServerCommand } from '../../../resp/index.ts';
import { parseAddress } from '../../model/address.ts';
import type { BreaksOf } from './break.ts';
import type { SLOT_BREAKS } from './names.ts';
import { ALL, idOf, kill, nodeAt, tell } from './scene.ts';

/** Keys of slot 0. */
const KEYS = ['{06S}:1', '{06S}:2', '{06S}:3'];
const FIX = 'redis-trib fix 127.0.0.1:7000';

/** Slots and keys. */
export const slotBreaks: BreaksOf<typeof SLOT_BREAKS> = {
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
  'keys-uncounted': {
    what: 'On 127.0.0.1:7001 nobody may run CLUSTER COUNTKEYSINSLOT (Redis 7.0 or newer)',
    cure: ['redis-trib execute 127.0.0.1:7000 ACL SETUSER default +@all'],
    make: (scene) =>
      // Without keys there is nothing to count.
      tell(scene, 1, ['SET', '{c}', 'value'], ['ACL', 'SETUSER', 'default', '-cluster|countkeysinslot']),
  },
};
