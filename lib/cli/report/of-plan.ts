import { countSlots } from '../../model/node.ts';
import { describeStep, type Plan, type PlannedNode } from '../../plan/plan.ts';
import { nodesAfter } from '../../plan/projection.ts';
import { count } from '../figures.ts';
import { planSums } from '../outcome.ts';
import { planOwners } from '../slot-map-view.ts';
import type { Report } from './report.ts';

/** A plan: the cluster before and after, and the steps between. */
export function reportOfPlan(plan: Plan, about: { readonly by: string }): Report {
  const after = new Map(nodesAfter(plan).map((node) => [node.id, node]));
  const changes = plan.steps.length > 0;
  const sums = planSums(plan);
  return {
    title: `Plan of ${plan.operation}`,
    ok: true,
    verdict: changes ? `${count(plan.steps.length, 'step')}. Nothing was changed yet` : 'Nothing to do',
    facts: [
      ['Nodes', `${plan.before.length}`],
      ...(sums === undefined ? [] : [['Moves', sums] as const]),
      ['Written by', about.by],
    ],
    findings: undefined,
    maps: planOwners(plan).map((owners, index) => ({
      title: index === 1 ? 'Slots after' : changes ? 'Slots before' : 'Slots',
      owners,
    })),
    tables: [
      {
        title: 'Nodes',
        head: ['Node', 'Before', 'After', 'Slots before', 'Slots after'],
        numeric: [3, 4],
        rows: plan.before.map((node) => {
          const then = after.get(node.id);
          return [
            ...[node.address, roleOf(node), then ? roleOf(then) : 'gone'],
            ...[`${countSlots(node)}`, then ? `${countSlots(then)}` : ''],
          ];
        }),
      },
    ],
    steps: plan.steps.map(describeStep),
  };

  function roleOf({ role, masterId }: PlannedNode): string {
    const master = plan.before.find(({ id }) => id === masterId);
    return role === 'master' ? 'master' : `replica of ${master?.address ?? masterId ?? 'an unknown node'}`;
  }
}
