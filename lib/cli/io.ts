/** What happens at a terminal. */
export interface ScreenEvents {
  /** Characters that were typed, as they come. */
  readonly typed: (text: string) => void;
  /** Its size has changed, or what it showed is gone. */
  readonly resized: () => void;
  /** It cannot be written to any more. */
  readonly gone: () => void;
}

/** A terminal that one picture fills. */
export interface Screen {
  readonly size: () => { readonly columns: number; readonly rows: number };
  readonly write: (text: string) => void;
  readonly listen: (events: ScreenEvents) => void;
  /** Gives the terminal back as it was. */
  readonly close: () => void;
}

/** Input and output of a command. `cli.ts` provides the real ones, so that no other file uses `process`. */
export interface Io {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True if stderr is a terminal: progress is then shown on it. */
  readonly isTerminal: () => boolean;
  /** Width of the terminal in characters. */
  readonly columns: () => number;
  /** Reads a line from the terminal without echo. Rejects if there is no terminal. */
  readonly askSecret: (prompt: string) => Promise<string>;
  /** True if the user can answer a question: stdin is a terminal. */
  readonly canAsk: () => boolean;
  /** Reads a line from the terminal or a pipe. Undefined at the end of the input. */
  readonly ask: (question: string) => Promise<string | undefined>;
  readonly signal: AbortSignal;
  /** Writes to stdout with colours, as it is; undefined unless that is a terminal that shows them. @default none */
  readonly coloured?: () => ((text: string) => void) | undefined;
  /** Takes over stdout; undefined if that is not a terminal. @default none */
  readonly openScreen?: () => Promise<Screen | undefined>;
}

/** Format of JSON documents; raised when a field changes its meaning or is removed. */
export const JSON_VERSION = 1;

export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** True if the command line asks only for the version. */
export function asksForVersion([word]: readonly string[]): boolean {
  return word === '--version' || word === '-V';
}

/** True of an error about what was typed, even if the library reports it. */
export function isUsage(error: unknown): error is Error {
  // By its code: few runs have a use for the class, and this one is loaded by all.
  return error instanceof Error && (error instanceof UsageError || codeOf(error) === 'INVALID_ARGUMENT');
}

const codeOf = (error: Error & { readonly code?: unknown }): unknown => error.code;

/** An unknown word, the names it might have been meant to be, and the page of help that lists them. */
interface UnknownWord {
  readonly word: string;
  readonly names: readonly string[];
  readonly page?: string;
}

/** Wrong usage of the command line: exit code 2. */
export class UsageError extends Error {
  /** Name of the command whose help to point to, if it was recognised. */
  readonly command: string | undefined;
  readonly unknown: UnknownWord | undefined;

  constructor(message: string, command?: string, unknown?: UnknownWord) {
    super(message);
    this.command = command;
    this.unknown = unknown;
  }
}
