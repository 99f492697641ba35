import type { ClusterSnapshot } from '../../operations/snapshot.ts';
import type { Invocation } from '../command.ts';
import { numberFlag } from '../flags.ts';
import { type Io, JSON_VERSION, type Screen } from '../io.ts';
import type { Outcome } from '../outcome.ts';
import { printableJson } from '../printable.ts';
import { figuresLine } from './figures-line.ts';
import { localTime, onScreen, type Snapshots } from './on-screen.ts';

/** Least milliseconds between two pictures. */
const LEAST_INTERVAL_MS = 100;

/** The data of `top`. */
export interface TopData {
  /** After a stream: how many there were. */
  readonly snapshots?: number;
  /** Else the last one. */
  readonly snapshot?: ClusterSnapshot | undefined;
}

/** Runs `top`: on the terminal, or as lines or JSON without one. */
export async function runTop({
  positionals: [node = ''],
  values,
  options,
  io,
}: Invocation): Promise<Outcome<TopData>> {
  const intervalMs = numberFlag(values, 'interval', LEAST_INTERVAL_MS);
  const count = numberFlag(values, 'count') ?? (values.json === true ? 1 : Number.POSITIVE_INFINITY);
  const isStream = values['json-stream'] === true;
  const isJson = values.json === true || isStream;
  const quit = new AbortController();
  const signal = AbortSignal.any([io.signal, quit.signal]);
  const { watch } = await import('../../operations/watch.ts');
  const settings = { ...options, ...(intervalMs === undefined ? {} : { intervalMs }), signal };
  let screen: Screen | undefined;
  try {
    // A cluster that does not answer leaves the terminal as it is.
    const snapshots = await begun(watch(node, settings));
    // The lines of --trace would stand in the picture.
    screen = isJson || values.trace === true ? undefined : await io.openScreen?.();
    if (screen) {
      await onScreen(screen, snapshots, { env: io.env, count, quit: () => quit.abort() });
      return ended({});
    }
    if (isJson) return await asJson(snapshots, count, isStream, io);
    return await asLines(snapshots, count, values.quiet === true, io);
  } catch (error) {
    if (quit.signal.aborted && !io.signal.aborted) return ended({});
    throw error;
  } finally {
    screen?.close();
  }
}

function ended(data: TopData): Outcome<TopData> {
  return { ok: true, text: '', data };
}

/** The same snapshots, once the first is there. */
async function begun(snapshots: AsyncGenerator<ClusterSnapshot, void, void>): Promise<Snapshots> {
  const first = await snapshots.next();
  return (async function* () {
    if (first.done) return;
    yield first.value;
    yield* snapshots;
  })();
}

/** Snapshots with rates, which need two looks. */
async function* complete(snapshots: Snapshots, count: number): AsyncGenerator<ClusterSnapshot, void, void> {
  let left = count;
  for await (const snapshot of snapshots) {
    if (snapshot.number === 1) continue;
    yield snapshot;
    left -= 1;
    if (left === 0) return;
  }
}

async function asJson(
  snapshots: Snapshots,
  count: number,
  isStream: boolean,
  io: Io,
): Promise<Outcome<TopData>> {
  let last: ClusterSnapshot | undefined;
  for await (const snapshot of complete(snapshots, count)) {
    last = snapshot;
    if (isStream) io.stdout(`${printableJson(JSON.stringify({ version: JSON_VERSION, snapshot }))}\n`);
  }
  return ended(isStream ? { snapshots: count } : { snapshot: last });
}

async function asLines(
  snapshots: Snapshots,
  count: number,
  isQuiet: boolean,
  io: Io,
): Promise<Outcome<TopData>> {
  for await (const snapshot of complete(snapshots, count)) {
    const isWrong = snapshot.findings.some(({ severity }) => severity !== 'info');
    if (!isQuiet || isWrong) io.stdout(`${figuresLine(snapshot, localTime)}\n`);
  }
  return ended({});
}
