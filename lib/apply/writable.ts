import type { Command } from '../../resp/index.ts';
import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { cannotSave, lacksReplicas, MIN_REPLICAS, STOP_WRITES } from '../model/refused-writes.ts';
import type { Methods } from '../move/decide-methods.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { detailsOf } from '../nodes/inspect.ts';
import { askInfo } from '../nodes/node-info.ts';
import { pairsIn } from '../nodes/pairs.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep, Plan } from '../plan/plan.ts';

const QUESTIONS: readonly Command[] = [MIN_REPLICAS, STOP_WRITES, 'save'].map((name) => [
  'CONFIG',
  'GET',
  name,
]);

/**
 * Reports moves by MIGRATE from or to a master that refuses writes: it would refuse each key. It could not save (MISCONF), or has too
 * few replicas in sync (NOREPLICAS): a newcomer has none, unless the plan gives it some before.
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
    const at = parseAddress(address);
    const [info, replies] = await Promise.all([
      askInfo(connections, at, ['replication', 'persistence']),
      connections.askAll(at, QUESTIONS),
    ]);
    const [own, settings] = [detailsOf(info), pairsIn(replies)];
    const lack = getsReplica.has(id) ? undefined : lacksReplicas(own, settings);
    const refused = lack ?? cannotSave(own, settings);
    if (refused === undefined) return;
    const message = `Cannot move slots from or to ${address}: it refuses every write, as ${refused}`;
    const hint = `Nothing was changed. ${lack ? 'Give it a replica first, or set that to 0 while slots move' : 'Check its log, the free disk space and the permissions of its directory'}`;
    refuse(
      nodeError('COMMAND_REFUSED', address, message, {
        hint,
        next: lack
          ? [
              { do: 'configure', node: address, settings: [MIN_REPLICAS] },
              { do: 'retry', when: 'after-that' },
            ]
          : [{ do: 'retry', when: 'repaired' }],
      }),
    );
  });
}
