import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import type { Random } from '../faults/random.ts';
import type { Strike } from '../faults/strike.ts';
import { type Refusal, type Refusing, refusals } from './replies.ts';
import { NODE_TIMEOUT_MS } from './stage.ts';

/** What happens in the middle of a command. */
export interface Event {
  readonly name: string;
  /** Between the tool and the nodes: a command is refused. */
  readonly refusing?: Pick<Refusing, 'refusal' | 'isAlways'>;
  /** In the process of the tool. */
  readonly strike?: (victim: ServerNode, random: Random) => Omit<Strike, 'at' | 'from'>;
  /** To a server; resolves when it is back. */
  readonly hit?: (victim: ServerNode, random: Random) => Promise<void>;
  /** To a server, when the first run has ended: what `hit` did to it is taken back. */
  readonly mend?: (victim: ServerNode) => Promise<void>;
  /** The node is not what it was after it: the command need not be done then, but end, in time and in words. */
  readonly isLost?: true;
  /** The signal by which the tool may end then. */
  readonly ends?: string;
}

const RIGHTS = [
  'cluster',
  'migrate',
  'restore-asking',
  'client',
  'info',
  'multi',
  'config',
  'dump',
  'function',
];

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
  {
    // It answers nothing, and is well in the eyes of the others.
    name: 'pause',
    async hit(victim, random) {
      await ask(victim, 'CLIENT', 'PAUSE', `${random.between(200, 3000)}`);
    },
  },
  {
    name: 'memory',
    async hit(victim) {
      await ask(victim, 'CONFIG', 'SET', 'maxmemory', '1');
    },
    async mend(victim) {
      await ask(victim, 'CONFIG', 'SET', 'maxmemory', '0');
    },
  },
  {
    name: 'password',
    async hit(victim) {
      await ask(victim, 'CONFIG', 'SET', 'requirepass', 'other');
      await ask(
        { host: victim.host, port: victim.port, password: 'other' },
        'CLIENT',
        'KILL',
        'TYPE',
        'normal',
        'SKIPME',
        'no',
      ).catch(() => undefined);
    },
    async mend({ host, port }) {
      await ask({ host, port, password: 'other' }, 'CONFIG', 'SET', 'requirepass', '');
    },
  },
  ...RIGHTS.map(
    (right): Event => ({
      name: `without ${right}`,
      async hit(victim) {
        await ask(victim, 'ACL', 'SETUSER', 'default', `-${right}`);
      },
      async mend(victim) {
        await ask(victim, 'ACL', 'SETUSER', 'default', '+@all');
      },
    }),
  ),
  {
    // The first file that it writes ends it, as a full disk would: nodes.conf cannot be saved.
    name: 'disk',
    async hit(victim) {
      execFileSync('prlimit', ['--pid', `${victim.pid}`, '--fsize=1']);
    },
    async mend(victim) {
      await victim.restart();
    },
  },
  {
    name: 'gone',
    async hit(victim) {
      await victim.kill();
    },
    async mend(victim) {
      await victim.restart();
    },
  },
  {
    name: 'replaced',
    async hit(victim) {
      await victim.kill();
      await victim.restart({ nodesConf: 'empty' });
    },
    isLost: true,
  },
  ...(Object.keys(refusals) as Refusal[]).flatMap((refusal): Event[] => [
    { name: refusal, refusing: { refusal, isAlways: false } },
    { name: `${refusal} always`, refusing: { refusal, isAlways: true } },
  ]),
];
