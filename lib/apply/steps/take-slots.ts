import { ReplyError } from '../../../resp/index.ts';
import { ClusterError, messageOf } from '../../errors.ts';
import { parseAddress } from '../../model/address.ts';
import { claimsBySlot, expandSlots } from '../../model/slot.ts';
import { hearOfEpoch } from '../../move/epochs.ts';
import { refusalBut, setSlotsAt } from '../../move/set-slot.ts';
import { requireKnownTo, unknownNode } from '../../move/unknown-node.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { askNode, isNoClusterNode } from '../../nodes/look.ts';
import { inParallel } from '../../nodes/parallel.ts';
import type { NodeRef, StepOf } from '../../plan/plan.ts';

/**
 * Takes slots that have no owner, or whose owner has failed. A taker that considers another node the owner needs IMPORTING and
 * NODE; one that knows no owner needs ADDSLOTS. BUMPEPOCH comes first: all nodes, even the lost owner if it comes back, follow a
 * config epoch above that owner's. With a lower one the owner would take its slots back, and values written to them since would
 * be lost.
 * The other masters are told too, except those in `hung`: a replica of theirs hangs, and each step would wait for it. They learn
 * it by gossip, as does a master that is added to `hung`.
 */
export async function takeSlots(
  context: Context,
  step: StepOf<'take-slots'>,
  masters: readonly NodeRef[],
  hung: Set<string>,
): Promise<void> {
  const { connections } = context;
  const address = parseAddress(step.node.address);
  const others = masters.filter(({ id }) => id !== step.node.id && !hung.has(id));
  await requireKnownTo(context, step.node, others);
  await hearOfEpoch(context, step.node, masters);
  const { records, myself } = await askNode(connections, address);
  const owned = new Set(expandSlots(myself.slots));
  if (!step.isBegun) await requireStillGone(context, step, owned);
  const seen = claimsBySlot(records);
  const slots = expandSlots(step.slots).filter((slot) => !owned.has(slot));
  const claimed = slots.filter((slot) => seen[slot] !== undefined);
  const unclaimed = slots.filter((slot) => seen[slot] === undefined);
  const bumped = await connections.askAll(address, [['CLUSTER', 'BUMPEPOCH']]);
  const taken = await setSlotsAt(context, step.node, claimed, (slot) => {
    const owner = seen[slot];
    return owner === undefined
      ? []
      : [
          ['IMPORTING', owner],
          ['NODE', step.node.id],
        ];
  });
  const added = await connections.askAll(
    address,
    unclaimed.map((slot) => ['CLUSTER', 'ADDSLOTS', slot]),
  );
  const refused =
    [...bumped, ...added].find((reply) => reply instanceof Error) ?? refusalBut(taken, 'owns-already')?.error;
  if (refused) {
    throw nodeError(
      'SLOTS_UNCOVERED',
      step.node.address,
      `Cannot give lost slots to ${step.node.address}: ${messageOf(refused)}`,
      {
        cause: refused,
        resumable: 'same-call',
        hint: 'It keeps the slots that it has taken',
        next: [{ do: 'retry', when: 'repaired' }],
      },
    );
  }
  context.emit({ type: 'slots-assigned', node: step.node.address, slots: slots.length });
  await inParallel(others, (master) =>
    tellMaster(context, master, step, hung).catch((error: unknown) => {
      if (error instanceof ClusterError) throw error;
      context.emit({
        type: 'warning',
        node: master.address,
        message: `${master.address} could not be told: ${messageOf(error)}`,
      });
    }),
  );
}

/** A node that was frozen is heard soon once it runs again; one that is gone is mostly refused at once. */
const GONE_MS = 1000;

// A node may come back between the look and this step: taken from it now, the slots would lose keys that clients could have.
async function requireStillGone(
  { connections }: Context,
  { node, slots, from }: StepOf<'take-slots'>,
  owned: ReadonlySet<number>,
): Promise<void> {
  // Taken by an earlier run: what is left is to tell the others.
  if (expandSlots(slots).every((slot) => owned.has(slot))) return;
  await inParallel([...from], async ({ id, address }) => {
    if (address.startsWith(':')) return;
    const answer = await connections
      .askSoon(parseAddress(address), ['CLUSTER', 'MYID'], GONE_MS)
      .catch((error: unknown) => error);
    const isBack = answer instanceof ReplyError ? !isNoClusterNode(answer) : answer === id;
    if (!isBack) return;
    throw nodeError(
      'NODES_DISAGREE',
      address,
      `Cannot give slots of ${address} to ${node.address}: ${address} answers again`,
      { hint: 'It has its keys', resumable: 'same-call', next: [{ do: 'check', cluster: node.address }] },
    );
  });
}

async function tellMaster(
  context: Context,
  master: NodeRef,
  { node, slots }: StepOf<'take-slots'>,
  hung: Set<string>,
): Promise<void> {
  const told = await setSlotsAt(context, master, expandSlots(slots), ['NODE', node.id]);
  const refused = refusalBut(told, 'is-replica');
  if (refused?.reason === 'no-replicas') hung.add(master.id);
  if (refused?.reason === 'unknown-node') throw unknownNode(node, [master], { cause: refused.error });
  if (refused) throw refused.error;
}
