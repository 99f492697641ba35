import { messageOf } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { NodeMemory } from '../model/details.ts';
import { expandSlots, SLOT_COUNT, type SlotRange } from '../model/slot.ts';
import type { Context } from '../nodes/context.ts';
import { detailsOf } from '../nodes/inspect.ts';
import { askInfo } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import { keysBySlot } from '../nodes/slot-loads.ts';
import type { OperationOptions } from '../options.ts';
import { withReading } from './cluster.ts';

/** A master, and the slots that it owns. */
export interface SlotHolder {
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  readonly slots: readonly SlotRange[];
}

/** How full slots are. */
export interface SlotFill {
  /** By slot: its keys, in all databases, NaN if that is not known. Undefined if no master said. */
  readonly keys: Float64Array | undefined;
  /** By id of a master; those that did not say are not in it. */
  readonly memory: ReadonlyMap<string, NodeMemory>;
  /** By address: why a master did not say. */
  readonly failures: ReadonlyMap<string, string>;
}

/** Longest time to wait for an answer, in milliseconds: this is for a picture, which is not worth more. */
const LONGEST_MS = 2000;

/** Counts the keys of each slot where its owner is. A master that is late, or refuses, is left out. Rejects only if it is aborted. */
export async function slotFill(holders: readonly SlotHolder[], options: OperationOptions): Promise<SlotFill> {
  const keys = new Float64Array(SLOT_COUNT).fill(Number.NaN);
  const [memory, failures] = [new Map<string, NodeMemory>(), new Map<string, string>()];
  const owners = holders.filter(({ slots }) => slots.length > 0);
  const [first] = owners;
  if (!first) return { keys: undefined, memory, failures };
  const soon = (ms: number | undefined): number => Math.min(ms ?? LONGEST_MS, LONGEST_MS);
  const quick = {
    ...options,
    connectTimeout: soon(options.connectTimeout),
    commandTimeout: soon(options.commandTimeout),
  };
  await withReading(first.address, quick, (context) =>
    inParallel(owners, async (owner) => {
      try {
        memory.set(owner.id, await count(context, owner, keys));
      } catch (error) {
        context.signal?.throwIfAborted();
        failures.set(owner.address, messageOf(error));
      }
    }),
  );
  return { keys: memory.size > 0 ? keys : undefined, memory, failures };
}

async function count(context: Context, owner: SlotHolder, keys: Float64Array): Promise<NodeMemory> {
  const address = parseAddress(owner.address);
  const id = await context.connections.ask(address, ['CLUSTER', 'MYID']);
  if (id !== owner.id) throw new Error('another node answers there');
  const info = await askInfo(context.connections, address, ['memory', 'keyspace']);
  const slots = expandSlots(owner.slots);
  const counts = await keysBySlot(context, address, slots, info);
  for (const slot of slots) keys[slot] = counts.get(slot) ?? 0;
  return detailsOf(info).memory;
}
