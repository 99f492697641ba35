import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { expandSlots } from '../model/slot.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { countKeys } from '../nodes/count-keys.ts';
import { askClusterDatabases, askInfo, databases } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep } from '../plan/plan.ts';

/** Reports moves of keys in a database that the target does not have (`cluster-databases` of Valkey): it would refuse them. */
export async function requireTargetDatabases(
  { connections, signal }: Context,
  moves: readonly MoveStep[],
  refuse: (error: ClusterError) => void,
): Promise<void> {
  await inParallel(moves, async ({ source, target, slots, content }) => {
    const from = parseAddress(source.address);
    if (content?.keys === 0) return;
    const [there, keyspace] = await Promise.all([
      askClusterDatabases(connections, parseAddress(target.address)),
      askInfo(connections, from, ['keyspace']),
    ]);
    for (const { db } of databases(keyspace)) {
      if (there === undefined || db < there) continue;
      const inSlots = await countKeys(connections, from, db, expandSlots(slots), signal);
      if (inSlots.size === 0) continue;
      const message = `Cannot move keys of database ${db} from ${source.address} to ${target.address}: it has fewer databases (${there})`;
      const hint = `Nothing was changed. Set cluster-databases of ${target.address} to that of ${source.address}, in its configuration file, and start it again`;
      return refuse(
        nodeError('DATABASES_DIFFER', target.address, message, {
          hint,
          next: [{ do: 'retry', when: 'repaired' }],
        }),
      );
    }
  });
}
