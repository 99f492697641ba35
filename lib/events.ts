import type { Plan } from './plan/plan.ts';

/** What an operation tells while it runs: flat, JSON-ready, nodes as `host:port`. */
export type ClusterEvent =
  | { readonly type: 'plan'; readonly plan: Plan }
  | { readonly type: 'slots-assigned'; readonly node: string; readonly slots: number }
  | { readonly type: 'node-meet'; readonly node: string; readonly by: string }
  | { readonly type: 'node-forget'; readonly node: string; readonly by: string }
  | { readonly type: 'node-reset'; readonly node: string }
  | { readonly type: 'replica-set'; readonly node: string; readonly master: string }
  | {
      readonly type: 'waiting';
      readonly what: string;
      readonly elapsedMs: number;
      readonly missing: readonly string[];
    }
  | { readonly type: 'agreed'; readonly elapsedMs: number }
  | {
      readonly type: 'move-start';
      readonly source: string;
      readonly target: string;
      readonly slots: number;
      /** Keys in these slots when the move began. */
      readonly keys: number;
    }
  | MoveProgress
  | {
      readonly type: 'move-done';
      readonly source: string;
      readonly target: string;
      readonly slots: number;
      readonly keys: number;
      readonly elapsedMs: number;
    }
  | {
      readonly type: 'slots-closed';
      readonly source: string;
      readonly target: string;
      readonly slots: readonly number[];
    }
  | { readonly type: 'retry'; readonly node: string; readonly slot: number; readonly reason: string }
  | { readonly type: 'warning'; readonly message: string; readonly node?: string };

/** How far one source → target pair has come. */
export interface MoveProgress {
  readonly type: 'move-progress';
  readonly source: string;
  readonly target: string;
  readonly slotsDone: number;
  readonly slots: number;
  readonly keysDone: number;
  readonly keys: number;
  readonly elapsedMs: number;
}

/** Called synchronously while the operation runs: must be fast and must not throw. */
export type OnEvent = (event: ClusterEvent) => void;
