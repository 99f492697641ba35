import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { type Address, parseAddress } from '../model/address.ts';
import { expandSlots, formatSlots } from '../model/slot.ts';
import type { NodeRef, Step } from '../plan/plan.ts';
import { agreeTimeout, type Context, nodeError } from './context.ts';
import { hearOfEpoch } from './epoch.ts';
import { askNode } from './look.ts';
import { drainSlots } from './mover/drain.ts';
import { askSource, openLink } from './mover/link.ts';
import { countKeyspace } from './newcomer.ts';
import { inParallel } from './parallel.ts';

type StepOf<Type extends Step['type']> = Extract<Step, { type: Type }>;

/** Gives a node that knows nobody its slots and its config epoch. Slots it has already are left out. */
export async function assignSlots(context: Context, step: StepOf<'assign-slots'>): Promise<void> {
  const address = parseAddress(step.node.address);
  const { myself } = await askNode(context.connections, address);
  const has = new Set(expandSlots(myself.slots));
  const slots = expandSlots(step.slots).filter((slot) => !has.has(slot));
  const commands: Command[] = [['CLUSTER', 'SET-CONFIG-EPOCH', step.configEpoch]];
  for (let at = 0; at < slots.length; at += step.maxSlots) {
    commands.push(['CLUSTER', 'ADDSLOTS', ...slots.slice(at, at + step.maxSlots)]);
  }
  const [, ...replies] = await context.connections.askAll(address, commands);
  // SET-CONFIG-EPOCH is refused where the node has one or knows others by now: then it is set, or gossip settles it.
  const refused = replies.find((reply) => reply instanceof Error);
  if (refused) {
    throw nodeError(
      'SLOTS_NOT_HELD',
      step.node.address,
      `Cannot assign slots to ${step.node.address}: ${messageOf(refused)}`,
      {
        cause: refused,
      },
    );
  }
  context.emit({ type: 'slots-assigned', node: step.node.address, slots: slots.length });
}

/** Makes a node a replica, and waits until it has copied its master. */
export async function replicateMaster(
  context: Context,
  { replica, master }: StepOf<'replicate'>,
): Promise<void> {
  const address = parseAddress(replica.address);
  const { myself } = await askNode(context.connections, address);
  if (myself.role !== 'replica' || myself.masterId !== master.id) {
    await mustDo(
      context,
      replica,
      ['CLUSTER', 'REPLICATE', master.id],
      `make it a replica of ${master.address}`,
    );
    context.emit({ type: 'replica-set', node: replica.address, master: master.address });
  }
  const started = performance.now();
  let told = 0;
  for (;;) {
    context.signal?.throwIfAborted();
    if (await hasCopiedMaster(context, address)) return;
    const elapsedMs = performance.now() - started;
    const lacking = `${replica.address} has not copied ${master.address} yet`;
    if (elapsedMs > agreeTimeout(context)) {
      throw nodeError(
        'NOT_REACHED',
        replica.address,
        `Waited ${Math.round(elapsedMs / 1000)} s for replication: ${lacking}`,
        {
          hint: `It is a replica already and goes on by itself; see "INFO replication" on ${replica.address}, and masterauth if the nodes have a password`,
          resumable: true,
        },
      );
    }
    if (elapsedMs - told > 500) {
      told = elapsedMs;
      context.emit({ type: 'waiting', what: 'replication', elapsedMs, missing: [lacking] });
    }
    await sleep(50);
  }
}

/** True of a replica that has copied its master and is connected to it. */
export async function hasCopiedMaster({ connections }: Context, address: Address): Promise<boolean> {
  return /^master_link_status:up/m.test(String(await connections.ask(address, ['INFO', 'replication'])));
}

/** Closes slots that were found open on a node, after handing keys that lie there to the owner. */
export async function closeOpenSlots(context: Context, step: StepOf<'close-slots'>): Promise<void> {
  const slots = expandSlots(step.slots);
  if (step.node.id !== step.owner.id && !step.stayOpen) await handOver(context, step, slots);
  // NODE ends a migration towards the owner, STABLE an importing that came to nothing.
  const told =
    step.node.id === step.owner.id
      ? []
      : slots.map((slot): Command => ['CLUSTER', 'SETSLOT', slot, 'NODE', step.owner.id]);
  const closed = step.stayOpen ? [] : slots.map((slot): Command => ['CLUSTER', 'SETSLOT', slot, 'STABLE']);
  const replies = await context.connections.askAll(parseAddress(step.node.address), [...told, ...closed]);
  const refused = replies.find((reply) => reply instanceof Error);
  if (refused) {
    throw nodeError(
      'OPEN_SLOT',
      step.node.address,
      `Cannot close slots ${formatSlots(slots)} on ${step.node.address}: ${messageOf(refused)}`,
      {
        openSlots: slots,
        cause: refused,
      },
    );
  }
  if (!step.stayOpen)
    context.emit({ type: 'slots-closed', source: step.node.address, target: step.owner.address, slots });
}

// A node that does not own a slot may still hold keys of it. They go to the owner, who keeps its own value of a key that
// both have: the slot then stays open, and the error says which keys differ.
async function handOver(
  context: Context,
  step: StepOf<'close-slots'>,
  slots: readonly number[],
): Promise<void> {
  const link = await openLink(context, step.node, step.owner);
  const open = new Set(link.sourceReport.myself.openSlots.map(({ slot }) => slot));
  for (const slot of slots) {
    // Some servers close it by themselves when they hear of a new owner, and then refuse MIGRATE.
    if (!open.has(slot)) await askSource(link, [['CLUSTER', 'SETSLOT', slot, 'IMPORTING', step.owner.id]]);
  }
  // None of these slots is ours: nothing is overwritten.
  await drainSlots(link, slots);
}

/**
 * Takes slots whose owner has failed. A taker that has heard of the owner by UPDATE messages needs IMPORTING and NODE, one
 * that has not needs ADDSLOTS. BUMPEPOCH comes first: with a config epoch above the lost owner's everyone will follow, the
 * lost owner too if it comes back; with a lower one it would take its slots back, and what was written to them with it.
 */
export async function takeSlots(
  context: Context,
  step: StepOf<'take-slots'>,
  masters: readonly NodeRef[],
): Promise<void> {
  const address = parseAddress(step.node.address);
  await hearOfEpoch(context, step.node, masters);
  const { records, myself } = await askNode(context.connections, address);
  const owned = new Set(expandSlots(myself.slots));
  const assigned = new Set(records.flatMap((record) => expandSlots(record.slots)));
  const lost = step.from[0];
  const slots = expandSlots(step.slots).filter((slot) => !owned.has(slot));
  const commands: Command[] = [
    ['CLUSTER', 'BUMPEPOCH'],
    ...slots.flatMap((slot): Command[] =>
      assigned.has(slot) && lost
        ? [
            ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', lost.id],
            ['CLUSTER', 'SETSLOT', slot, 'NODE', step.node.id],
          ]
        : [['CLUSTER', 'ADDSLOTS', slot]],
    ),
  ];
  // Valkey takes a slot by itself that it imports and that its source has closed.
  const refused = (await context.connections.askAll(address, commands)).find(
    (reply) => reply instanceof Error && !reply.message.includes('already the owner of hash slot'),
  );
  if (refused) {
    throw nodeError(
      'SLOTS_UNCOVERED',
      step.node.address,
      `Cannot give lost slots to ${step.node.address}: ${messageOf(refused)}`,
      {
        cause: refused,
        resumable: true,
      },
    );
  }
  context.emit({ type: 'slots-assigned', node: step.node.address, slots: slots.length });
  const tell: Command[] = expandSlots(step.slots).map((slot) => [
    'CLUSTER',
    'SETSLOT',
    slot,
    'NODE',
    step.node.id,
  ]);
  await inParallel(
    masters.filter(({ id }) => id !== step.node.id),
    (master) =>
      context.connections.askAll(parseAddress(master.address), tell).catch((error: unknown) => {
        context.emit({
          type: 'warning',
          node: master.address,
          message: `${master.address} was not told: ${messageOf(error)}`,
        });
      }),
  );
}

/**
 * Makes every one of `by` forget a node, at once: a node id is banned for a minute where it is forgotten, and gossip from a
 * node that still knows it would bring it back after that.
 */
export async function forget(context: Context, { node, by }: StepOf<'forget'>): Promise<void> {
  await requireEmpty(context, node);
  await inParallel(by, async (other) => {
    await mustDo(
      context,
      other,
      ['CLUSTER', 'FORGET', node.id],
      `make it forget ${node.address}`,
      'Unknown node',
    );
    context.emit({ type: 'node-forget', node: node.address, by: other.address });
  });
}

/** CLUSTER RESET HARD: the node forgets everything and takes a new id, so that it can join again at once. */
export async function reset(context: Context, node: NodeRef): Promise<void> {
  await mustDo(context, node, ['CLUSTER', 'RESET', 'HARD'], 'reset it');
  context.emit({ type: 'node-reset', node: node.address });
}

/** Throws if a master that is to leave still owns slots or holds keys: its reset would fail, or lose them. */
async function requireEmpty(context: Context, node: NodeRef): Promise<void> {
  const address = parseAddress(node.address);
  const { myself } = await askNode(context.connections, address);
  if (myself.role !== 'master') return;
  const keys = countKeyspace(String(await context.connections.ask(address, ['INFO', 'keyspace'])));
  if (myself.slots.length === 0 && keys === 0) return;
  const what =
    myself.slots.length > 0 ? 'still owns slots' : `still contains keys (${keys}) of slots it does not own`;
  throw nodeError('NODE_NOT_EMPTY', node.address, `Node ${node.address} ${what}`, { resumable: true });
}

async function mustDo(
  context: Context,
  node: NodeRef,
  command: Command,
  what: string,
  tolerated?: string,
): Promise<void> {
  try {
    await context.connections.ask(parseAddress(node.address), command);
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    if (tolerated !== undefined && error.message.includes(tolerated)) return;
    throw nodeError(
      'NODES_DISAGREE',
      node.address,
      `Cannot ask ${node.address} to ${what}: ${error.message}`,
      { cause: error },
    );
  }
}
