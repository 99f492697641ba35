import type { ClusterEvent, MoveProgress, MoveStart, MoveTotal, OnEvent, Stopped } from '../events.ts';
import { formatBytes } from '../model/bytes.ts';
import type { Next } from '../model/next.ts';
import { count, duration, short } from './figures.ts';
import type { Io } from './io.ts';
import { printable } from './printable.ts';

const MOST_HELD = 10;
/** On a terminal something is said after so long a silence, and again as often. */
const TICK_MS = 1000;
/** Off a terminal, with --progress: a line as often as that. */
const LINE_EVERY_MS = 10_000;

export interface ProgressOptions {
  /** Show nothing but warnings. @default false */
  readonly quiet?: boolean;
  /** Off a terminal, too: a line every ten seconds. @default false */
  readonly always?: boolean;
  /** Keep a line for each step. @default false */
  readonly verbose?: boolean;
  /** Milliseconds of a clock. @default performance.now */
  readonly now?: () => number;
}

/** Shows events on stderr: one updated line if it is a terminal, and warnings in any case. */
export class ProgressView {
  /** What an operation said that ended early; undefined unless one did. */
  stopped: Stopped | undefined;
  /** What to do about its warnings. */
  readonly advice: Next[] = [];
  readonly #io: Io;
  /** By source → target: the state that the servers report. */
  readonly #pairs = new Map<string, string | undefined>();
  readonly #held: string[] = [];
  readonly #options: ProgressOptions;
  readonly #now: () => number;
  #moreHeld = 0;
  #shown = false;
  #linedMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** When something was last shown, and what goes on since. */
  #since = { ms: 0, what: '' };

  constructor(io: Io, options: ProgressOptions = {}) {
    this.#io = io;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** From here on, no second passes on a terminal in which nothing is shown: `what` goes on until the first event. */
  start(what: string): void {
    if (this.#options.quiet) return;
    this.stop();
    this.#since = { ms: this.#now(), what };
    this.#timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** Shows nothing more by the clock. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Shows how long what goes on has taken, unless an event was shown within the last second. */
  tick(): void {
    const elapsedMs = this.#now() - this.#since.ms;
    if (elapsedMs < TICK_MS || !this.#io.isTerminal()) return;
    this.#write(`${this.#since.what} (${Math.floor(elapsedMs / 1000)} s)`);
  }

  readonly onEvent: OnEvent = (event) => {
    if (event.type === 'stopped') this.stopped = event;
    else if (event.type === 'warning') {
      this.#warn(event.message);
      this.advice.push(...(event.next ?? []));
    } else if (event.type === 'restart' && event.byHand) this.#tell(`Restart ${event.node} now`);
    else if (event.type === 'retry')
      this.#hold(`${event.node} slot ${event.slot}: ${event.reason}; trying again`);
    else if (!this.#options.quiet) this.#follow(event);
  };

  #follow(event: ClusterEvent): void {
    const kept = this.#options.verbose ? stepLine(event) : undefined;
    if (kept !== undefined) {
      this.clear();
      this.#io.stderr(printable(`${kept}\n`));
    }
    if (this.#io.isTerminal()) this.#show(this.#line(event));
    else if (this.#options.always) this.#addLine(this.#line(event));
  }

  #addLine(line: string | undefined): void {
    if (line === undefined || this.#now() - this.#linedMs < LINE_EVERY_MS) return;
    this.#linedMs = this.#now();
    this.#io.stderr(printable(`${line}\n`));
  }

  /** Prints what was held back because it is no trouble unless the command fails. */
  tellHeld(): void {
    const [held, more] = [this.#held.splice(0), this.#moreHeld];
    for (const message of held) this.#warn(message);
    if (more > 0) this.#warn(`${more} more batches of keys were tried again`);
  }

  /** Removes the progress line. */
  clear(): void {
    if (this.#shown) this.#io.stderr('\r\u001b[K');
    this.#shown = false;
  }

  // A batch that succeeds in the end is no trouble, and stderr stays empty when all is well.
  #hold(message: string): void {
    if (!this.#options.quiet && this.#io.isTerminal()) this.#show(`Warning: ${message}`);
    if (this.#held.includes(message)) return;
    if (this.#held.length < MOST_HELD) this.#held.push(message);
    else this.#moreHeld += 1;
  }

  #warn(message: string): void {
    this.#tell(`Warning: ${message}`);
  }

  #tell(line: string): void {
    this.clear();
    this.#io.stderr(printable(`${line}\n`));
  }

  #show(text: string | undefined): void {
    if (text === undefined) return;
    this.#since = { ms: this.#now(), what: text.replace(/ \(\d+ s\)/, '') };
    this.#write(text);
  }

  #write(text: string): void {
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
      case 'compare-progress': {
        const { keysDone, keys, keysPerSecond, etaMs, differing } = event;
        const left = etaMs === null ? '…' : formatTime(etaMs / 1000);
        return `${short(keysDone)}/${short(keys)} keys  ${short(keysPerSecond)} keys/s  ${left} left  ${short(differing)} differ`;
      }
      case 'follow-progress': {
        const { behindKeys, behindMs, changesPerSecond, source } = event;
        return `Following ${source}  ${short(changesPerSecond)} changes/s  ${count(behindKeys, 'key')}, ${duration(behindMs)} behind`;
      }
      case 'writes-paused':
        return `Writes paused on ${event.nodes.join(', ')}`;
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
      case 'restart':
        return `Restarting ${event.node}`;
      case 'restarted':
        return `${event.node} is back (${duration(event.elapsedMs)})`;
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

  // All moves in one line: how far, how fast, how long it will still take, and how long clients are blocked.
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
      // The nodes come last, since a narrow terminal truncates the end.
      moves === 1 ? first : `${moves} moves`,
    ].join('  ');
  }
}

/** What --verbose keeps of an event: each step, not what tells how far it is. */
function stepLine(event: ClusterEvent): string | undefined {
  switch (event.type) {
    case 'plan':
      return `Plan of ${event.plan.operation}: ${count(event.plan.steps.length, 'step')}`;
    case 'slots-assigned':
      return `Assigned ${count(event.slots, 'slot')} to ${event.node}`;
    case 'node-meet':
      return `Introduced ${event.node} to ${event.by}`;
    case 'functions-loaded':
      return `Loaded functions of ${event.from} on ${event.node}: ${event.libraries.join(', ')}`;
    case 'replica-set':
      return `${event.node} copies ${event.master}`;
    case 'failover':
      return `${event.node} takes the place of ${event.master}`;
    case 'node-forget':
      return `${event.by} forgets ${event.node}`;
    case 'node-reset':
      return `Reset ${event.node}`;
    case 'move-start':
      return `Moving ${count(event.slots, 'slot')} with ${count(event.keys, 'key')} from ${event.source} to ${event.target} (${event.method})`;
    case 'move-done':
      return `Moved ${count(event.slotsDone, 'slot')} with ${count(event.keysDone, 'key')} from ${event.source} to ${event.target} in ${duration(event.elapsedMs)}`;
    case 'follow-gap':
      return `Comparing all keys. ${event.node}: ${event.reason}`;
    case 'writes-paused':
      return `Paused writes on ${event.nodes.join(', ')}`;
    case 'writes-resumed':
      return `Resumed writes on ${event.nodes.join(', ')}`;
    case 'backup-saved':
      return `Saved ${event.node} in ${event.file}: ${formatBytes(event.bytes)}`;
    case 'agreed':
      return `The nodes agree, after ${duration(event.elapsedMs)}`;
    default:
      return undefined;
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
