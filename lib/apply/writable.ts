import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { lacksReplicas, MIN_REPLICAS } from '../model/refused-writes.ts';
import type { Methods } from '../move/decide-methods.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { detailsOf } from '../nodes/inspect.ts';
import { askInfo } from '../nodes/node-info.ts';
import { pairsIn } from '../nodes/pairs.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep, Plan } from '../plan/plan.ts';

/**
 * Reports moves by MIGRATE from or to a master that refuses writes because it has too few replicas in sync: it would refuse each key
 * (NOREPLICAS). A newcomer has none. A plan may give it some before.
 */
export async function requireWritable(
  { connections }: Context,
  { steps }: Plan,
  moves: readonly MoveStep[],
  methods: Methods,
  refuse: (error: ClusterError) => void,
): Promise<void> {
  const getsReplica = new Set(steps.flatMap((step) => (step.type === 'replicate' ? [step.master.id] : [])));
  const writing = moves.filter(
    (move) => (move.content?.keys ?? 0) > 0 && methods.of(move).method === 'migrate',
  );
  const ends = new Map(writing.flatMap(({ source, target }) => [source, target]).map((one) => [one.id, one]));
  await inParallel([...ends.values()], async ({ id, address }) => {
    if (getsReplica.has(id)) return;
    const at = parseAddress(address);
    const [info, replies] = await Promise.all([
      askInfo(connections, at, ['replication']),
      connections.askAll(at, [['CONFIG', 'GET', MIN_REPLICAS]]),
    ]);
    const lack = lacksReplicas(detailsOf(info), pairsIn(replies));
    if (lack === undefined) return;
    const message = `Cannot move slots from or to ${address}: it refuses writes, as ${lack}`;
    const hint = 'Nothing was changed. Give it a replica first, or set that to 0 while slots move';
    refuse(
      nodeError('COMMAND_REFUSED', address, message, {
        hint,
        next: [
          { do: 'configure', node: address, settings: [MIN_REPLICAS] },
          { do: 'retry', when: 'after-that' },
        ],
      }),
    );
  });
}
