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

/** The nodes of a trial, for an event. */
export interface Scene {
  /** The node that it happens to, one of those that the command involves. */
  readonly victim: ServerNode;
  /** The others of them that are running. */
  readonly others: readonly ServerNode[];
  /** The nodes.conf of each node before the command, by port. */
  readonly nodesConf: ReadonlyMap<number, string>;
  /** The length of the victim's log before the command. */
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
  /** To a server when the first run has ended: undoes `hit`. */
  readonly repair?: (scene: Scene) => Promise<void>;
  /** Needs nodes with relays. */
  readonly isOfNetwork?: true;
  /** The node is a different one afterwards: the command need not succeed, but must end in time, with a message. */
  readonly isLost?: true;
  /** It may undo what the command did: the command is run again in any case, after what an error advises. */
  readonly undoes?: true;
  /** The server may say that it deletes keys of slots that it believes it neither owns nor imports (Redis 8.6, Valkey). */
  readonly losesKeys?: true;
  /** The signal that may end the tool. */
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

/** All files of a server: before Redis 7.0 its keys are in one file. */
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
    // It does not answer, and the others see it as healthy.
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
    async repair({ victim }) {
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
    async repair({ victim: { host, port } }) {
      await ask({ host, port, password: 'other' }, 'CONFIG', 'SET', 'requirepass', '');
    },
  },
  ...RIGHTS.map(
    (right): Event => ({
      name: `without ${right}`,
      async hit({ victim }) {
        // Redis 6.0 has no FUNCTION command to remove.
        await ask(victim, 'ACL', 'SETUSER', 'default', `-${right}`).catch((error: Error) => {
          if (!error.message.includes('Unknown command')) throw error;
        });
      },
      async repair({ victim }) {
        await ask(victim, 'ACL', 'SETUSER', 'default', '+@all');
      },
    }),
  ),
  {
    // The first file that it writes ends it, like a full disk: nodes.conf cannot be saved.
    name: 'disk',
    async hit({ victim }) {
      execFileSync('prlimit', ['--pid', `${victim.pid}`, '--fsize=1']);
    },
    async repair({ victim }) {
      await victim.restart();
    },
  },
  {
    name: 'gone',
    async hit({ victim }) {
      await victim.kill();
    },
    async repair({ victim }) {
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
    // It loses what it has learned and promised since.
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
    async repair({ victim, others }) {
      await victim.kill();
      for (const name of FILES) {
        await rm(join(victim.dir, name), { recursive: true, force: true });
        await moveFile(victim, `${name}.own`, name);
      }
      await victim.restart();
      // One may have taken the address of its twin as its own until it is restarted: `check` warns of it.
      const isMisplaced = async (node: ServerNode): Promise<boolean> =>
        !new RegExp(`:${node.port}@\\S+ myself`).test(String(await ask(node, 'CLUSTER', 'NODES')));
      for (const node of others) if (await isMisplaced(node)) await node.restart();
    },
  },
  {
    // Two nodes do not hear each other, for longer than a node timeout or not. All others hear both.
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
    async repair({ victim }) {
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
    async repair({ victim }) {
      victim.reconnect();
    },
    isOfNetwork: true,
  },
  {
    // Neither a node nor the tool hears it.
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
