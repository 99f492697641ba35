import { parseAddress } from '../model/address.ts';
import type { Answers, Expectation } from '../model/expectation.ts';
import type { Nudge } from '../nodes/agreement.ts';
import type { Context } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';

/** Nodes follow a new master on their own once they hear of its slots: that takes far less. */
const LATE_MS = 3000;

/**
 * Tells nodes once more which master to follow. After a failover, one that was restarted or cut off at that moment may follow the former
 * master, which is a replica by then (up to Redis 6.2 and from 8.0 on), for good. And while replicas are being assigned, servers may
 * give one to a master that has none yet (clusterHandleSlaveMigration).
 */
export function followUp(context: Context, { members, replicas = [] }: Expectation): Nudge {
  const started = performance.now();
  const told = new Set<string>();
  return async (_, answers) => {
    if (performance.now() - started < LATE_MS) return;
    const late = lateFollowers(replicas, answers).filter(({ id }) => !told.has(id));
    await inParallel(late, async ({ id, masterId }) => {
      told.add(id);
      const member = members.find((one) => one.id === id);
      if (!member) return;
      try {
        await context.connections.ask(parseAddress(member.address), ['CLUSTER', 'REPLICATE', masterId]);
        context.emit({ type: 'replica-set', node: member.address, master: nameOf(members, masterId) });
      } catch {
        // A master without slots refuses if it holds keys, which it would lose. The wait says what is missing.
        context.signal?.throwIfAborted();
      }
    });
  };
}

/**
 * Nodes that know a master which they are to follow, and follow another or none. A master with slots is not among them: its slots
 * have to move first.
 */
export function lateFollowers(
  replicas: NonNullable<Expectation['replicas']>,
  answers: Answers,
): NonNullable<Expectation['replicas']> {
  return replicas.filter(({ id, masterId }) => {
    const report = answers.get(id);
    if (report === undefined || report instanceof Error) return false;
    const { myself, records } = report;
    const isKnown = records.some((one) => one.id === masterId && one.role === 'master');
    return isKnown && myself.slots.length === 0 && myself.masterId !== masterId;
  });
}

function nameOf(members: Expectation['members'], id: string): string {
  return members.find((one) => one.id === id)?.address ?? id;
}
