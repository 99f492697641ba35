import type { Next } from '../model/next.ts';
import type { OwnFunctions } from '../options.ts';
import type { NodeRef, StepOf } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';
import { askLibraries } from './libraries.ts';
import { inParallel } from './parallel.ts';

/**
 * Finds the function libraries (Redis 7.0 and newer) that a future master lacks and these masters have. Only replication copies
 * them, so without them a new master answers FCALL with an error as soon as it owns slots.
 * Rejects with ClusterError `NODE_NOT_EMPTY` if the node has another library of the same name, and `TARGET_TOO_OLD` if it does
 * not know FUNCTION.
 */
export async function lackingFunctions(
  context: Context,
  masters: readonly NodeRef[],
  node: NodeRef,
  functions?: OwnFunctions,
): Promise<StepOf<'load-functions'>[]> {
  const others = masters.filter(({ id }) => id !== node.id);
  const found = await inParallel(others, async (master) => ({
    master,
    names: [...((await askLibraries(context, master)) ?? new Map()).keys()].sort(),
  }));
  const fullest = found.reduce<(typeof found)[number] | undefined>(
    (most, one) => (one.names.length > (most?.names.length ?? 0) ? one : most),
    undefined,
  );
  const [first] = found;
  if (!fullest && (!first || functions !== 'replace')) return [];
  const { master: from, names } = fullest ?? (first as (typeof found)[number]);
  for (const { master, names: own } of found) {
    if (own.join() === names.join()) continue;
    const message = `${master.address} has other functions than ${from.address}: ${node.address} gets those of ${from.address}`;
    if (context.account.warned.has(message)) continue;
    context.account.warned.add(message);
    context.emit({ type: 'warning', node: master.address, message });
  }
  const [wanted, present] = await Promise.all([
    askLibraries(context, from, true),
    askLibraries(context, node, true),
  ]);
  if (!present) {
    if (names.length === 0) return [];
    throw nodeError(
      'TARGET_TOO_OLD',
      node.address,
      `Cannot give ${node.address} the functions of ${from.address}: it does not know FUNCTION`,
      { hint: 'Nothing was changed. Use a node of the same version as the others, or a newer one' },
    );
  }
  const lacking = [...(wanted ?? [])].filter(([name, code]) => {
    if (functions !== 'replace' && present.has(name) && present.get(name) !== code)
      throw otherLibrary(node, from, name, functions !== undefined);
    return present.get(name) !== code;
  });
  const libraries = lacking.map(([name]) => name).sort();
  const replaces =
    functions !== 'replace'
      ? []
      : [...present].flatMap(([name, code]) => (wanted?.get(name) === code ? [] : name));
  if (libraries.length === 0 && replaces.length === 0) return [];
  const step = { type: 'load-functions' as const, node, from, libraries };
  return [replaces.length === 0 ? step : { ...step, replaces: replaces.sort() }];
}

const REPLACE: Next = { do: 'retry', options: { functions: 'replace' }, when: 'not-needed' };

function otherLibrary(node: NodeRef, from: NodeRef, name: string, mayReplace: boolean): Error {
  const shown = JSON.stringify(name);
  return nodeError(
    'NODE_NOT_EMPTY',
    node.address,
    `Node ${node.address} is not empty: its function library ${shown} differs from that of ${from.address}`,
    {
      hint: 'Nothing was changed',
      next: [
        { do: 'command', node: node.address, command: ['FUNCTION', 'DELETE', name], when: 'not-needed' },
        ...(mayReplace ? [REPLACE] : []),
      ],
    },
  );
}
