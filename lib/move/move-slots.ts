import { expandSlots } from '../model/slot.ts';
import type { Context } from '../nodes/context.ts';
import { askInfo } from '../nodes/node-info.ts';
import type { MoveContent, MoveStep, NodeRef } from '../plan/plan.ts';
import { moveByMigrate } from './by-migrate/move-by-migrate.ts';
import { requireNoStranger } from './by-migrate/prove-target.ts';
import { plainSizes, type SlotWeights, sampleSizes, weighSlots } from './by-migrate/slot-weights.ts';
import { TransferCount } from './by-migrate/transfer-count.ts';
import { Arrivals, bulkOf, KeyMemory } from './by-servers/arrivals.ts';
import { atomicFailed, moveAtomically } from './by-servers/move-by-servers.ts';
import { type MoveMethod, methodUnsupported } from './choose-method.ts';
import { decideAtStart, type Methods } from './decide-methods.ts';
import { countAllKeys, type Ends, openEnds } from './ends.ts';
import { hearSource } from './hear-source.ts';
import type { Ledger } from './progress.ts';
import { SharedLock } from './shared-lock.ts';
import { TargetWatch } from './target-watch.ts';
import { requireKnownTo } from './unknown-node.ts';

/** What moves to one target share. Rule 28 (docs/moving-slots.md). */
export class TargetLocks {
  /** For moves: those by the servers may run in parallel; one by MIGRATE has the target to itself. */
  readonly moves: SharedLock = new SharedLock();
  /** For batches of keys moved by MIGRATE. */
  readonly batches: SharedLock = new SharedLock();
  /** Of keys moved by MIGRATE. */
  readonly transfers: TransferCount = new TransferCount();
  readonly watch: TargetWatch = new TargetWatch();
  /** Of what the servers move. */
  readonly arrivals: Arrivals = new Arrivals();
  /** Of the sources of all targets. */
  readonly keyMemory: KeyMemory;
  /** True if all moves are by MIGRATE, which may then run in parallel. */
  readonly byMigrate: boolean;

  constructor(byMigrate: boolean, keyMemory: KeyMemory) {
    this.byMigrate = byMigrate;
    this.keyMemory = keyMemory;
  }
}

/**
 * Moves slots from one master to another by the method decided when the plan was prepared. MIGRATE takes over if the servers
 * would refuse by now or fail repeatedly, unless only atomic migration is allowed.
 *
 * Safe to repeat, and safe to be killed: open slots are found and finished, and a migration still running in the servers is
 * awaited. When the signal aborts, no slot stays open, and the signal's reason is thrown. `others` are the other masters that
 * learn the new owner. `locks` are those of the target.
 */
export async function moveSlots(
  context: Context,
  step: MoveStep,
  prepared: MoveMethod,
  others: readonly NodeRef[],
  ledger: Ledger,
  locks: TargetLocks,
): Promise<void> {
  const slots = expandSlots(step.slots);
  const ends = await openEnds(context, step.source, step.target);
  await requireNoStranger(ends);
  // Key counts only decide how to cut windows and what to report. If there were no keys, they are not counted again.
  const isEmpty = step.content?.keys === 0;
  const [keysIn, chosen] = await Promise.all([
    isEmpty ? slots.map(() => 0) : countAllKeys(ends, slots),
    decideAtStart(ends, step, prepared),
    requireKnownTo(context, step.target, others),
    prepared.method === 'migrate' ? hearSource(ends, locks.batches) : undefined,
  ]);
  if (chosen.method === 'refused') throw methodUnsupported(chosen.why, step.source, step.target);
  const keys = keysIn.reduce((sum, count) => sum + count, 0);
  const content: MoveContent = { bytes: 0, bigKeys: [], ...step.content, keys };
  const bigKeys = new Map(content.bigKeys.map(({ key, bytes }) => [key, bytes]));
  const weights = keys > 0 ? await weigh(ends, slots, keysIn, content) : undefined;
  const progress = ledger.begin(step, chosen.method, slots.length, content, weights?.all);
  const { moves, batches, transfers, watch, arrivals, keyMemory, byMigrate } = locks;
  const shared = {
    bigKeys,
    others,
    isResumed: step.isResumed === true,
    overwrites: step.overwrites,
    progress,
    lock: batches,
    transfers,
    watch,
  };
  if (chosen.method === 'migrate') {
    const isHeard = prepared.method === 'migrate';
    const run = (): Promise<void> => moveByMigrate({ ...shared, ends, slots, keysIn, isHeard, weights });
    await (byMigrate ? run() : moves.exclusive(run));
    return progress.done();
  }
  const askSource = () => askInfo(context.connections, ends.sourceAddress, ['memory', 'keyspace']);
  const memoryOfKey = isEmpty ? 0 : await keyMemory.of(step.source.id, askSource);
  const bulk = bulkOf(keys, weights?.all.bytes ?? content.bytes, memoryOfKey);
  const move = { ends, dialect: chosen.dialect, slots, keysIn, progress, arrivals, bulk };
  if (!isEmpty) await watch.begin(ends);
  const left = await moves.shared(async () => {
    arrivals.begin(bulk);
    let isThere = false;
    try {
      const rest = await moveAtomically(move);
      isThere = rest.slots.length === 0;
      return rest;
    } finally {
      arrivals.end(bulk, isThere);
    }
  });
  if (!isEmpty && left.slots.length === 0) await watch.check(ends, keys);
  if (left.slots.length > 0) {
    if (!chosen.fallsBack) throw atomicFailed(move, left);
    context.emit({
      type: 'warning',
      node: step.source.address,
      message: `Atomic migration from ${step.source.address} to ${step.target.address} failed, continuing with MIGRATE: ${left.reason}`,
    });
    progress.goOnBy('migrate');
    await moves.exclusive(async () => {
      const now = await openEnds(context, step.source, step.target);
      const keysLeft = await countAllKeys(now, left.slots);
      await moveByMigrate({ ...shared, ends: now, slots: left.slots, keysIn: keysLeft });
    });
  }
  progress.done();
}

async function weigh(
  ends: Ends,
  slots: readonly number[],
  keysIn: readonly number[],
  { keys, bytes, bigKeys }: MoveContent,
): Promise<SlotWeights> {
  return weighSlots(slots, keysIn, await sampleSizes(ends, slots, keysIn, plainSizes(bytes / keys, bigKeys)));
}

/** How moves may share targets. */
export interface Sharing {
  /** Moves that may share their target with others of these. */
  readonly moves: ReadonlySet<MoveStep>;
  /** By id of the target. */
  readonly locks: ReadonlyMap<string, TargetLocks>;
}

/**
 * Which of these moves may share their target. Moves by the servers may, if the target takes part in several at a time. Moves by
 * MIGRATE may, if all moves to that target use it. The two do not mix: servers refuse to begin a migration while slots are open.
 * Moves that an earlier run began are left out: it is not yet known what they brought to the target.
 * Rule 28 (docs/moving-slots.md).
 */
export function shareTargets(moves: readonly MoveStep[], methods: Methods): Sharing {
  const kinds = new Map(moves.map((move) => [move, kindOf(move, methods.of(move))]));
  const targets = new Set(moves.map(({ target }) => target.id));
  const keyMemory = new KeyMemory();
  const locks = new Map(
    [...targets].map((id) => {
      const ofTarget = moves.filter(({ target }) => target.id === id);
      return [
        id,
        new TargetLocks(
          ofTarget.every((move) => kinds.get(move) === 'migrate'),
          keyMemory,
        ),
      ] as const;
    }),
  );
  const sharing = moves.filter((move) => {
    const kind = kinds.get(move);
    return kind === 'atomic' || (kind === 'migrate' && locks.get(move.target.id)?.byMigrate);
  });
  return { moves: new Set(sharing), locks };
}

function kindOf({ isResumed }: MoveStep, chosen: MoveMethod): 'migrate' | 'atomic' | 'alone' {
  if (isResumed || chosen.method === 'refused') return 'alone';
  if (chosen.method === 'migrate') return 'migrate';
  return chosen.dialect.onePerNode ? 'alone' : 'atomic';
}
