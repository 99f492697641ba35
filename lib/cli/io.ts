/** What a command needs of the world. The command line gives the real one; nothing else knows of processes. */
export interface Io {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True where stderr is a terminal: then progress is shown there. */
  readonly isTerminal: () => boolean;
  /** Width of the terminal in characters. */
  readonly columns: () => number;
  /** Asks for a line on the terminal, unseen. Rejects where there is none. */
  readonly askSecret: (prompt: string) => Promise<string>;
  /** True where a question can be answered: stdin is a terminal. */
  readonly canAsk: () => boolean;
  /** Asks for a line, on the terminal or from a pipe. Undefined at its end. */
  readonly ask: (question: string) => Promise<string | undefined>;
  readonly signal: AbortSignal;
}

export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** True of a command line that wants to know nothing but the version. */
export function asksForVersion([word]: readonly string[]): boolean {
  return word === '--version' || word === '-V';
}

/** The user wrote something that cannot be understood: exit code 2. */
export class UsageError extends Error {
  /** Name of the command whose help would help, if one was recognised. */
  readonly command: string | undefined;
  /** A word that is none of some names. */
  readonly unknown: { readonly word: string; readonly names: readonly string[] } | undefined;

  constructor(message: string, command?: string, unknown?: UsageError['unknown']) {
    super(message);
    this.command = command;
    this.unknown = unknown;
  }
}
