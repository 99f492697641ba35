import { parseAddress } from '../model/address.ts';
import type { Answers } from '../model/expectation.ts';
import type { NodeRecord } from '../model/node.ts';
import type { SlotRange } from '../model/slot.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Nudge } from './agree.ts';
import type { Context } from './context.ts';
import { MEET_AGAIN_MS, meetCommand } from './meet.ts';
import { inParallel } from './parallel.ts';

/**
 * Makes nodes hear sooner what others own and whose replicas they are.
 *
 * A node tells that of itself alone, with every packet. Of two nodes that shake hands one has it after that, and the other with
 * the next packet (clusterProcessPacket: slots and masters are taken from senders that are known already), which by default may be 7.5 s
 * later: half of the node timeout. MEET makes a node send a packet at once, and one that knows it already takes that
 * as any other.
 */
export function catchUp(context: Context, members: readonly NodeRef[]): Nudge {
  const byId = new Map(members.map((member) => [member.id, member]));
  const told = new Map<string, number>();
  return async (_missing, answers) => {
    const now = performance.now();
    const bySpeaker = new Map<NodeRef, NodeRef[]>();
    for (const { speaker, listener } of outdated(answers)) {
      const [by, to] = [byId.get(speaker), byId.get(listener)];
      const key = `${speaker} ${listener}`;
      if (!by || !to || now - (told.get(key) ?? Number.NEGATIVE_INFINITY) < MEET_AGAIN_MS) continue;
      told.set(key, now);
      const listeners = bySpeaker.get(by);
      if (listeners) listeners.push(to);
      else bySpeaker.set(by, [to]);
    }
    await inParallel([...bySpeaker], async ([by, listeners]) => {
      context.signal?.throwIfAborted();
      try {
        const commands = await Promise.all(listeners.map((node) => meetCommand(context, node)));
        await context.connections.askAll(parseAddress(by.address), commands);
      } catch {
        // Gossip brings it all the same, only later.
      }
    });
  };
}

/** Listeners that know a node, and not what that says of itself: its slots, its role, its master. */
export function outdated(answers: Answers): { readonly speaker: string; readonly listener: string }[] {
  const own = new Map<string, NodeRecord>();
  for (const [id, answer] of answers) if (!(answer instanceof Error)) own.set(id, answer.myself);
  return [...answers].flatMap(([listener, answer]) =>
    answer instanceof Error
      ? []
      : answer.records.flatMap((record) => {
          const said = own.get(record.id);
          return said && record.id !== listener && differs(record, said)
            ? [{ speaker: record.id, listener }]
            : [];
        }),
  );
}

function differs(heard: NodeRecord, said: NodeRecord): boolean {
  return heard.role !== said.role || heard.masterId !== said.masterId || !sameSlots(heard.slots, said.slots);
}

function sameSlots(some: readonly SlotRange[], others: readonly SlotRange[]): boolean {
  return (
    some.length === others.length &&
    some.every(([first, last], index) => first === others[index]?.[0] && last === others[index]?.[1])
  );
}
