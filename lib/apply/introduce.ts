import { isIP } from 'node:net';
import { ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { type Address, formatAddress, hasDefaultBusPort, parseAddress } from '../model/address.ts';
import type { Unmet } from '../model/expectation.ts';
import type { NodeRef, Step } from '../plan/plan.ts';
import { waitForAgreement } from './agree.ts';
import { type Context, nodeError } from './context.ts';
import { inParallel } from './parallel.ts';

type MeetStep = Extract<Step, { type: 'meet' }>;

/** A new node is introduced to this many members at once: gossip from several spreads it sooner than from one. */
const INTRODUCTIONS = 8;
/** Handshakes are dropped by servers after the node timeout, one second at least, so a lost MEET is sent again then. */
const MEET_AGAIN_MS = 1200;

/**
 * Makes `nodes` known to `to`, and one another, and waits until all agree and, if asked for, serve.
 *
 * A node id that was forgotten is refused by gossip for a minute, but not by MEET: whoever does not know a node after
 * a while is told directly.
 */
export async function introduce(context: Context, { nodes, to, serving }: MeetStep): Promise<void> {
  const members = [...to, ...nodes];
  const byId = new Map(members.map((member) => [member.id, member]));
  const pairs =
    to.length === 0
      ? ringPairs(nodes)
      : nodes.flatMap((node) => to.slice(0, INTRODUCTIONS).map((by) => ({ by, node })));
  await inParallel(pairs, ({ by, node }) => meet(context, by, node));
  let last = performance.now();
  await waitForAgreement(
    context,
    { members, stateOk: serving },
    'the nodes to know one another',
    async (missing) => {
      if (performance.now() - last < MEET_AGAIN_MS) return;
      last = performance.now();
      await inParallel(strangers(missing, members, byId), ({ by, node }) =>
        meet(context, by, node).catch(() => undefined),
      );
    },
  );
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
  const target: Address = {
    ...parseAddress(node.address),
    ...(node.busPort === undefined ? {} : { busPort: node.busPort }),
  };
  const ip = await resolveHost(target);
  const busPort = hasDefaultBusPort(target) ? [] : [target.busPort ?? 0];
  context.emit({ type: 'node-meet', node: node.address, by: by.address });
  try {
    await context.connections.ask(parseAddress(by.address), ['CLUSTER', 'MEET', ip, target.port, ...busPort]);
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    throw nodeError(
      'NODE_UNREACHABLE',
      by.address,
      `Cannot introduce ${node.address} to ${by.address}: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

/** CLUSTER MEET takes IP addresses only. Resolves to the host itself if it is one. */
async function resolveHost(address: Address): Promise<string> {
  if (isIP(address.host) !== 0) return address.host;
  try {
    const { lookup } = await import('node:dns/promises');
    return (await lookup(address.host)).address;
  } catch (error) {
    const shown = formatAddress(address);
    throw nodeError(
      'NODE_UNREACHABLE',
      shown,
      `Cannot resolve the host name of ${shown}: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}
