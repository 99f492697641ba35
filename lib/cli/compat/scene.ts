import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterError, messageOf } from '../../errors.ts';
import type { ClusterEvent } from '../../events.ts';
import { parseAddress } from '../../model/address.ts';
import type { CheckResult } from '../../operations/check.ts';
import { Cluster } from '../../operations/run.ts';
import type { OperationOptions } from '../../options.ts';
import type { Io } from '../io.ts';
import type { ProgressView } from '../progress.ts';
import { type CompatArguments, nodeIn } from './arguments.ts';
import { type CompatCheck, checkHead, checkTail, compatCheck, infoLines } from './lines.ts';
import { type Words, wordsFor } from './words.ts';

/** What a command in the spelling of redis-cli works with. */
export interface Scene {
  readonly read: CompatArguments;
  readonly io: Io;
  readonly options: OperationOptions;
  /** True if nothing is to be asked. */
  readonly yes: boolean;
  readonly progress: ProgressView;
}

/** A cluster that was looked at, and what was found. */
export interface Examined {
  readonly result: CheckResult;
  readonly found: CompatCheck;
  readonly words: Words;
}

/** Prints lines on stdout. */
export function say({ io, progress }: Pick<Scene, 'io' | 'progress'>, ...lines: readonly string[]): void {
  progress.clear();
  if (lines.length > 0) io.stdout(`${lines.join('\n')}\n`);
}

/** Asks on stdout. Throws where the input ends without an answer. */
export async function ask(scene: Scene, question: string): Promise<string> {
  scene.progress.clear();
  scene.io.stdout(question);
  const line = await scene.io.ask('');
  if (line !== undefined) return line.trim();
  scene.io.stdout('\n');
  throw new ClusterError('NOT_APPROVED', 'The input ended before the question was answered', {
    hint: 'Nothing was changed. Answer on a terminal or from a pipe, or add --cluster-yes and all that is asked for as options',
  });
}

/** Asks for a yes. Throws where the answer is another. */
export async function confirm(scene: Scene, question: string): Promise<void> {
  if (scene.yes) return;
  if ((await ask(scene, question)).toLowerCase() === 'yes') return;
  throw notApproved();
}

/** The error for a no. */
export function notApproved(): ClusterError {
  return new ClusterError('NOT_APPROVED', 'It was not accepted', { hint: 'Nothing was changed' });
}

/** Runs with connections that stay open from one call to the next. */
export async function withCluster<Result>(
  scene: Scene,
  words: readonly string[],
  run: (cluster: Cluster) => Promise<Result>,
): Promise<Result> {
  // Not `openCluster()`, which makes sure that the node answers: what is asked next does so in the same round trip.
  const cluster = new Cluster(parseAddress(nodeIn(words)), scene.options);
  try {
    return await run(cluster);
  } finally {
    await cluster.close();
  }
}

const PAUSE_MS = 100;
/** Gossip brings a change to all nodes in less. */
const LONGEST_WAIT_MS = 10_000;

/** Looks at a cluster; while its nodes do not agree and nothing else is wrong, again for some seconds. */
export async function examine(scene: Scene, cluster: Cluster, waits = true): Promise<Examined> {
  const { check } = await import('../../operations/check.ts');
  const deadline = performance.now() + LONGEST_WAIT_MS;
  for (;;) {
    const result = await check(cluster, { ...(scene.io.signal ? { signal: scene.io.signal } : {}) });
    const found = compatCheck(result.view);
    const isOnItsWay = !found.agrees && found.openSlots.length === 0;
    if (!waits || !isOnItsWay || performance.now() > deadline) {
      const seed = result.details.get(result.view.seedId);
      return { result, found, words: wordsFor(seed instanceof Error ? undefined : seed?.version) };
    }
    await sleep(PAUSE_MS, undefined, { signal: scene.io.signal });
  }
}

/** True if redis-cli finds nothing wrong. */
export function isSane({ agrees, openSlots, isCovered }: CompatCheck): boolean {
  return agrees && openSlots.length === 0 && isCovered;
}

/** Prints what `info` prints. */
export function showInfo(scene: Scene, { result, words }: Examined): void {
  say(scene, ...infoLines(result.view, result.details, words));
}

/** Prints what `check` prints. */
export function showCheck(scene: Scene, { result, found }: Examined, quiet = false, owners = false): void {
  say(scene, ...checkHead(result.view, found, quiet), ...checkTail(found, owners));
}

/** Looks, shows it, and throws unless the cluster is as redis-cli wants it before slots or nodes move. */
export async function requireSane(
  scene: Scene,
  cluster: Cluster,
  what: 'resharding' | 'rebalancing' | undefined,
): Promise<Examined> {
  const examined = await examine(scene, cluster);
  showCheck(scene, examined, what === 'rebalancing');
  if (isSane(examined.found)) return examined;
  if (what) say(scene, `*** Please fix your cluster problems before ${what}`);
  throw new ClusterError('OPEN_SLOT', 'The cluster is not well: see [ERR] and [WARNING] above', {
    openSlots: examined.found.openSlots,
    hint: 'Nothing was changed. See more with: redis-trib check; open slots are closed by: redis-trib --cluster fix',
  });
}

/** Options of an operation that tells of its events. */
export function operation(scene: Scene, onEvent?: (event: ClusterEvent) => void): OperationOptions {
  return {
    ...scene.options,
    onEvent: (event) => {
      onEvent?.(event);
      scene.progress.onEvent(event);
    },
  };
}

/** Prints an error of redis-cli's on stdout, and leaves telling what to do next to the error itself. */
export function sayError(scene: Scene, line: string, error: unknown): never {
  say(scene, line);
  throw error instanceof Error ? error : new Error(messageOf(error));
}
