import { conditionOf, isGone } from '../model/condition.ts';
import { type ClusterView, nodeById, openSlotsOf, slotsLeftTo } from '../model/view.ts';
import type { Context } from './context.ts';
import { inParallel } from './parallel.ts';
import { askShardMates } from './shards.ts';

/** Ids of dead masters without slots to which slots are moving: others have taken their places. */
export function replacedTargets(view: ClusterView): Set<string> {
  const targets = new Set<string>();
  for (const items of openSlotsOf(view).values())
    for (const { direction, peer } of items) if (direction === 'migrating') targets.add(peer);
  return new Set(
    [...targets].filter(
      (id) =>
        !view.reports.has(id) &&
        nodeById(view, id)?.role === 'master' &&
        isGone(conditionOf(view, id)) &&
        slotsLeftTo(view, id).length === 0,
    ),
  );
}

/**
 * The masters that have taken the places of such targets, by the shards that members know; none from servers without shards. A Redis does not
 * rename the target of a move that fails over, as a Valkey does.
 */
export async function findHeirs(context: Context, view: ClusterView): Promise<Map<string, string>> {
  const found = await inParallel([...replacedTargets(view)], async (id): Promise<[string, string][]> => {
    const mates = await askShardMates(context, view, id);
    const masters = mates.filter((mate) => view.reports.get(mate)?.myself.role === 'master');
    const [heir, ...more] = masters;
    return heir !== undefined && more.length === 0 ? [[id, heir]] : [];
  });
  return new Map(found.flat());
}
