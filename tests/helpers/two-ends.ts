import {
  afterCompare,
  afterEnd,
  type BatchState,
  doubtful,
  goneFrom,
  sendingIn,
} from '../../lib/move/by-migrate/after-failure.ts';
import type { BatchEnd } from '../../lib/move/by-migrate/batch.ts';
import { ReplyError } from '../../resp/index.ts';
import { brokenConnection, SOURCE } from './scripted-ends.ts';

/** A number from 0 to below `count`. 0 stands for nothing going wrong. */
export type Choose = (count: number) => number;

export interface TwoEndsOptions {
  /** Keys and values on the source, which owns the slot. */
  readonly source: ReadonlyMap<string, string>;
  /** What the target holds if the slot was found open. */
  readonly target?: ReadonlyMap<string, string>;
  readonly isGranted: boolean;
}

interface Restore {
  readonly key: string;
  readonly value: string;
  readonly replace: boolean;
}

/** A batch that takes more attempts than this never ends. */
const MOST_ATTEMPTS = 50;

/**
 * One open slot on two ends, as far as the rules 2 to 7 of docs/moving-slots.md go: clients that write and delete, MIGRATE that
 * may stop after any key, lose its answer or run late, and a batch that is moved by what after-failure.ts decides.
 */
export class TwoEnds {
  readonly source: Map<string, string>;
  readonly target: Map<string, string>;
  /** The last value of a key that was acknowledged to clients, or undefined if it was deleted. */
  readonly acknowledged: Map<string, string | undefined> = new Map();
  /** Keys that are named at the end. */
  readonly inDoubt: Set<string> = new Set();
  readonly conflicts: Set<string> = new Set();
  /**
   * Keys that the target may or may not have acknowledged, because the answer of the source was lost: "What is not seen"
   * in docs/moving-slots.md.
   */
  readonly untold: Set<string> = new Set();
  /** Keys of which a value that only the target had was overwritten. */
  readonly overwritten: Set<string> = new Set();
  readonly #onlyAtTarget: ReadonlySet<string>;
  readonly #isGranted: boolean;
  readonly #choose: Choose;
  /** What the target has received of a MIGRATE, and has not run. */
  #late: Restore[] = [];
  /** Each MIGRATE that the source has received, and has not run. */
  #waiting: { readonly keys: readonly string[]; readonly replace: boolean }[] = [];
  #writes = 0;

  constructor({ source, target = new Map(), isGranted }: TwoEndsOptions, choose: Choose) {
    this.source = new Map(source);
    this.target = new Map(target);
    for (const [key, value] of [...target, ...source]) this.acknowledged.set(key, value);
    const values = new Set(source.values());
    this.#onlyAtTarget = new Set([...target.values()].filter((value) => !values.has(value)));
    this.#isGranted = isGranted;
    this.#choose = choose;
  }

  /** Moves the keys. */
  moveBatch(given: readonly string[]): void {
    let state: BatchState = 'new';
    let keys = given;
    for (let attempt = 0; keys.length > 0; attempt++) {
      if (attempt > MOST_ATTEMPTS) throw new Error('The batch never ends');
      this.meanwhile();
      const end = this.#migrate(keys, sendingIn(state, this.#isGranted).replace);
      this.meanwhile();
      const step = afterEnd(end, state, this.#isGranted);
      if (step.do !== 'send-again') return;
      if (step.fence) this.#fence();
      this.meanwhile();
      const left = step.look ? keys.filter((key) => this.source.has(key)) : keys;
      if (end.type === 'lost') for (const key of goneFrom(keys, left)) this.untold.add(key);
      const asked = doubtful(step.doubt, { keys, gone: step.gone, left });
      this.meanwhile();
      for (const key of asked) if (this.target.has(key)) this.inDoubt.add(key);
      if (step.compare) {
        const both = left.filter((key) => this.source.has(key) && this.target.has(key));
        const same = both.filter((key) => this.source.get(key) === this.target.get(key));
        const different = goneFrom(both, same);
        for (const key of different) this.conflicts.add(key);
        ({ keys, state } = afterCompare(left, same, different));
      } else [keys, state] = [left, step.state];
    }
  }

  /** Lets clients, and what is in flight, make progress. */
  meanwhile(): void {
    for (let more = this.#choose(3); more > 0; more--) {
      const keys = [...this.acknowledged.keys()];
      const key = keys[this.#choose(keys.length)] ?? '';
      // A client for whose key the source does not answer is redirected to the target (rule 2).
      const end = this.source.has(key) ? this.source : this.target;
      const what = this.#choose(4);
      if (what === 0) {
        const value = `written ${++this.#writes}`;
        end.set(key, value);
        this.acknowledged.set(key, value);
      } else if (what === 1) {
        end.delete(key);
        this.acknowledged.set(key, undefined);
      } else if (what === 2) this.#runLate();
      else this.#runWaiting();
    }
  }

  /** Runs everything in flight, as nodes do when they wake up. */
  wake(): void {
    while (this.#waiting.length > 0) this.#runWaiting();
    while (this.#late.length > 0) this.#runLate();
  }

  #migrate(keys: readonly string[], replace: boolean): BatchEnd {
    switch (this.#choose(6)) {
      case 1:
        return { type: 'refused', error: new ReplyError('CLUSTERDOWN The cluster is down') };
      case 5: {
        const error = new ReplyError('ERR Target instance replied with error: LOADING');
        const hung = this.#hang(keys, replace, 1 + this.#choose(keys.length));
        return { type: 'failed', error, gone: 0, stallMs: 1, isLate: hung };
      }
      case 2:
        this.#waiting.push({ keys, replace });
        return { type: 'lost', error: brokenConnection(SOURCE) };
      case 3:
        this.#run(keys, replace);
        return { type: 'lost', error: brokenConnection(SOURCE) };
      case 4:
        return this.#run(keys, replace, this.#choose(keys.length));
      default:
        return this.#run(keys, replace);
    }
  }

  /** A transaction with MIGRATE, whose target acknowledges keys up to `end`. */
  #run(keys: readonly string[], replace: boolean, end: number = keys.length): BatchEnd {
    if (!keys.every((key) => this.source.has(key)))
      return { type: 'refused', error: new ReplyError('TRYAGAIN Multiple keys request during rehashing') };
    const restores = keys.map((key) => ({ key, value: this.source.get(key) ?? '', replace }));
    let [gone, isBusy] = [0, false];
    for (const restore of restores.slice(0, end)) {
      if (!this.#restore(restore)) isBusy = true;
      else if (this.source.delete(restore.key)) gone += 1;
    }
    const rest = restores.slice(end);
    if (!isBusy && rest.length === 0) return { type: 'moved', gone, stallMs: 1 };
    const answered = this.#choose(rest.length + 1);
    for (const restore of rest.slice(0, answered)) this.#restore(restore);
    this.#late.push(...rest.slice(answered));
    const isLate = rest.length > 0;
    // A server reports only the first error. Keys behind a busy one may be in flight then.
    const error = isBusy
      ? new ReplyError('ERR Target instance replied with error: BUSYKEY')
      : new ReplyError('IOERR error or timeout reading to target instance');
    return { type: 'failed', error, gone, stallMs: 1, isLate };
  }

  /** A target that refused a key, and then hangs: true if it has received keys that come after that. */
  #hang(keys: readonly string[], replace: boolean, from: number): boolean {
    const late = keys.slice(from).filter((key) => this.source.has(key));
    this.#late.push(...late.map((key) => ({ key, value: this.source.get(key) ?? '', replace })));
    return late.length > 0;
  }

  #restore({ key, value, replace }: Restore): boolean {
    const old = this.target.get(key);
    if (old !== undefined && !replace) return false;
    if (old !== undefined && this.#onlyAtTarget.has(old)) this.overwritten.add(key);
    this.target.set(key, value);
    return true;
  }

  #runLate(): void {
    const next = this.#late.shift();
    if (next) this.#restore(next);
  }

  #runWaiting(): void {
    const waiting = this.#waiting.shift();
    if (waiting) this.#run(waiting.keys, waiting.replace, this.#choose(2) === 0 ? undefined : 0);
  }

  // Anything that has not run by then never will.
  #fence(): void {
    this.#waiting = [];
    this.#late = [];
  }
}
