import { expandSlots, type SlotRange } from '../model/slot.ts';
import { type ClusterView, nodeName, openSlotsOf, slotOwners } from '../model/view.ts';
import type { Task } from './by-servers/task.ts';
import { timeLeftMs } from './time-left.ts';

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
  /** Keys of these slots that have not arrived yet. Null if they were not counted: in very many slots, or if a target has several tasks. */
  readonly keysLeft: number | null;
  /** Keys of these slots that have arrived, over the last seconds; null until some have. */
  readonly keysPerSecond: number | null;
  /**
   * Milliseconds until the slots that are open, or in the task, have arrived at this pace: an estimate. What an operator will open
   * afterwards is not known. Null as long as nothing has arrived.
   */
  readonly msLeft: number | null;
}

/** What nodes were asked because of the moves that they are part of, by id. */
export interface KeysSeen {
  /** How many keys they hold, by slot. */
  readonly inSlots: ReadonlyMap<string, ReadonlyMap<number, number>>;
  /** How many keys they hide until a task has ended, as Redis does; Valkey counts them in their slots. */
  readonly hidden: ReadonlyMap<string, number>;
}

const NOTHING_SEEN: KeysSeen = { inSlots: new Map(), hidden: new Map() };

/** An operator opens slots in turns: between two of them none may be open. */
const LINGER_MS = 5000;
const RATE_MS = 10_000;
/** A node with more slots on their way than this is not asked how many keys they have: it would take some 55 bytes for each. */
const MOST_COUNTED = 1000;

interface Seen {
  readonly source: string;
  readonly target: string;
  done: number;
  /** Keys that have left slots which were counted, and what these had last. */
  keysGone: number;
  counted: ReadonlyMap<number, number>;
  task: TaskKeys | undefined;
  lastMs: number;
  /** How many were done and gone, at some moments of the last seconds. */
  history: Moment[];
}

interface TaskKeys {
  readonly slots: readonly number[];
  /** On the source, which has all of them until the task has ended. */
  readonly total: number;
  readonly arrived: number;
}

interface Moment {
  readonly atMs: number;
  readonly done: number;
  readonly keysGone: number;
}

/** Recognises moves from what nodes report, one look after the other. */
export class MovesSeen {
  readonly #seen = new Map<string, Seen>();
  #owners: readonly (string | undefined)[] | undefined;
  #masters = new Set<string>();
  #slots: readonly (readonly SlotRange[])[] = [];
  #open: ReadonlyMap<string, OpenPair> = new Map();
  #tasks: ReadonlyMap<string, TaskPair> = new Map();

  /** The slots of which it is worth asking a node, before the next update, how many keys they have. */
  countedOn(id: string): readonly number[] {
    const open = [...this.#open.values()].filter(({ source }) => source === id);
    const tasks = [...this.#tasks.values()].filter(({ source, target }) => source === id || target === id);
    const slots = new Set([...open, ...tasks].flatMap((pair) => [...pair.slots]));
    return slots.size > MOST_COUNTED ? [] : [...slots];
  }

  /** True if a node may hide keys that have arrived. */
  isTaskTarget(id: string): boolean {
    return [...this.#tasks.values()].some(({ target }) => target === id);
  }

  /** The moves that go on at this moment. Times are of a clock that never goes back. */
  update(
    view: ClusterView,
    tasks: readonly Task[],
    nowMs: number,
    keys: KeysSeen = NOTHING_SEEN,
  ): SlotMove[] {
    const open = openPairs(view);
    const running = taskPairs(tasks);
    this.#open = open;
    this.#tasks = running;
    this.#countDone(view, nowMs);
    for (const pair of [...open.values(), ...running.values()]) {
      this.#of(pair.source, pair.target, nowMs).lastMs = nowMs;
    }
    return [...this.#seen].flatMap(([key, seen]): SlotMove[] => {
      if (nowMs - seen.lastMs > LINGER_MS) {
        this.#seen.delete(key);
        return [];
      }
      const slots = open.get(key)?.slots ?? new Set<number>();
      const task = running.get(key);
      this.#countGone(seen, slots, keys.inSlots.get(seen.source));
      this.#countArrived(seen, task, keys);
      seen.history.push({ atMs: nowMs, done: seen.done, keysGone: seen.keysGone });
      seen.history = seen.history.filter(({ atMs }) => nowMs - atMs <= RATE_MS);
      const onTheWay = {
        slotsOpen: task?.slots.length ?? slots.size,
        slotsPerSecond: rateOf(seen.history, 'done'),
        keysLeft: task
          ? leftOf(seen.task)
          : seen.counted.size < slots.size
            ? null
            : sumOf(seen.counted.values()),
        keysPerSecond: rateOf(seen.history, 'keysGone'),
      };
      return [
        {
          ...{ source: nodeName(view, seen.source), target: nodeName(view, seen.target) },
          by: task ? 'task' : 'open',
          state: task?.state ?? null,
          slotsDone: seen.done,
          ...onTheWay,
          msLeft: timeLeftMs({ ...onTheWay, isTask: task !== undefined }),
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

  // All keys of a slot that has arrived have left. Those of a slot that its source has closed again have not.
  #countGone(seen: Seen, slots: ReadonlySet<number>, now: ReadonlyMap<number, number> | undefined): void {
    for (const [slot, before] of seen.counted) {
      if (this.#owners?.[slot] === seen.target) seen.keysGone += before;
      else if (slots.has(slot)) seen.keysGone += Math.max(0, before - (now?.get(slot) ?? before));
    }
    const counted = new Map<number, number>();
    for (const slot of slots) {
      const keys = now?.get(slot) ?? seen.counted.get(slot);
      if (keys !== undefined) counted.set(slot, keys);
    }
    seen.counted = counted;
  }

  #countArrived(seen: Seen, task: TaskPair | undefined, { inSlots, hidden }: KeysSeen): void {
    const { task: before } = seen;
    const isSame = before !== undefined && task?.slots.join() === before.slots.join();
    if (!isSame) seen.task = undefined;
    // What came between the last look and the end of a task.
    if (before && !isSame && this.#owners?.[before.slots[0] ?? -1] === seen.target)
      seen.keysGone += Math.max(0, before.total - before.arrived);
    if (!task) return;
    const [onSource, onTarget] = [inSlots.get(seen.source), inSlots.get(seen.target)];
    if (!task.slots.every((slot) => onSource?.has(slot))) return;
    const sum = (counts: ReadonlyMap<number, number> | undefined): number =>
      sumOf(task.slots.map((slot) => counts?.get(slot) ?? 0));
    const isAlone = [...this.#tasks.values()].filter(({ target }) => target === seen.target).length === 1;
    const unseen = hidden.get(seen.target) ?? 0;
    if (unseen > 0 && !isAlone) return;
    const arrived = Math.max(sum(onTarget), unseen);
    if (isSame) seen.keysGone += Math.max(0, arrived - before.arrived);
    seen.task = { slots: task.slots, total: sum(onSource), arrived };
  }

  #of(source: string, target: string, nowMs: number): Seen {
    const key = `${source} ${target}`;
    const known = this.#seen.get(key);
    if (known) return known;
    const counts = { done: 0, keysGone: 0, counted: new Map<number, number>(), task: undefined };
    const seen: Seen = { source, target, ...counts, lastMs: nowMs, history: [] };
    this.#seen.set(key, seen);
    return seen;
  }
}

interface Pair {
  readonly source: string;
  readonly target: string;
}

interface OpenPair extends Pair {
  readonly slots: Set<number>;
}

function openPairs(view: ClusterView): Map<string, OpenPair> {
  const pairs = new Map<string, OpenPair>();
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

interface TaskPair extends Pair {
  readonly state: string;
  readonly slots: readonly number[];
}

// Both ends report a task. A server may have several with another.
function taskPairs(tasks: readonly Task[]): Map<string, TaskPair> {
  const byId = new Map(tasks.map((task) => [`${task.source} ${task.target} ${task.id}`, task]));
  const pairs = new Map<string, TaskPair>();
  for (const { source, target, state, slots } of byId.values()) {
    const key = `${source} ${target}`;
    const before = pairs.get(key)?.slots ?? [];
    pairs.set(key, { source, target, state, slots: [...before, ...expandSlots(slots)] });
  }
  return pairs;
}

function rateOf(history: readonly Moment[], what: 'done' | 'keysGone'): number | null {
  const [first, last] = [history[0], history.at(-1)];
  if (!first || !last || last[what] === first[what] || last.atMs <= first.atMs) return null;
  return (1000 * (last[what] - first[what])) / (last.atMs - first.atMs);
}

function leftOf(task: TaskKeys | undefined): number | null {
  return task ? Math.max(0, task.total - task.arrived) : null;
}

function sumOf(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
