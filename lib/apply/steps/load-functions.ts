import type { StepOf } from '../../plan/plan.ts';
import { type Context, nodeError } from '../context.ts';
import { askLibraries } from '../functions.ts';
import { mustDo } from './must-do.ts';

/**
 * FUNCTION LOAD of each library that the node still lacks, and a look whether it has them then. By their code and not by
 * FUNCTION DUMP, which other versions refuse to read; and without REPLACE, so that nothing on the node is lost.
 */
export async function loadFunctions(
  context: Context,
  { node, from, libraries }: StepOf<'load-functions'>,
): Promise<void> {
  const wanted = await askLibraries(context, from, true);
  const present = await askLibraries(context, node, true);
  for (const name of libraries) {
    const code = wanted?.get(name);
    // Deleted since the plan was made.
    if (code === undefined || present?.get(name) === code) continue;
    await mustDo(
      context,
      node,
      ['FUNCTION', 'LOAD', code],
      `give it the library of functions ${JSON.stringify(name)}`,
    );
  }
  const now = await askLibraries(context, node, true);
  const missing = libraries.filter((name) => wanted?.has(name) && now?.get(name) !== wanted.get(name));
  if (missing.length === 0) {
    context.emit({ type: 'functions-loaded', node: node.address, from: from.address, libraries });
    return;
  }
  const message = `Cannot give ${node.address} the functions of ${from.address}: it has not got ${missing.join(', ')}`;
  throw nodeError('NOT_REACHED', node.address, message, { resumable: true });
}
