import { formatBytes } from '../model/bytes.ts';
import { shorten } from '../model/lists.ts';
import { countSlots } from '../model/node.ts';
import type { MoveStep, Plan, PlannedLoads } from '../plan/plan.ts';
import { count } from './figures.ts';

const SHOWN_NODES = 30;

/** A table of the nodes that give or get slots in a plan: slots before and after, and the reason. */
export function changeLines({ before, loads, reasons, steps }: Plan): string[] {
  const moves = steps.filter((step): step is MoveStep => step.type === 'move-slots');
  const changes = new Map<string, number>();
  for (const { source, target, slots } of moves) {
    const moved = countSlots({ slots });
    changes.set(source.id, (changes.get(source.id) ?? 0) - moved);
    changes.set(target.id, (changes.get(target.id) ?? 0) + moved);
  }
  const loadOf = new Map(loads?.nodes.map((node) => [node.id, node]));
  const reasonOf = new Map(reasons?.map(({ id, text }) => [id, text]));
  const rows = before
    .filter(({ id }) => changes.has(id))
    .map(({ id, address, slots }) => {
      const held = countSlots({ slots });
      const load = loadOf.get(id);
      return [
        address,
        `${held} → ${count(held + (changes.get(id) ?? 0), 'slot')}`,
        load && loads ? `${loadText(loads.by, load.before)} → ${loadText(loads.by, load.after)}` : '',
        reasonOf.get(id) ?? '',
      ];
    });
  if (rows.length === 0) return [];
  const shown = rows.slice(0, SHOWN_NODES);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...shown.map((row) => row[column]?.length ?? 0)));
  return [
    'Slots before and after:',
    ...shorten(
      rows.map((row) => lineOf(row, widths)),
      SHOWN_NODES,
      'node',
    ).map((line) => `  ${line}`),
  ];
}

function lineOf(cells: readonly string[], widths: readonly number[]): string {
  const used = cells.flatMap((cell, at) => (widths[at] === 0 ? [] : [cell.padEnd(widths[at] ?? 0)]));
  return used.join('  ').trimEnd();
}

function loadText(by: PlannedLoads['by'], load: number): string {
  if (by === 'keys') return count(load, 'key');
  return by === 'cpu' ? `${(load / 1000).toFixed(0)} ms` : formatBytes(load);
}
