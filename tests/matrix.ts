import type { ServerName } from './bed/servers.ts';

/**
 * The files of integration tests that run on the default server alone, each with the reason why no other server can change what
 * they find. All others run on each of the six. A file that asks a server for anything that differs does not belong here: split it.
 */
export const ONCE: Readonly<Record<string, string>> = {
  'bed.test.ts': 'the test bed itself, which every other file uses on every server',
  'big-keys.test.ts': 'starts each of the six servers as the source itself; engines.test.ts writes to each',
  'cli-environment.test.ts': 'how we write to a closed pipe, without a locale, and IPv6 addresses as text',
  'cli-prompts.test.ts': 'how we ask for a password on a terminal',
  'cli-interrupt.test.ts': 'what a signal does to our process, and what it still prints',
  'example-files.test.ts': 'the text of the examples: the commands in it have tests of their own',
  'examples.test.ts': 'the text of the documents: the functions in it have tests of their own',
  'leaks.test.ts': 'sockets, timers and listeners that our process leaves',
  'manual.test.ts': 'the text of the examples: the commands in it have tests of their own',
  'memory.test.ts': 'the heap and the sockets of our process after a thousand looks',
  'practise.test.ts':
    'the text of the pages: each finding has a test on every server, and this one makes many clusters',
  'small-machines.test.ts': 'little memory, no place to write, no reader: of the process, not of the server',
  'top-terminal.test.ts':
    'what we draw on a terminal, and how we give it back: top.test.ts holds what servers report',
  'version-pairs.test.ts': 'starts the servers of each pair itself, whichever is under test',
};

/** Servers that differ most: what they agree in, those between them have as well. */
const OLDEST: readonly ServerName[] = ['redis-6.0'];
const NEWEST: readonly ServerName[] = ['valkey-9.1'];
const APART: readonly ServerName[] = [...OLDEST, ...NEWEST];
/** With the newest Redis, which has what Redis 8.0 has not: slots that it moves itself, and HOTKEYS. */
const WIDE: readonly ServerName[] = [...APART, 'redis-8.6'];

/** The files that, beside the default server, run on a few only, with the reason. */
export const FEW: Readonly<Record<string, { readonly on: readonly ServerName[]; readonly why: string }>> = {
  'abort.test.ts': { on: NEWEST, why: 'at which of our steps we end' },
  'acl.test.ts': { on: APART, why: 'users and their rules, which have not changed since Redis 7.0' },
  'advice.test.ts': {
    on: NEWEST,
    why: 'what we advise, followed to the letter; so in the three files below',
  },
  'advice-dead.test.ts': { on: OLDEST, why: 'as above' },
  'advice-roles.test.ts': { on: OLDEST, why: 'as above' },
  'advice-slots.test.ts': { on: NEWEST, why: 'as above' },
  'backup.test.ts': { on: NEWEST, why: 'files of ours; engines.test.ts has the snapshots of each server' },
  'banned-newcomer.test.ts': { on: APART, why: 'bans that stay on a node, and the newest that spread' },
  'bundle.test.ts': { on: NEWEST, why: 'what a server answered is read again as it is' },
  'call.test.ts': { on: APART, why: 'what we send and read, of one connection' },
  'chains.test.ts': { on: OLDEST, why: 'whom a replica follows, as all servers tell it' },
  'check.test.ts': {
    on: APART,
    why: 'what we conclude from what all report; each finding has tests of its own',
  },
  'cli-exit-codes.test.ts': { on: APART, why: 'what we make of errors that have tests of their own' },
  'cli-lifecycle.test.ts': { on: NEWEST, why: 'commands in turn, each of which has tests of its own' },
  'cli-secrets.test.ts': { on: APART, why: 'what we print and keep in memory' },
  'cli-tls.test.ts': { on: APART, why: 'the options for TLS; connect.test.ts has the handshakes' },
  'compare.test.ts': { on: NEWEST, why: 'reads by commands that all have; engines.test.ts has the values' },
  'compat.test.ts': { on: NEWEST, why: 'what redis-cli and we print, beside each other' },
  'conditions.test.ts': { on: OLDEST, why: 'what we make of a master that does not answer as itself' },
  'connect.test.ts': { on: OLDEST, why: 'how we log in, and speak TLS and IPv6' },
  'create.test.ts': { on: APART, why: 'the same commands on all; join.test.ts introduces nodes on each' },
  'del-node.test.ts': {
    on: OLDEST,
    why: 'who may leave, and in what order; leave.test.ts has what servers do',
  },
  'demo.test.ts': { on: NEWEST, why: 'how our own program starts servers and ends them' },
  'drain.test.ts': { on: NEWEST, why: 'which masters leave a host; failover.test.ts has the failovers' },
  'ensure.test.ts': { on: NEWEST, why: 'which steps complete a cluster; each step has tests of its own' },
  'epoch.test.ts': { on: APART, why: 'config epochs, which have not changed' },
  'evidence.test.ts': { on: APART, why: 'what we make of views that differ' },
  'explain.test.ts': {
    on: WIDE,
    why: 'what we say of what all report, and of slots that servers move themselves',
  },
  'failover-in-vain.test.ts': {
    on: APART,
    why: 'what the oldest and the newest say of a failover that fails',
  },
  'failover.test.ts': { on: WIDE, why: 'elections, which have not changed between these' },
  'fault-nodes.test.ts': { on: OLDEST, why: 'what we do about a node that is down or slow' },
  'fault-rescue.test.ts': { on: OLDEST, why: 'who is given up, as the members say' },
  'fix-hung-replica.test.ts': { on: APART, why: 'how the link of a replica is ended' },
  'fix-uncovered.test.ts': { on: OLDEST, why: 'slots of nobody, and who takes them' },
  'follow.test.ts': { on: NEWEST, why: 'replication streams as they have been since Redis 6.0' },
  'hot.test.ts': { on: WIDE, why: 'the means by which servers measure, which those between share' },
  'import-cluster.test.ts': { on: NEWEST, why: 'whom we read; engines.test.ts has the values' },
  'import-failover.test.ts': {
    on: NEWEST,
    why: 'what we make of what masters report, which all report alike',
  },
  'import.test.ts': { on: WIDE, why: 'DUMP and RESTORE; engines.test.ts has the values of each pair' },
  'info.test.ts': { on: APART, why: 'figures that all report' },
  'interruptions.test.ts': { on: APART, why: 'at which of our steps we are stopped' },
  'keys.test.ts': { on: NEWEST, why: 'reads by commands that all have' },
  'late-packets.test.ts': { on: APART, why: 'packets of the cluster bus, which have not changed' },
  'load.test.ts': { on: NEWEST, why: 'what clients feel of our moves' },
  'look.test.ts': { on: APART, why: 'how we hear nodes that answer late' },
  'metrics.test.ts': { on: APART, why: 'what we print of fields that all report' },
  'migrate-auth.test.ts': { on: APART, why: 'how a source logs in at its target' },
  'mover.test.ts': { on: NEWEST, why: 'what becomes of keys and copies in mid-move' },
  'newcomers.test.ts': { on: WIDE, why: 'what a newcomer lacks; version-pairs.test.ts has the versions' },
  'ok-to-stop.test.ts': { on: OLDEST, why: 'what we conclude from the replication that all report' },
  'operators.test.ts': { on: OLDEST, why: 'what we read in CLIENT LIST' },
  'plan.test.ts': { on: NEWEST, why: 'how our plans are saved, held against a cluster, and gone on with' },
  'predecessor.test.ts': {
    on: APART,
    why: 'the functions of redis-trib.py, each of which has tests of its own',
  },
  'preflight.test.ts': { on: APART, why: 'what we ask of nodes before a move' },
  'prune.test.ts': { on: APART, why: 'which dead nodes all forget' },
  'reach.test.ts': { on: APART, why: 'which of the addresses of a node leads to it' },
  'rebalance.test.ts': { on: APART, why: 'which slots move; mover.test.ts has the moves' },
  'refusals.test.ts': { on: OLDEST, why: 'what we do about a command that a server refuses' },
  'rejoin.test.ts': { on: APART, why: 'introductions, which have not changed' },
  'replace.test.ts': {
    on: NEWEST,
    why: 'steps that have tests of their own; version-pairs.test.ts has the servers',
  },
  'reshard.test.ts': { on: APART, why: 'how many slots move, and whose; migrate.test.ts moves them on each' },
  'resp-connection.test.ts': { on: APART, why: 'RESP2, as all speak it' },
  'restart.test.ts': {
    on: NEWEST,
    why: 'in which order nodes are restarted; failover.test.ts has the failovers',
  },
  'restore.test.ts': { on: NEWEST, why: 'files of ours; engines.test.ts has the values' },
  'roles.test.ts': { on: OLDEST, why: 'whom to make a replica of whom; replicate.test.ts has the commands' },
  'shared-target.test.ts': { on: NEWEST, why: 'which of our moves share a target' },
  'spread.test.ts': { on: NEWEST, why: 'which failovers spread masters; failover.test.ts has the failovers' },
  'start.test.ts': { on: APART, why: 'ADDSLOTS and MEET, which have not changed' },
  'step-down.test.ts': { on: OLDEST, why: 'that we end in time; failover.test.ts has the failovers' },
  'stopped.test.ts': { on: OLDEST, why: 'what we say when we are stopped' },
  'survey.test.ts': { on: APART, why: 'which keys are in the way of a move' },
  'target-proof.test.ts': { on: APART, why: 'which address leads a source to its target' },
  'top.test.ts': { on: NEWEST, why: 'what we draw of fields that all report' },
};

/** True if a file of integration tests is to run on a server: of the whole, also those of which a few servers say enough. */
export function runsOn(
  file: string,
  server: string,
  { defaultServer, isWhole }: { readonly defaultServer: string; readonly isWhole: boolean },
): boolean {
  if (server === defaultServer) return true;
  if (Object.hasOwn(ONCE, file)) return false;
  return isWhole || (FEW[file]?.on.some((name) => name === server) ?? true);
}
