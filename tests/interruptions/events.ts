import { execFileSync } from 'node:child_process';
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import type { Random } from '../faults/random.ts';
import type { Strike } from '../faults/strike.ts';
import { type Refusal, type Refusing, refusals } from './replies.ts';
import { NODE_TIMEOUT_MS } from './stage.ts';

/** The nodes of a trial, as an event finds them. */
export interface Scene {
  /** The node that it happens to: of those that the command is about. */
  readonly victim: ServerNode;
  /** The others of them that run. */
  readonly others: readonly ServerNode[];
  /** By port: the nodes.conf that a node had before the command. */
  readonly nodesConf: ReadonlyMap<number, string>;
  /** How long the log of the victim was before the command. */
  readonly logged: number;
  readonly random: Random;
}

/** What happens in the middle of a command. */
export interface Event {
  readonly name: string;
  /** Between the tool and the nodes: a command is refused. */
  readonly refusing?: Pick<Refusing, 'refusal' | 'isAlways'>;
  /** In the process of the tool. */
  readonly strike?: (scene: Scene) => Omit<Strike, 'at' | 'from'>;
  /** To a server; resolves when it is back. */
  readonly hit?: (scene: Scene) => Promise<void>;
  /** To a server, when the first run has ended: what `hit` did to it is taken back. */
  readonly mend?: (scene: Scene) => Promise<void>;
  /** Needs nodes with relays. */
  readonly isOfNetwork?: true;
  /** The node is not what it was after it: the command need not be done then, but end, in time and in words. */
  readonly isLost?: true;
  /** What the command has done may be undone by it: it is said again in any case, after what an error tells to do first. */
  readonly undoes?: true;
  /** Where the server says so, it deletes keys of slots that it neither owns nor imports in its own eyes (Redis 8.6, Valkey). */
  readonly losesKeys?: true;
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

/** All that a server keeps: its keys are in one file before Redis 7.0. */
const FILES = ['nodes.conf', 'appendonlydir', 'appendonly.aof'];

async function moveFile({ dir }: ServerNode, from: string, to: string): Promise<void> {
  await rename(join(dir, from), join(dir, to)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

export const events: readonly Event[] = [
  { name: 'kill', strike: () => ({ signal: 'SIGKILL' }), ends: 'SIGKILL' },
  { name: 'int', strike: () => ({ signal: 'SIGINT' }) },
  { name: 'reset', strike: ({ victim: { port } }) => ({ cut: { port, ms: 0 } }) },
  {
    name: 'cut',
    strike: ({ victim: { port }, random }) => ({ cut: { port, ms: random.between(100, 3000) } }),
  },
  {
    name: 'freeze',
    async hit({ victim, random }) {
      await victim.freeze();
      await sleep(random.between(100, NODE_TIMEOUT_MS - 300));
      await victim.thaw();
    },
  },
  {
    name: 'freeze-long',
    async hit({ victim, random }) {
      await victim.freeze();
      await sleep(random.between(2 * NODE_TIMEOUT_MS, 5 * NODE_TIMEOUT_MS));
      await victim.thaw();
    },
  },
  {
    name: 'restart',
    async hit({ victim }) {
      await victim.kill();
      await victim.restart();
    },
  },
  {
    // It answers nothing, and is well in the eyes of the others.
    name: 'pause',
    async hit({ victim, random }) {
      await ask(victim, 'CLIENT', 'PAUSE', `${random.between(200, 3000)}`);
    },
  },
  {
    name: 'memory',
    async hit({ victim }) {
      await ask(victim, 'CONFIG', 'SET', 'maxmemory', '1');
    },
    async mend({ victim }) {
      await ask(victim, 'CONFIG', 'SET', 'maxmemory', '0');
    },
  },
  {
    name: 'password',
    async hit({ victim }) {
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
    async mend({ victim: { host, port } }) {
      await ask({ host, port, password: 'other' }, 'CONFIG', 'SET', 'requirepass', '');
    },
  },
  ...RIGHTS.map(
    (right): Event => ({
      name: `without ${right}`,
      async hit({ victim }) {
        // Redis 6.0 has no FUNCTION to take away.
        await ask(victim, 'ACL', 'SETUSER', 'default', `-${right}`).catch((error: Error) => {
          if (!error.message.includes('Unknown command')) throw error;
        });
      },
      async mend({ victim }) {
        await ask(victim, 'ACL', 'SETUSER', 'default', '+@all');
      },
    }),
  ),
  {
    // The first file that it writes ends it, as a full disk would: nodes.conf cannot be saved.
    name: 'disk',
    async hit({ victim }) {
      execFileSync('prlimit', ['--pid', `${victim.pid}`, '--fsize=1']);
    },
    async mend({ victim }) {
      await victim.restart();
    },
  },
  {
    name: 'gone',
    async hit({ victim }) {
      await victim.kill();
    },
    async mend({ victim }) {
      await victim.restart();
    },
  },
  {
    name: 'replaced',
    async hit({ victim }) {
      await victim.kill();
      await victim.restart({ nodesConf: 'empty' });
    },
    isLost: true,
  },
  {
    // What it has learned and promised since is lost.
    name: 'old-conf',
    async hit({ victim, nodesConf }) {
      await victim.kill();
      await victim.restart({ nodesConf: { text: nodesConf.get(victim.port) ?? '' } });
    },
    undoes: true,
    losesKeys: true,
  },
  {
    // A second server with the node id of another, and no keys, until the command has ended.
    name: 'twin',
    async hit({ victim, others, random }) {
      const text = await readFile(join(random.pick(others).dir, 'nodes.conf'), 'latin1');
      await victim.kill();
      for (const name of FILES) await moveFile(victim, name, `${name}.own`);
      await victim.restart({ nodesConf: { text } });
    },
    async mend({ victim, others }) {
      await victim.kill();
      for (const name of FILES) {
        await rm(join(victim.dir, name), { recursive: true, force: true });
        await moveFile(victim, `${name}.own`, name);
      }
      await victim.restart();
      // One may have taken the address of its twin for its own, until it is started again: `check` warns of it.
      const isMisplaced = async (node: ServerNode): Promise<boolean> =>
        !new RegExp(`:${node.port}@\\S+ myself`).test(String(await ask(node, 'CLUSTER', 'NODES')));
      for (const node of others) if (await isMisplaced(node)) await node.restart();
    },
  },
  {
    // Two nodes do not hear one another, for longer than a node timeout or not; all others hear both.
    name: 'link',
    async hit({ victim, others, random }) {
      victim.cutOff([random.pick(others)]);
      await sleep(random.between(NODE_TIMEOUT_MS / 2, 5 * NODE_TIMEOUT_MS));
      victim.reconnect();
    },
    isOfNetwork: true,
  },
  {
    name: 'link-gone',
    async hit({ victim, others, random }) {
      victim.cutOff([random.pick(others)]);
    },
    async mend({ victim }) {
      victim.reconnect();
    },
    isOfNetwork: true,
  },
  {
    // The tool hears both sides.
    name: 'parted',
    async hit({ victim, others, random }) {
      victim.cutOff(others);
      await sleep(random.between(2 * NODE_TIMEOUT_MS, 5 * NODE_TIMEOUT_MS));
      victim.reconnect();
    },
    isOfNetwork: true,
  },
  {
    name: 'parted-for-good',
    async hit({ victim, others }) {
      victim.cutOff(others);
    },
    async mend({ victim }) {
      victim.reconnect();
    },
    isOfNetwork: true,
  },
  {
    // Nobody hears it, the tool neither.
    name: 'cut-off',
    async hit({ victim, random }) {
      victim.cutOff();
      await sleep(random.between(2 * NODE_TIMEOUT_MS, 5 * NODE_TIMEOUT_MS));
      victim.reconnect();
    },
    isOfNetwork: true,
  },
  ...(Object.keys(refusals) as Refusal[]).flatMap((refusal): Event[] => [
    { name: refusal, refusing: { refusal, isAlways: false } },
    { name: `${refusal} always`, refusing: { refusal, isAlways: true } },
  ]),
];
