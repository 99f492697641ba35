import type { Next } from '../model/next.ts';
import type { Cluster } from '../operations/cluster.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import type { CommandName, Documents } from './documents.ts';
import type { Flags, FlagValues } from './flags.ts';
import type { Io } from './io.ts';
import type { Outcome } from './outcome.ts';

/** The arguments of a command's run. */
export interface Invocation {
  /** As in the usage. CLUSTER is empty if something else is read in its place. */
  readonly positionals: readonly string[];
  /** Addresses of a list for CLUSTER that are not among the positionals. */
  readonly elsewhere: readonly string[];
  /** In place of CLUSTER: the cluster of a bundle, or a plan. */
  readonly bundled?: { readonly cluster: Cluster; readonly at: string };
  readonly plan?: Plan;
  readonly values: FlagValues;
  readonly options: OperationOptions;
  /** All commands. */
  readonly commands: readonly Command[];
  /** For asking the user. */
  readonly io: Io;
}

/** A server or cluster that is reached by options of its own. */
export interface SecondSide {
  readonly address: string;
  /** Such as `from`. */
  readonly prefix: string;
}

/** A command: its arguments, its help and its action. */
export interface Command<Name extends CommandName = CommandName> {
  readonly name: Name;
  /** Positional arguments, as usage shows them. */
  readonly usage: string;
  /** Least and most positional arguments. */
  readonly arity: readonly [least: number, most: number];
  readonly summary: string;
  readonly details?: string;
  /** Arguments of the example in help. */
  readonly example: string;
  readonly flags?: Flags;
  /** True if everything after the first positional is a command for the server, including words that start with a dash. */
  readonly takesCommand?: boolean;
  /** True if CLUSTER goes to the command as it was written, with commas: nodes that do not answer are not left out. */
  readonly takesList?: true;
  /** The option that names what is read in place of CLUSTER: a bundle, or the directory of a backup. No node is contacted then. @default none */
  readonly reads?: 'from' | 'dir';
  /** True if the bundle may also be a plan, and its file may stand where CLUSTER does. */
  readonly readsPlan?: true;
  /** True if it contacts no node. */
  readonly isLocal?: true;
  /** True if it shows by itself what goes on: no progress stands beside that, and interrupting it is how it ends. */
  readonly isLive?: true;
  /** Whether to ask for approval of the plan before changing anything: always, or depending on the plan. @default never */
  readonly asks?: true | ((plan: Plan) => boolean);
  /** What to do instead of carrying out the plan, if something about it is to be thought of first: shown with the question. */
  readonly instead?: (plan: Plan) => readonly Next[];
  /** The second server or cluster of a line, and the prefix of the options by which it is reached. @default there is none */
  readonly second?: (positionals: readonly string[], values: FlagValues) => SecondSide;
  /** Loads the library only when the command runs: help and usage errors do not need it. */
  readonly run: (invocation: Invocation) => Promise<Outcome<Documents[Name]>>;
}

/** For `arity`: no limit. */
export const MANY: number = Number.POSITIVE_INFINITY;
