import type { ClusterSnapshot } from '../../operations/snapshot.ts';
import type { Io, Screen } from '../io.ts';
import { isAsciiOnly } from '../slot-map.ts';
import { frame } from './frame.ts';
import { render } from './line.ts';
import type { OwnMove } from './own-move.ts';
import { picture } from './picture.ts';
import { keysTyped, type MoveKey, moveKeyOf, START, type TopState, withKey, withSnapshot } from './state.ts';

export type Snapshots = AsyncIterable<ClusterSnapshot>;

export interface Showing {
  readonly env: Io['env'];
  /** Ends after so many snapshots. @default never */
  readonly count?: number;
  /** Ends the snapshots. */
  readonly quit: () => void;
  /** The move of this process, and what a key does to it. @default none */
  readonly own?: { readonly now: () => OwnMove; readonly press: (key: MoveKey) => void };
}

/** Shows snapshots on a terminal until they end, and does what the keys say. */
export async function onScreen(
  screen: Screen,
  snapshots: Snapshots,
  { env, count = Number.POSITIVE_INFINITY, quit, own }: Showing,
): Promise<void> {
  const isColoured = !env.NO_COLOR;
  const marks = { ascii: isAsciiOnly(env), timeOf: localTime };
  let state: TopState = START;
  let latest: ClusterSnapshot | undefined;
  let shown: readonly string[] | undefined;
  const draw = (): void => {
    const size = screen.size();
    const drawn = own ? { ...state, own: own.now() } : state;
    const lines = picture(drawn, { ...size, ...marks }).map((one) =>
      render(one, { ...size, ...marks, isColoured }),
    );
    const text = frame(shown, lines);
    if (text !== '') screen.write(text);
    shown = lines;
  };
  screen.listen({
    typed: (text) => {
      const keys = keysTyped(text);
      for (const key of keys) {
        const moveKey = own && moveKeyOf(key);
        if (moveKey) own.press(moveKey);
        else state = withKey(state, key, latest);
      }
      if (keys.includes('quit')) quit();
      else if (keys.length > 0) draw();
    },
    resized: () => {
      shown = undefined;
      draw();
    },
    gone: quit,
  });
  for await (const snapshot of snapshots) {
    latest = snapshot;
    state = withSnapshot(state, snapshot);
    draw();
    if (snapshot.number >= count) break;
  }
}

export function localTime(at: string): string {
  return new Date(at).toTimeString().slice(0, 8);
}
