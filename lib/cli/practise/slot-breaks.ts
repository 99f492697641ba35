import type { Command as ServerCommand } from '../../../resp/index.ts';
import { parseAddress } from '../../model/address.ts';
import { BE_QUICK, type BreaksOf, rejoinOf } from './break.ts';
import type { SLOT_BREAKS } from './names.ts';
import { ALL, idOf, kill, lineOf, nodeAt, part, tell } from './scene.ts';

/** Keys of slot 0. */
const KEYS = ['{06S}:1', '{06S}:2', '{06S}:3'];
const FIX = 'redis-trib fix :7000';

/** Slots and keys. */
export const slotBreaks: BreaksOf<typeof SLOT_BREAKS> = {
  'slots-uncovered': {
    what: 'Slot 0 belongs to no node',
    cure: [FIX],
    make: (scene) => Promise.all(ALL.map((node) => tell(scene, node, ['CLUSTER', 'DELSLOTS', '0']))),
  },
  'dead-master': {
    what: ':7002 and its only replica are gone for good, and the keys of its slots with them; :7006 and :7007 are empty servers',
    shows: 'slots-uncovered',
    isJudged: true,
    spares: 2,
    cure: ['redis-trib rescue :7000 :7006', 'redis-trib prune :7000', 'redis-trib replicate :7006 :7007'],
    make: async (scene) => {
      await kill(scene, 5);
      await kill(scene, 2);
    },
  },
  'slot-open': {
    what: 'A move of slot 0 from :7000 to :7001 was cut short: one of its three keys has moved',
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
  'slots-contested': {
    what: ':7000 was restarted with a nodes.conf from before slot 0 moved to :7001. The nodes do not hear from one another',
    cure: [`${rejoinOf(ALL)} --force`, BE_QUICK],
    make: async (scene) => {
      const [source, target] = [await idOf(scene, 0), await idOf(scene, 1)];
      const without = (text: string): string => lineOf(text, source, (line) => line.replace(/ 0-/, ' 1-'));
      await part(scene, (text, place) =>
        place === 0 ? text : lineOf(without(text), target, (line) => `${line} 0`),
      );
    },
  },
  'keys-stray': {
    what: ':7001 holds a key of slot 1, which :7000 owns. :7000 does not have the key, and it is to be kept',
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
    what: 'On :7001 nobody may run CLUSTER COUNTKEYSINSLOT (Redis 7.0 or newer)',
    cure: ['redis-trib execute :7000 ACL SETUSER default +@all'],
    make: (scene) =>
      // Without keys there is nothing to count.
      tell(scene, 1, ['SET', '{c}', 'value'], ['ACL', 'SETUSER', 'default', '-cluster|countkeysinslot']),
  },
};
