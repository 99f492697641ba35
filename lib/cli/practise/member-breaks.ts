import { type BreaksOf, SET_ON_ALL, setOn } from './break.ts';
import type { MEMBER_BREAKS } from './names.ts';
import { relist, set, setPatience } from './scene.ts';

/** What nodes say of each other. */
export const memberBreaks: BreaksOf<typeof MEMBER_BREAKS> = {
  'nodes-disagree': {
    what: 'All others were restarted with a nodes.conf without 127.0.0.1:7005, which still knows them',
    asks: [5],
    cure: ['redis-trib rejoin 127.0.0.1:7000 127.0.0.1:7005'],
    make: (scene) => relist(scene, [0, 1, 2, 3, 4], 5, () => ''),
  },
  'link-down': {
    what: '127.0.0.1:7005 announces another bus port than it has, and the others do not reach it there. They wait ten minutes here before they declare it failed',
    cure: [`${setOn(7005)} cluster-announce-bus-port 0`, `${SET_ON_ALL} cluster-node-timeout 2000`],
    make: async (scene) => {
      await setPatience(scene);
      await set(scene, 5, 'cluster-announce-bus-port', '1');
    },
  },
};
