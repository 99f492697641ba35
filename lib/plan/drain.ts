import { type NodeRecord, slotsOf } from '../model/node.ts';
import { followersOf } from '../model/promotion.ts';
import type { ClusterView } from '../model/view.ts';
import { planGiveAway } from './give-away.ts';
import { mastersOf } from './moves.ts';
import { type Draft, type MoveStep, type NodeRef, nodeRef } from './plan.ts';

export interface DrainRequest {
  /** Nodes to be restarted. */
  readonly drained: readonly NodeRecord[];
  /** By id of a drained master: the replica, on a node that stays, that replaces it. Slots of masters without one are moved. */
  readonly successors: ReadonlyMap<string, NodeRecord>;
}

/**
 * Leaves no slot on the drained nodes: replicas on other nodes replace their masters, one after the other, and masters
 * without such a replica give their slots to the masters that stay.
 */
export function planDrain(view: ClusterView, { drained, successors }: DrainRequest): Draft {
  const leaving = new Set(drained.map(({ id }) => id));
  const masters = mastersAmong(drained);
  const succeeded = masters.flatMap((master) => {
    const successor = successors.get(master.id);
    return successor ? [{ master, successor }] : [];
  });
  const staying = view.nodes.filter(
    ({ id, role }) => role === 'master' && view.reports.has(id) && !leaving.has(id),
  );
  const takers = [...staying, ...succeeded.map(({ successor }) => successor)];
  const moves = masters
    .filter(({ id }) => !successors.has(id))
    .flatMap((master) => planGiveAway(master, takers));
  const replaced = new Set(succeeded.map(({ master }) => master.id));
  const told: NodeRef[] = [
    ...mastersOf(view).filter(({ id }) => !replaced.has(id)),
    ...succeeded.map(({ successor }) => nodeRef(successor)),
  ];
  return {
    operation: 'drain',
    masters: told,
    steps: [
      ...succeeded.map(({ master, successor }) => ({
        type: 'failover' as const,
        replica: nodeRef(successor),
        master: nodeRef(master),
        mode: 'graceful' as const,
      })),
      ...moves,
    ],
    expect: {
      members: view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef),
      owners: [
        ...succeeded.map(({ master, successor }) => ({ id: successor.id, slots: master.slots })),
        ...moves.map(({ target, slots }: MoveStep) => ({ id: target.id, slots })),
      ],
      replicas: succeeded.flatMap(({ master, successor }) =>
        [master, ...followersOf(view, master.id)]
          .filter(({ id }) => id !== successor.id && view.reports.has(id))
          .map(({ id }) => ({ id, masterId: successor.id })),
      ),
    },
  };
}

/** Masters among these nodes that own slots. */
export function mastersAmong(nodes: readonly NodeRecord[]): NodeRecord[] {
  return nodes.filter((node) => node.role === 'master' && slotsOf(node).length > 0);
}
