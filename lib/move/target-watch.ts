import { ClusterError } from '../errors.ts';
import { askInfo, type NodeInfo, numberOf, totalKeys } from '../nodes/node-info.ts';
import { wasReplaced } from '../nodes/replication.ts';
import type { Ends } from './ends.ts';

/** What a target has lost since moves to it began. */
export type TargetLoss =
  | { readonly by: 'eviction'; readonly keys: number }
  /** A replica took its place, which it has back: it may lack what it had taken before. */
  | { readonly by: 'failover' }
  /** It was restarted, and holds fewer keys than it had and got. */
  | { readonly by: 'restart'; readonly had: number; readonly holds: number };

/** Compares what a target said before and after `moved` keys came. Its statistics may have been reset in between. */
export function lossOf(before: NodeInfo, now: NodeInfo, moved: number): TargetLoss | undefined {
  const [had, holds] = [totalKeys(before), totalKeys(now)];
  if (before.get('run_id') !== now.get('run_id'))
    return holds < had + moved ? { by: 'restart', had, holds } : undefined;
  if (wasReplaced(before, now)) return { by: 'failover' };
  const keys = numberOf(now, 'evicted_keys') - numberOf(before, 'evicted_keys');
  return keys > 0 ? { by: 'eviction', keys } : undefined;
}

/**
 * Sees that a target keeps what moves to it. It may evict keys, though they fitted when the move was prepared, or be restarted without
 * those that it had not saved. Shared by all moves to the target.
 */
export class TargetWatch {
  #before: Promise<NodeInfo | undefined> | undefined;
  #isWarned = false;

  /** Asks before the first key moves. */
  begin(ends: Ends): Promise<unknown> {
    this.#before ??= ask(ends);
    return this.#before;
  }

  /**
   * Rejects with ClusterError `NO_MEMORY` if the target has evicted keys, unless forced, and with `TARGET_NOT_PROVEN` if it lost some by
   * a restart. `moved` is how many keys came in all. If it does not tell, nothing is known, and this resolves.
   */
  async check(ends: Ends, moved: number): Promise<void> {
    const [before, now] = await Promise.all([this.#before, ask(ends)]);
    const loss = before && now && lossOf(before, now, moved);
    if (!loss) return;
    const { context, source, target } = ends;
    const cannot = `Cannot move more keys from ${source.address} to ${target.address}`;
    if (loss.by === 'restart')
      throw new ClusterError(
        'TARGET_NOT_PROVEN',
        `${cannot}: it was restarted in the meantime, had ${loss.had} keys, got ${moved}, and holds ${loss.holds}`,
        {
          address: target.address,
          resumable: 'same-call',
          hint: 'Keys that it had not saved are lost, unless they expired or were deleted. Make it save its data (appendonly), or give it a replica',
          next: [{ do: 'retry', when: 'repaired' }],
        },
      );
    if (loss.by === 'failover')
      throw new ClusterError(
        'TARGET_NOT_PROVEN',
        `${cannot}: a replica took its place in the meantime, which it has back`,
        {
          address: target.address,
          resumable: 'same-call',
          hint: 'Keys that it had taken, and that the replica did not have, are lost',
          next: [{ do: 'retry', when: 'repaired' }],
        },
      );
    const evicted = `it has evicted ${loss.keys} keys since the move began (maxmemory-policy)`;
    if (!context.settings.force)
      throw new ClusterError('NO_MEMORY', `${cannot}: ${evicted}`, {
        address: target.address,
        resumable: 'same-call',
        next: [
          { do: 'configure', node: target.address, settings: ['maxmemory'] },
          { do: 'retry', when: 'after-that' },
          { do: 'retry', options: { force: true }, when: 'anyway' },
        ],
      });
    if (this.#isWarned) return;
    this.#isWarned = true;
    context.emit({ type: 'warning', node: target.address, message: `${target.address}: ${evicted}` });
  }
}

function ask({ context, targetAddress }: Ends): Promise<NodeInfo | undefined> {
  return askInfo(context.connections, targetAddress, ['server', 'replication', 'stats', 'keyspace']).catch(
    () => undefined,
  );
}
