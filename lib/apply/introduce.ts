import { ConnectionError, ReplyError } from '../../resp/index.ts';
import { parseAddress } from '../model/address.ts';
import type { Unmet } from '../model/expectation.ts';
import { waitForAgreement } from '../nodes/agreement.ts';
import type { Context } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { MEET_AGAIN_MS, meetCommand } from '../nodes/meet-command.ts';
import { commandRefused } from '../nodes/must-do.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { NodeRef, Step } from '../plan/plan.ts';
import { catchUp } from './catch-up.ts';
import { membersMayBan, waitOut } from './new-id.ts';

type MeetStep = Extract<Step, { type: 'meet' }>;

/** A new node is introduced to this many members at once: gossip from several spreads faster than from one. */
const INTRODUCTIONS = 8;
/**
 * Makes `nodes` known to `to` and to one another, and waits until all agree and, if asked for, serve.
 *
 * Gossip refuses a node id for a minute after it was forgotten, but MEET does not: a node that still does not know another after
 * a while gets a MEET.
 */
export async function introduce(context: Context, { nodes, to, serving }: MeetStep): Promise<void> {
  if (to.length === 0) await setOwnEpochs(context, nodes);
  else await awaitBans(context, nodes, to.slice(0, INTRODUCTIONS));
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
      // A node that will become a replica has more to tell after that.
      if (serving) await hear(missing, answers);
      if (performance.now() - last < MEET_AGAIN_MS) return;
      last = performance.now();
      await inParallel(unacquainted(missing, members, byId), ({ by, node }) =>
        meet(context, by, node).catch(() => undefined),
      );
    },
  );
}

// A saved plan names the ids that nodes had when it was made.
async function awaitBans(context: Context, nodes: readonly NodeRef[], by: readonly NodeRef[]): Promise<void> {
  const fresh = nodes.filter(({ address }) => !context.account.unbanned.has(address));
  if (fresh.length === 0) return;
  const [reports, members] = await Promise.all(
    [fresh, by].map((some) =>
      inParallel(some, ({ address }) => askNode(context.connections, parseAddress(address), context.signal)),
    ),
  );
  await inParallel(reports ?? [], async (report) => {
    if (await membersMayBan(context, report, members ?? [])) await waitOut(context, report);
  });
}

// Masters with the same config epoch, even those without slots, take new ones in turn, and save each to disk at once
// (clusterHandleConfigEpochCollision). With a hundred that have yet to become replicas this takes seconds. A node that has an
// epoch refuses another, and keeps its own.
async function setOwnEpochs(context: Context, nodes: readonly NodeRef[]): Promise<void> {
  await inParallel(nodes, ({ address }, index) => {
    const epoch = nodes.length + index + 1;
    return context.connections.askAll(parseAddress(address), [['CLUSTER', 'SET-CONFIG-EPOCH', epoch]]);
  });
}

// Each node meets those 1, 2, 4, … places on. In a star one node would carry all handshakes, which takes a second longer.
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

function unacquainted(
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
    // A node that is busy with the handshakes of hundreds may answer late. Whether it has taken the command shows in the wait.
    if (error instanceof ConnectionError && error.code === 'TIMEOUT' && error.sent) return;
    if (!(error instanceof ReplyError)) throw error;
    throw commandRefused(context, by.address, `introduce ${node.address} to ${by.address}`, error);
  }
}
