import { ClusterError, retold } from '../../errors.ts';
import { andMore } from '../../model/lists.ts';
import { DONE, notReached, waitUntil } from '../../nodes/wait-until.ts';
import { compareFunctions } from '../compare/functions.ts';
import { leftBehind } from '../copy-tally.ts';
import type { Follower } from './follower.ts';
import { RecentKeys, type Verified, verifyLastChanges } from './last-changes.ts';
import { PausedWrites, writableMasters } from './paused-writes.ts';

/** Writes are paused once no change is known for longer than this and not copied. */
const CLOSE_MS = 500;
const PAUSE_MS = 5;

/** How the writes of the source ended. */
export interface CutOver {
  /** Addresses of the masters whose writes are paused. */
  readonly nodes: readonly string[];
  /** Milliseconds from the first pause until everything was copied and compared. */
  readonly pausedMs: number;
  /** Milliseconds that the pause still lasts, unless it is ended with CLIENT UNPAUSE. */
  readonly pauseLeftMs: number;
  /** Number of keys that changed last and were compared while writes were paused. */
  readonly compared: number;
}

/**
 * Pauses writes on all masters of the source, copies what is left, and compares what changed last. All keys are compared before that.
 * Writes stay paused for the rest of `timeoutMs`, for clients to go over. If anything fails, they are resumed.
 * Rejects with ClusterError `KEYS_LEFT_BEHIND` before the pause if the target lacks functions or cannot hold keys, and with `NOT_REACHED`
 * if time is up or masters of the source have changed.
 */
export async function cutOver(follower: Follower, timeoutMs: number): Promise<CutOver> {
  const { source } = follower.scene;
  const recent = new RecentKeys();
  while (!(await follower.compare())) await follower.step();
  follower.copier.onCopied = (lot) => recent.add(lot);
  await requireFunctions(follower);
  const isClose = (): boolean => follower.isCaughtUp && follower.changed.behindMs < CLOSE_MS;
  while (!isClose()) await follower.step();
  requireAllHeld(follower);
  const masters = writableMasters(await follower.streams.refresh());
  const sides = await follower.sides();
  const paused = new PausedWrites(source.context, masters, timeoutMs);
  try {
    await paused.begin();
    let verified: Verified;
    do {
      await settle(follower, paused);
      verified = await verifyLastChanges(follower, sides, recent, paused);
    } while (verified.differed);
    await settle(follower, paused);
    requireAllHeld(follower);
    const { compared } = verified;
    return { nodes: paused.nodes, pausedMs: paused.elapsedMs, pauseLeftMs: paused.leftMs, compared };
  } catch (error) {
    await paused.undo();
    const hint = 'Writes on the source go on';
    throw error instanceof ClusterError && error.resumable === 'same-call' ? retold(error, { hint }) : error;
  }
}

/** Waits until all that was written before the pause is copied. */
async function settle(follower: Follower, paused: PausedWrites): Promise<void> {
  const { context } = follower.scene.source;
  const { streams, changed } = follower;
  const what = 'the last changes to be copied';
  let isCompared = !streams.isRefused;
  let silent: readonly string[] = [];
  const wait = {
    what,
    timeoutMs: paused.timeLeftMs,
    pauseMs: PAUSE_MS,
    signal: context.signal,
    emit: context.emit,
  };
  await waitUntil(wait, async () => {
    const view = await streams.refresh();
    const ends = await paused.ends(view);
    if (!isCompared || follower.hasGap) isCompared = await follower.compare();
    const { positions } = streams;
    const isRead =
      streams.isRefused || [...ends].every(([id, end]) => (positions.get(id)?.offset ?? -1) >= end);
    if (isRead && isCompared && follower.isCaughtUp && changed.size === 0) {
      silent = await follower.lookAtTarget();
      if (!follower.hasGap && silent.length === 0 && paused.timeLeftMs > 0) return DONE;
    }
    const missing = [`${changed.size} keys`, ...silent.map((name) => `${name} does not answer`)];
    return {
      missing,
      giveUp: () => notReached(what, paused.elapsedMs, missing, { resumable: 'same-call' }),
    };
  });
}

async function requireFunctions(follower: Follower): Promise<void> {
  const lacking = (await compareFunctions(...(await follower.sources()))).filter(
    ({ state }) => state !== 'surplus',
  );
  const [first] = lacking;
  if (!first) return;
  const name = `${JSON.stringify(first.name)}${lacking.length > 1 ? ` ${andMore(lacking.length - 1)}` : ''}`;
  throw new ClusterError(
    'KEYS_LEFT_BEHIND',
    `The cluster does not have the source's function library ${name}`,
    {
      hint: 'Writes were not paused. Load it on every master of the cluster: FUNCTION DUMP, FUNCTION RESTORE',
    },
  );
}

function requireAllHeld({ copier: { left } }: Follower): void {
  if (left.length > 0)
    throw leftBehind(left, 'Writes were not paused, or go on. These keys are unchanged at the source');
}
