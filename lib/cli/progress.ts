import type { ClusterEvent, MoveProgress, MoveStart, MoveTotal, OnEvent } from '../events.ts';
import { formatBytes } from '../model/bytes.ts';
import { countSlots } from '../model/node.ts';
import { duration, short } from './figures.ts';
import type { Io } from './io.ts';
import { printable } from './printable.ts';

/** How many slots of a plan have changed hands. */
export interface SlotsMoved {
  readonly done: number;
  readonly of: number;
}

/** Shows events on stderr: one steady line where it is a terminal, and warnings in any case. */
export class ProgressView {
  /** Of the plan that is carried out. */
  moved: SlotsMoved = { done: 0, of: 0 };
  readonly #io: Io;
  /** What the servers are at, by source → target. */
  readonly #pairs = new Map<string, string | undefined>();
  #shown = false;

  constructor(io: Io) {
    this.#io = io;
  }

  readonly onEvent: OnEvent = (event) => {
    this.#count(event);
    if (event.type === 'warning') this.#warn(event.message);
    else if (event.type === 'retry')
      this.#warn(`${event.node} slot ${event.slot}: ${event.reason}; trying again`);
    else if (this.#io.isTerminal()) this.#show(this.#line(event));
  };

  /** Takes the line away again. */
  clear(): void {
    if (this.#shown) this.#io.stderr('\r\u001b[K');
    this.#shown = false;
  }

  // What was finished before there was a plan is none of it.
  #count(event: ClusterEvent): void {
    if (event.type === 'plan') {
      const moves = event.plan.steps.filter((step) => step.type === 'move-slots');
      this.moved = { done: 0, of: moves.reduce((sum, move) => sum + countSlots(move), 0) };
    } else if (event.type === 'slots-closed') {
      this.moved = { ...this.moved, done: this.moved.done + event.slots.length };
    }
  }

  #warn(message: string): void {
    this.clear();
    this.#io.stderr(printable(`Warning: ${message}\n`));
  }

  #show(text: string | undefined): void {
    if (text === undefined) return;
    const line = printable(text);
    const width = Math.max(1, this.#io.columns() - 1);
    this.#io.stderr(`\r\u001b[K${line.length > width ? `${line.slice(0, width - 1)}…` : line}`);
    this.#shown = true;
  }

  #line(event: ClusterEvent): string | undefined {
    switch (event.type) {
      case 'move-start':
      case 'move-progress':
        this.#pairs.set(`${event.source} → ${event.target}`, stateOf(event));
        return undefined;
      case 'move-done':
        this.#pairs.set(`${event.source} → ${event.target}`, undefined);
        return undefined;
      case 'move-total':
        return this.#moveLine(event);
      case 'import-progress':
      case 'restore-progress': {
        const { keysDone, keys, keysPerSecond, etaMs } = event;
        const from = event.type === 'import-progress' ? event.source : event.dir;
        const left = etaMs === null ? '…' : formatTime(etaMs / 1000);
        return `${short(keysDone)}/${short(keys)} keys  ${short(keysPerSecond)} keys/s  ${left} left  from ${from}`;
      }
      case 'backup-progress': {
        const { bytesDone, bytes, elapsedMs, mastersDone, masters } = event;
        const of = bytes === null ? '' : `/${formatBytes(bytes)}`;
        const pace = formatBytes(Math.round((1000 * bytesDone) / Math.max(1, elapsedMs)));
        return `${formatBytes(bytesDone)}${of}  ${pace}/s  ${mastersDone}/${masters} masters`;
      }
      case 'waiting':
        return `Waiting for ${event.what} (${Math.round(event.elapsedMs / 1000)} s): ${event.missing[0] ?? ''}`;
      case 'node-meet':
        return `Introducing ${event.node} to ${event.by}`;
      case 'failover':
        return `${event.node} takes the place of ${event.master}`;
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

  // All moves in one line: how far, how fast, how long it will take at this pace, and what that costs the clients.
  #moveLine(total: MoveTotal): string {
    const { slotsDone, slots, keysDone, keys, keysPerSecond, etaMs, longestStallMs, moves } = total;
    const [first = ''] = this.#pairs.keys();
    const states = [...new Set(this.#pairs.values())].filter((state) => state !== undefined);
    return [
      `${slotsDone}/${slots} slots`,
      `${short(keysDone)}/${short(keys)} keys`,
      `${short(keysPerSecond)} keys/s`,
      `${etaMs === null ? '…' : formatTime(etaMs / 1000)} left`,
      ...(longestStallMs > 0 ? [`max stall ${duration(longestStallMs)}`] : []),
      ...(states.length > 0 ? [states.join(', ')] : []),
      // The nodes come last: they are what a narrow terminal cuts off.
      moves === 1 ? first : `${moves} moves`,
    ].join('  ');
  }
}

function stateOf(event: MoveStart | MoveProgress): string | undefined {
  return event.type === 'move-progress' ? event.state : undefined;
}

function formatTime(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
