import { type Command, ReplyError } from '../../../resp/index.ts';
import { LARGEST_INT } from '../../model/numbers.ts';
import type { StrayAnswer } from '../../plan/plan.ts';
import { askAbout, askSourceIn, countByDatabase, type Ends } from '../ends.ts';
import { compareCopies, type Verdict } from './conflict.ts';
import { readSlotKeys, sizesOf } from './key-feed.ts';
import { cannotMigrate } from './migrate-errors.ts';
import { requireNoStranger, TargetProof } from './prove-target.ts';

/** Keys that are compared at once, and bytes of them: a DUMP of each is read from both nodes. */
const COMPARED_AT_ONCE = 512;
const MOST_BYTES_AT_ONCE = 4 * 1024 * 1024;
/** Slots whose keys are listed at once. */
const LISTED_AT_ONCE = 256;
/** A key that the owner got between comparing and MIGRATE is compared again. Clients do not write every key again and again. */
const MOST_ROUNDS = 5;

/** A key by its slot and database. */
export interface StrayKey {
  readonly slot: number;
  readonly db: number;
  /** As latin1: one char per byte. */
  readonly key: string;
}

/** What became of keys on a node that does not own their slot. */
export interface StrayOutcome {
  /** Keys that were deleted there: the owner has the same, or it was asked for. */
  dropped: number;
  /** Keys that went to the owner, which did not have them. */
  brought: number;
  /** Keys left there: the owner has another value. */
  readonly differing: StrayKey[];
  /** Keys left there: the owner does not have them. */
  readonly alone: StrayKey[];
}

/**
 * Settles keys on a node that does not own their slot (the source of `ends`) with the owner (the target). The owner's value is right,
 * and so is its silence: a key that it does not have may have been deleted. Equal copies are deleted on the source, and others only as
 * `answer` says: `bring` sends the owner what it does not have, `drop` deletes everything. The owner is never sent REPLACE: clients
 * write to it between the comparison and the MIGRATE.
 * The source must import or own the slots.
 */
export async function settleStrayKeys(
  ends: Ends,
  slots: readonly number[],
  answer?: StrayAnswer,
): Promise<StrayOutcome> {
  const outcome: StrayOutcome = { dropped: 0, brought: 0, differing: [], alone: [] };
  const proof = new TargetProof(ends);
  for (const [db, counts] of await countByDatabase(ends, slots)) {
    const held = slots.filter((_, index) => (counts[index] ?? 0) > 0);
    for (let at = 0; at < held.length; at += LISTED_AT_ONCE) {
      const some = held.slice(at, at + LISTED_AT_ONCE);
      const lists = await askSourceIn(
        ends,
        db,
        some.map((slot): Command => ['CLUSTER', 'GETKEYSINSLOT', slot, LARGEST_INT]),
      );
      const keys = some.flatMap((slot, index) =>
        readSlotKeys(lists[index]).map((key): StrayKey => ({ slot, db, key })),
      );
      for (let from = 0; from < keys.length; from += COMPARED_AT_ONCE) {
        await settleSome(ends, db, keys.slice(from, from + COMPARED_AT_ONCE), { answer, proof, outcome });
      }
    }
  }
  return outcome;
}

async function settleSome(
  ends: Ends,
  db: number,
  keys: readonly StrayKey[],
  {
    answer,
    proof,
    outcome,
  }: {
    readonly answer: StrayAnswer | undefined;
    readonly proof: TargetProof;
    readonly outcome: StrayOutcome;
  },
): Promise<void> {
  for (const batch of await inBatches(ends, db, keys)) {
    let left = batch;
    for (let round = 1; left.length > 0; round++) {
      ends.context.signal?.throwIfAborted();
      const verdicts = await compareCopies(
        ends,
        db,
        left.map(({ key }) => key),
      );
      const which = (...wanted: readonly Verdict[]) =>
        left.filter((_, index) => wanted.includes(verdicts[index] as Verdict));
      const doomed = which(
        ...(answer === 'drop' ? (['same', 'different', 'alone'] as const) : (['same'] as const)),
      );
      const dropped = await dropKeys(ends, db, doomed);
      if (round === 1) outcome.dropped += dropped;
      // Of keys that were sent: what the owner took before it refused another, and the copy that proved the target.
      else outcome.brought += which('gone').length + dropped;
      if (answer === 'drop') break;
      outcome.differing.push(...which('different'));
      const alone = which('alone');
      if (answer !== 'bring' || round > MOST_ROUNDS) {
        outcome.alone.push(...alone);
        break;
      }
      left = await bring(ends, db, alone, proof);
      outcome.brought += alone.length - left.length;
    }
  }
}

// By size: the DUMP of each key is read from both nodes.
async function inBatches(ends: Ends, db: number, keys: readonly StrayKey[]): Promise<StrayKey[][]> {
  const sizes = await sizesOf(
    ends,
    db,
    keys.map(({ key }) => key),
  );
  const batches: StrayKey[][] = [];
  let room = 0;
  for (const [index, key] of keys.entries()) {
    const size = sizes[index] ?? 0;
    const last = batches.at(-1);
    if (last && size <= room) last.push(key);
    else {
      batches.push([key]);
      room = MOST_BYTES_AT_ONCE;
    }
    room -= size;
  }
  return batches;
}

async function dropKeys(ends: Ends, db: number, keys: readonly StrayKey[]): Promise<number> {
  if (keys.length === 0) return 0;
  const names = keys.map(({ key }) => key);
  const replies = await askAbout(ends, 'source', db, ['UNLINK'], names);
  const refused = replies.find((reply) => reply instanceof ReplyError);
  if (refused instanceof ReplyError) throw refused;
  return replies.filter((reply) => reply === 1).length;
}

// Resolves to keys that are to be compared again: the owner has them by now, or they are gone.
async function bring(
  ends: Ends,
  db: number,
  keys: readonly StrayKey[],
  proof: TargetProof,
): Promise<StrayKey[]> {
  if (!proof.isGiven && keys.length > 0) {
    proof.requirePossible();
    await requireNoStranger(ends);
  }
  const bySlot = new Map<number, StrayKey[]>();
  for (const key of keys) {
    const known = bySlot.get(key.slot);
    if (known) known.push(key);
    else bySlot.set(key.slot, [key]);
  }
  const { migrateTo, auth, context } = ends;
  const { migrateTimeout } = context.settings;
  const again: StrayKey[] = [];
  for (const [slot, some] of bySlot) {
    const names = some.map(({ key }) => key);
    const { type } = await proof.giveOpen({ slot, db, keys: names });
    if (type !== 'given') {
      again.push(...some);
      continue;
    }
    const [reply] = await askSourceIn(ends, db, [
      ['MIGRATE', migrateTo.host, migrateTo.port, '', db, migrateTimeout, ...auth, 'KEYS', ...names],
    ]);
    if (!(reply instanceof ReplyError)) continue;
    if (!/BUSYKEY/.test(reply.message)) throw cannotMigrate(ends, slot, reply, names);
    // MIGRATE deletes what the target took, and names the first key that it did not.
    again.push(...some);
  }
  return again;
}
