import type { MovedSoFar, Resumable } from './model/cluster-error.ts';
import type { Next } from './model/next.ts';
import type { Plan } from './plan/plan.ts';

/** An event of a running operation. A flat JSON object; nodes are `host:port`, durations are in milliseconds. */
export type ClusterEvent =
  | { readonly type: 'plan'; readonly plan: Plan }
  | { readonly type: 'slots-assigned'; readonly node: string; readonly slots: number }
  | { readonly type: 'node-meet'; readonly node: string; readonly by: string }
  | { readonly type: 'node-forget'; readonly node: string; readonly by: string }
  | { readonly type: 'node-reset'; readonly node: string }
  | {
      readonly type: 'functions-loaded';
      readonly node: string;
      readonly from: string;
      readonly libraries: readonly string[];
    }
  | { readonly type: 'failover'; readonly node: string; readonly master: string }
  | Restart
  | { readonly type: 'restarted'; readonly node: string; readonly elapsedMs: number }
  | { readonly type: 'replica-set'; readonly node: string; readonly master: string }
  | {
      readonly type: 'waiting';
      readonly what: string;
      readonly elapsedMs: number;
      readonly missing: readonly string[];
    }
  | { readonly type: 'agreed'; readonly elapsedMs: number }
  | MoveStart
  | MoveProgress
  | MoveDone
  | MoveTotal
  | ImportProgress
  | BackupProgress
  | RestoreProgress
  | CompareProgress
  | FollowProgress
  | FollowGap
  | { readonly type: 'writes-paused'; readonly nodes: readonly string[]; readonly forMs: number }
  | { readonly type: 'writes-resumed'; readonly nodes: readonly string[] }
  | { readonly type: 'backup-saved'; readonly node: string; readonly file: string; readonly bytes: number }
  | {
      readonly type: 'slots-closed';
      readonly source: string;
      readonly target: string;
      readonly slots: readonly number[];
    }
  | StrayKeys
  | Stopped
  | { readonly type: 'retry'; readonly node: string; readonly slot: number; readonly reason: string }
  | {
      readonly type: 'warning';
      readonly message: string;
      readonly node?: string;
      /** What to do about it. */
      readonly next?: readonly Next[];
    };

/** A server may stop now, and is to be restarted. */
export interface Restart {
  readonly type: 'restart';
  readonly node: string;
  /** The node id. */
  readonly id: string;
  /** True if someone must do it: the operation waits. */
  readonly byHand: boolean;
}

/** Keys on `node`, which does not own their slots, were compared with those on `owner`. Keys are bytes in latin1. */
export interface StrayKeys {
  readonly type: 'stray-keys';
  readonly node: string;
  readonly owner: string;
  /** How many were deleted on `node`. */
  readonly dropped: number;
  /** How many went to `owner`, which did not have them. */
  readonly brought: number;
  /** Keys left on `node`, of which `owner` has another value. */
  readonly differing: readonly string[];
  /** Keys left on `node` that `owner` does not have. */
  readonly onlyThere: readonly string[];
}

/** An operation was aborted after it had looked at the cluster, or failed after it had begun. */
export interface Stopped {
  readonly type: 'stopped';
  readonly moved: MovedSoFar;
  /** Slots that are open now, with those that it found open. */
  readonly openSlots: readonly number[];
  /** Addresses of nodes that did not answer when the operation ended: slots may be open there, too. */
  readonly silent: readonly string[];
  readonly resumable: Resumable;
  readonly next: readonly Next[];
  /** Addresses of replicas that were asked to replace their masters, and may still do so: no command calls that off. */
  readonly failovers?: readonly string[];
  /** How far a copy that followed its source was behind it. */
  readonly behind?: Behind;
}

/** What a copy that follows its source does not have yet. */
export interface Behind {
  /** Keys that have changed and are not copied. */
  readonly keys: number;
  /** How long the oldest of these changes is known, in milliseconds; while all keys are compared, the time since that was last done. */
  readonly ms: number;
}

/** Progress of one move or of all moves. Bytes are estimates from the average size of the node's keys. */
export interface MoveFigures {
  readonly slotsDone: number;
  readonly slots: number;
  readonly keysDone: number;
  /** Keys in these slots when the move began. */
  readonly keys: number;
  readonly bytesDone: number;
  readonly bytes: number;
  readonly keysPerSecond: number;
  /** Milliseconds left at this pace; null while there is no pace yet. */
  readonly etaMs: number | null;
  /** Milliseconds that the last batch blocked its source, by the server's clock; 0 with atomic migration. */
  readonly lastStallMs: number;
  /** The longest `lastStallMs` so far. */
  readonly longestStallMs: number;
  readonly elapsedMs: number;
}

interface Pair {
  readonly source: string;
  readonly target: string;
  readonly method: 'atomic' | 'migrate';
}

/** A move between a source and a target begins. */
export interface MoveStart extends Pair {
  readonly type: 'move-start';
  readonly slots: number;
  readonly keys: number;
  readonly bytes: number;
}

/** Progress of a move between a source and a target. */
export interface MoveProgress extends Pair, MoveFigures {
  readonly type: 'move-progress';
  /** With atomic migration: the state, in the servers' words. */
  readonly state?: string;
}

/** A move between a source and a target is done. */
export interface MoveDone extends Pair, MoveFigures {
  readonly type: 'move-done';
}

/** Progress of all moves of a plan. */
export interface MoveTotal extends MoveFigures {
  readonly type: 'move-total';
  /** Number of source and target pairs in the plan. */
  readonly moves: number;
  readonly movesDone: number;
}

/** Progress of an import. */
export interface ImportProgress extends CopyFigures {
  readonly type: 'import-progress';
  readonly source: string;
}

/** Progress of a restore. */
export interface RestoreProgress extends CopyFigures {
  readonly type: 'restore-progress';
  readonly dir: string;
}

/** Progress of a comparison. */
export interface CompareProgress {
  readonly type: 'compare-progress';
  /** Keys looked at, on either side. */
  readonly keysDone: number;
  /** Keys on both sides, counted at the start. */
  readonly keys: number;
  /** Keys found to differ so far. */
  readonly differing: number;
  readonly keysPerSecond: number;
  /** Milliseconds left at this pace; null while there is no pace yet. */
  readonly etaMs: number | null;
  readonly elapsedMs: number;
}

/** How far a copy that follows its source is behind it. */
export interface FollowProgress {
  readonly type: 'follow-progress';
  readonly source: string;
  /** How changes are found: in the replication streams of the source, or by comparing all keys over and over. */
  readonly by: 'streams' | 'comparing';
  /** Keys that have changed and are not copied. */
  readonly behindKeys: number;
  /** How long the oldest of these changes is known; while all keys are compared, the time since that was last done. */
  readonly behindMs: number;
  /** Changes of keys that the source made; several of one key may be one copy. */
  readonly changesPerSecond: number;
  /** Keys that were copied because they had changed. */
  readonly copied: number;
  /** Keys that were deleted because the source does not have them. */
  readonly deleted: number;
  readonly elapsedMs: number;
}

/** Changes may have been missed: all keys are compared, and what differs is copied. */
export interface FollowGap {
  readonly type: 'follow-gap';
  /** The node of the source whose changes they are. */
  readonly node: string;
  readonly reason: string;
}

interface CopyFigures {
  readonly keysDone: number;
  /** Keys at the source, counted at the start. */
  readonly keys: number;
  /** Bytes written, as DUMP payloads. */
  readonly bytesDone: number;
  readonly keysPerSecond: number;
  /** Milliseconds left at this pace; null while there is no pace yet. */
  readonly etaMs: number | null;
  readonly elapsedMs: number;
}

/** Progress of a backup. */
export interface BackupProgress {
  readonly type: 'backup-progress';
  readonly mastersDone: number;
  readonly masters: number;
  readonly bytesDone: number;
  /** Size of the snapshots of all masters; null while a master has not announced it, or if it does not. */
  readonly bytes: number | null;
  readonly elapsedMs: number;
}

/** Called synchronously while the operation runs. Must be fast and must not throw. */
export type OnEvent = (event: ClusterEvent) => void;
