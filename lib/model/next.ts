import type { SlotRange } from './slot.ts';

/** A call of the library, by its name, or something to do to a server. */
export type NextAct =
  /** The call that failed, made again; with `options`, with these besides. */
  | 'retry'
  /** The same with `resume: true`. */
  | 'resume'
  /** The same for the `slots` that are left. */
  | 'retry-rest'
  | 'check'
  | 'list'
  | 'fix'
  | 'failover'
  | 'rescue'
  | 'rejoin'
  | 'replicate'
  | 'join'
  | 'join-no-load'
  | 'quit'
  | 'del-node'
  | 'shutdown'
  | 'start'
  | 'migrate-slots'
  | 'reshard'
  | 'rebalance'
  | 'spread'
  /** Make the plan again. */
  | 'plan'
  | 'wait'
  | 'start-node'
  | 'restart-node'
  /** Change `settings` of a server. */
  | 'configure'
  /** Send a server a `command`. */
  | 'command'
  /** Send every node a `command`. */
  | 'execute';

/** The condition for which an act is meant; of `wait`, how long. */
export type NextWhen =
  | 'after-that'
  | 'alone'
  | 'answers'
  | 'anyway'
  | 'declared-failed'
  | 'earlier-move'
  | 'elected'
  | 'forgotten'
  | 'gone-for-good'
  | 'gone-with-its-keys'
  | 'has-replica'
  | 'healthy'
  | 'keys-unwanted'
  | 'keys-wanted'
  | 'master-silent'
  | 'moved'
  | 'moves-done'
  | 'never-declared-failed'
  | 'no-other-operator'
  | 'no-owner'
  | 'not-moving'
  | 'not-needed'
  | 'other-operator-done'
  | 'otherwise'
  | 'repaired'
  | 'same-cluster'
  | 'settled'
  | 'stays'
  | 'took-its-place'
  | 'too-few-masters-to-vote';

/** What to do next, as data. A list gives alternatives, the best first; an act with `after-that` follows the one before it. */
export interface Next {
  readonly do: NextAct;
  /** Address or id of the node it is about: the master of `replicate`, the source of `migrate-slots`. */
  readonly node?: string;
  /** Address of a node of the cluster, for acts that take both. */
  readonly cluster?: string;
  /** Addresses of members, for `rejoin`; with `moved` and `forgotten`, others are to be added. */
  readonly nodes?: readonly string[];
  /** Address of the target of `migrate-slots`, or of the replica of `replicate`. */
  readonly target?: string;
  /** How many, or which. */
  readonly slots?: number | readonly SlotRange[];
  /** Options of the library's function. */
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  /** Words of the command for the server. */
  readonly command?: readonly string[];
  /** Names of the server's settings. */
  readonly settings?: readonly string[];
  readonly when?: NextWhen;
}

/** What to do about something: a sentence that is true for any caller, and what may be done. */
export interface Advice {
  readonly hint?: string | undefined;
  readonly next?: readonly Next[] | undefined;
}
