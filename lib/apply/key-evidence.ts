import type { ClusterView } from '../model/view.ts';
import type { KeyEvidence } from '../plan/uncovered.ts';
import type { Context } from './context.ts';
import { inParallel } from './parallel.ts';
import { findStrayKeys, strayKeysOf } from './stray-keys.ts';

/** Finds out who holds keys of slots that he does not own, and, where several do, whether any key is on two of them. */
export async function findKeyEvidence(
  { connections, emit }: Context,
  view: ClusterView,
  givenUp: ReadonlySet<string>,
): Promise<KeyEvidence> {
  const stray = new Map(
    (await findStrayKeys(connections, view, { unveil: true })).map((found) => [found.id, found]),
  );
  const holders = new Map<number, string[]>();
  for (const { id, address } of view.nodes) {
    const found = stray.get(id);
    for (const slot of found?.counts.keys() ?? []) {
      const ids = holders.get(slot);
      if (ids) ids.push(id);
      else holders.set(slot, [id]);
    }
    if (!found || found.hidden === 0) continue;
    const node = `${address.host}:${address.port}`;
    const message = `${node} holds ${found.hidden} keys of slots it does not own which it does not show: it may be deleting them`;
    emit({ type: 'warning', node, message });
  }
  const several = [...holders].filter(([, ids]) => ids.length > 1);
  const pairs = await inParallel(
    several,
    async ([slot, ids]): Promise<[number, (readonly [string, string])[]]> => {
      const lists = await inParallel(ids, async (id): Promise<[string, Set<string>]> => {
        const report = view.reports.get(id);
        return [id, new Set(report ? await strayKeysOf(connections, report, slot) : [])];
      });
      return [slot, pairsThatShare(lists)];
    },
  );
  return { holders, sharing: new Map(pairs.filter(([, some]) => some.length > 0)), givenUp };
}

function pairsThatShare(lists: readonly (readonly [string, ReadonlySet<string>])[]): [string, string][] {
  return lists.flatMap(([a, ofA], index) =>
    lists
      .slice(index + 1)
      .filter(([, ofB]) => [...ofA].some((key) => ofB.has(key)))
      .map(([b]): [string, string] => [a, b]),
  );
}
