import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { Methods } from '../move/decide-methods.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep } from '../plan/plan.ts';

/** What MIGRATE takes: the source must have it, and the target the command that the source sends. */
const NEEDED = { source: 'MIGRATE', target: 'RESTORE-ASKING' } as const;

/**
 * Reports moves by MIGRATE for which a node lacks a command: `rename-command` may have taken it away. Found out only when the first
 * key is sent, a newcomer would be a member by then. CLUSTER has been used by then, and all else is a help only.
 */
export async function requireCommands(
  context: Context,
  moves: readonly MoveStep[],
  methods: Methods,
  refuse: (error: ClusterError) => void,
): Promise<void> {
  const loaded = moves.filter(
    (move) => (move.content?.keys ?? 0) > 0 && methods.of(move).method === 'migrate',
  );
  const needed = new Map<string, { address: string; command: string; way: string }>();
  for (const { source, target } of loaded) {
    needed.set(`from ${source.address}`, { address: source.address, command: NEEDED.source, way: 'from' });
    needed.set(`to ${target.address}`, { address: target.address, command: NEEDED.target, way: 'to' });
  }
  await inParallel([...needed.values()], async ({ address, command, way }) => {
    const [reply] = await context.connections.askAll(parseAddress(address), [['COMMAND', 'INFO', command]]);
    // It lists null for a command that it does not have. COMMAND may be missing, too, or not allowed.
    if (!Array.isArray(reply) || reply.length !== 1 || reply[0] !== null) return;
    const message = `Cannot move slots ${way} ${address}: it does not have the command ${command}`;
    const hint = `Nothing was changed. rename-command in its configuration takes ${command} away: remove that, and restart it once its keys are saved`;
    refuse(
      nodeError('COMMAND_REFUSED', address, message, { hint, next: [{ do: 'restart-node', node: address }] }),
    );
  });
}
