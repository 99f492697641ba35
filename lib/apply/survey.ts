import { parseAddress } from '../model/address.ts';
import { expandSlots } from '../model/slot.ts';
import type { MoveMethod } from '../move/choose-method.ts';
import type { Methods } from '../move/decide-methods.ts';
import { type DatabaseCount, findBigKeys } from '../nodes/big-keys.ts';
import type { Context } from '../nodes/context.ts';
import { countKeys } from '../nodes/count-keys.ts';
import { hasOnlySmallKeys } from '../nodes/key-sizes.ts';
import { askInfo, dataBytes, databases } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { BigKey, MoveContent, MoveStep, NodeRef, Plan } from '../plan/plan.ts';

/**
 * Finds the content of each move's slots: how many keys, how many bytes, and which keys are big. Changes nothing.
 *
 * Looks for big keys only if there can be any and they matter: `bigKeySize` and `maxStall` are finite, the move will not be
 * atomic, and the source holds more data than `bigKeySize` and does not report that no key is that big. This takes a MEMORY USAGE
 * for each key. For a key of many elements the server samples five of them, so sizes are estimates, and a key in which few
 * elements hold nearly all the data may be missed.
 */
export async function survey(context: Context, plan: Plan, deciding: Promise<Methods>): Promise<Plan> {
  const bySource = new Map<string, MoveStep[]>();
  for (const step of plan.steps) {
    if (step.type !== 'move-slots') continue;
    const moves = bySource.get(step.source.id);
    if (moves) moves.push(step);
    else bySource.set(step.source.id, [step]);
  }
  const found = await inParallel([...bySource.values()], (moves) => surveySource(context, moves, deciding));
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
  deciding: Promise<Methods>,
): Promise<[MoveStep, MoveContent][]> {
  const source = (moves[0] as MoveStep).source;
  const address = parseAddress(source.address);
  const info = await askInfo(context.connections, address, ['memory', 'keyspace']);
  const slots = expandSlots(moves.flatMap((move) => move.slots));
  const counts: DatabaseCount[] = [];
  for (const { db, keys } of databases(info)) {
    const inSlot = await countKeys(context.connections, address, db, slots, context.signal);
    counts.push({ db, keys, inSlot });
  }
  const bytes = dataBytes(info);
  const looked = (await needsBigKeys(context, source, moves, deciding, bytes))
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
  deciding: Promise<Methods>,
  bytes: number,
): Promise<boolean> {
  const { bigKeySize, maxStall, dryRun } = context.settings;
  if (bytes <= bigKeySize || maxStall === Number.POSITIVE_INFINITY) return false;
  const methods = await deciding;
  if (!moves.some((move) => mayBeByMigrate(methods.of(move), dryRun))) return false;
  return !(await hasOnlySmallKeys(context.connections, parseAddress(source.address), bigKeySize));
}

// The caller of a dry run wants to see them even if MIGRATE would only take over from the servers.
function mayBeByMigrate(chosen: MoveMethod, dryRun: boolean): boolean {
  return chosen.method === 'migrate' || (dryRun && chosen.method === 'atomic' && chosen.fallsBack);
}

function sumOver(slots: readonly number[], of: (slot: number) => number): number {
  return slots.reduce((sum, slot) => sum + of(slot), 0);
}

function within(bigKeys: readonly BigKey[], slots: readonly number[]): BigKey[] {
  const wanted = new Set(slots);
  return bigKeys.filter(({ slot }) => wanted.has(slot)).toSorted((a, b) => b.bytes - a.bytes);
}
