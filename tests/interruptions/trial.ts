import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { check } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { type Random, randomFrom } from '../faults/random.ts';
import type { Strike } from '../faults/strike.ts';
import { type Run, startTool } from '../faults/tool.ts';
import { fixAdvised, saysMeet } from '../helpers/advice.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, openSlotsAt, settled } from '../helpers/clusters.ts';
import type { Case } from './cases.ts';
import type { Event, Scene } from './events.ts';
import { openRelays } from './replies.ts';
import { build, type Stage } from './stage.ts';

export interface TrialOptions {
  readonly event: Event;
  /** The write at which it happens. */
  readonly at: number;
  /** Only half of the write is sent. */
  readonly half: boolean;
  readonly from: Strike['from'];
  readonly seed: number;
}

/** The result of one interruption. */
export interface Trial {
  /** False if the command had already ended. */
  readonly struck: boolean;
  /** How the first run ended: an exit code, a signal, or the code of an error. */
  readonly end: string;
  /** How often the command had to be run again. */
  readonly again: number;
  /** Milliseconds of the longest run. */
  readonly longestMs: number;
  readonly runs: readonly Run[];
  /** Empty if everything is as it must be. */
  readonly problems: readonly string[];
}

/** Runs after the interrupted one: a server that was hit may not be healthy at once. */
const MOST_RUNS = 4;
const LONGEST_RUN_MS = 45_000;
/** Errors about keys that stay where they are until their user decides. */
const KEPT: ReadonlySet<string> = new Set(['KEY_CONFLICT', 'KEYS_IN_DOUBT']);
const PATIENCE = ['--connect-timeout', '2000', '--command-timeout', '4000'];

/** Builds a cluster, interrupts a command, runs it again until it is done, and checks the cluster. */
export async function tryOnce(stage: Stage, one: Case, options: TrialOptions): Promise<Trial> {
  const { nodes } = stage;
  const random = randomFrom(options.seed);
  const keys = await build(stage, one.form);
  await one.before?.(nodes, keys);
  const words = one.args(nodes);
  const args = [...words, ...PATIENCE, ...(words[0] === 'set_timeout' ? [] : ['--agree-timeout', '20000'])];
  const problems: string[] = [];
  const runs: Run[] = [];
  const scene = await setScene(one, nodes, random);
  const first = await (options.event.refusing
    ? runRefused(nodes, args, options, options.event.refusing)
    : runStruck(scene, args, options));
  if (first.struck) await options.event.repair?.(scene);
  runs.push(first);
  problems.push(...wrongOf(first, one, options.event));
  if (first.struck && options.event.isLost) {
    const again = await startTool(args).ended;
    problems.push(...wrongOf(again, one, options.event));
    return trialOf(first, [first, again], problems);
  }
  const { undoes, losesKeys } = first.struck ? options.event : {};
  const unserved = one.unserved || undoes || (await hasLostTrack(one, nodes));
  const [changed, lost] = await whileItLies(unserved ? new Map() : keys, nodes, random.next());
  problems.push(...lost);
  for (const [key, value] of changed) {
    if (value === undefined) keys.delete(key);
    else keys.set(key, value);
  }
  for (let again = 1; ; again++) {
    // What is repaired after it may have been missing when the plan was made, and what a first run can do without it is less.
    const isOnce = again === 1 && (undoes || (first.struck && options.event.repair !== undefined));
    const last = isOnce ? undefined : runs.at(-1);
    if (isDone(last, one, again > 1 || first.struck)) break;
    if (again > MOST_RUNS) {
      problems.push(`not done after ${MOST_RUNS} more runs`);
      break;
    }
    // Clients may write the key that a move had copied to prove its target, and a replica may not know what its master has moved.
    const said = runs.at(-1);
    if (undoes || KEPT.has(said?.error?.code ?? '')) runs.push(...(await followAdvice(said, scene)));
    const run = await startTool(args).ended;
    runs.push(run);
    problems.push(...wrongOf(run, one, options.event));
    if (run.end !== 0) await sleep(500);
  }
  if (problems.length === 0)
    problems.push(
      ...(await wrongAfter(
        one,
        nodes,
        keys,
        [...changed.keys()],
        runs.flatMap(({ error }) => error?.keys ?? []),
        losesKeys === true && (await mayHaveLostKeys(scene)),
      )),
    );
  return trialOf(first, runs, problems);
}

// It logs that it deletes keys at its start. One that knew nobody then claims slots of which it holds keys, and deletes what it
// holds of those that it loses when it is introduced again.
async function mayHaveLostKeys({ victim, nodesConf, logged }: Scene): Promise<boolean> {
  if ((await victim.log()).slice(logged).includes('Deleting keys in the slot')) return true;
  return (nodesConf.get(victim.port)?.match(/^[0-9a-f]{40} /gm) ?? []).length === 1;
}

// Does what an error advises first. Servers before Valkey 8.1 do not reintroduce a node that has forgotten all the others.
async function followAdvice(run: Run | undefined, { victim, others }: Scene): Promise<Run[]> {
  const fix = fixAdvised(run?.error);
  const fixed = fix === undefined ? [] : [await startTool([...fix, '--yes']).ended];
  if (saysMeet([run, ...fixed].at(-1)?.error))
    await ask(at(others, 0), 'CLUSTER', 'MEET', victim.host, `${victim.port}`);
  return fixed;
}

// A replica that is promoted in the middle of a move knows nothing of it, and clients that ask it do not find what has moved.
async function hasLostTrack({ form }: Case, nodes: readonly ServerNode[]): Promise<boolean> {
  const { masters, replicas = [] } = form;
  const followers = nodes.slice(masters, masters + replicas.length).filter(({ pid }) => pid !== undefined);
  const roles = await Promise.all(followers.map((node) => ask(node, 'ROLE')));
  if (!roles.some((role) => (role as string[])[0] === 'master')) return false;
  return (await openSlotsAt(nodes.filter(({ pid }) => pid !== undefined))).length > 0;
}

async function setScene(one: Case, nodes: readonly ServerNode[], random: Random): Promise<Scene> {
  const { masters, replicas = [] } = one.form;
  const running = nodes.filter(({ pid }) => pid !== undefined);
  const taking = Math.max(masters + replicas.length, ...one.members.map((place) => place + 1));
  const parties = running.filter((node) => nodes.indexOf(node) < taking);
  const victim = random.pick(parties);
  const others = parties.filter((node) => node !== victim);
  const texts = await Promise.all(running.map(({ dir }) => readFile(join(dir, 'nodes.conf'), 'latin1')));
  return {
    victim,
    others: others.length > 0 ? others : running.filter((node) => node !== victim),
    nodesConf: new Map(running.map(({ port }, index) => [port, texts[index] ?? ''])),
    logged: (await victim.log()).length,
    random,
  };
}

/** A run that is interrupted. */
async function runStruck(
  scene: Scene,
  args: readonly string[],
  { at: write, from, half, event }: TrialOptions,
): Promise<Run> {
  const started = startTool(args, {
    at: write,
    from,
    ...(half ? { half: true as const } : {}),
    ...event.strike?.(scene),
  });
  const hit = started.struck.then((struck) => (struck ? event.hit?.(scene) : undefined));
  const [run, end] = await Promise.allSettled([started.ended, hit]);
  for (const one of [run, end]) if (one.status === 'rejected') throw one.reason;
  return (run as PromiseFulfilledResult<Run>).value;
}

/** A run in which a relay refuses a command in place of the node. */
async function runRefused(
  nodes: readonly ServerNode[],
  args: readonly string[],
  { at: command, from }: TrialOptions,
  refusing: NonNullable<Event['refusing']>,
): Promise<Run> {
  const relays = await openRelays(nodes, {
    ...refusing,
    at: command,
    from: from === 'start' ? 'start' : 'changes',
  });
  try {
    const run = await startTool([...args, ...relays.args]).ended;
    const refused = relays.refused();
    return { ...run, struck: refused !== undefined, args: [...args, `${refused} refused`] };
  } finally {
    relays.close();
  }
}

function trialOf(first: Run, runs: readonly Run[], problems: readonly string[]): Trial {
  const end = first.error?.code ?? `${first.end}`;
  const longestMs = Math.max(...runs.map(({ elapsedMs }) => elapsedMs));
  return { struck: first.struck, end, again: runs.length - 1, longestMs, runs, problems };
}

function isDone(run: Run | undefined, one: Case, mayBeDone: boolean): boolean {
  return run?.end === 0 || (mayBeDone && (one.done ?? []).includes(run?.error?.code ?? ''));
}

/** What no run may do, whatever happens. */
function wrongOf({ end, error, stderr, stdout, elapsedMs }: Run, { name }: Case, event: Event): string[] {
  const wrong: string[] = [];
  if (elapsedMs > LONGEST_RUN_MS) wrong.push(`${name} took ${Math.round(elapsedMs / 1000)} s`);
  if (/^\s+at .*:\d+:\d+/m.test(stderr) || error?.code === 'UNEXPECTED')
    wrong.push(`a stack trace: ${stderr.slice(0, 600)}`);
  if (typeof end === 'string' && end !== event.ends) wrong.push(`it ended by ${end}`);
  if (typeof end === 'number' && ![0, 1, 130].includes(end)) wrong.push(`exit code ${end}: ${stderr}`);
  if (end === 1 && error === undefined && !stdout.includes('"ok":false'))
    wrong.push(`exit code 1 and no word why: ${stderr}`);
  return wrong;
}

/** Keys that clients write and delete before the command is run again, and what they do not find. */
async function whileItLies(
  values: ReadonlyMap<string, string>,
  nodes: readonly ServerNode[],
  share: number,
): Promise<[Map<string, string | undefined>, string[]]> {
  const changed = new Map<string, string | undefined>();
  const lost: string[] = [];
  if (values.size === 0) return [changed, lost];
  const client = new ClusterClient(at(nodes, 0));
  try {
    const every = 5 + Math.floor(share * 20);
    const some = [...values].filter((_, index) => index % every === 0);
    await Promise.all(
      some.map(async ([key, value], index) => {
        const found = await client.get(key);
        if (found !== value) lost.push(`${key} is ${found} after the interruption`);
        if (index % 3 === 0) {
          await client.set(key, `${value}, again`);
          changed.set(key, `${value}, again`);
        } else if (index % 3 === 1) {
          await client.command(key, ['DEL', key]);
          changed.set(key, undefined);
        }
      }),
    );
  } catch (error) {
    lost.push(`clients are not served after the interruption: ${String(error)}`);
  } finally {
    await client.close();
  }
  return [changed, lost.slice(0, 5)];
}

async function wrongAfter(
  one: Case,
  nodes: readonly ServerNode[],
  keys: ReadonlyMap<string, string>,
  changed: readonly string[],
  named: readonly string[],
  losesKeys: boolean,
): Promise<string[]> {
  const members = one.members.map((place) => at(nodes, place));
  const wrong: string[] = [];
  try {
    await one.goal(nodes);
    const [first] = members;
    if (!first) return wrong;
    await settled(members);
    wrong.push(...(await openSlotsAt(members)).map((open) => `left open: ${open}`));
    const { findings } = await check(first.address);
    for (const { severity, message } of findings) if (severity === 'error') wrong.push(`check: ${message}`);
    if (keys.size > 0) wrong.push(...(await wrongKeys(first, keys, changed, new Set(named), losesKeys)));
  } catch (error) {
    wrong.push(error instanceof Error ? error.message : String(error));
  }
  return wrong;
}

async function wrongKeys(
  first: ServerNode,
  keys: ReadonlyMap<string, string>,
  changed: readonly string[],
  named: ReadonlySet<string>,
  losesKeys: boolean,
): Promise<string[]> {
  const client = new ClusterClient(first);
  try {
    const names = [...new Set([...keys.keys(), ...changed])];
    const found = await Promise.all(names.map((key) => client.get(key)));
    return (
      names
        .map((key, index) => [key, keys.get(key) ?? null, found[index]] as const)
        // A copy that the tool has named is left to its user.
        .filter(([key, wanted, value]) => wanted !== value && !(wanted === null && named.has(key)))
        .filter(([, , value]) => value !== null || !losesKeys)
        .slice(0, 5)
        .map(([key, wanted, value]) => `${key} is ${value}, not ${wanted}`)
    );
  } finally {
    await client.close();
  }
}
