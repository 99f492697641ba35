import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import { type Estranged, estranged } from '../../model/acquaintance.ts';
import { parseAddress } from '../../model/address.ts';
import type { Answers } from '../../model/expectation.ts';
import { NodeLines } from '../../model/node-lines.ts';
import type { NodeReport } from '../../model/view.ts';
import { waitForAgreement } from '../../nodes/agreement.ts';
import type { Context } from '../../nodes/context.ts';
import { askNode } from '../../nodes/look.ts';
import { MEET_AGAIN_MS, meetCommand } from '../../nodes/meet-command.ts';
import { commandRefused } from '../../nodes/must-do.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { DONE, waitUntil } from '../../nodes/wait-until.ts';
import type { NodeRef, StepOf } from '../../plan/plan.ts';
import { BAN_MS } from '../new-id.ts';
import { whileServersRecover } from '../node-timeout.ts';

type MeetAgain = StepOf<'meet-again'>;

const WHAT = 'the members to find one another';
/** By then each node has had a packet from most others, and with it the ids that these have banned. */
const HOLD_MS = 5000;
const PAUSE_MS = 250;

interface Pair {
  readonly by: NodeRef;
  readonly node: NodeRef;
  readonly why: Estranged | 'itself';
}

/**
 * Introduces members again to those that do not find them, and waits until all find one another.
 *
 * A node that meets another whose id it knows takes the new address for it (clusterProcessPacket, "Handshake: we already know node"),
 * and the other learns from the next PING where the first one is (nodeUpdateAddressIfNeeded).
 */
export async function meetAgain(context: Context, step: MeetAgain): Promise<void> {
  const reports = await askMembers(context, step);
  await whileServersRecover(context, step, reports, (patient) => meetAndHold(patient, step, reports));
}

async function meetAndHold(context: Context, step: MeetAgain, reports: Reports): Promise<void> {
  const pairs = unmetPairs(step, reports);
  const mayBeBanned = pairs.some(({ why }) => why === 'unknown');
  await introduceAll(mayBeBanned ? untilBanEnds(context) : context, step, pairs);
  if (!mayBeBanned || (await holds(context, step))) return;
  const [node] = step.nodes;
  context.emit({
    type: 'warning',
    ...(node ? { node: node.address } : {}),
    message: 'Members forget a node again that was introduced to them: its id is banned for a minute',
  });
  await waitOutBan(context);
  await introduceAll(context, step, unmetPairs(step, await askMembers(context, step)));
}

/**
 * The same with time for a ban to end: FORGET bans an id for a minute, and since Redis 7.2 that spreads by gossip, even to members that
 * have met the node again since (CLUSTERMSG_EXT_TYPE_FORGOTTEN_NODE). All that time they may forget the node faster than they agree.
 */
function untilBanEnds(context: Context): Context {
  const { settings } = context;
  if (!settings.agreeTimeoutGrows) return context;
  return { ...context, settings: { ...settings, agreeTimeout: settings.agreeTimeout + BAN_MS } };
}

type Reports = ReadonlyMap<string, NodeReport>;

async function askMembers({ connections, signal }: Context, { members }: MeetAgain): Promise<Reports> {
  const lines = new NodeLines();
  const reports = await inParallel(members, async ({ id, address }) => {
    const report = await askNode(connections, parseAddress(address), signal, lines);
    return [id, report] as const;
  });
  return new Map(reports);
}

async function introduceAll(context: Context, step: MeetAgain, pairs: readonly Pair[]): Promise<void> {
  const { members, serving } = step;
  for (const { by, node } of pairs) context.emit({ type: 'node-meet', node: node.address, by: by.address });
  await meetAll(context, pairs);
  let last = performance.now();
  const expected = { members, stateOk: serving, allAnswer: true };
  await waitForAgreement(context, expected, WHAT, async (_missing, answers) => {
    if (performance.now() - last < MEET_AGAIN_MS) return;
    last = performance.now();
    // A lost connection may be back with the next look.
    await meetAll(context, unmetPairs(step, answers)).catch((error: unknown) => {
      if (!(error instanceof ConnectionError)) throw error;
    });
  });
}

/** Who has to meet whom. */
export function unmetPairs({ nodes, members }: MeetAgain, answers: Answers): Pair[] {
  const found = new Map<string, Pair>();
  const add = (by: NodeRef, node: NodeRef, why: Pair['why']): void => {
    const key = `${by.id} ${node.id}`;
    if (!found.has(key)) found.set(key, { by, node, why });
  };
  const missed = new Set(nodes.map(({ id }) => id));
  for (const by of members) {
    const report = answers.get(by.id);
    if (!isReport(report)) continue;
    for (const node of members) {
      if (node.id === by.id || !(missed.has(node.id) || missed.has(by.id))) continue;
      const why = estranged(report, node.id);
      if (!why) continue;
      add(by, node, why);
      if (why !== 'no-link') add(node, by, 'itself');
    }
    const other = members.find(({ id }) => id !== by.id);
    // It learns its own address from the packet.
    if (other && missed.has(by.id) && report.myself.address.host !== parseAddress(by.address).host)
      add(other, by, 'itself');
  }
  return [...found.values()];
}

function isReport(answer: NodeReport | Error | undefined): answer is NodeReport {
  return answer !== undefined && !(answer instanceof Error);
}

async function meetAll(context: Context, pairs: readonly Pair[]): Promise<void> {
  const byNode = new Map<NodeRef, NodeRef[]>();
  for (const { by, node } of pairs) byNode.set(by, [...(byNode.get(by) ?? []), node]);
  await inParallel([...byNode], async ([by, nodes]) => {
    context.signal?.throwIfAborted();
    const commands = await Promise.all(nodes.map((node) => meetCommand(context, node)));
    const replies = await context.connections.askAll(parseAddress(by.address), commands);
    for (const [index, reply] of replies.entries()) {
      if (!(reply instanceof ReplyError)) continue;
      const what = `introduce ${nodes[index]?.address} to ${by.address}`;
      throw commandRefused(context, by.address, what, reply);
    }
  });
}

/** False as soon as a member no longer knows another. */
async function holds(context: Context, { members }: MeetAgain): Promise<boolean> {
  const started = performance.now();
  const { signal, emit, connections } = context;
  const missing = ['An id may be banned: the members must keep it'];
  return waitUntil({ what: WHAT, pauseMs: PAUSE_MS, signal, emit }, async () => {
    const counts = await inParallel(members, async ({ address }) => {
      const { records } = await askNode(connections, parseAddress(address), signal);
      return members.every(({ id }) => records.some((record) => record.id === id));
    });
    if (!counts.every(Boolean)) return { done: false };
    return performance.now() - started >= HOLD_MS ? { done: true } : { missing };
  });
}

async function waitOutBan({ signal, emit }: Context): Promise<void> {
  const started = performance.now();
  const wait = { what: 'the ban of a node id to end', pauseMs: PAUSE_MS, signal, emit };
  await waitUntil(wait, () =>
    performance.now() - started >= BAN_MS
      ? DONE
      : { missing: ['A node id was forgotten within the last minute'] },
  );
}
