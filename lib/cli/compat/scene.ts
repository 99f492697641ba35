import { ClusterError, messageOf, notApproved } from '../../errors.ts';
import type { ClusterEvent } from '../../events.ts';
import { formatAddress, parseAddress } from '../../model/address.ts';
import { waitUntil } from '../../nodes/wait-until.ts';
import type { CheckResult } from '../../operations/check.ts';
import { Cluster } from '../../operations/cluster.ts';
import type { OperationOptions } from '../../options.ts';
import type { Io } from '../io.ts';
import { printable } from '../printable.ts';
import type { ProgressView } from '../progress.ts';
import { type CompatArguments, nodeIn } from './arguments.ts';
import { type CompatCheck, checkHead, checkTail, compatCheck, infoLines } from './lines.ts';
import { type Words, wordsFor } from './words.ts';

/** What a command in redis-cli's syntax works with. */
export interface Scene {
  readonly read: CompatArguments;
  readonly io: Io;
  readonly options: OperationOptions;
  /** True if it must not ask. */
  readonly yes: boolean;
  readonly progress: ProgressView;
}

/** The state of a cluster, and the problems found. */
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

/** Asks on stdout. Throws if the input ends without an answer. */
export async function ask(scene: Scene, question: string): Promise<string> {
  scene.progress.clear();
  scene.io.stdout(question);
  const line = await scene.io.ask('');
  if (line !== undefined) return line.trim();
  scene.io.stdout('\n');
  throw notApproved(
    'The input ended before the question was answered',
    'Nothing was changed. Answer on a terminal or from a pipe, or give --cluster-yes and everything that is asked for as options',
  );
}

/** Asks for a yes. Throws on any other answer. */
export async function confirm(scene: Scene, question: string): Promise<void> {
  if (scene.yes) return;
  if ((await ask(scene, question)).toLowerCase() === 'yes') return;
  throw notApproved('It was not accepted');
}

/** Runs `run` with connections that stay open between calls. */
export async function withCluster<Result>(
  scene: Scene,
  words: readonly string[],
  run: (cluster: Cluster) => Promise<Result>,
): Promise<Result> {
  // Not `openCluster()`, which spends a round trip on checking that the node answers: the first command does that too.
  const cluster = new Cluster(parseAddress(nodeIn(words)), scene.options);
  try {
    return await run(cluster);
  } finally {
    await cluster.close();
  }
}

const PAUSE_MS = 100;
/** Longer than gossip takes to bring a change to all nodes. */
const LONGEST_WAIT_MS = 10_000;

/** Looks at a cluster, and again for some seconds while its only problem is that the nodes disagree. */
export async function examine(scene: Scene, cluster: Cluster, waits = true): Promise<Examined> {
  const { check } = await import('../../operations/check.ts');
  const { signal } = scene.io;
  const wait = { what: 'the nodes to agree', timeoutMs: LONGEST_WAIT_MS, pauseMs: PAUSE_MS, signal };
  return waitUntil<Examined>(wait, async () => {
    const result = await check(cluster, signal ? { signal } : {});
    const found = compatCheck(result.view);
    const isOnItsWay = !found.agrees && found.openSlots.length === 0;
    const seed = result.details.get(result.view.seedId);
    const words = wordsFor(seed instanceof Error ? undefined : seed?.version);
    const done = { done: { result, found, words } };
    return waits && isOnItsWay ? { missing: ['agreement'], giveUp: () => done } : done;
  });
}

/** True if redis-cli finds nothing wrong. */
export function isSane({ agrees, openSlots, isCovered }: CompatCheck): boolean {
  return agrees && openSlots.length === 0 && isCovered;
}

/** Prints the output of `info`. */
export function showInfo(scene: Scene, { result, words }: Examined): void {
  say(scene, ...infoLines(result.view, result.details, words));
}

/** Prints the output of `check`. */
export function showCheck(scene: Scene, { result, found }: Examined, quiet = false, owners = false): void {
  say(scene, ...checkHead(result.view, found, quiet), ...checkTail(found, owners));
}

/** Looks at the cluster and shows it. Throws if redis-cli would refuse to move slots or nodes in this state. */
export async function requireSane(
  scene: Scene,
  cluster: Cluster,
  what: 'resharding' | 'rebalancing' | undefined,
): Promise<Examined> {
  const examined = await examine(scene, cluster);
  showCheck(scene, examined, what === 'rebalancing');
  if (isSane(examined.found)) return examined;
  if (what) say(scene, `*** Please fix your cluster problems before ${what}`);
  const seed = formatAddress(examined.result.view.seed);
  throw new ClusterError('OPEN_SLOT', 'The cluster is not healthy: see [ERR] and [WARNING] above', {
    openSlots: examined.found.openSlots,
    hint: 'Nothing was changed',
    next: [
      { do: 'check', cluster: seed },
      { do: 'fix', cluster: seed },
    ],
  });
}

/** Options of an operation whose events are shown. */
export function operation(scene: Scene, onEvent?: (event: ClusterEvent) => void): OperationOptions {
  return {
    ...scene.options,
    onEvent: (event) => {
      onEvent?.(event);
      // stderr is for what fails: a script may take any word there for a failure, as Tcl's exec does.
      if (event.type === 'warning') say(scene, printable(`[WARNING] ${event.message}`));
      else scene.progress.onEvent(event);
    },
  };
}

/** Prints redis-cli's error line on stdout, then throws the error, which says what to do next. */
export function sayError(scene: Scene, line: string, error: unknown): never {
  say(scene, line);
  throw error instanceof Error ? error : new Error(messageOf(error));
}
