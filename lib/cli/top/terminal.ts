import type { Screen, ScreenEvents } from '../io.ts';

/**
 * The alternate screen without a cursor, and back. It is erased first: of one that has grown, tmux 3.3 leaves lines on the screen that
 * comes back.
 */
const [ENTER, LEAVE] = ['\u001b[?1049h\u001b[?25l', '\u001b[H\u001b[J\u001b[?25h\u001b[?1049l'];

/** Signals of keys that a terminal in raw mode hands over as characters. */
const SIGNALS: Readonly<Record<string, NodeJS.Signals>> = {
  '\u0003': 'SIGINT',
  '\u001a': 'SIGTSTP',
  '\u001c': 'SIGQUIT',
};
/** Signals that would end the process before it can give the terminal back. */
const DEADLY = ['SIGHUP', 'SIGQUIT', 'SIGTSTP'] as const;

const ignore = (): void => {};

/** Takes the terminal of a process, which gets it back however the process ends, unless it is killed with SIGKILL. */
export function openTerminal(process: NodeJS.Process): Screen {
  const { stdin, stdout } = process;
  let events: ScreenEvents | undefined;
  let isTaken = false;
  const take = (): void => {
    if (stdin.isTTY) stdin.setRawMode(true);
    stdout.write(ENTER);
    isTaken = true;
  };
  const giveBack = (): void => {
    if (!isTaken) return;
    isTaken = false;
    // Writing to a terminal is synchronous: it is done when the process ends.
    stdout.write(LEAVE);
    if (stdin.isTTY) rawModeOff();
  };
  const rawModeOff = (): void => {
    try {
      stdin.setRawMode(false);
    } catch {
      // It is gone. The command goes on, or stops where that is safe.
    }
  };
  const onDeadly = (signal: NodeJS.Signals): void => {
    giveBack();
    // Without a listener it does what it does by default. The process may have one: then it ends in its own way.
    process.off(signal, onDeadly);
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  const onContinued = (): void => {
    process.off('SIGTSTP', onDeadly).on('SIGTSTP', onDeadly);
    take();
    events?.resized();
  };
  const onTyped = (text: string): void => {
    for (const character of text) {
      const signal = SIGNALS[character];
      if (signal) process.kill(process.pid, signal);
    }
    events?.typed(text);
  };
  const onResized = (): void => events?.resized();
  const onGone = (): void => {
    isTaken = false;
    events?.gone();
  };
  for (const signal of DEADLY) process.on(signal, onDeadly);
  process.on('SIGCONT', onContinued).on('exit', giveBack);
  stdout.on('resize', onResized).on('error', onGone);
  // It stays: a terminal that is gone may say so later.
  stdin.off('error', ignore).on('error', ignore);
  if (stdin.isTTY) stdin.setEncoding('utf8').on('data', onTyped).resume();
  take();
  return {
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    write: (text) => {
      if (isTaken) stdout.write(text);
    },
    listen: (given) => {
      events = given;
    },
    close: () => {
      giveBack();
      for (const signal of DEADLY) process.off(signal, onDeadly);
      process.off('SIGCONT', onContinued).off('exit', giveBack);
      stdout.off('resize', onResized);
      if (stdin.isTTY) stdin.off('data', onTyped).pause();
    },
  };
}
