import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { Methods } from '../move/decide-methods.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import { askRdbSupport } from '../nodes/rdb-support.ts';
import { askServer } from '../nodes/server.ts';
import type { MoveStep, NodeRef } from '../plan/plan.ts';
import { acceptsRdb } from '../rdb/versions.ts';

/** Reports moves whose target is certain to refuse the source's keys: MIGRATE sends them in the format of DUMP. */
export async function requireReadable(
  context: Context,
  moves: readonly MoveStep[],
  methods: Methods,
  refuse: (error: ClusterError) => void,
): Promise<void> {
  // Servers that move slots on their own do not send keys in the format of DUMP.
  const loaded = moves.filter(
    (move) => move.content && move.content.keys > 0 && methods.of(move).method !== 'atomic',
  );
  const nodes = new Map(
    loaded.flatMap(({ source, target }) => [source, target]).map((node) => [node.id, node]),
  );
  const servers = new Map(
    await inParallel(
      [...nodes.values()],
      async ({ id, address }) => [id, await askServer(context.connections, parseAddress(address))] as const,
    ),
  );
  for (const { source, target } of loaded) {
    const [from, to] = [servers.get(source.id), servers.get(target.id)];
    if (!from || !to || from.name === to.name) continue;
    if (await canRead(context, source, target)) continue;
    const message =
      `Cannot move keys from ${source.address} to ${target.address}: ` +
      `${to.name} cannot read what ${from.name} writes`;
    const hint =
      'Nothing was changed. Upgrade the target first: keys move to servers of the same version or a newer one';
    refuse(nodeError('TARGET_TOO_OLD', target.address, message, { hint }));
  }
}

// True too if it cannot be found out.
async function canRead({ connections }: Context, source: NodeRef, target: NodeRef): Promise<boolean> {
  const [from, to] = await Promise.all([
    askRdbSupport(connections, parseAddress(source.address)),
    askRdbSupport(connections, parseAddress(target.address)),
  ]);
  return acceptsRdb(to, from.rdb);
}
