import { ClusterError, retold } from '../../errors.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import { andMore } from '../../model/lists.ts';
import { type ClusterView, reachableMasters } from '../../model/view.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { askInfo, type NodeInfo, numberOf, persistentKeys } from '../../nodes/node-info.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { askServer } from '../../nodes/server.ts';
import { DONE, notReached, pause, waitUntil } from '../../nodes/wait-until.ts';
import { compareFunctions } from '../compare/functions.ts';
import { compareReadings } from '../compare/reading.ts';
import type { Side } from '../compare/side.ts';
import { leftBehind } from '../copy-tally.ts';
import type { KeySource } from '../key-source.ts';
import { lots } from '../read-keys.ts';
import type { ChangedLot } from './changed-keys.ts';
import type { Follower } from './follower.ts';

/** Writes are paused once no change is known for longer than this and not copied. */
const CLOSE_MS = 500;
const PAUSE_MS = 5;
/** Most keys that changed last that are compared while writes are paused. */
const MOST_COMPARED = 2000;
/** How often a key that differs is read: an expiry may fall in between. */
const [ROUNDS, BETWEEN_ROUNDS_MS] = [3, 50];
/** The pause must still last this long when all is done: nothing was written then. */
const SPARE_MS = 250;
/** A node that does not answer must not delay the others, whose writes are to go on. */
const UNPAUSE_MS = 2000;

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

/** Rejects with ClusterError `METHOD_UNSUPPORTED` if a master of the source cannot pause writes alone. */
export async function requirePause({ context, view, name }: KeySource): Promise<void> {
  for (const { address } of view ? mastersOf(view) : []) {
    const server = await askServer(context.connections, address);
    if (server.capabilities.pausesWrites) continue;
    const at = formatAddress(address);
    const message = `Cannot cut over from ${name}: ${at} runs ${server.name}, which cannot pause writes and still be read`;
    throw nodeError('METHOD_UNSUPPORTED', at, message, {
      hint: 'Nothing was changed. Follow it without a cut-over, stop its clients once no key is behind, then interrupt and compare',
    });
  }
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
  const masters = mastersOf(await follower.streams.refresh());
  const sides = await follower.sides();
  const paused = new PausedWrites(source.context, masters, timeoutMs);
  try {
    await paused.begin();
    let verified: Verified;
    do {
      await settle(follower, paused);
      verified = await verify(follower, sides, recent, paused);
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

function mastersOf(view: ClusterView): { readonly id: string; readonly address: Address }[] {
  return reachableMasters(view).filter(({ slots }) => slots.length > 0);
}

/** Writes that are paused on some masters, for a bounded time. */
class PausedWrites {
  readonly #context: Context;
  readonly #masters: readonly { readonly id: string; readonly address: Address }[];
  readonly #timeoutMs: number;
  #startedAt = 0;
  /** By node id: the replication id, which a restart changes. */
  readonly #histories = new Map<string, string>();

  constructor(
    context: Context,
    masters: readonly { readonly id: string; readonly address: Address }[],
    timeoutMs: number,
  ) {
    this.#context = context;
    this.#masters = masters;
    this.#timeoutMs = timeoutMs;
  }

  get nodes(): string[] {
    return this.#masters.map(({ address }) => formatAddress(address));
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  get leftMs(): number {
    return Math.max(0, this.#timeoutMs - this.elapsedMs);
  }

  /** Time to be done in. */
  get timeLeftMs(): number {
    return Math.max(0, this.leftMs - SPARE_MS);
  }

  async begin(): Promise<void> {
    const { connections, emit } = this.#context;
    for (const [id, info] of await this.#ask()) this.#histories.set(id, info.get('master_replid') ?? '');
    this.#startedAt = performance.now();
    await inParallel(this.#masters, ({ address }) =>
      connections.ask(address, ['CLIENT', 'PAUSE', Math.ceil(this.#timeoutMs), 'WRITE']),
    );
    emit({ type: 'writes-paused', nodes: this.nodes, forMs: this.#timeoutMs });
  }

  /** Also after an abort. What does not answer resumes when its time is up. */
  async undo(): Promise<void> {
    if (this.#startedAt === 0) return;
    const { connections, emit } = this.#context;
    const resumed: string[] = [];
    await inParallel(this.#masters, async ({ address }) => {
      const name = formatAddress(address);
      try {
        await connections.askSoon(address, ['CLIENT', 'UNPAUSE'], UNPAUSE_MS);
        resumed.push(name);
      } catch {
        const left = Math.ceil(this.leftMs / 1000);
        emit({
          type: 'warning',
          node: name,
          message: `${name} does not answer: it resumes writes in ${left} s`,
        });
      }
    });
    emit({ type: 'writes-resumed', nodes: resumed });
  }

  /** How far each master has written, by node id. Throws if a master may have begun to take writes. */
  async ends(view: ClusterView): Promise<ReadonlyMap<string, number>> {
    const ids = mastersOf(view).map(({ id }) => id);
    const infos = await this.#ask();
    const changed = this.#masters.find(
      ({ id }) => !ids.includes(id) || infos.get(id)?.get('master_replid') !== this.#histories.get(id),
    );
    if (changed || ids.length !== this.#masters.length) {
      const name = formatAddress(changed?.address ?? view.seed);
      const message = `The masters of the source changed while writes were paused: ${name} may have taken some`;
      throw nodeError('NOT_REACHED', name, message, { resumable: 'same-call' });
    }
    return new Map([...infos].map(([id, info]) => [id, numberOf(info, 'master_repl_offset')]));
  }

  async #ask(): Promise<ReadonlyMap<string, NodeInfo>> {
    return new Map(
      await inParallel(this.#masters, async ({ id, address }) => [
        id,
        await askInfo(this.#context.connections, address, ['replication']),
      ]),
    );
  }
}

/** Waits until all that was written before the pause is copied. */
async function settle(follower: Follower, paused: PausedWrites): Promise<void> {
  const { context } = follower.scene.source;
  const { streams, changed } = follower;
  const what = 'the last changes to be copied';
  let isCompared = !streams.isRefused;
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
      if (paused.timeLeftMs > 0) return DONE;
    }
    const missing = [`${changed.size} keys`];
    return {
      missing,
      giveUp: () => notReached(what, paused.elapsedMs, missing, { resumable: 'same-call' }),
    };
  });
}

interface Verified {
  readonly compared: number;
  /** True if anything differed: it is copied again. */
  readonly differed: boolean;
}

/** Compares the keys that changed last, and how many keys do not expire. */
async function verify(
  follower: Follower,
  [one, other]: readonly [Side, Side],
  recent: RecentKeys,
  paused: PausedWrites,
): Promise<Verified> {
  const { seen } = follower.changed;
  const { databases } = follower.scene;
  let compared = 0;
  for (const { db, keys } of recent.lots) {
    const to = databases.find((some) => some.db === db)?.to ?? 0;
    const sizes = await one.sizes(db, keys);
    for (const lot of lots(keys, sizes)) {
      compared += lot.length;
      let left: readonly string[] = lot;
      for (let round = 1; left.length > 0; round++) {
        if (round > 1) await pause(BETWEEN_ROUNDS_MS);
        const [mine, theirs] = await Promise.all([one.readAll(db, left), other.readAll(to, left)]);
        left = left.filter((_, at) => {
          const [own, their] = [mine[at], theirs[at]];
          const state = own && their && compareReadings(own, their);
          // Of modules, the bytes of one value may differ.
          return state !== undefined && state !== 'unknown';
        });
        if (round < ROUNDS) continue;
        for (const key of left) follower.changed.add(db, key);
        break;
      }
    }
  }
  const counts = await Promise.all(
    [one, other].map(async ({ source }, side) => {
      const view = source.view;
      const infos = await inParallel(view ? mastersOf(view) : [], ({ address }) =>
        askInfo(source.context.connections, address, ['keyspace']),
      );
      const numbers = databases.map(({ db, to }) => (side === 0 ? db : to));
      return infos.reduce((sum, info) => sum + persistentKeys(info, numbers), 0);
    }),
  );
  // Also keys of slots that were given away count. What they are, a comparison shows.
  if (counts[0] !== counts[1] && paused.timeLeftMs > 0) await follower.compare();
  return { compared, differed: follower.changed.seen > seen };
}

async function requireFunctions({ scene }: Follower): Promise<void> {
  const lacking = (await compareFunctions(scene.source, scene.target)).filter(
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

/** The keys that were copied last. */
class RecentKeys {
  readonly #keys = new Map<string, { readonly db: number; readonly key: string }>();

  add({ db, keys }: ChangedLot): void {
    for (const key of keys) {
      const name = `${db} ${key}`;
      this.#keys.delete(name);
      this.#keys.set(name, { db, key });
    }
    for (const name of this.#keys.keys()) {
      if (this.#keys.size <= MOST_COMPARED) return;
      this.#keys.delete(name);
    }
  }

  get lots(): ChangedLot[] {
    const found = new Map<number, string[]>();
    for (const { db, key } of this.#keys.values()) found.set(db, [...(found.get(db) ?? []), key]);
    return [...found].map(([db, keys]) => ({ db, keys }));
  }
}
