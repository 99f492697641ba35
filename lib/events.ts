import type { Plan } from './plan/plan.ts';

/** What an operation tells while it runs: flat, JSON-ready, nodes as `host:port`. */
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
  | { readonly type: 'backup-saved'; readonly node: string; readonly file: string; readonly bytes: number }
  | {
      readonly type: 'slots-closed';
      readonly source: string;
      readonly target: string;
      readonly slots: readonly number[];
    }
  | { readonly type: 'retry'; readonly node: string; readonly slot: number; readonly reason: string }
  | { readonly type: 'warning'; readonly message: string; readonly node?: string };

/** How far a move, or all of them, has come. Bytes are estimates: the node's data shared out among its keys. */
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
  /** Milliseconds the last batch held up its source, by the server's clock; 0 with atomic migration. */
  readonly lastStallMs: number;
  /** The longest of these. */
  readonly longestStallMs: number;
  readonly elapsedMs: number;
}

interface Pair {
  readonly source: string;
  readonly target: string;
  readonly method: 'atomic' | 'migrate';
}

/** A source → target pair begins. */
export interface MoveStart extends Pair {
  readonly type: 'move-start';
  readonly slots: number;
  readonly keys: number;
  readonly bytes: number;
}

/** How far one source → target pair has come. */
export interface MoveProgress extends Pair, MoveFigures {
  readonly type: 'move-progress';
  /** What the servers are at, in their words, with atomic migration. */
  readonly state?: string;
}

/** One source → target pair is done. */
export interface MoveDone extends Pair, MoveFigures {
  readonly type: 'move-done';
}

/** How far all the moves of a plan have come. */
export interface MoveTotal extends MoveFigures {
  readonly type: 'move-total';
  /** Source → target pairs of the plan. */
  readonly moves: number;
  readonly movesDone: number;
}

/** How far an import has come. */
export interface ImportProgress extends CopyFigures {
  readonly type: 'import-progress';
  readonly source: string;
}

/** How far a backup has been restored. */
export interface RestoreProgress extends CopyFigures {
  readonly type: 'restore-progress';
  readonly dir: string;
}

interface CopyFigures {
  readonly keysDone: number;
  /** Keys of the source when they were counted. */
  readonly keys: number;
  /** Bytes written, in the form of DUMP. */
  readonly bytesDone: number;
  readonly keysPerSecond: number;
  /** Milliseconds left at this pace; null while there is no pace yet. */
  readonly etaMs: number | null;
  readonly elapsedMs: number;
}

/** How far a backup has come. */
export interface BackupProgress {
  readonly type: 'backup-progress';
  readonly mastersDone: number;
  readonly masters: number;
  readonly bytesDone: number;
  /** Bytes of all masters; null while one has not said, or sends without saying. */
  readonly bytes: number | null;
  readonly elapsedMs: number;
}

/** Called synchronously while the operation runs: must be fast and must not throw. */
export type OnEvent = (event: ClusterEvent) => void;
