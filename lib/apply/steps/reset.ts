import type { NodeRef } from '../../plan/plan.ts';
import type { Context } from '../context.ts';
import { mustDo } from './must-do.ts';

/** CLUSTER RESET HARD: the node forgets everything and takes a new id, so that it can join again at once. */
export async function reset(context: Context, node: NodeRef): Promise<void> {
  await mustDo(context, node, ['CLUSTER', 'RESET', 'HARD'], 'reset it');
  context.emit({ type: 'node-reset', node: node.address });
}
