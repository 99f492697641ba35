import type { Plan, PlannedNode } from '../plan/plan.ts';
import { nodesAfter } from '../plan/projection.ts';
import type { Io } from './io.ts';
import type { Outcome } from './outcome.ts';
import { isAsciiOnly, type MapOptions, type SlotOwner, slotMap } from './slot-map.ts';

/** The text of an outcome with the slot map: of the nodes that it shows, or before and after its plan. */
export function withSlotMap(
  { owners, data }: Outcome,
  text: string,
  io: Pick<Io, 'env' | 'columns'>,
): string {
  const options = mapOptions(io);
  const { plan } = data as { readonly plan?: Plan };
  const lines = owners ? slotMap(owners(), options) : plan ? planMaps(plan, options) : [];
  return [text, ...lines].join('\n');
}

/** Two maps, under each other, in the same columns. Only the first if nothing changes. */
export function planMaps(plan: Pick<Plan, 'before' | 'steps'>, options: MapOptions): string[] {
  const [before = [], after] = planOwners(plan);
  if (!after) return slotMap(before, options);
  return ['Slots before:', ...slotMap(before, options), 'Slots after:', ...slotMap(after, options)];
}

/** Who owns which slots before a plan and after it, if it changes anything. */
export function planOwners(plan: Pick<Plan, 'before' | 'steps'>): SlotOwner[][] {
  if (plan.steps.length === 0) return [ownersIn(plan.before, plan.before)];
  const after = nodesAfter(plan);
  const all = [...plan.before, ...after];
  return [ownersIn(plan.before, all), ownersIn(after, all)];
}

// A node that gets its first slots, or gives its last, stands in both maps if it is known in both.
function ownersIn(nodes: readonly PlannedNode[], all: readonly PlannedNode[]): SlotOwner[] {
  const owning = new Set(all.filter(({ slots }) => slots.length > 0).map(({ id }) => id));
  return nodes.filter(({ id }) => owning.has(id)).map(({ address, slots }) => ({ name: address, slots }));
}

function mapOptions({ env, columns }: Pick<Io, 'env' | 'columns'>): MapOptions {
  return { columns: columns(), ascii: isAsciiOnly(env) };
}
