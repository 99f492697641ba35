import type { SlotRange } from '../model/slot.ts';
import { type ClusterView, nodeName, openSlotsOf, slotOwners } from '../model/view.ts';
import type { Task } from './by-servers/task.ts';

/** Slots on their way from one node to another, moved by any tool. */
export interface SlotMove {
  /** Addresses, or node ids if they are unknown. */
  readonly source: string;
  readonly target: string;
  /** `task`: by the servers themselves. `open`: by an operator, slot by slot. */
  readonly by: 'task' | 'open';
  /** What the servers say about their task, in their own words. */
  readonly state: string | null;
  /** Slots that are open, or in the task, at this moment. */
  readonly slotsOpen: number;
  /** Slots that have changed owner since the move was first seen. */
  readonly slotsDone: number;
  /** Over the last seconds; null until some have changed owner. */
  readonly slotsPerSecond: number | null;
}

/** An operator opens slots in turns: between two of them none may be open. */
const LINGER_MS = 5000;
const RATE_MS = 10_000;

interface Seen {
  readonly source: string;
  readonly target: string;
  done: number;
  lastMs: number;
  /** How many were done, at some moments of the last seconds. */
  history: { readonly atMs: number; readonly done: number }[];
}

/** Recognises moves from what nodes report, one look after the other. */
export class MovesSeen {
  readonly #seen = new Map<string, Seen>();
  #owners: readonly (string | undefined)[] | undefined;
  #masters = new Set<string>();
  #slots: readonly (readonly SlotRange[])[] = [];

  /** The moves that go on at this moment. Times are of a clock that never goes back. */
  update(view: ClusterView, tasks: readonly Task[], nowMs: number): SlotMove[] {
    const open = openPairs(view);
    const running = taskPairs(tasks);
    this.#countDone(view, nowMs);
    for (const pair of [...open.values(), ...running.values()]) {
      this.#of(pair.source, pair.target, nowMs).lastMs = nowMs;
    }
    return [...this.#seen].flatMap(([key, seen]): SlotMove[] => {
      if (nowMs - seen.lastMs > LINGER_MS) {
        this.#seen.delete(key);
        return [];
      }
      seen.history.push({ atMs: nowMs, done: seen.done });
      seen.history = seen.history.filter(({ atMs }) => nowMs - atMs <= RATE_MS);
      const task = running.get(key);
      return [
        {
          ...{ source: nodeName(view, seen.source), target: nodeName(view, seen.target) },
          by: task ? 'task' : 'open',
          state: task?.state ?? null,
          slotsOpen: task?.slots ?? open.get(key)?.slots.size ?? 0,
          slotsDone: seen.done,
          slotsPerSecond: rateOf(seen.history),
        },
      ];
    });
  }

  // A slot that goes from one master to another has been moved. One that goes to a replica of its owner has been failed over.
  #countDone(view: ClusterView, nowMs: number): void {
    const masters = view.nodes.filter(({ role }) => role === 'master');
    const slots = masters.map((master) => master.slots);
    const isSame = slots.length === this.#slots.length && slots.every((own, at) => own === this.#slots[at]);
    if (this.#owners && isSame) return;
    const owners = slotOwners(view);
    for (const [slot, owner] of owners.entries()) {
      const before = this.#owners?.[slot];
      if (before === owner || before === undefined || owner === undefined || !this.#masters.has(owner))
        continue;
      const seen = this.#of(before, owner, nowMs);
      seen.done += 1;
      seen.lastMs = nowMs;
    }
    this.#owners = owners;
    this.#slots = slots;
    this.#masters = new Set(masters.map(({ id }) => id));
  }

  #of(source: string, target: string, nowMs: number): Seen {
    const key = `${source} ${target}`;
    const known = this.#seen.get(key);
    if (known) return known;
    const seen: Seen = { source, target, done: 0, lastMs: nowMs, history: [] };
    this.#seen.set(key, seen);
    return seen;
  }
}

interface Pair {
  readonly source: string;
  readonly target: string;
}

function openPairs(view: ClusterView): Map<string, Pair & { readonly slots: Set<number> }> {
  const pairs = new Map<string, Pair & { readonly slots: Set<number> }>();
  for (const [slot, items] of openSlotsOf(view)) {
    for (const { nodeId, direction, peer } of items) {
      const [source, target] = direction === 'migrating' ? [nodeId, peer] : [peer, nodeId];
      const pair = pairs.get(`${source} ${target}`) ?? { source, target, slots: new Set() };
      pairs.set(`${source} ${target}`, pair);
      pair.slots.add(slot);
    }
  }
  return pairs;
}

// Both ends report a task. A server may have several with another.
function taskPairs(
  tasks: readonly Task[],
): Map<string, Pair & { readonly state: string; readonly slots: number }> {
  const byId = new Map(tasks.map((task) => [`${task.source} ${task.target} ${task.id}`, task]));
  const pairs = new Map<string, Pair & { readonly state: string; readonly slots: number }>();
  for (const { source, target, state, slots } of byId.values()) {
    const key = `${source} ${target}`;
    const before = pairs.get(key)?.slots ?? 0;
    const own = slots.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    pairs.set(key, { source, target, state, slots: before + own });
  }
  return pairs;
}

function rateOf(history: readonly { readonly atMs: number; readonly done: number }[]): number | null {
  const [first, last] = [history[0], history.at(-1)];
  if (!first || !last || last.done === first.done || last.atMs <= first.atMs) return null;
  return (1000 * (last.done - first.done)) / (last.atMs - first.atMs);
}
