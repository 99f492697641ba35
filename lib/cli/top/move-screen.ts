import { messageOf } from '../../errors.ts';
import type { ClusterEvent, MoveTotal } from '../../events.ts';
import type { ConnectionOptions, MoveLimits } from '../../options.ts';
import type { Io, Screen } from '../io.ts';
import { onScreen } from './on-screen.ts';
import { limit } from './own-move.ts';

const NOTHING_YET: MoveTotal = {
  type: 'move-total',
  ...{ moves: 0, movesDone: 0, slotsDone: 0, slots: 0, keysDone: 0, keys: 0, bytesDone: 0, bytes: 0 },
  ...{ keysPerSecond: 0, etaMs: null, lastStallMs: 0, longestStallMs: 0, elapsedMs: 0 },
};

/** Shows the cluster, as `top` does, while a command moves slots, with keys that pause and limit the move. */
export class MoveScreen {
  /** For all else that is written and asked: it comes when the picture is closed. */
  readonly io: Io;
  /** Of the move: keys change them. */
  readonly limits: MoveLimits = {};
  readonly #terminal: Io;
  readonly #held: (() => void)[] = [];
  #screen: Screen | undefined;
  #end = new AbortController();
  #shown: Promise<void> | undefined;
  #total = NOTHING_YET;
  #hasPace = false;
  /** By a key: it stays closed. */
  #isUnwanted = false;

  constructor(terminal: Io) {
    this.#terminal = terminal;
    const later =
      (write: Io['stdout']): Io['stdout'] =>
      (text) => {
        if (this.#screen) this.#held.push(() => write(text));
        else write(text);
      };
    this.io = {
      ...terminal,
      stdout: later(terminal.stdout),
      stderr: later(terminal.stderr),
      isTerminal: () => this.#screen === undefined && terminal.isTerminal(),
      ask: async (question) => {
        await this.close();
        return terminal.ask(question);
      },
    };
    // What is said of an interruption must be seen at once.
    terminal.signal.addEventListener('abort', () => {
      this.#isUnwanted = true;
      this.#giveBack();
    });
  }

  /** Opens the picture when slots begin to move. `reaching` is how the nodes are reached. */
  follow(event: ClusterEvent, reaching: ConnectionOptions): void {
    if (event.type === 'move-total') this.#total = event;
    if (event.type !== 'move-start') return;
    this.#hasPace ||= event.method === 'migrate';
    if (!this.#isUnwanted) this.#shown ??= this.#show(event.source, reaching);
  }

  /** Closes the picture until slots move again. */
  async close(): Promise<void> {
    this.#giveBack();
    await this.#shown;
    this.#shown = undefined;
  }

  async #show(node: string, reaching: ConnectionOptions): Promise<void> {
    const end = new AbortController();
    this.#end = end;
    const { signal } = end;
    try {
      const { watch } = await import('../../operations/watch.ts');
      const screen = signal.aborted ? undefined : await this.#terminal.openScreen?.();
      if (!screen) return;
      this.#screen = screen;
      // It may have been closed while it opened.
      if (this.#end.signal.aborted) return this.#giveBack();
      await onScreen(screen, watch(node, { ...reaching, signal }), {
        env: this.#terminal.env,
        quit: () => {
          this.#isUnwanted = true;
          this.#giveBack();
        },
        own: {
          now: () => ({ total: this.#total, hasPace: this.#hasPace, limits: this.limits }),
          press: (key) => {
            if (this.#hasPace) limit(this.limits, key, this.#total.keysPerSecond);
          },
        },
      });
    } catch (error) {
      // It shows, and the move needs it for nothing.
      if (signal.aborted) return;
      this.#isUnwanted = true;
      this.#giveBack();
      this.#terminal.stderr(`Warning: The picture was closed: ${messageOf(error)}\n`);
    }
  }

  #giveBack(): void {
    this.#end.abort();
    this.#screen?.close();
    this.#screen = undefined;
    // Nobody can let it go on without the picture.
    this.limits.paused = false;
    for (const write of this.#held.splice(0)) write();
  }
}
