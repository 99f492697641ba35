import { badReply } from '../../errors.ts';
import { expandSlots, formatSlots } from '../../model/slot.ts';
import type { MoveContent, MoveStep, NodeRef } from '../../plan/plan.ts';
import type { Context } from '../context.ts';
import { inParallel } from '../parallel.ts';
import {
  commonDialect,
  type Dialect,
  type Obstacle,
  requireDialect,
  runningTasks,
} from './atomic/dialect.ts';
import { atomicFailed, moveAtomically } from './atomic/move-atomic.ts';
import { moveByMigrate } from './classic.ts';
import { Gate } from './gate.ts';
import { askTarget, countAllKeys, countOf, type Link, openAtEitherEnd, openLink } from './link.ts';
import type { Ledger } from './progress.ts';
import { slotsWithKeys } from './set-slot.ts';
import { hasLimit } from './throttle.ts';

/** What moves to one target have in common. */
export class Arrivals {
  /** Moves: by the servers they may pass side by side, one by MIGRATE has the target to itself then. */
  readonly moves: Gate = new Gate();
  /** Batches of keys by MIGRATE. */
  readonly batches: Gate = new Gate();
  /** True where all are by MIGRATE, and may pass side by side. */
  readonly byMigrate: boolean;

  constructor(byMigrate: boolean) {
    this.byMigrate = byMigrate;
  }
}

/**
 * Moves slots from one master to another: by the servers themselves where both can and `method` allows, else with
 * MIGRATE, which also takes over where they fail repeatedly.
 *
 * Safe to repeat, and safe to die in the middle of: the slots that were open are found open and finished, a migration
 * that goes on in the servers is waited for. When the signal aborts no slot stays open, and the signal's reason is thrown.
 * `others` are the masters that are told the new owner besides the two. `arrivals` are those at the target.
 */
export async function moveSlots(
  context: Context,
  step: MoveStep,
  others: readonly NodeRef[],
  ledger: Ledger,
  arrivals: Arrivals,
): Promise<void> {
  const slots = expandSlots(step.slots);
  const link = await openLink(context, step.source, step.target);
  // How many there are says how to cut windows and what to tell, no more: where there were none they are not counted again.
  const isEmpty = step.content?.keys === 0;
  const [keysIn, dialect] = await Promise.all([
    isEmpty ? slots.map(() => 0) : countAllKeys(link, slots),
    chooseDialect(link, step),
  ]);
  const keys = keysIn.reduce((sum, count) => sum + count, 0);
  const content: MoveContent = { bytes: 0, bigKeys: [], ...step.content, keys };
  const progress = ledger.begin(step, dialect ? 'atomic' : 'migrate', slots.length, content);
  const bigKeys = new Map(content.bigKeys.map(({ key, bytes }) => [key, bytes]));
  const { moves, batches, byMigrate } = arrivals;
  const classic = { bigKeys, others, isResumed: step.isResumed === true, progress, gate: batches };
  if (!dialect) {
    const run = (): Promise<void> => moveByMigrate({ ...classic, link, slots, keysIn });
    await (byMigrate ? run() : moves.alone(run));
    return progress.done();
  }
  const move = { link, dialect, slots, keysIn, progress };
  const left = await moves.beside(() => moveAtomically(move));
  if (left.slots.length > 0) {
    if (context.options.method === 'atomic') throw atomicFailed(move, left);
    context.emit({
      type: 'warning',
      node: step.source.address,
      message: `Atomic migration from ${step.source.address} to ${step.target.address} failed, going on with MIGRATE: ${left.reason}`,
    });
    progress.goOnBy('migrate');
    await moves.alone(async () => {
      const now = await openLink(context, step.source, step.target);
      const keysLeft = await countAllKeys(now, left.slots);
      await moveByMigrate({ ...classic, link: now, slots: left.slots, keysIn: keysLeft });
    });
  }
  progress.done();
}

/** How moves to common targets may go side by side. */
export interface Sharing {
  /** Moves that may have their target in common with others of these. */
  readonly moves: ReadonlySet<MoveStep>;
  /** By id of the target. */
  readonly arrivals: ReadonlyMap<string, Arrivals>;
}

/**
 * Which of these moves may have their target in common with others: those that the servers are going to make, where the target
 * takes part in several at a time; and those by MIGRATE, where all to that target are. The two do not go together: servers
 * begin nothing by themselves while slots are open. What was begun before is left out: what it has brought to the target is still to be told.
 */
export async function shareTargets(context: Context, moves: readonly MoveStep[]): Promise<Sharing> {
  const targets = new Set(moves.map(({ target }) => target.id));
  const isShared = targets.size < moves.length;
  const kinds = new Map(
    await inParallel(
      moves,
      async (move) => [move, isShared ? await kindOf(context, move) : 'alone'] as const,
    ),
  );
  const arrivals = new Map(
    [...targets].map((id) => {
      const ofTarget = moves.filter(({ target }) => target.id === id);
      return [id, new Arrivals(ofTarget.every((move) => kinds.get(move) === 'migrate'))] as const;
    }),
  );
  const sharing = moves.filter((move) => {
    const kind = kinds.get(move);
    return kind === 'atomic' || (kind === 'migrate' && arrivals.get(move.target.id)?.byMigrate);
  });
  return { moves: new Set(sharing), arrivals };
}

async function kindOf(context: Context, move: MoveStep): Promise<'migrate' | 'atomic' | 'alone'> {
  if (move.isResumed) return 'alone';
  const { method = 'auto', limits } = context.options;
  if (method === 'migrate' || (method === 'auto' && hasLimit(limits))) return 'migrate';
  const choice = await commonDialect(context, move.source, move.target).catch(() => undefined);
  if (choice === undefined) return 'alone';
  if ('reason' in choice) return 'migrate';
  return choice.onePerNode ? 'alone' : 'atomic';
}

/** The dialect of atomic migration to use, or undefined for MIGRATE. Rejects where only atomic migration is wanted and cannot be had. */
async function chooseDialect(link: Link, step: MoveStep): Promise<Dialect | undefined> {
  const { method = 'auto' } = link.context.options;
  if (method === 'migrate') return undefined;
  const { context, source, target } = link;
  const choice =
    obstacleTo(link) ?? (await keysInTheWay(link, step)) ?? (await commonDialect(context, source, target));
  if (method === 'auto') return 'reason' in choice ? undefined : choice;
  requireDialect(choice, source, target);
  return choice;
}

// The servers refuse while any slot of theirs is open, be it one that is not asked for.
function obstacleTo(link: Link): Obstacle | undefined {
  const open = openAtEitherEnd(link);
  if (open.size > 0) {
    const { source, target, sourceReport } = link;
    const isAtSource = sourceReport.myself.openSlots.length > 0;
    return {
      address: isAtSource ? source.address : target.address,
      reason: `slots ${formatSlots(open)} are open`,
      hint: `Close them first with: redis-trib fix ${source.address}`,
    };
  }
  if (!hasLimit(link.context.options.limits)) return undefined;
  return {
    address: link.source.address,
    reason: 'the servers keep to no limit of keys or bytes a second',
    hint: 'Leave the limits out, or let it use MIGRATE: method "auto" or "migrate"',
  };
}

// The servers drop what an earlier move by MIGRATE has brought to the target. What a migration of theirs has brought so far, which an
// earlier run began, is counted there too.
async function keysInTheWay(link: Link, step: MoveStep): Promise<Obstacle | undefined> {
  const strange = await slotsWithKeys(link, expandSlots(step.slots));
  if (strange.length === 0 && !(step.isResumed && (await hasHiddenKeys(link)))) return undefined;
  const coming = await slotsComing(link);
  if (coming.size > 0 && strange.every((slot) => coming.has(slot))) return undefined;
  const { address } = link.target;
  return {
    address,
    reason: `${address} holds keys of slots it does not own, which may be what an earlier move has brought there`,
    hint: 'Let it use MIGRATE: method "auto" or "migrate"',
  };
}

/** The slots that the servers are moving from the source to the target now. */
async function slotsComing({ context, source, target }: Link): Promise<ReadonlySet<number>> {
  const tasks = await runningTasks(context, target);
  const ours = tasks.filter((task) => task.source === source.id && task.target === target.id);
  return new Set(ours.flatMap((task) => expandSlots(task.slots)));
}

// Redis 8.4 and newer do not list or count keys of a slot that a node neither owns nor imports, but for DBSIZE.
async function hasHiddenKeys(link: Link): Promise<boolean> {
  const owned = expandSlots(link.targetReport.myself.slots);
  const counts = owned.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', slot]);
  const replies = await askTarget(link, [['MULTI'], ['DBSIZE'], ...counts, ['EXEC']]);
  const result = replies.at(-1);
  if (!Array.isArray(result)) throw result instanceof Error ? result : badReply('EXEC gave no list');
  const [size, ...inSlots] = result.map(countOf);
  return (size ?? 0) > inSlots.reduce((sum, count) => sum + count, 0);
}
