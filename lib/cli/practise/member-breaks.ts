import { BE_QUICK, type BreaksOf, rejoinOf, setOn } from './break.ts';
import type { MEMBER_BREAKS } from './names.ts';
import { ALL, part, relist, set, setPatience } from './scene.ts';

/** What nodes say of each other. */
export const memberBreaks: BreaksOf<typeof MEMBER_BREAKS> = {
  'nodes-disagree': {
    what: 'All others were restarted with a nodes.conf without :7005, which still knows them',
    asks: [5],
    cure: ['redis-trib rejoin :7000 :7005'],
    make: (scene) => relist(scene, [0, 1, 2, 3, 4], 5, () => ''),
  },
  'link-down': {
    what: ':7005 announces another bus port than it has, and the others do not reach it there. They wait ten minutes here before they declare it failed',
    cure: [`${setOn(7005)} cluster-announce-bus-port 0`, BE_QUICK],
    make: async (scene) => {
      await setPatience(scene);
      await set(scene, 5, 'cluster-announce-bus-port', '1');
    },
  },
  'epoch-collision': {
    what: 'All masters have one config epoch, and the nodes do not hear from one another',
    cure: [rejoinOf(ALL), BE_QUICK],
    make: (scene) =>
      part(scene, (text) => text.replace(/\d+( \w*connected)/g, '9$1').replace(/(currentEpoch) \d+/, '$1 9')),
  },
};
