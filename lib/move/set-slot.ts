import type { Command, Reply } from '../../resp/index.ts';
import { ReplyError } from '../../resp/index.ts';
import { type Address, parseAddress } from '../model/address.ts';
import type { Connections } from '../nodes/connections.ts';
import type { Context } from '../nodes/context.ts';
import { countCommand } from '../nodes/count-keys.ts';
import { askDatabase, askInfo, type NodeInfo, numberOf } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import { askServer, readServer } from '../nodes/server.ts';
import type { Unveil } from '../nodes/stray-keys.ts';
import { transact } from '../nodes/transact.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Ends } from './ends.ts';
import { endHungLinks } from './hung-replicas.ts';

// Every SETSLOT is sent from this file. What it knows about the command:
// - A Valkey with replicas answers once all of them have it. If one hangs, it does nothing and answers NOREPLICAS after two
//   seconds, until `repl-timeout` ends the link of that replica. So one slot is tried before all others, the link of a replica that
//   has failed is ended, and the other slots are spread over connections.
// - SETSLOT in a transaction crashes a Valkey that has replicas (an assertion in `execCommand`). Redis accepts it there.
// - A Valkey puts SETSLOT off like a write while a manual failover pauses its clients, until the failover is done or is given
//   up after five seconds (CLUSTER_MF_TIMEOUT). Then it may wait two seconds for a replica that hangs: seven, measured, with no
//   answer.
// - Some refusals mean that nothing is left to do: see `RefusalReason`.

/**
 * Connections to spread SETSLOT over if a node waits for replicas: it runs the commands of one connection one by one. Redis
 * answers at once, and saves its configuration once for everything it has read of one connection, some 200 commands.
 */
const WAITING_LANES = 16;
/** So few slots are not worth another connection. */
const MIN_SHARE = 8;
/**
 * Slots sent at once on one connection to a node that waits for replicas. If a replica starts to hang, each costs two seconds.
 */
const MAX_SHARE = 32;

/** A form of it that no server carries out: it shows whether the user may run it. */
export const SETSLOT_QUESTION: Command = ['CLUSTER', 'SETSLOT', 'x', 'STABLE'];

/** Milliseconds that a node with replicas may need for SETSLOT beyond the time for any command. */
const PAUSED_MS = 7000;

/** The state that SETSLOT gives a slot on a node. */
export type SlotState =
  | readonly [state: 'IMPORTING' | 'MIGRATING' | 'NODE', id: string]
  | readonly [state: 'STABLE'];

/** A node that SETSLOT is sent to. */
export interface Receiver {
  readonly connections: Connections;
  readonly address: Address;
  /** True if it answers SETSLOT once its replicas have it, or after waiting two seconds in vain: Valkey 8.0 and newer. */
  readonly waitsForReplicas: boolean;
  /** Milliseconds that a node may take for any command; 0 for no limit. */
  readonly commandTimeout: number;
  /** Keeps replicas that hang from being waited for. Resolves to false if there is none of which that is certain. */
  readonly endHungLinks?: () => Promise<boolean>;
}

/** A node of a move: one of its ends, or a master that learns the new owner. */
export function receiverIn({ context, waitsForReplicas }: Ends, node: NodeRef): Receiver {
  return receiverAt(context, parseAddress(node.address), waitsForReplicas);
}

function receiverAt(context: Context, address: Address, waitsForReplicas: boolean): Receiver {
  const { connections, settings } = context;
  return {
    ...{ connections, address, waitsForReplicas, commandTimeout: settings.commandTimeout },
    endHungLinks: () => endHungLinks(context, address),
  };
}

/**
 * Why a node refuses SETSLOT.
 * - `is-replica`: a master that gave its last slot away is a replica of the receiver, and needs no SETSLOT.
 * - `owns-already`: it should import a slot that it owns. A Valkey takes a slot on its own if it imports it and the source has
 *   closed it.
 * - `does-not-own`: it should give away a slot that it does not own.
 * - `no-replicas`: one of its replicas hangs. It has done nothing.
 * - `unknown-node`: it does not know the node that is named. It was told to forget it, or was never introduced to it.
 */
export type RefusalReason =
  | 'is-replica'
  | 'owns-already'
  | 'does-not-own'
  | 'no-replicas'
  | 'unknown-node'
  | 'other';

export interface Refusal {
  readonly slot: number;
  readonly reason: RefusalReason;
  readonly error: ReplyError;
}

/** The outcome for slots. Those in neither list were not sent: a replica hangs. */
export interface SetSlots {
  /** Slots whose every state was accepted. */
  readonly set: readonly number[];
  readonly refusals: readonly Refusal[];
}

/**
 * Sets slots to a state on a node, or to several states one after the other. If a replica of the node hangs and
 * its link cannot be ended, only one slot is sent, and the refusal is `no-replicas`.
 * To a node that does not wait for replicas, the commands are sent before this function returns, on its first connection.
 */
export async function setSlots(
  receiver: Receiver,
  slots: readonly number[],
  state: SlotState | ((slot: number) => readonly SlotState[]),
): Promise<SetSlots> {
  const statesOf = typeof state === 'function' ? state : (): readonly SlotState[] => [state];
  if (slots.length === 0) return { set: [], refusals: [] };
  if (!receiver.waitsForReplicas) return send(receiver, slots, statesOf, 0);
  let first = await tryOne(receiver, slots.slice(0, 1), statesOf);
  if (hangs(first) && (await receiver.endHungLinks?.()))
    first = await tryOne(receiver, slots.slice(0, 1), statesOf);
  let isHung = hangs(first);
  const rest = await inParallel(
    sharesOf(slots.slice(1)),
    async (share, index) => {
      if (isHung) return { set: [], refusals: [] };
      const outcome = await send(receiver, share, statesOf, index % WAITING_LANES);
      isHung ||= hangs(outcome);
      return outcome;
    },
    WAITING_LANES,
  );
  const all = [first, ...rest];
  return { set: all.flatMap(({ set }) => set), refusals: all.flatMap(({ refusals }) => refusals) };
}

/** `setSlots` outside a move: first asks the node whether it waits, and afterwards ends the connections that it used. */
export async function setSlotsAt(
  context: Context,
  node: NodeRef,
  slots: readonly number[],
  state: SlotState | ((slot: number) => readonly SlotState[]),
): Promise<SetSlots> {
  if (slots.length === 0) return { set: [], refusals: [] };
  const { connections } = context;
  const address = parseAddress(node.address);
  const info = await askInfo(connections, address, ['server', 'replication']);
  const receiver = receiverAt(context, address, willWaitForReplicas(info));
  return setSlots(receiver, slots, state).finally(() => connections.closeLanes(address));
}

/** From the server and replication sections of INFO. */
export function willWaitForReplicas(info: NodeInfo): boolean {
  return readServer(info).capabilities.waitsForReplicas && numberOf(info, 'connected_slaves') > 0;
}

/** The first refusal, except for these reasons, which mean that nothing is left to do. */
export function refusalBut({ refusals }: SetSlots, ...fine: readonly RefusalReason[]): Refusal | undefined {
  return refusals.find(({ reason }) => !fine.includes(reason));
}

/** What to do about a refusal, if the server's words do not say it. */
export function hintOn({ reason }: Refusal, address: string): string | undefined {
  return reason === 'no-replicas'
    ? `A replica of ${address} does not answer: bring it back first`
    : undefined;
}

function hangs({ refusals }: SetSlots): boolean {
  return refusals.some(({ reason }) => reason === 'no-replicas');
}

function sharesOf(slots: readonly number[]): number[][] {
  const size = Math.min(MAX_SHARE, Math.max(MIN_SHARE, Math.ceil(slots.length / WAITING_LANES)));
  return Array.from({ length: Math.ceil(slots.length / size) }, (_, index) =>
    slots.slice(index * size, (index + 1) * size),
  );
}

// State by state: if a replica hangs, each command sent costs two seconds.
async function tryOne(
  receiver: Receiver,
  slot: readonly number[],
  statesOf: (slot: number) => readonly SlotState[],
): Promise<SetSlots> {
  const refusals: Refusal[] = [];
  for (const state of slot.flatMap(statesOf)) {
    const outcome = await send(receiver, slot, () => [state], 0);
    refusals.push(...outcome.refusals);
    if (hangs(outcome)) break;
  }
  return { set: refusals.length === 0 ? slot : [], refusals };
}

async function send(
  receiver: Receiver,
  slots: readonly number[],
  statesOf: (slot: number) => readonly SlotState[],
  lane: number,
): Promise<SetSlots> {
  const asked = slots.flatMap((slot) => statesOf(slot).map((state) => ({ slot, state })));
  const commands = asked.map(({ slot, state }) => commandFor(slot, state));
  const { connections, address } = receiver;
  const replies = await connections.askAll(address, commands, { lane, timeout: timeoutOf(receiver) });
  const refusals: Refusal[] = [];
  for (const [index, { slot }] of asked.entries()) {
    const error = replies[index];
    if (error instanceof ReplyError) refusals.push({ slot, reason: reasonOf(error), error });
  }
  const refused = new Set(refusals.map(({ slot }) => slot));
  return { set: slots.filter((slot) => !refused.has(slot)), refusals };
}

function timeoutOf({ waitsForReplicas, commandTimeout }: Omit<Receiver, 'connections' | 'address'>): number {
  return waitsForReplicas && commandTimeout > 0 ? commandTimeout + PAUSED_MS : commandTimeout;
}

function commandFor(slot: number, state: SlotState): Command {
  return ['CLUSTER', 'SETSLOT', slot, ...state];
}

// Servers answer all but one of these with the code ERR (clusterCommandSetSlot).
function reasonOf(error: ReplyError): RefusalReason {
  const { code, message } = error;
  if (code === 'NOREPLICAS') return 'no-replicas';
  if (message.includes('Please use SETSLOT only with masters')) return 'is-replica';
  if (message.includes('already the owner of hash slot')) return 'owns-already';
  if (message.includes('not the owner of hash slot')) return 'does-not-own';
  if (isUnknownNode(error)) return 'unknown-node';
  return 'other';
}

/** True of what a node says that does not know the node it is told about: NODE answers in other words than IMPORTING and MIGRATING. */
export function isUnknownNode({ message }: ReplyError): boolean {
  return /unknown node|don't know about node/i.test(message);
}

/**
 * Makes the target of a move stop importing slots. Resolves to those of which it held no key at that moment. A target that hides
 * keys afterwards counts them in the same transaction. No other node gets one: SETSLOT in a transaction crashes a Valkey that has
 * replicas (an assertion in `execCommand`).
 */
export async function closeWithoutKeys(ends: Ends, slots: readonly number[]): Promise<number[]> {
  if (slots.length === 0) return [];
  const { context, targetAddress, targetHidesKeys } = ends;
  const close = (slot: number): Command => commandFor(slot, ['STABLE']);
  if (targetHidesKeys) {
    const replies = await context.connections.askAll(
      targetAddress,
      slots.flatMap((slot) => [['MULTI'], countCommand(slot), close(slot), ['EXEC']]),
    );
    const isEmptied = (reply: Reply | undefined): boolean =>
      Array.isArray(reply) && reply[0] === 0 && reply[1] === 'OK';
    return slots.filter((_, index) => isEmptied(replies[4 * index + 3]));
  }
  const replies = await context.connections.askAll(
    targetAddress,
    slots.flatMap((slot) => [close(slot), countCommand(slot)]),
    { timeout: timeoutOf(receiverIn(ends, ends.target)) },
  );
  return slots.filter((_, index) => replies[2 * index] === 'OK' && replies[2 * index + 1] === 0);
}

/**
 * Asks a node about slots. A node that hides keys imports each slot from itself within a transaction, which no client sees. No
 * other node gets one: SETSLOT in a transaction crashes a Valkey that has replicas (an assertion in `execCommand`).
 */
export const askUnveiled: Unveil = async (connections, { address, myself }, db, slots, question) => {
  const { capabilities } = await askServer(connections, address);
  if (!capabilities.hidesKeys) return askDatabase(connections, address, db, slots.map(question));
  const commands = slots.flatMap((slot): Command[] => [
    commandFor(slot, ['IMPORTING', myself.id]),
    question(slot),
    commandFor(slot, ['STABLE']),
  ]);
  const replies = await transact(connections, address, db, commands);
  return slots.map((_, index) => replies[3 * index + 1] as Reply);
};
