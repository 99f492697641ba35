import { badReply } from '../errors.ts';
import { expandSlots } from '../model/slot.ts';
import type { Context } from '../nodes/context.ts';
import { countCommand, countOf } from '../nodes/count-keys.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep, NodeRef } from '../plan/plan.ts';
import { askDialect, runningTasks } from './by-servers/dialects.ts';
import { chooseMethod, type MoveMethod, methodByOptions } from './choose-method.ts';
import { askTarget, type Ends } from './ends.ts';
import { slotsWithKeys } from './open-slots.ts';

/** The two nodes of a move. */
type Pair = Pick<MoveStep, 'source' | 'target'>;

/** The methods of the moves of a plan, decided when it was prepared: all moves between the same two nodes use the same method. */
export class Methods {
  readonly #byPair: ReadonlyMap<string, MoveMethod>;

  constructor(decided: Iterable<readonly [Pair, MoveMethod]>) {
    this.#byPair = new Map([...decided].map(([pair, method]) => [nameOf(pair), method]));
  }

  /** The method of a move of the plan. */
  of(move: Pair): MoveMethod {
    const method = this.#byPair.get(nameOf(move));
    if (!method) throw new Error(`No method was decided for ${nameOf(move)}`);
    return method;
  }
}

function nameOf({ source, target }: Pair): string {
  return `${source.id} ${target.id}`;
}

/**
 * Decides how each of these moves is carried out, as far as that is known before it begins. Asks each node once what it supports,
 * or no node if the options decide it.
 */
export async function decideMethods(context: Context, moves: readonly MoveStep[]): Promise<Methods> {
  const { settings } = context;
  const undecided = moves.filter(({ source }) => !methodByOptions(settings, source));
  const nodes = new Map(
    undecided.flatMap(({ source, target }) => [source, target].map((node) => [node.id, node])),
  );
  const asked = await inParallel(
    [...nodes.values()],
    async (node) => [node.id, await askDialect(context, node)] as const,
  );
  const dialects = new Map(asked);
  const known = ({ id, address }: NodeRef) => ({ address, dialect: dialects.get(id) });
  return new Methods(
    moves.map((move) => {
      const ends = { source: known(move.source), target: known(move.target) };
      return [move, chooseMethod(settings, ends)] as const;
    }),
  );
}

/**
 * Decides again when a move begins: slots may be open by now, and only now is it known what the target holds. A move planned as
 * atomic may have to use MIGRATE, but never the other way round. Rule 27 (docs/moving-slots.md).
 */
export async function decideAtStart(ends: Ends, move: MoveStep, prepared: MoveMethod): Promise<MoveMethod> {
  if (prepared.method !== 'atomic') return prepared;
  const { context, source, target, sourceReport, targetReport } = ends;
  const { dialect } = prepared;
  const known = {
    source: {
      address: source.address,
      dialect,
      openSlots: sourceReport.myself.openSlots.map(({ slot }) => slot),
    },
    target: {
      address: target.address,
      dialect,
      openSlots: targetReport.myself.openSlots.map(({ slot }) => slot),
    },
  };
  const method = chooseMethod(context.settings, known);
  if (method.method !== 'atomic') return method;
  return chooseMethod(context.settings, { ...known, hasKeysInTheWay: await askForKeysInTheWay(ends, move) });
}

// Keys that the servers' own migration, begun by an earlier run, has brought so far are counted too, and are not in the way.
async function askForKeysInTheWay(ends: Ends, move: MoveStep): Promise<boolean> {
  const strange = await slotsWithKeys(ends, expandSlots(move.slots));
  if (strange.length === 0 && !(move.isResumed && (await hasHiddenKeys(ends)))) return false;
  const coming = await slotsComing(ends);
  return coming.size === 0 || !strange.every((slot) => coming.has(slot));
}

/** The slots that the servers are now moving from the source to the target. */
async function slotsComing({ context, source, target }: Ends): Promise<ReadonlySet<number>> {
  const tasks = await runningTasks(context, target);
  const ours = tasks.filter((task) => task.source === source.id && task.target === target.id);
  return new Set(ours.flatMap((task) => expandSlots(task.slots)));
}

// Redis 8.4 and newer neither list nor count keys of a slot that a node neither owns nor imports. Only DBSIZE includes them.
async function hasHiddenKeys(ends: Ends): Promise<boolean> {
  const owned = expandSlots(ends.targetReport.myself.slots);
  const replies = await askTarget(ends, [['MULTI'], ['DBSIZE'], ...owned.map(countCommand), ['EXEC']]);
  const result = replies.at(-1);
  if (!Array.isArray(result)) throw result instanceof Error ? result : badReply('EXEC did not return a list');
  const [size, ...inSlots] = result.map(countOf);
  return (size ?? 0) > inSlots.reduce((sum, count) => sum + count, 0);
}
