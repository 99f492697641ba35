import { ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { Unmet } from '../model/expectation.ts';
import type { NodeRef, Step } from '../plan/plan.ts';
import { waitForAgreement } from './agree.ts';
import { catchUp } from './catch-up.ts';
import { type Context, nodeError } from './context.ts';
import { MEET_AGAIN_MS, meetCommand } from './meet.ts';
import { inParallel } from './parallel.ts';

type MeetStep = Extract<Step, { type: 'meet' }>;

/** A new node is introduced to this many members at once: gossip from several spreads it sooner than from one. */
const INTRODUCTIONS = 8;
/**
 * Makes `nodes` known to `to`, and one another, and waits until all agree and, if asked for, serve.
 *
 * A node id that was forgotten is refused by gossip for a minute, but not by MEET: whoever does not know a node after
 * a while is told directly.
 */
export async function introduce(context: Context, { nodes, to, serving }: MeetStep): Promise<void> {
  if (to.length === 0) await setOwnEpochs(context, nodes);
  const members = [...to, ...nodes];
  const byId = new Map(members.map((member) => [member.id, member]));
  const pairs =
    to.length === 0
      ? ringPairs(nodes)
      : nodes.flatMap((node) => to.slice(0, INTRODUCTIONS).map((by) => ({ by, node })));
  await inParallel(pairs, ({ by, node }) => meet(context, by, node));
  const hear = catchUp(context, members);
  let last = performance.now();
  await waitForAgreement(
    context,
    { members, stateOk: serving },
    'the nodes to know one another',
    async (missing, answers) => {
      // Whoever is to be made a replica first has more to tell then.
      if (serving) await hear(missing, answers);
      if (performance.now() - last < MEET_AGAIN_MS) return;
      last = performance.now();
      await inParallel(strangers(missing, members, byId), ({ by, node }) =>
        meet(context, by, node).catch(() => undefined),
      );
    },
  );
}

// Masters with one config epoch, those without slots among them, take new ones in turn, each saved to disk at once
// (clusterHandleConfigEpochCollision): among a hundred that are yet to become replicas this goes on for seconds. Those that have
// an epoch refuse another, and keep it.
async function setOwnEpochs(context: Context, nodes: readonly NodeRef[]): Promise<void> {
  await inParallel(nodes, ({ address }, index) => {
    const epoch = nodes.length + index + 1;
    return context.connections.askAll(parseAddress(address), [['CLUSTER', 'SET-CONFIG-EPOCH', epoch]]);
  });
}

// Each node meets those 1, 2, 4, … places on: a star makes one node carry all handshakes, and takes a second longer.
function ringPairs(nodes: readonly NodeRef[]): { by: NodeRef; node: NodeRef }[] {
  const pairs: { by: NodeRef; node: NodeRef }[] = [];
  for (const [index, by] of nodes.entries()) {
    for (let step = 1; step < nodes.length; step *= 2) {
      const node = nodes[(index + step) % nodes.length];
      if (node && node !== by) pairs.push({ by, node });
    }
  }
  return pairs;
}

function strangers(
  missing: readonly Unmet[],
  members: readonly NodeRef[],
  byId: ReadonlyMap<string, NodeRef>,
): { by: NodeRef; node: NodeRef }[] {
  const byAddress = new Map(members.map((member) => [member.address, member]));
  return missing.flatMap(({ node: observer, unknown }) => {
    const by = byAddress.get(observer);
    const node = unknown === undefined ? undefined : byId.get(unknown);
    return by && node ? [{ by, node }] : [];
  });
}

async function meet(context: Context, by: NodeRef, node: NodeRef): Promise<void> {
  const command = await meetCommand(context, node);
  context.emit({ type: 'node-meet', node: node.address, by: by.address });
  try {
    await context.connections.ask(parseAddress(by.address), command);
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    const message = `Cannot introduce ${node.address} to ${by.address}: ${messageOf(error)}`;
    throw nodeError('NODE_UNREACHABLE', by.address, message, { cause: error });
  }
}
