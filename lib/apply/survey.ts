import { parseAddress } from '../model/address.ts';
import { expandSlots } from '../model/slot.ts';
import type { BigKey, MoveContent, MoveStep, NodeRef, Plan } from '../plan/plan.ts';
import { type DatabaseCount, DEFAULT_BIG_KEY_SIZE, findBigKeys } from './big-keys.ts';
import type { Context } from './context.ts';
import { hasOnlySmallKeys } from './key-sizes.ts';
import { commonDialect } from './mover/atomic/dialect.ts';
import { hasLimit } from './mover/throttle.ts';
import { askDatabase, askInfo, dataBytes, databases } from './node-info.ts';
import { inParallel } from './parallel.ts';

const COUNTED_AT_ONCE = 1000;

/**
 * Says of each move what is in its slots: how many keys, how many bytes, and which keys are big. Changes nothing.
 *
 * Big keys are looked for only where there can be any and where they matter: `bigKeySize` and `maxStall` are finite, the
 * move is not going to be atomic, and the source holds more data than `bigKeySize` and does not say that no key is. It takes a MEMORY USAGE for each key, which for
 * a key of many elements looks at five of them: sizes are estimates, and one key in which few elements hold
 * nearly all may be missed.
 */
export async function survey(context: Context, plan: Plan): Promise<Plan> {
  const bySource = new Map<string, MoveStep[]>();
  for (const step of plan.steps) {
    if (step.type !== 'move-slots') continue;
    const moves = bySource.get(step.source.id);
    if (moves) moves.push(step);
    else bySource.set(step.source.id, [step]);
  }
  const found = await inParallel([...bySource.values()], (moves) => surveySource(context, moves));
  const contents = new Map(found.flat());
  const steps = plan.steps.map((step) => {
    const content = step.type === 'move-slots' ? contents.get(step) : undefined;
    return content ? { ...step, content } : step;
  });
  return { ...plan, steps };
}

async function surveySource(
  context: Context,
  moves: readonly MoveStep[],
): Promise<[MoveStep, MoveContent][]> {
  const source = (moves[0] as MoveStep).source;
  const address = parseAddress(source.address);
  const info = await askInfo(context.connections, address, ['memory', 'keyspace']);
  const slots = expandSlots(moves.flatMap((move) => move.slots));
  const counts: DatabaseCount[] = [];
  for (const { db, keys } of databases(info)) {
    counts.push({ db, keys, inSlot: await countKeys(context, source, db, slots) });
  }
  const bytes = dataBytes(info);
  const looked = (await needsBigKeys(context, source, moves, bytes))
    ? await findBigKeys(context, source, counts)
    : undefined;
  const all = counts.reduce((sum, { keys }) => sum + keys, 0);
  return moves.map((move) => {
    const ofMove = expandSlots(move.slots);
    const keys = sumOver(ofMove, (slot) =>
      counts.reduce((sum, { inSlot }) => sum + (inSlot.get(slot) ?? 0), 0),
    );
    const share = all === 0 ? 0 : Math.round((bytes * keys) / all);
    const measured = looked && sumOver(ofMove, (slot) => looked.bytesInSlot.get(slot) ?? 0);
    const bigKeys = looked ? within(looked.bigKeys, ofMove) : [];
    return [move, { keys, bytes: measured ?? share, bigKeys }];
  });
}

async function needsBigKeys(
  context: Context,
  source: NodeRef,
  moves: readonly MoveStep[],
  bytes: number,
): Promise<boolean> {
  const { bigKeySize = DEFAULT_BIG_KEY_SIZE, maxStall, method = 'auto', limits, dryRun } = context.options;
  if (bytes <= bigKeySize || maxStall === Number.POSITIVE_INFINITY || method === 'atomic') return false;
  if (await hasOnlySmallKeys(context.connections, parseAddress(source.address), bigKeySize)) return false;
  // Whoever asks for a plan wants to see them, however they are going to be moved.
  if (method === 'migrate' || hasLimit(limits) || dryRun) return true;
  const choices = await inParallel(moves, ({ target }) => commonDialect(context, source, target));
  return choices.some((choice) => 'reason' in choice);
}

/** By slot: how many keys a database holds there; slots without any are left out. */
export async function countKeys(
  context: Context,
  source: NodeRef,
  db: number,
  slots: readonly number[],
): Promise<Map<number, number>> {
  const address = parseAddress(source.address);
  const inSlot = new Map<number, number>();
  for (let at = 0; at < slots.length; at += COUNTED_AT_ONCE) {
    context.signal?.throwIfAborted();
    const some = slots.slice(at, at + COUNTED_AT_ONCE);
    const commands = some.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', slot] as const);
    const replies = await askDatabase(context.connections, address, db, commands);
    for (const [index, reply] of replies.entries()) {
      if (reply instanceof Error) throw reply;
      if (Number(reply) > 0) inSlot.set(some[index] as number, Number(reply));
    }
  }
  return inSlot;
}

function sumOver(slots: readonly number[], of: (slot: number) => number): number {
  return slots.reduce((sum, slot) => sum + of(slot), 0);
}

function within(bigKeys: readonly BigKey[], slots: readonly number[]): BigKey[] {
  const wanted = new Set(slots);
  return bigKeys.filter(({ slot }) => wanted.has(slot)).toSorted((a, b) => b.bytes - a.bytes);
}
