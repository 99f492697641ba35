import { setTimeout as sleep } from 'node:timers/promises';
import { slotsOf } from '../../lib/model/node.ts';
import { formatRanges, toRanges } from '../../lib/model/slot.ts';
import { connectTo } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { fixAdvised, nodeToKeep } from '../helpers/advice.ts';
import { tell } from '../helpers/clusters.ts';
import { Census } from './census.ts';
import { compare, type Leak } from './compare.ts';
import { type Fault, faults, type Struck } from './faults.ts';
import { type Random, randomFrom } from './random.ts';
import type { Strike } from './strike.ts';
import { type Method, type Run, runTool, startTool, type ToolError } from './tool.ts';
import {
  healed,
  isSpareIn,
  type Member,
  membersOf,
  NODE_TIMEOUT_MS,
  openSlotsAmong,
  ownersAmong,
  replicaAmong,
  type World,
} from './world.ts';

export interface RoundOptions {
  readonly seed: number;
  readonly method: Method;
  /** Options that choose the method. */
  readonly methodArgs: readonly string[];
  /** @default chosen by the seed */
  readonly fault?: Fault;
}

/** A round and its result. */
export interface Round {
  readonly fault: string;
  /** The command, and what happened to which node, in a few words. */
  readonly what: string;
  readonly keys: number;
  readonly acked: number;
  readonly leaked: readonly string[];
  /** Keys that came back, and that the tool had named. */
  readonly inDoubt: number;
  /** Keys that came back because the tool ended before it could settle a MIGRATE. */
  readonly unsettled: readonly string[];
  readonly longestMs: number;
  readonly elapsedMs: number;
  readonly runs: readonly Run[];
  /** Empty if everything is as it must be. */
  readonly problems: readonly string[];
}

/** A command of the tool, and how it is run again after an interruption. */
interface Operation {
  readonly name: 'migrate_slots' | 'join' | 'quit';
  readonly args: readonly string[];
  readonly again: readonly string[];
  /** Slots whose keys it moves, or some of them. */
  readonly slots: readonly number[];
  /** The nodes that a fault may strike. */
  readonly victims: Readonly<Record<string, Member>>;
  /** The error code if an interrupted run had done everything but not reported it. */
  readonly done: string | undefined;
}

/** Writes may be lost in a failover if they were acknowledged within this time before it, or after an old master was back. */
const LEAK_BEFORE_MS = 200;
/** An old master may continue until gossip reaches it. */
const LEAK_AFTER_MS = NODE_TIMEOUT_MS;
/** How many slots may have keys in flight at once. */
const SLOTS_ON_THEIR_WAY = 4;
const PAIRS = 400;
const MOST_RUNS = 5;
/** How many runs may end with keys on both ends. */
const MOST_CONFLICTS = 10;
const PREPARE_TRIES = 3;
const patience = ['--connect-timeout', '2000', '--command-timeout', '4000', '--agree-timeout', '20000'];

export async function runRound(world: World, options: RoundOptions): Promise<Round> {
  const started = performance.now();
  const random = randomFrom(options.seed);
  const fault = options.fault ?? faults[options.seed % faults.length] ?? random.pick(faults);
  const operation = await prepare(world, random, options, fault);
  const members = await healed(world);
  const names = Object.keys(operation.victims).filter((name) => isPossible(fault, operation, name, members));
  const near = names.filter((name) => name !== 'other');
  const victimName = near.length === 0 || random.chance(0.15) ? random.pick(names) : random.pick(near);
  const victim = operation.victims[victimName] as Member;
  const strike = chooseStrike(fault, { victim, members, random }, operation, options.method);

  const census = new Census(
    members.map(({ node }) => node),
    random,
  );
  const runs: Run[] = [];
  const problems: string[] = [];
  let struck: Struck | undefined;
  let finishedAt = Number.POSITIVE_INFINITY;
  await census.fill(operation.slots, PAIRS);
  // Some nodes are not as they seem before the tool starts.
  const undo = await fault.prepare?.(world, { victim, members, random });
  census.start();
  try {
    const begun = startTool(operation.args, strike);
    const repaired = begun.struck.then((isStruck) =>
      isStruck && fault.hit ? fault.hit({ victim, members, random }) : undefined,
    );
    repaired.catch(() => undefined);
    const first = await begun.ended;
    runs.push(first);
    struck = await repaired;
    if (first.struck && fault.name.startsWith('tool-') && !fault.hit) {
      problems.push(...(await judgeSignal(fault, first, world)));
    }
    await undo?.();
    await healed(world);
    problems.push(...(await finish(operation, first, runs, census, world)));
    finishedAt = performance.now();
  } finally {
    await census.stop();
  }
  const after = await healed(world);
  const leaks = leaksOf({
    fault,
    operation,
    victim,
    victimName,
    struck,
    finishedAt,
    members,
    after,
    marksLost: !areMarksReplicated(world),
    importsTrimmed: areImportsTrimmed(world),
  });
  if (options.method === 'migrate' && runs.some(endedUnsettled))
    leaks.push(unsettledOf(operation, finishedAt));
  // A deleted key with a copy left by an interrupted MIGRATE is named: that is reported, not lost
  const named = new Set(runs.flatMap(({ error }) => (error && isTold(error) ? (error.keys ?? []) : [])));
  const compared = await compare(census, after, leaks, named);
  problems.push(...compared.problems, ...(await judgeCluster(world, after)));
  const isStruck = runs[0]?.struck === true;
  const dies = strike.signal !== undefined && fault.hit ? ', the tool killed' : '';
  return {
    fault: fault.name,
    what: `${operation.name} ${fault.name === 'none' ? '' : `${fault.name} of ${victimName}${dies} at write ${strike.at}${isStruck ? '' : ' (too late)'}`}`,
    keys: compared.keys,
    acked: census.acked,
    leaked: compared.leaked,
    inDoubt: compared.inDoubt,
    unsettled: compared.unsettled,
    longestMs: census.longestMs,
    elapsedMs: performance.now() - started,
    runs,
    problems,
  };
}

function isPossible(fault: Fault, operation: Operation, name: string, members: readonly Member[]): boolean {
  const victim = operation.victims[name];
  return victim !== undefined && (!fault.failsOver || replicaAmong(members, victim) !== undefined);
}

// The first writes look and open slots; the others are spread over the whole run.
function chooseStrike(
  fault: Fault,
  scene: Parameters<NonNullable<Fault['hit']>>[0],
  operation: Operation,
  method: Method,
): Strike {
  const { random } = scene;
  const from = random.chance(0.15) ? 'start' : 'move';
  // A server that moves slots itself gets one command, and is then only asked for its progress
  const byMigrate = operation.name === 'migrate_slots' ? operation.slots.length : 400;
  const most = method === 'atomic' ? 20 : byMigrate;
  const at =
    from === 'start' || random.chance(0.3)
      ? random.between(1, method === 'atomic' ? 8 : 30)
      : random.between(5, Math.max(6, most));
  const dies = random.chance(0.4) && fault.hit ? { signal: 'SIGKILL' as const } : {};
  return fault.name === 'none' ? { at: 0, from } : { at, from, ...dies, ...fault.strike?.(scene) };
}

// On a busy machine a server may be late; what is tried comes after this.
async function sayAgain(words: readonly string[]): Promise<Run> {
  let run = await runTool(words);
  for (let tries = 1; run.end !== 0 && tries < PREPARE_TRIES; tries++) run = await runTool(words);
  return run;
}

async function prepare(
  world: World,
  random: Random,
  { method, methodArgs }: RoundOptions,
  { of }: Fault,
): Promise<Operation> {
  const drawn = random.pick(['migrate_slots', 'migrate_slots', 'migrate_slots', 'join', 'quit'] as const);
  // Such a server takes a few milliseconds for each SETSLOT: the thousands of slots of a join would take a minute
  const isSlow = areMarksReplicated(world) && method === 'migrate';
  const name = of ?? (isSlow ? 'migrate_slots' : drawn);
  let members = await healed(world);
  const { spare } = world;
  const known = members.find(({ node }) => node !== spare)?.node.address ?? '';
  const wanted = { join: false, quit: true, migrate_slots: isSpareIn(members, world) }[name];
  if (isSpareIn(members, world) !== wanted) {
    const run = await sayAgain(wanted ? ['join', known, spare.address] : ['quit', spare.address]);
    if (run.end !== 0) throw new Error(`Cannot prepare the round: ${describeRun(run)}`);
    members = await healed(world);
  }
  const masters = ownersAmong(members);
  // A MIGRATE that is given up early leaves copies behind
  const flags = [...methodArgs, '--timeout', `${random.pick([100, 300, 1000])}`, ...patience];
  if (name === 'migrate_slots') {
    const settled = masters.filter(({ node }) => node !== spare).sort((a, b) => slotCount(b) - slotCount(a));
    const source = random.chance(0.5) ? (settled[0] as Member) : random.pick(settled);
    const target = random.pick(settled.filter((member) => member !== source));
    const other = settled.find((member) => member !== source && member !== target) as Member;
    const owned = slotsOf(source.record);
    // Few slots with many keys each, or many with few
    const most = isSlow ? 100 : random.pick([30, 100, 500]);
    const count = Math.min(random.between(10, most), Math.floor(owned.length / 2));
    const from = random.between(0, owned.length - count);
    const slots = owned.slice(from, from + count);
    const args = [
      name,
      source.node.address,
      target.node.address,
      ...formatRanges(toRanges(slots)).split(' '),
      ...flags,
    ];
    return {
      name,
      args,
      again: [...args, '--resume'],
      slots,
      victims: { source, target, other },
      done: undefined,
    };
  }
  const settled = masters.filter(({ node }) => node !== spare);
  const other = random.pick(settled);
  const node = members.find((member) => member.node === spare) as Member;
  if (name === 'join') {
    const args = [name, known, spare.address, ...flags, ...(isSlow ? ['--method', 'auto'] : [])];
    const slots = settled.flatMap(({ record }) => slotsOf(record).slice(0, 250));
    return { name, args, again: args, slots, victims: { node, source: other }, done: 'ALREADY_IN_CLUSTER' };
  }
  const args = [name, spare.address, ...flags];
  const slots = slotsOf(node.record);
  return { name, args, again: args, slots, victims: { node, target: other }, done: 'NOT_IN_CLUSTER' };
}

function slotCount({ record }: Member): number {
  return slotsOf(record).length;
}

// It named keys on both ends, whose copy must be deleted by hand.
function isTold({ code }: ToolError): boolean {
  return code === 'KEYS_IN_DOUBT' || code === 'KEY_CONFLICT';
}

// It was killed, or gave up, with slots open: a failed MIGRATE may not have been settled.
function endedUnsettled({ end, error }: Run): boolean {
  return end === 'SIGKILL' || (end !== 0 && (error?.openSlots.length ?? 0) > 0);
}

/** What no later run can know: a key that was deleted on the source while the target already had a copy of it. */
function unsettledOf({ slots }: Operation, finishedAt: number): Leak {
  return {
    reason: 'the tool ended before it could settle a MIGRATE',
    slots: new Set(slots),
    from: 0,
    to: finishedAt,
    revives: true,
    mostSlots: SLOTS_ON_THEIR_WAY,
    unsettled: true,
  };
}

// SIGINT and SIGTERM stop when no slot is open. A run that was nearly done ends as if nothing had happened, or reports keys
// in doubt, which counts for more than the signal.
async function judgeSignal(fault: Fault, run: Run, world: World): Promise<string[]> {
  if (fault.name !== 'tool-int' && fault.name !== 'tool-term') return [];
  const open = openSlotsAmong(await membersOf(world));
  return [
    ...(run.end === 130 || run.end === 0 || (run.error && isTold(run.error))
      ? []
      : [`A signal ended it with ${run.end}: ${describeRun(run)}`]),
    ...(open.length === 0 ? [] : [`A signal left slots open: ${open.slice(0, 5).join(', ')}`]),
  ];
}

/** Runs the command again until it is done, as its user would, with what its errors advise in between. */
async function finish(
  operation: Operation,
  first: Run,
  runs: Run[],
  census: Census,
  world: World,
): Promise<string[]> {
  let last = first;
  const keys = census.entries.map(({ key }) => key);
  let conflicts = 0;
  const isDone = (): boolean => last.end === 0 || (runs.length > 1 && last.error?.code === operation.done);
  while (!isDone()) {
    if (runs.length - conflicts >= MOST_RUNS || conflicts >= MOST_CONFLICTS)
      return [`It did not succeed in ${runs.length} runs: ${describeRun(last)}`];
    const fix = fixAdvised(last.error);
    if (last.error?.code === 'KEY_CONFLICT') {
      await resolveConflict(last, keys, world);
      conflicts++;
    }
    // A restarted server says for two seconds that the cluster is down.
    if (last.error?.code === 'NOT_REACHED') await sleep(1000);
    last = await runTool(
      fix && (last.args[0] !== 'fix' || fix.includes('--stray-keys'))
        ? [...fix, '--yes', ...patience]
        : operation.again,
    );
    runs.push(last);
    // What it advised is not the command itself
    if (last.args[0] === 'fix' && last.end === 0) {
      last = await runTool(operation.again);
      runs.push(last);
    }
  }
  return [];
}

// As the error advises: clients see the value on the owner, so the key is deleted on every other node. Each run names the keys of
// only a slot or two, so all keys on both ends are searched for at once.
async function resolveConflict({ error }: Run, keys: readonly string[], world: World): Promise<void> {
  const address = nodeToKeep(error);
  const owner = world.nodes.find((node) => node.address === address);
  if (!owner) return;
  const onOwner = await whichAreOn(owner, keys);
  for (const { node, record } of await membersOf(world)) {
    if (node === owner || record.role !== 'master') continue;
    const both = await whichAreOn(node, onOwner);
    if (both.length > 0) await tell(node, ...both.flatMap((key) => [['ASKING'], ['DEL', key]]));
  }
}

async function whichAreOn(node: ServerNode, keys: readonly string[]): Promise<string[]> {
  const connection = await connectTo(node);
  try {
    const replies = await connection.pipeline(keys.flatMap((key) => [['ASKING'], ['EXISTS', key]]));
    return keys.filter((_, index) => replies[2 * index + 1] === 1);
  } finally {
    connection.destroy();
  }
}

/** Since Valkey 8.0 a replica knows the open slots of its master, and keeps them open when it takes over. */
function areMarksReplicated({ bed: { server } }: World): boolean {
  return server.kind === 'valkey' && server.major >= 8;
}

/**
 * Since 8.4 a promoted Redis replica deletes the keys of slots that it does not own, including those that its master was
 * importing among them.
 */
function areImportsTrimmed({ bed: { server } }: World): boolean {
  return server.kind === 'redis' && (server.major > 8 || (server.major === 8 && server.minor >= 4));
}

interface Happened {
  readonly fault: Fault;
  readonly operation: Operation;
  readonly victim: Member;
  readonly victimName: string;
  readonly struck: Struck | undefined;
  readonly finishedAt: number;
  readonly members: readonly Member[];
  readonly after: readonly Member[];
  readonly marksLost: boolean;
  readonly importsTrimmed: boolean;
}

/** What Redis itself may have lost. Without a failover: nothing. */
function leaksOf({
  fault,
  operation,
  victim,
  victimName,
  struck,
  finishedAt,
  members,
  after,
  marksLost,
  importsTrimmed,
}: Happened): Leak[] {
  const deposed = members.filter(
    ({ node, record }) =>
      record.role === 'master' && after.some((now) => now.node === node && now.record.role === 'replica'),
  );
  return deposed.flatMap(({ node, record }): Leak[] => {
    const isVictim = node === victim.node && struck !== undefined;
    const slots = new Set([...slotsOf(record), ...(victimName === 'target' ? operation.slots : [])]);
    // If it happened on its own, on a busy machine, the time is not known.
    const { from, to, until } = isVictim ? struck : { from: 0, to: 0, until: performance.now() };
    const reason = `${node.address} was failed over`;
    const leaks: Leak[] = [];
    // A requested failover waits until the replica has everything
    const isAsked = fault.name === 'failover' && isVictim;
    if (!isAsked) {
      leaks.push(
        { reason, slots, from: from - LEAK_BEFORE_MS, to: from + 50 },
        { reason, slots, from: to, to: until + LEAK_AFTER_MS },
      );
    }
    // A promoted source does not know that some of its keys were moved. Until it does, clients do not find them there:
    // what they write there counts, and what they delete there is still on the target. One that knows of the
    // move may still have the keys in flight, because it missed their deletion.
    if (victimName === 'source' && (marksLost || !isAsked)) {
      const most = marksLost ? {} : { mostSlots: SLOTS_ON_THEIR_WAY };
      leaks.push({ reason, slots: new Set(operation.slots), from, to: finishedAt, revives: true, ...most });
    }
    if (victimName === 'target' && isVictim && importsTrimmed) {
      const trimmed = `${node.address} was failed over while it imported slots, which its replica then trimmed`;
      leaks.push({ reason: trimmed, slots: new Set(operation.slots), from: 0, to: finishedAt });
    }
    return leaks;
  });
}

async function judgeCluster(world: World, members: readonly Member[]): Promise<string[]> {
  const seed = members.find(({ node }) => node !== world.spare)?.node as ServerNode;
  const check = await runTool(['check', seed.address]);
  const open = openSlotsAmong(await membersOf(world));
  return [
    ...(check.end === 0 ? [] : [`check is not clean: ${check.stdout.trim().slice(0, 2000)}`]),
    ...(open.length === 0 ? [] : [`Slots are open: ${open.slice(0, 5).join(', ')}`]),
  ];
}

/** A run, for the report of a failure. */
export function describeRun({ args, end, error, stderr, elapsedMs }: Run): string {
  const said = error ? `${error.code}: ${error.message}${error.hint ? ` (${error.hint})` : ''}` : '';
  return `redis-trib ${args.join(' ')} → ${end} after ${Math.round(elapsedMs)} ms ${said || stderr.trim()}`.trim();
}
