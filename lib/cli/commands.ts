import { parseSlotRange, type SlotRange } from '../model/slot.ts';
import type { OperationOptions } from '../options.ts';
import { checked } from './check-view.ts';
import { executed } from './execute-view.ts';
import { count } from './figures.ts';
import { changeFlags, type Flags, type FlagValues, moveFlags, numberFlag } from './flags.ts';
import { UsageError } from './io.ts';
import { listed } from './list-view.ts';
import { type Outcome, operated } from './outcome.ts';

/** What a command is run with. */
export interface Invocation {
  readonly positionals: readonly string[];
  readonly values: FlagValues;
  readonly options: OperationOptions;
}

/** A command: its words, what help says of it, and what it does. */
export interface Command {
  readonly name: string;
  /** Positional arguments as usage shows them. */
  readonly usage: string;
  /** Fewest and most positional arguments. */
  readonly arity: readonly [least: number, most: number];
  readonly summary: string;
  readonly details?: string;
  /** Arguments of an example. */
  readonly example: string;
  readonly flags?: Flags;
  /** True if what follows the first positionals belongs to somebody else's command, dashes included. */
  readonly takesCommand?: boolean;
  readonly run: (invocation: Invocation) => Promise<Outcome>;
}

const MANY = Number.POSITIVE_INFINITY;
const maxSlots: Flags = {
  'max-slots': { type: 'string', value: 'N', help: 'Most slots in one ADDSLOTS (16384)' },
};

// The library is loaded when a command runs: help and refusals of wrong usage come without it.
async function start({ positionals, options, values }: Invocation): Promise<Outcome> {
  const { startClusterOnMulti } = await import('../index.ts');
  const limit = numberFlag(values, 'max-slots');
  const result = await startClusterOnMulti(positionals, {
    ...options,
    ...(limit === undefined ? {} : { maxSlots: limit }),
  });
  return operated(result, `Started a cluster of ${count(result.plan.masters.length, 'master')}`);
}

export const commands: readonly Command[] = [
  {
    name: 'start',
    usage: 'NODE',
    arity: [1, 1],
    summary: 'Make a cluster of one node, which gets all slots',
    example: '127.0.0.1:7000',
    flags: { ...changeFlags, ...maxSlots },
    run: start,
  },
  {
    name: 'start_multi',
    usage: 'NODE...',
    arity: [1, MANY],
    summary: 'Make a cluster of several masters, which share the slots',
    details: 'The slots are shared in the order given; the first node gets what is left over.',
    example: '127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002',
    flags: { ...changeFlags, ...maxSlots },
    run: start,
  },
  {
    name: 'create',
    usage: 'NODE...',
    arity: [1, MANY],
    summary: 'The same as start_multi',
    example: '127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002',
    flags: { ...changeFlags, ...maxSlots },
    run: start,
  },
  {
    name: 'join',
    usage: 'CLUSTER NEW',
    arity: [2, 2],
    summary: 'Add a node as a master and move slots to it until all have their share',
    example: '127.0.0.1:7000 127.0.0.1:7003',
    flags: { ...changeFlags, ...moveFlags },
    run: async ({ positionals: [cluster = '', node = ''], options }) => {
      const { joinCluster } = await import('../index.ts');
      return operated(await joinCluster(cluster, node, options), `Joined ${node} to the cluster`);
    },
  },
  {
    name: 'join_no_load',
    usage: 'CLUSTER NEW',
    arity: [2, 2],
    summary: 'Add a node as a master without slots',
    example: '127.0.0.1:7000 127.0.0.1:7003',
    flags: changeFlags,
    run: async ({ positionals: [cluster = '', node = ''], options }) => {
      const { joinNoLoad } = await import('../index.ts');
      return operated(
        await joinNoLoad(cluster, node, options),
        `Joined ${node} to the cluster, without slots`,
      );
    },
  },
  {
    name: 'replicate',
    usage: 'MASTER REPLICA',
    arity: [2, 2],
    summary: 'Add a node as a replica of a master',
    details: 'Where MASTER is a replica, its master is meant. Done when the replica has copied its master.',
    example: '127.0.0.1:7000 127.0.0.1:7004',
    flags: changeFlags,
    run: async ({ positionals: [master = '', replica = ''], options }) => {
      const { replicate } = await import('../index.ts');
      const result = await replicate(master, replica, options);
      const step = result.plan.steps.find(({ type }) => type === 'replicate');
      const of = step?.type === 'replicate' ? step.master.address : master;
      return operated(result, `${replica} is a replica of ${of}`);
    },
  },
  {
    name: 'quit',
    usage: 'NODE',
    arity: [1, 1],
    summary: 'Take a node out: move its slots to the other masters, forget and reset it',
    details:
      'A master with replicas, or the last master, is refused. The node gets a new id and can join again at once.',
    example: '127.0.0.1:7003',
    flags: { ...changeFlags, ...moveFlags },
    run: async ({ positionals: [node = ''], options }) => {
      const { quitCluster } = await import('../index.ts');
      return operated(await quitCluster(node, options), `${node} has left the cluster`);
    },
  },
  {
    name: 'shutdown',
    usage: 'NODE',
    arity: [1, 1],
    summary: 'End a cluster that is down to one node without keys',
    details: 'The server goes on running; it is reset and belongs to no cluster after.',
    example: '127.0.0.1:7000',
    flags: {
      ...changeFlags,
      'ignore-failed': { type: 'boolean', help: 'Leave failed nodes out of account' },
    },
    run: async ({ positionals: [node = ''], options, values }) => {
      const { shutdownCluster } = await import('../index.ts');
      const result = await shutdownCluster(node, {
        ...options,
        ignoreFailed: values['ignore-failed'] === true,
      });
      return operated(result, `The cluster of ${node} has ended`);
    },
  },
  {
    name: 'fix',
    usage: 'NODE',
    arity: [1, 1],
    summary: 'Close open slots: finish the moves that were begun',
    details: 'What cannot be decided without guessing is left as it is and told, with exit code 1.',
    example: '127.0.0.1:7000',
    flags: { ...changeFlags, ...moveFlags },
    run: async ({ positionals: [node = ''], options }) => {
      const { fixMigrating } = await import('../index.ts');
      const result = await fixMigrating(node, options);
      return operated(result, result.plan.steps.length === 0 ? 'No slot is open' : 'Every slot is closed');
    },
  },
  {
    name: 'migrate_slots',
    usage: 'SOURCE TARGET SLOT...',
    arity: [3, MANY],
    summary: 'Move slots from one master to another',
    details: 'SLOT is a number from 0 to 16383, or a range such as 4-7.',
    example: '127.0.0.1:7000 127.0.0.1:7003 0 2 4-7',
    flags: {
      ...changeFlags,
      ...moveFlags,
      resume: { type: 'boolean', help: 'Take slots that TARGET holds already for moved' },
    },
    run: async ({ positionals: [source = '', target = '', ...ranges], options, values }) => {
      const { migrateSlots } = await import('../index.ts');
      const slots = readRanges(ranges);
      const result = await migrateSlots(source, target, slots, {
        ...options,
        resume: values.resume === true,
      });
      return operated(result, `${target} holds the slots`);
    },
  },
  {
    name: 'rescue',
    usage: 'CLUSTER NEW',
    arity: [2, 2],
    summary: 'Give the slots of failed masters to a new node; their keys are lost',
    details:
      'A master that is only slow, or has a living replica, is left alone. Nothing is done where no slot is missing.',
    example: '127.0.0.1:7000 127.0.0.1:7005',
    flags: {
      ...changeFlags,
      force: {
        type: 'boolean',
        help: 'Count masters as lost that do not answer; mind no other operator',
      },
    },
    run: async ({ positionals: [cluster = '', node = ''], options }) => {
      const { rescueCluster } = await import('../index.ts');
      const result = await rescueCluster(cluster, node, options);
      const nothing = result.plan.steps.length === 0;
      return operated(result, nothing ? 'No slot is missing' : `${node} has taken the lost slots`);
    },
  },
  {
    name: 'list',
    usage: 'NODE',
    arity: [1, 1],
    summary: 'List the nodes that a node knows, each master with its replicas',
    example: '127.0.0.1:7000',
    run: async ({ positionals: [node = ''], options }) => {
      const { listNodes } = await import('../index.ts');
      return listed(await listNodes(node, options));
    },
  },
  {
    name: 'check',
    usage: 'NODE',
    arity: [1, 1],
    summary: 'Ask every node and tell what is wrong',
    example: '127.0.0.1:7000',
    run: async ({ positionals: [node = ''], options }) => {
      const { check } = await import('../index.ts');
      return checked(await check(node, options));
    },
  },
  {
    name: 'execute',
    usage: 'NODE COMMAND [ARGUMENT...]',
    arity: [2, MANY],
    summary: 'Run a command on every node',
    details: 'Options come before COMMAND. Exit code 1 if any node answers with an error or not at all.',
    example: '127.0.0.1:7000 CONFIG GET maxmemory',
    flags: {
      'master-only': { type: 'boolean', help: 'Masters only' },
      'slave-only': { type: 'boolean', help: 'Replicas only' },
    },
    takesCommand: true,
    run: async ({ positionals: [node = '', ...command], options, values }) => {
      const { execute } = await import('../index.ts');
      const roles = {
        mastersOnly: values['master-only'] === true,
        replicasOnly: values['slave-only'] === true,
      };
      return executed(await execute(node, command, { ...options, ...roles }));
    },
  },
];

/** The command of this name; dashes and underscores are the same. */
export function findCommand(name: string): Command | undefined {
  const wanted = name.replaceAll('-', '_');
  return commands.find((command) => command.name === wanted);
}

function readRanges(texts: readonly string[]): SlotRange[] {
  try {
    return texts.map(parseSlotRange);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message, 'migrate_slots') : error;
  }
}
