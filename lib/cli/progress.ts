import type { ClusterEvent, MoveProgress, OnEvent } from '../events.ts';
import type { Io } from './io.ts';

/** Shows events on stderr: one steady line where it is a terminal, and warnings in any case. */
export class ProgressView {
  readonly #io: Io;
  readonly #pairs = new Map<string, MoveProgress>();
  #shown = false;

  constructor(io: Io) {
    this.#io = io;
  }

  readonly onEvent: OnEvent = (event) => {
    if (event.type === 'warning') this.#warn(event.message);
    else if (event.type === 'retry')
      this.#warn(`${event.node} slot ${event.slot}: ${event.reason}; trying again`);
    else if (this.#io.isTerminal) this.#show(this.#line(event));
  };

  /** Takes the line away again. */
  clear(): void {
    if (this.#shown) this.#io.stderr('\r\u001b[K');
    this.#shown = false;
  }

  #warn(message: string): void {
    this.clear();
    this.#io.stderr(`Warning: ${message}\n`);
  }

  #show(line: string | undefined): void {
    if (line === undefined) return;
    const width = Math.max(1, this.#io.columns() - 1);
    this.#io.stderr(`\r\u001b[K${line.length > width ? `${line.slice(0, width - 1)}…` : line}`);
    this.#shown = true;
  }

  #line(event: ClusterEvent): string | undefined {
    switch (event.type) {
      case 'move-start':
        this.#pairs.set(pairOf(event), {
          ...event,
          type: 'move-progress',
          slotsDone: 0,
          keysDone: 0,
          elapsedMs: 0,
        });
        return this.#moveLine();
      case 'move-progress':
        this.#pairs.set(pairOf(event), event);
        return this.#moveLine();
      case 'move-done': {
        const known = this.#pairs.get(pairOf(event));
        if (known) this.#pairs.set(pairOf(event), { ...known, slotsDone: known.slots, keysDone: known.keys });
        return this.#moveLine();
      }
      case 'waiting':
        return `Waiting for ${event.what} (${Math.round(event.elapsedMs / 1000)} s): ${event.missing[0] ?? ''}`;
      case 'node-meet':
        return `Introducing ${event.node} to ${event.by}`;
      case 'replica-set':
        return `${event.node} copies ${event.master}`;
      case 'slots-assigned':
        return `Assigned ${event.slots} slots to ${event.node}`;
      case 'node-forget':
        return `${event.by} forgets ${event.node}`;
      case 'node-reset':
        return `Reset ${event.node}`;
      default:
        return undefined;
    }
  }

  // All pairs in one line: how far, how fast, and how long it will take at this pace.
  #moveLine(): string {
    const pairs = [...this.#pairs.values()];
    const sum = (pick: (pair: MoveProgress) => number): number =>
      pairs.reduce((total, pair) => total + pick(pair), 0);
    const [slotsDone, slots, keysDone, keys] = [
      sum((p) => p.slotsDone),
      sum((p) => p.slots),
      sum((p) => p.keysDone),
      sum((p) => p.keys),
    ];
    const seconds = Math.max(...pairs.map(({ elapsedMs }) => elapsedMs)) / 1000;
    // Slots cost time as well as keys: a slot counts as much as some keys do.
    const [work, workDone] = [keys + 20 * slots, keysDone + 20 * slotsDone];
    const left = workDone > 0 && seconds > 0.3 ? formatTime(((work - workDone) / workDone) * seconds) : '…';
    const rate = seconds > 0 ? Math.round(keysDone / seconds) : 0;
    const [first] = pairs;
    const who = pairs.length === 1 && first ? `${first.source} → ${first.target}` : `${pairs.length} moves`;
    // The nodes come last: they are what a narrow terminal cuts off.
    return `${slotsDone}/${slots} slots  ${short(keysDone)}/${short(keys)} keys  ${short(rate)} keys/s  ${left} left  ${who}`;
  }
}

function pairOf({ source, target }: { readonly source: string; readonly target: string }): string {
  return `${source} ${target}`;
}

function short(value: number): string {
  if (value < 10_000) return `${value}`;
  return value < 10_000_000 ? `${Math.round(value / 1000)}k` : `${Math.round(value / 1_000_000)}M`;
}

function formatTime(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
