import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { formatAddress } from '../model/address.ts';
import { slotsOf } from '../model/node.ts';
import { inRanges } from '../model/slot.ts';
import { nodeError } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { MEET_AGAIN_MS, meetCommand } from '../nodes/meet-command.ts';
import { DONE, waitUntil } from '../nodes/wait-until.ts';
import { askSource, askTarget, type Ends, openAtEitherEnd } from './ends.ts';
import { CUT_OFF } from './epochs.ts';
import { awaitLatePackets } from './late-packets.ts';
import { receiverIn, setSlots } from './set-slot.ts';
import type { SharedLock } from './shared-lock.ts';

/** Waits until the target may import slots from the source. `lock` is the one for batches to the target. */
export async function hearSource(ends: Ends, lock: SharedLock): Promise<void> {
  const { context, target, targetTakesImports, targetRemembersUnclaimed, sourceReport } = ends;
  if (targetTakesImports || targetRemembersUnclaimed) await awaitLatePackets(context, target, sourceReport);
  // One at a time, as it changes a setting of the target.
  if (targetRemembersUnclaimed) await lock.exclusive(() => hearClaims(ends));
}

const COVERAGE = 'cluster-require-full-coverage';
const PAUSE_MS = 20;
const GIVE_UP_MS = 15_000;
const LINK_MS = 2000;

/**
 * Makes the target forget that the source did not claim some slots once. A server that remembers this gives the slot to any node that claims
 * it, whatever its config epoch, even after it has taken the slot itself: to the source, by a packet that was sent before the source was
 * told. Then it deletes the keys. It forgets when it handles a packet of the owner whose slots differ from those that it knows
 * (clusterUpdateSlotsConfigWith). So one slot of the source is made unknown to the target until the source claims it again.
 * Does nothing if the user may not do that, or if there is no such slot. Rejects with ClusterError `NOT_REACHED` if the packet does not
 * arrive. Rule 35 (docs/moving-slots.md).
 */
async function hearClaims(ends: Ends): Promise<void> {
  const slot = slotToForget(ends);
  if (slot === undefined) return;
  const required = valueIn((await askTarget(ends, [['CONFIG', 'GET', COVERAGE]]))[0]);
  if (required === undefined) return;
  const setting = (value: string): Command => ['CONFIG', 'SET', COVERAGE, value];
  let isChanged = required === 'yes';
  try {
    // With a slot unknown to it, it would stop serving.
    if (isChanged && (await isRefused(ends, setting('no')))) {
      isChanged = false;
      return;
    }
    if (await isRefused(ends, ['CLUSTER', 'DELSLOTS', slot])) return;
    await awaitClaim(ends, slot);
    await awaitLink(ends);
  } finally {
    if (isChanged) await putBack(ends, setting('yes'));
  }
}

/** A slot of the source as both ends see it, which neither has open. */
function slotToForget(ends: Ends): number | undefined {
  const { source, sourceReport, targetReport } = ends;
  const known = targetReport.records.find(({ id }) => id === source.id)?.slots ?? [];
  const open = openAtEitherEnd(ends);
  return slotsOf(sourceReport.myself).find((slot) => inRanges(slot, known) && !open.has(slot));
}

async function awaitClaim(ends: Ends, slot: number): Promise<void> {
  const { context, source, target } = ends;
  let introducedMs = Number.NEGATIVE_INFINITY;
  const wait = {
    what: `${target.address} to hear which slots ${source.address} owns`,
    timeoutMs: Math.min(context.settings.agreeTimeout, GIVE_UP_MS),
    pauseMs: PAUSE_MS,
    signal: context.signal,
    emit: context.emit,
  };
  try {
    await waitUntil(wait, async () => {
      const { records } = await askNode(context.connections, ends.targetAddress, context.signal);
      if (records.some(({ id, slots }) => id === source.id && inRanges(slot, slots))) return DONE;
      const message = `Packets from ${source.address} do not arrive at ${target.address}`;
      return {
        missing: [message],
        giveUp: () => nodeError('NOT_REACHED', target.address, message, CUT_OFF),
        nudge: async () => {
          if (performance.now() - introducedMs < MEET_AGAIN_MS) return;
          introducedMs = performance.now();
          await introduceAgain(ends);
        },
      };
    });
  } catch (error) {
    await setSlots(receiverIn(ends, target), [slot], ['NODE', source.id]).catch(() => undefined);
    throw error;
  }
}

// The packet came on a new link, for which a server gives up the old one (setClusterNodeToInboundClusterLink). The source soon opens another.
async function awaitLink({ context, sourceAddress, target }: Ends): Promise<void> {
  const { connections, signal } = context;
  const wait = { what: 'links between members', timeoutMs: LINK_MS, pauseMs: PAUSE_MS, signal };
  await waitUntil(wait, async () => {
    const { records } = await askNode(connections, sourceAddress, signal);
    const isLinked = records.some(({ id, linkState }) => id === target.id && linkState === 'connected');
    return isLinked ? DONE : { missing: [], giveUp: () => DONE };
  });
}

// MEET makes the source say at once which slots it owns, instead of within seconds.
async function introduceAgain(ends: Ends): Promise<void> {
  const { context, target, sourceReport } = ends;
  const listed = sourceReport.records.find(({ id }) => id === target.id)?.address;
  if (!listed || listed.host === '' || listed.port === 0) return;
  const { busPort } = listed;
  const node = {
    id: target.id,
    address: formatAddress(listed),
    ...(busPort === undefined ? {} : { busPort }),
  };
  await askSource(ends, [await meetCommand(context, node)]).catch(() => undefined);
}

async function isRefused(ends: Ends, command: Command): Promise<boolean> {
  const [reply] = await askTarget(ends, [command]);
  return reply instanceof ReplyError;
}

async function putBack(ends: Ends, command: Command): Promise<void> {
  const { context, target } = ends;
  const [reply] = await askTarget(ends, [command]).catch((error: Error) => [error]);
  if (!(reply instanceof Error)) return;
  const message = `${target.address} did not confirm ${command.join(' ')}: ${reply.message}`;
  context.emit({ type: 'warning', node: target.address, message });
}

function valueIn(reply: Reply | undefined): string | undefined {
  return Array.isArray(reply) && reply.length > 1 ? String(reply[1]) : undefined;
}
