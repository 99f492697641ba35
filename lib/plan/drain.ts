import { type NodeRecord, slotsOf } from '../model/node.ts';
import type { ClusterView } from '../model/view.ts';
import { planGiveAway } from './give-away.ts';
import { mastersOf } from './moves.ts';
import { type Draft, type MoveStep, type NodeRef, nodeRef } from './plan.ts';

export interface DrainRequest {
  /** Nodes that are to be restarted. */
  readonly drained: readonly NodeRecord[];
  /** By the id of a master among them: the replica elsewhere that takes its place. The slots of the others are moved. */
  readonly heirs: ReadonlyMap<string, NodeRecord>;
}

/**
 * Leaves no slot on the nodes that are drained: replicas elsewhere take the place of their masters, one after the other, and
 * masters without one give their slots to the masters that are left then.
 */
export function planDrain(view: ClusterView, { drained, heirs }: DrainRequest): Draft {
  const leaving = new Set(drained.map(({ id }) => id));
  const masters = mastersAmong(drained);
  const succeeded = masters.flatMap((master) => {
    const heir = heirs.get(master.id);
    return heir ? [{ master, heir }] : [];
  });
  const staying = view.nodes.filter(
    ({ id, role }) => role === 'master' && view.reports.has(id) && !leaving.has(id),
  );
  const takers = [...staying, ...succeeded.map(({ heir }) => heir)];
  const moves = masters.filter(({ id }) => !heirs.has(id)).flatMap((master) => planGiveAway(master, takers));
  const replaced = new Set(succeeded.map(({ master }) => master.id));
  const told: NodeRef[] = [
    ...mastersOf(view).filter(({ id }) => !replaced.has(id)),
    ...succeeded.map(({ heir }) => nodeRef(heir)),
  ];
  return {
    operation: 'drain',
    masters: told,
    steps: [
      ...succeeded.map(({ master, heir }) => ({
        type: 'failover' as const,
        replica: nodeRef(heir),
        master: nodeRef(master),
        mode: 'graceful' as const,
      })),
      ...moves,
    ],
    expect: {
      members: view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef),
      owners: [
        ...succeeded.map(({ master, heir }) => ({ id: heir.id, slots: master.slots })),
        ...moves.map(({ target, slots }: MoveStep) => ({ id: target.id, slots })),
      ],
      replicas: succeeded.map(({ master, heir }) => ({ id: master.id, masterId: heir.id })),
    },
  };
}

/** Masters among these nodes that own slots. */
export function mastersAmong(nodes: readonly NodeRecord[]): NodeRecord[] {
  return nodes.filter((node) => node.role === 'master' && slotsOf(node).length > 0);
}
