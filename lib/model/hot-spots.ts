import type { Advice } from './next.ts';

/**
 * How a key was found to be hot. `hotkeys`: counted by the server (HOTKEYS of Redis 8.6). `frequency`: OBJECT FREQ, with an LFU policy.
 * `monitor`: a part of the commands, read with MONITOR. `only-key`: a hot slot has no other key.
 */
export type HotKeyEvidence = 'hotkeys' | 'frequency' | 'monitor' | 'only-key';

/** A slot by its load while it was measured. Shares are from 0 to 1. */
export interface HotSlot {
  readonly slot: number;
  /** Address of its master. */
  readonly node: string;
  /** Its part of the load of all slots that were measured. */
  readonly share: number;
  /** Its part of the load of its node. */
  readonly nodeShare: number;
  /** Microseconds of CPU time that its commands took a second; null if the server does not count that. */
  readonly cpuUsPerSecond: number | null;
  /** Bytes that its clients sent and received a second; null if the server does not count that. */
  readonly networkBytesPerSecond: number | null;
  /** Keys in it. */
  readonly keys: number;
}

/** A key that is used much. Shares are from 0 to 1. */
export interface HotKey {
  /** As latin1: one character a byte. */
  readonly key: string;
  readonly slot: number;
  /** Address of its master. */
  readonly node: string;
  readonly by: HotKeyEvidence;
  /**
   * Its part of what its node does: of the time that commands take with `hotkeys`, of their number with `monitor`, of the load of slots
   * with `only-key`. Null with `frequency`.
   */
  readonly nodeShare: number | null;
  /** Its part of the bytes that the node's clients send and receive; null except with `hotkeys`. */
  readonly networkShare: number | null;
  /** OBJECT FREQ, a logarithmic counter from 0 to 255; null except with `frequency`. */
  readonly frequency: number | null;
}

/** Something about the measurement on a node. */
export interface HotNote extends Advice {
  readonly kind:
    | 'stats-off'
    | 'no-slot-stats'
    | 'no-key-evidence'
    | 'session-shared'
    | 'results-kept'
    | 'refused'
    | 'monitor-stopped'
    | 'left-behind';
  readonly message: string;
}

/** What was measured on a master. */
export interface HotNode {
  readonly node: string;
  readonly id: string;
  /** Its part of the load of all nodes, from 0 to 1; null if loads of slots are not known for all. */
  readonly share: number | null;
  /** Commands a second; null if it does not say. */
  readonly commandsPerSecond: number | null;
  /** How loads of its slots were measured; null if they were not. */
  readonly slotsBy: 'slot-stats' | null;
  /** How its keys were measured; empty if they were not. */
  readonly keysBy: readonly HotKeyEvidence[];
  readonly notes: readonly HotNote[];
  /** Why it was not measured to the end; null if it was. */
  readonly error: string | null;
}

/** What follows for the cluster: `uneven` can be cured by moving slots; `one-key` and `one-slot` cannot. */
export interface HotVerdict extends Advice {
  readonly kind: 'idle' | 'one-key' | 'one-slot' | 'uneven' | 'even' | 'unknown';
  readonly message: string;
}
