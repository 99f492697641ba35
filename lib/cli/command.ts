import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import type { Flags, FlagValues } from './flags.ts';
import type { Io } from './io.ts';
import type { Outcome } from './outcome.ts';

/** What a command is run with. */
export interface Invocation {
  readonly positionals: readonly string[];
  readonly values: FlagValues;
  readonly options: OperationOptions;
  /** All there are. */
  readonly commands: readonly Command[];
  /** For questions about what was left out. */
  readonly io: Io;
}

/** A command: its words, what help says of it, and what it does. */
export interface Command {
  readonly name: string;
  /** Positional arguments as usage shows them. */
  readonly usage: string;
  /** Fewest and most positional arguments. */
  readonly arity: readonly [least: number, most: number];
  readonly summary: string;
  readonly details?: string;
  /** Arguments of an example. */
  readonly example: string;
  readonly flags?: Flags;
  /** True if what follows the first positionals belongs to somebody else's command, dashes included. */
  readonly takesCommand?: boolean;
  /** True if no node is asked for it. */
  readonly isLocal?: true;
  /** Whether the plan is shown and asked about before anything is changed: by its content, or always. @default never */
  readonly asks?: true | ((plan: Plan) => boolean);
  /** What goes on where it was stopped after slots have moved, as an imperative. @default the same command again */
  readonly again?: (values: FlagValues) => string;
  /** The library is loaded when a command runs: help and refusals of wrong usage come without it. */
  readonly run: (invocation: Invocation) => Promise<Outcome>;
}

/** No limit to positional arguments. */
export const MANY: number = Number.POSITIVE_INFINITY;
