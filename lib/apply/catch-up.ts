import { parseAddress } from '../model/address.ts';
import type { Answers } from '../model/expectation.ts';
import type { NodeRecord } from '../model/node.ts';
import type { SlotRange } from '../model/slot.ts';
import type { Nudge } from '../nodes/agreement.ts';
import type { Context } from '../nodes/context.ts';
import { MEET_AGAIN_MS, meetCommand } from '../nodes/meet-command.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { NodeRef } from '../plan/plan.ts';

/**
 * Makes nodes learn sooner what others own and whose replicas they are.
 *
 * A node reports that only about itself, with every packet. After a handshake one of the two nodes knows it, and the other learns
 * it with the next packet (clusterProcessPacket: slots and masters are accepted only from senders that are already known). By
 * default that may be 7.5 s later, half of the node timeout. MEET makes a node send a packet at once, and a receiver that already
 * knows it handles that like any other.
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
        // Gossip spreads it anyway, only later.
      }
    });
  };
}

/** Nodes that know a node but not what it reports about itself: its slots, its role, its master. */
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
