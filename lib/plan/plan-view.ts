import type { ClusterView } from '../model/view.ts';
import { refsIn } from './parse.ts';
import type { NodeRef, Plan } from './plan.ts';

/** The present state of a plan's cluster, including nodes of the plan that are not members, or not yet. */
export interface PlanView {
  /** All nodes that were asked. */
  readonly view: ClusterView;
  /** Ids of the members of the cluster. */
  readonly members: ReadonlySet<string>;
  /** By id of a node in the plan: the other node that answers at its address. */
  readonly otherIds: ReadonlyMap<string, { readonly id: string; readonly isFresh: boolean }>;
  /** By id of a node outside the cluster: how many keys it holds. */
  readonly keys: ReadonlyMap<string, number>;
  /** `id address` of nodes that answer at an address in the plan other than their own. */
  readonly reached: ReadonlySet<string>;
  /** Ids of replicas that are still copying their master. */
  readonly copying: ReadonlySet<string>;
  /** By id of a node that will get function libraries: the names of those it has. */
  readonly libraries?: ReadonlyMap<string, ReadonlySet<string>>;
  /** By id of a node that the plan restarts, and that answers: the run id of its server. */
  readonly runIds?: ReadonlyMap<string, string>;
}

/** The nodes of a plan with their present roles and slots. */
export function nodesNow({ before }: Plan, { view }: PlanView): Plan['before'] {
  return before.map((node) => {
    const report = view.reports.get(node.id);
    if (!report) return node;
    const { masterId: _, ...rest } = node;
    const { role, masterId, configEpoch, slots } = report.myself;
    return { ...rest, role, ...(masterId === null ? {} : { masterId }), configEpoch, slots };
  });
}

/** Every node in a plan, once per address. */
export function namedIn({ before, masters, steps }: Plan): NodeRef[] {
  const named = [...before, ...masters, ...steps.flatMap((step) => refsIn(step).map(([, node]) => node))];
  return [...new Map(named.map((node) => [`${node.id} ${node.address}`, node])).values()];
}
