import { type Address, formatAddress } from '../../model/address.ts';
import { type Context, nodeError } from '../context.ts';
import { askLibraries } from '../functions.ts';
import { inParallel } from '../parallel.ts';
import { mustDo } from '../steps/must-do.ts';

/**
 * Gives every master the libraries of functions that it lacks. Rejects with ClusterError `KEY_CONFLICT` where one has another library
 * of the same name and is to keep it, and `TARGET_TOO_OLD` where one knows no functions: before any is given to any master.
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
        `Cannot give ${node.address} the functions of the backup: it knows no FUNCTION`,
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
        `${node.address} has another library of functions ${JSON.stringify(other)} than the backup`,
        {
          hint: 'Nothing was changed. Overwrite it with --replace, or take it away there with: FUNCTION DELETE',
        },
      );
    }
    return { node, names };
  });
  for (const { node, names } of lacking) {
    for (const name of names) {
      const command = ['FUNCTION', 'LOAD', ...(replace ? ['REPLACE'] : []), libraries.get(name) ?? ''];
      await mustDo(context, node, command, `take the library of functions ${JSON.stringify(name)}`);
    }
  }
}
