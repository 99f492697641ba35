import type { SlotFill } from '../operations/slot-fill.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan, PlannedNode } from '../plan/plan.ts';
import { nodesAfter } from '../plan/projection.ts';
import { count } from './figures.ts';
import type { Io } from './io.ts';
import type { Outcome } from './outcome.ts';
import {
  isAsciiOnly,
  type MapOptions,
  mapLegend,
  ownerOf,
  type SlotOwner,
  slotMapLines,
} from './slot-map.ts';
import { line, render, type TextLine } from './top/line.ts';

/**
 * How full the slots are that an outcome shows: of each master that it names, or that owns slots now that its plan is carried out, or is
 * not. Undefined if there is nothing to draw.
 */
export async function fillOf(
  { holders, data }: Outcome,
  options: OperationOptions,
): Promise<SlotFill | undefined> {
  const { plan, applied } = data as { readonly plan?: Plan; readonly applied?: boolean };
  const { slotFill } = await import('../operations/slot-fill.ts');
  if (holders) return slotFill(holders(), options);
  return plan && slotFill(applied ? nodesAfter(plan) : plan.before, options);
}

/** The slot map of an outcome: of the nodes that it shows, or before and after its plan. With what its signs mean. */
export function slotMapOf(
  { holders, data }: Outcome,
  { env, columns }: Pick<Io, 'env' | 'columns'>,
  fill?: SlotFill,
): TextLine[] {
  const options = { columns: columns(), ascii: isAsciiOnly(env), keys: fill?.keys };
  const { plan } = data as { readonly plan?: Plan };
  const lines = holders
    ? slotMapLines(
        holders().map((holder) => ownerOf(holder, fill)),
        options,
      )
    : plan
      ? planMaps(plan, options)
      : [];
  if (lines.length === 0) return [];
  const failures = [...(fill?.failures ?? [])].map(([address, reason]) => `${address} (${reason})`);
  const rest = failures.length > 1 ? ` and ${count(failures.length - 1, 'other')}` : '';
  return [
    ...lines,
    line(mapLegend(options), 'dim'),
    ...(failures.length === 0 ? [] : [line(`Keys not counted: ${failures[0]}${rest}`, 'warning')]),
  ];
}

/** The text of a map, as a terminal with colours shows it or without. */
export function mapText(lines: readonly TextLine[], isColoured: boolean): string {
  const options = { columns: Number.POSITIVE_INFINITY, ascii: true, isColoured };
  return lines.map((one) => `${render(one, options)}\n`).join('');
}

/** Two maps, under each other, in the same columns. Only the first if nothing changes. */
export function planMaps(plan: Pick<Plan, 'before' | 'steps'>, options: MapOptions): TextLine[] {
  const [before = [], after] = planOwners(plan);
  const first = slotMapLines(before, options);
  if (!after) return first;
  return [line('Slots before:'), ...first, line('Slots after:'), ...slotMapLines(after, options)];
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
  return nodes.filter(({ id }) => owning.has(id)).map((node) => ownerOf(node));
}
