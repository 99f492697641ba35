import headless from '@xterm/headless';

/** What a terminal shows of what it was sent. */
export interface ScreenShown {
  /** From the top, without blanks at their ends. */
  readonly lines: readonly string[];
  /** True while a program has taken the whole terminal. */
  readonly isAlternate: boolean;
  readonly isCursorHidden: boolean;
}

/** Interprets the output of a program as a terminal of this size does. */
export async function shownBy(output: string, columns: number, rows: number): Promise<ScreenShown> {
  const terminal = new headless.Terminal({ cols: columns, rows, allowProposedApi: true });
  try {
    await new Promise<void>((resolve) => terminal.write(output, resolve));
    const { active } = terminal.buffer;
    const lines = Array.from({ length: rows }, (_, row) =>
      (active.getLine(active.baseY + row)?.translateToString(true) ?? '').trimEnd(),
    );
    const isCursorHidden = output.lastIndexOf('\u001b[?25l') > output.lastIndexOf('\u001b[?25h');
    return { lines, isAlternate: active.type === 'alternate', isCursorHidden };
  } finally {
    terminal.dispose();
  }
}
