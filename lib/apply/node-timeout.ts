import { ConnectionError, ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { SHORT_NODE_TIMEOUT_MS } from '../model/setup.ts';
import type { NodeReport } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { askNodeTimeouts, NODE_TIMEOUT } from '../nodes/node-timeout.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { NodeRef, StepOf } from '../plan/plan.ts';

/** A wait of this many node timeouts, and as many milliseconds more for a busy machine. */
const [TIMEOUTS, SPARE_MS] = [3, 15_000];
const WORTH_SAYING_MS = 10_000;

/**
 * Runs work after which members serve again. If most masters say that they do not serve, it may take them a while: masters that meet
 * again report a third one to each other that neither has met yet, and declare it failed. They take that back after twice the node
 * timeout (clearNodeFailureIfNeeded), and serve after up to another one (clusterUpdateState): by default after half a minute or more.
 *
 * A step with `isFast` sets the node timeout to two seconds in the meantime, and then to what each node had; the configuration file is not
 * touched. Otherwise, and if a node refuses that, the wait is as long as that, unless told otherwise.
 */
export async function whileServersRecover<Result>(
  context: Context,
  { members, serving, isFast }: StepOf<'meet-again'>,
  reports: ReadonlyMap<string, NodeReport>,
  work: (context: Context) => Promise<Result>,
): Promise<Result> {
  const voters = [...reports.values()].filter(
    ({ myself }) => myself.role === 'master' && myself.slots.length > 0,
  );
  const down = voters.filter(({ info }) => info.state !== 'ok').length;
  if (!serving || 2 * down <= voters.length) return work(context);
  const timeouts = await askNodeTimeouts(context, members);
  if (isFast) return withShortTimeout(context, timeouts, work);
  return work(patient(context, timeouts.values()));
}

/** The same with time for members that have these node timeouts. */
function patient(context: Context, timeouts: Iterable<number>): Context {
  const longestMs = TIMEOUTS * Math.max(0, ...timeouts);
  if (longestMs > WORTH_SAYING_MS) {
    const message = `The members may serve again only after ${Math.ceil(longestMs / 1000)} s, three times their ${NODE_TIMEOUT}: each holds masters for failed that it has not met yet`;
    context.emit({ type: 'warning', message });
  }
  const { settings } = context;
  if (!settings.agreeTimeoutGrows) return context;
  const agreeTimeout = Math.max(settings.agreeTimeout, longestMs + SPARE_MS);
  return { ...context, settings: { ...settings, agreeTimeout } };
}

async function withShortTimeout<Result>(
  context: Context,
  timeouts: ReadonlyMap<NodeRef, number>,
  work: (context: Context) => Promise<Result>,
): Promise<Result> {
  const before = new Map<NodeRef, number>();
  try {
    await inParallel(
      [...timeouts].filter(([, ms]) => ms > SHORT_NODE_TIMEOUT_MS),
      async ([node, ms]) => {
        // Even if the reply is lost, it may have been set.
        before.set(node, ms);
        const address = parseAddress(node.address);
        const command = ['CONFIG', 'SET', NODE_TIMEOUT, SHORT_NODE_TIMEOUT_MS];
        const [set] = await context.connections.askAll(address, [command]).catch((error: unknown) => [error]);
        if (set instanceof ReplyError) before.delete(node);
        else if (set instanceof Error && !(set instanceof ConnectionError)) throw set;
      },
    );
    if (before.size > 0) {
      const was = [...new Set(before.values())].join(', ');
      const message = `${NODE_TIMEOUT} is ${SHORT_NODE_TIMEOUT_MS} on ${before.size} nodes until they serve; it was ${was}`;
      context.emit({ type: 'warning', message });
    }
    const left = [...timeouts].flatMap(([node, ms]) => (before.has(node) ? [] : [ms]));
    return await work(patient(context, left));
  } finally {
    await inParallel([...before], ([node, ms]) => restore(context, node, ms));
  }
}

async function restore({ connections, emit }: Context, { address }: NodeRef, ms: number): Promise<void> {
  try {
    await connections.ask(parseAddress(address), ['CONFIG', 'SET', NODE_TIMEOUT, ms]);
  } catch (error) {
    if (!(error instanceof ReplyError || error instanceof ConnectionError)) throw error;
    const message = `Cannot set ${NODE_TIMEOUT} of ${address} to ${ms} again, it is ${SHORT_NODE_TIMEOUT_MS}: ${messageOf(error)}`;
    emit({ type: 'warning', node: address, message });
  }
}
