import type { ClusterView } from '../model/view.ts';
import { listNames } from './finding.ts';

/** What a node has that most others do not have like this. */
export interface Odd {
  readonly id: string;
  /** What only the others have. */
  readonly lacks: readonly string[];
  /** What the others do not have. */
  readonly more: readonly string[];
  /** What both have, each in another way. */
  readonly other: readonly string[];
}

/** Nodes with other values than most, in the order of the view. Of two equal halves, the one with the first node is right. */
export function oddNodes(view: ClusterView, values: ReadonlyMap<string, ReadonlyMap<string, string>>): Odd[] {
  const nodes = view.nodes.flatMap(({ id }) => {
    const own = values.get(id);
    return own ? [{ id, own }] : [];
  });
  const names = [...new Set(nodes.flatMap(({ own }) => [...own.keys()]))].sort();
  const usual = new Map(names.map((name) => [name, mostCommon(nodes.map(({ own }) => own.get(name)))]));
  return nodes.flatMap(({ id, own }): Odd[] => {
    const differing = names.filter((name) => own.get(name) !== usual.get(name));
    if (differing.length === 0) return [];
    return [
      {
        id,
        lacks: differing.filter((name) => !own.has(name)),
        more: differing.filter((name) => usual.get(name) === undefined),
        other: differing.filter((name) => own.has(name) && usual.get(name) !== undefined),
      },
    ];
  });
}

function mostCommon(values: readonly (string | undefined)[]): string | undefined {
  const counts = new Map<string | undefined, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return values.find((value) => counts.get(value) === most);
}

/** In words. `verb` is for what both have. */
export function differenceOf({ lacks, more, other }: Odd, verb: string): string {
  const parts = [
    ...(lacks.length > 0 ? [`it lacks ${listNames(lacks.map(quoted))}`] : []),
    ...(more.length > 0 ? [`it has ${listNames(more.map(quoted))} besides`] : []),
    ...(other.length > 0 ? [`it ${verb} ${listNames(other.map(quoted))}`] : []),
  ];
  return parts.join('; ');
}

function quoted(name: string): string {
  return JSON.stringify(name);
}
