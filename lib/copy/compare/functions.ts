import { formatAddress } from '../../model/address.ts';
import { reachableMasters } from '../../model/view.ts';
import { askLibraries } from '../../nodes/libraries.ts';
import { inParallel } from '../../nodes/parallel.ts';
import type { KeySource } from '../key-source.ts';

/** A function library that is not the same on two sides. */
export interface FunctionDifference {
  readonly name: string;
  /** `differs`: the code is not the same on all masters of both sides. */
  readonly state: 'differs' | 'missing' | 'surplus';
}

/** Compares function libraries by name and code. A server that does not know functions has none. */
export async function compareFunctions(one: KeySource, other: KeySource): Promise<FunctionDifference[]> {
  const [mine, theirs] = await Promise.all([codesOf(one), codesOf(other)]);
  return [...new Set([...mine.keys(), ...theirs.keys()])].sort().flatMap((name): FunctionDifference[] => {
    const [own, their] = [mine.get(name), theirs.get(name)];
    if (!own || !their) return [{ name, state: own ? 'missing' : 'surplus' }];
    return new Set([...own, ...their]).size === 1 ? [] : [{ name, state: 'differs' }];
  });
}

/** By library: the different codes that masters have, with an empty one for a master that lacks it. */
async function codesOf({ address, view, context }: KeySource): Promise<Map<string, Set<string>>> {
  const masters = view
    ? reachableMasters(view).filter(({ slots }) => slots.length > 0)
    : [{ id: '', address }];
  const found = await inParallel(
    masters,
    async (master) =>
      (await askLibraries(context, { id: master.id, address: formatAddress(master.address) }, true)) ??
      new Map<string, string>(),
  );
  const names = new Set(found.flatMap((libraries) => [...libraries.keys()]));
  return new Map(
    [...names].map((name) => [name, new Set(found.map((libraries) => libraries.get(name) ?? ''))]),
  );
}
