import { type Address, formatAddress } from '../model/address.ts';
import { isFailed } from '../model/node.ts';
import { lacksReplicas, MIN_REPLICAS } from '../model/refused-writes.ts';
import type { Context } from '../nodes/context.ts';
import { withinTime } from '../nodes/deadline.ts';
import { askNode } from '../nodes/look.ts';
import { goodReplicasIn, parseInfo } from '../nodes/node-info.ts';
import { pairsIn } from '../nodes/pairs.ts';
import { notReached } from '../nodes/wait-until.ts';
import type { OperationOptions } from '../options.ts';
import { toPlan } from '../plan/plan.ts';
import { DEFAULTS } from '../settings.ts';
import type { OperationResult } from './carry-out.ts';
import { Cluster, type ClusterLike, seedOf, withContext } from './cluster.ts';

export interface StepDownOptions extends OperationOptions {
  /** Milliseconds after which the call has ended in any case. @default 25000 */
  readonly within?: number;
}

/**
 * Makes a node fit to be stopped, as a hook that runs before the server is. A replica, or a master without slots, is at once. A
 * master with slots hands over to the replica that is in sync and has most of its data, one on another host if there is one, and the
 * call resolves when all nodes agree.
 * Rejects with ClusterError `NO_REPLICA` if the node has none, and `NOT_REACHED` if the time is up; nothing is left behind then that
 * another call, or the servers' own failover, would not finish.
 */
export function stepDown(node: ClusterLike, options: StepDownOptions = {}): Promise<OperationResult> {
  const { within = DEFAULTS.stepDown.within } = options;
  const started = performance.now();
  const name = formatAddress(seedOf(node));
  // Why it still has to wait.
  const missing: string[] = [];
  const late = (): Error =>
    notReached(`a replica to take the place of ${name}`, performance.now() - started, missing, {
      address: name,
    });
  return withinTime(within, options.signal, late, (signal, over) =>
    withContext(node, { ...options, signal }, async (context) => {
      // A node that hangs must not keep the process from ending.
      if (!(node instanceof Cluster)) over.addEventListener('abort', () => context.connections.destroy());
      const seed = seedOf(node);
      const { myself, records } = await askNode(context.connections, seed, signal);
      if (myself.role === 'master' && myself.slots.length > 0) {
        await warnOfRefusedWrites(context, seed);
        // Loaded only here: a hook on a replica takes no longer than it must.
        const { handOver } = await import('../operations/hand-over.ts');
        const leftMs = () => within - (performance.now() - started);
        return handOver(context, seed, { ...options, signal }, { leftMs, missing, late });
      }
      const master = records.find(({ id }) => id === myself.masterId);
      if (master && isFailed(master)) {
        const message = `The master of ${name} has failed: ${name} may have the last copy of its keys`;
        context.emit({ type: 'warning', node: name, message });
      }
      const self = { ...myself, address: { ...myself.address, ...seed } };
      const plan = toPlan({ operation: 'step_down', steps: [], masters: [] }, [self]);
      context.emit({ type: 'plan', plan });
      const nothing = { slots: 0, keys: 0, bytes: 0, longestStallMs: 0, keysPerSecond: 0 };
      const applied = !context.settings.dryRun;
      return { plan, applied, ...nothing, elapsedMs: performance.now() - started };
    }),
  );
}

/** Longer than this a hook does not wait for a warning. */
const WARNED_WITHIN_MS = 1000;

/** Warns if the replica that takes the place of a master will refuse every write once the former master has stopped. */
async function warnOfRefusedWrites({ connections, emit }: Context, address: Address): Promise<void> {
  const questions = [
    ['INFO', 'replication'],
    ['CONFIG', 'GET', MIN_REPLICAS],
  ];
  const asked = questions.map((question) => connections.askSoon(address, question, WARNED_WITHIN_MS));
  const [info, setting] = await Promise.all(asked).catch(() => []);
  const good = goodReplicasIn(parseInfo(String(info)));
  if (good === undefined) return;
  const left = { goodReplicas: Math.max(0, good - 1) };
  const lack = lacksReplicas(left, pairsIn([setting]), 'would have');
  if (lack === undefined) return;
  const node = formatAddress(address);
  const message = `When ${node} stops, the replica in its place will refuse every write: ${lack}`;
  emit({ type: 'warning', node, message });
}
