import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerNode } from '../bed/index.ts';
import type { Random } from '../faults/random.ts';
import type { Strike } from '../faults/strike.ts';
import { NODE_TIMEOUT_MS } from './stage.ts';

/** What happens in the middle of a command. */
export interface Event {
  readonly name: string;
  /** In the process of the tool. */
  readonly strike?: (victim: ServerNode, random: Random) => Omit<Strike, 'at' | 'from'>;
  /** To a server; resolves when it is back. */
  readonly hit?: (victim: ServerNode, random: Random) => Promise<void>;
  /** The signal by which the tool may end then. */
  readonly ends?: string;
}

export const events: readonly Event[] = [
  { name: 'kill', strike: () => ({ signal: 'SIGKILL' }), ends: 'SIGKILL' },
  { name: 'int', strike: () => ({ signal: 'SIGINT' }) },
  { name: 'reset', strike: ({ port }) => ({ cut: { port, ms: 0 } }) },
  { name: 'cut', strike: ({ port }, random) => ({ cut: { port, ms: random.between(100, 3000) } }) },
  {
    name: 'freeze',
    async hit(victim, random) {
      await victim.freeze();
      await sleep(random.between(100, NODE_TIMEOUT_MS - 300));
      await victim.thaw();
    },
  },
  {
    name: 'freeze-long',
    async hit(victim, random) {
      await victim.freeze();
      await sleep(random.between(2 * NODE_TIMEOUT_MS, 5 * NODE_TIMEOUT_MS));
      await victim.thaw();
    },
  },
  {
    name: 'restart',
    async hit(victim) {
      await victim.kill();
      await victim.restart();
    },
  },
];
