import { ClusterError, messageOf } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { Connections } from '../nodes/connections.ts';
import { askNode } from '../nodes/look.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import { traceOf } from '../plan/trace.ts';

/**
 * Finds a node of a plan's cluster that answers: the first of the nodes that were members and stay, preferably one that
 * still has its id from the plan. Rejects with ClusterError `NODE_UNREACHABLE` if none answers.
 */
export async function findPlanNode(
  plan: Plan,
  options: ConnectionOptions & ControlOptions = {},
): Promise<string> {
  const { newcomers, leavers } = traceOf(plan);
  const rank = (id: string): number => (newcomers.has(id) ? 2 : 0) + (leavers.has(id) ? 1 : 0);
  const candidates = plan.before
    .filter(({ address }) => !address.startsWith(':'))
    .toSorted((a, b) => rank(a.id) - rank(b.id));
  const connections = new Connections(options);
  let answering: string | undefined;
  let failure: unknown;
  try {
    for (const { id, address } of candidates) {
      options.signal?.throwIfAborted();
      try {
        if ((await askNode(connections, parseAddress(address), options.signal)).myself.id === id)
          return address;
        answering ??= address;
      } catch (error) {
        options.signal?.throwIfAborted();
        failure ??= error;
      }
    }
  } finally {
    await connections.close();
  }
  if (answering !== undefined) return answering;
  if (failure !== undefined && candidates.length === 1) throw failure;
  const why = failure === undefined ? 'it names none' : messageOf(failure);
  throw new ClusterError('NODE_UNREACHABLE', `No node of the plan answers: ${why}`, {
    hint: 'Make sure that the servers are running, and check how they are reached: address map, user and TLS',
  });
}
