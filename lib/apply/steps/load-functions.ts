import { type Context, nodeError } from '../../nodes/context.ts';
import { askLibraries } from '../../nodes/libraries.ts';
import { mustDo } from '../../nodes/must-do.ts';
import type { StepOf } from '../../plan/plan.ts';

/**
 * Sends FUNCTION LOAD for each library that the node still lacks, and checks that it has them then. Uses their code, since other
 * versions refuse to read FUNCTION DUMP, and does not use REPLACE, so that nothing on the node is lost but what the plan says.
 */
export async function loadFunctions(
  context: Context,
  { node, from, libraries, replaces = [] }: StepOf<'load-functions'>,
): Promise<void> {
  const wanted = await askLibraries(context, from, true);
  const present = await askLibraries(context, node, true);
  for (const name of replaces) {
    const own = present?.get(name);
    if (own === undefined || own === wanted?.get(name)) continue;
    await mustDo(
      context,
      node,
      ['FUNCTION', 'DELETE', name],
      `delete the function library ${JSON.stringify(name)} on ${node.address}`,
      'Library not found',
    );
  }
  for (const name of libraries) {
    const code = wanted?.get(name);
    // Deleted since the plan was made.
    if (code === undefined || present?.get(name) === code) continue;
    await mustDo(
      context,
      node,
      ['FUNCTION', 'LOAD', code],
      `give ${node.address} the function library ${JSON.stringify(name)}`,
    );
  }
  const now = await askLibraries(context, node, true);
  const missing = libraries.filter((name) => wanted?.has(name) && now?.get(name) !== wanted.get(name));
  if (missing.length === 0) {
    context.emit({ type: 'functions-loaded', node: node.address, from: from.address, libraries });
    return;
  }
  const message = `Cannot give ${node.address} the functions of ${from.address}: ${missing.join(', ')} not found there`;
  throw nodeError('NOT_REACHED', node.address, message, { resumable: 'same-call' });
}
