import { type Address, formatAddress } from '../../model/address.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { askLibraries } from '../../nodes/libraries.ts';
import { mustDo } from '../../nodes/must-do.ts';
import { inParallel } from '../../nodes/parallel.ts';

/**
 * Loads the function libraries that each master lacks. Before anything is loaded, rejects with ClusterError `KEY_CONFLICT` if
 * a master has a different library of the same name (unless `replace`), or `TARGET_TOO_OLD` if it does not know FUNCTION.
 */
export async function restoreFunctions(
  context: Context,
  masters: readonly Address[],
  libraries: ReadonlyMap<string, string>,
  replace: boolean,
): Promise<void> {
  if (libraries.size === 0) return;
  const lacking = await inParallel(masters, async (address) => {
    const node = { id: '', address: formatAddress(address) };
    const present = await askLibraries(context, node, true);
    if (!present) {
      throw nodeError(
        'TARGET_TOO_OLD',
        node.address,
        `Cannot give ${node.address} the functions of the backup: it does not know FUNCTION`,
        {
          hint: 'Nothing was changed. Restore to servers of the same version as those of the backup, or newer ones',
        },
      );
    }
    const names = [...libraries.keys()].filter((name) => present.get(name) !== libraries.get(name));
    const other = names.find((name) => present.has(name));
    if (other !== undefined && !replace) {
      throw nodeError(
        'KEY_CONFLICT',
        node.address,
        `${node.address} has another function library ${JSON.stringify(other)} than the backup`,
        {
          hint: 'Nothing was changed',
          next: [
            { do: 'retry', options: { replace: true } },
            { do: 'command', node: node.address, command: ['FUNCTION', 'DELETE', other], when: 'not-needed' },
          ],
        },
      );
    }
    return { node, names };
  });
  for (const { node, names } of lacking) {
    for (const name of names) {
      const command = ['FUNCTION', 'LOAD', ...(replace ? ['REPLACE'] : []), libraries.get(name) ?? ''];
      await mustDo(
        context,
        node,
        command,
        `give ${node.address} the function library ${JSON.stringify(name)}`,
      );
    }
  }
}
