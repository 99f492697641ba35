import { countSlots } from '../../model/node.ts';
import type { ClusterSnapshot, NodeVitals } from '../../operations/snapshot.ts';
import type { OwnMove } from './own-move.ts';

/** What the nodes can be sorted by, in the order in which the key goes through them. */
export const SORTS = ['shard', 'slots', 'keys', 'memory', 'ops/s', 'in', 'out', 'lag', 'cpu'] as const;
export type Sort = (typeof SORTS)[number];

/** What is shown, and how: everything that the picture is made from. */
export interface TopState {
  readonly snapshot: ClusterSnapshot | undefined;
  /** By node id: busy cores in the last snapshots, the newest last. */
  readonly history: ReadonlyMap<string, readonly (number | null)[]>;
  readonly sort: Sort;
  /** Id of the node whose details are shown. */
  readonly selected: string | undefined;
  readonly isFrozen: boolean;
  /** What this process moves itself, if it does. */
  readonly own?: OwnMove;
}

export const START: TopState = {
  snapshot: undefined,
  history: new Map(),
  sort: 'shard',
  selected: undefined,
  isFrozen: false,
};

/** As many values as the widest sparkline shows. */
const HISTORY = 30;

/** The state with a snapshot more. A frozen picture stays, but what it is made from is remembered. */
export function withSnapshot(state: TopState, snapshot: ClusterSnapshot): TopState {
  const history = new Map(
    snapshot.nodes.map(({ id, rates }) => [
      id,
      [...(state.history.get(id) ?? []), rates?.cores ?? null].slice(-HISTORY),
    ]),
  );
  return state.isFrozen ? { ...state, history } : { ...state, history, snapshot };
}

export type Key = 'quit' | 'sort' | 'up' | 'down' | 'first' | 'last' | 'freeze' | 'close' | MoveKey | 'space';
/** Keys that act on the move of this process. */
export type MoveKey = 'pause' | 'slower' | 'faster' | 'unlimited';

/** The state after a key. `latest` is what a picture shows that is no longer frozen. */
export function withKey(state: TopState, key: Key, latest: ClusterSnapshot | undefined): TopState {
  switch (key) {
    case 'sort':
      return { ...state, sort: SORTS[(SORTS.indexOf(state.sort) + 1) % SORTS.length] ?? 'shard' };
    case 'freeze':
    case 'space':
      return state.isFrozen ? { ...state, isFrozen: false, snapshot: latest } : { ...state, isFrozen: true };
    case 'close':
      return { ...state, selected: undefined };
    case 'up':
    case 'down':
    case 'first':
    case 'last':
      return { ...state, selected: select(state, key) };
    default:
      return state;
  }
}

function select(state: TopState, key: 'up' | 'down' | 'first' | 'last'): string | undefined {
  const ids = sorted(state).map(({ id }) => id);
  if (key === 'first') return ids[0];
  if (key === 'last') return ids.at(-1);
  const at = ids.indexOf(state.selected ?? '');
  if (at < 0) return key === 'down' ? ids[0] : ids.at(-1);
  return ids[Math.max(0, Math.min(ids.length - 1, key === 'down' ? at + 1 : at - 1))];
}

const VALUES: Readonly<Record<Sort, (node: NodeVitals) => number>> = {
  shard: () => 0,
  slots: countSlots,
  keys: ({ keys }) => keys ?? -1,
  memory: ({ memory }) => memory?.used ?? -1,
  'ops/s': ({ rates }) => rates?.opsPerSecond ?? -1,
  in: ({ rates }) => rates?.bytesInPerSecond ?? -1,
  out: ({ rates }) => rates?.bytesOutPerSecond ?? -1,
  lag: ({ lagBytes }) => lagBytes ?? -1,
  cpu: ({ rates }) => rates?.cores ?? -1,
};

/** The nodes in the order in which they are shown: the highest first, unless by shard. */
export function sorted({ snapshot, sort }: TopState): readonly NodeVitals[] {
  const nodes = snapshot?.nodes ?? [];
  const of = VALUES[sort];
  return sort === 'shard' ? nodes : [...nodes].sort((a, b) => of(b) - of(a));
}

const KEYS: Readonly<Record<string, Key>> = {
  q: 'quit',
  Q: 'quit',
  s: 'sort',
  p: 'freeze',
  ' ': 'space',
  '-': 'slower',
  '+': 'faster',
  '=': 'faster',
  '0': 'unlimited',
  k: 'up',
  j: 'down',
  g: 'first',
  G: 'last',
  '\u001b': 'close',
  '\u001b[A': 'up',
  '\u001bOA': 'up',
  '\u001b[B': 'down',
  '\u001bOB': 'down',
  '\u001b[H': 'first',
  '\u001b[1~': 'first',
  '\u001b[F': 'last',
  '\u001b[4~': 'last',
};

// Cursor and function keys send several characters, which arrive together.
// biome-ignore lint/suspicious/noControlCharactersInRegex: ESC begins what such a key sends
const TYPED = /\u001b(?:\[[0-9;]*[~A-Za-z]|O[A-Za-z])|[\s\S]/g;

/** What a key does to the move of this process; undefined for the others. */
export function moveKeyOf(key: Key): MoveKey | undefined {
  if (key === 'space') return 'pause';
  return key === 'slower' || key === 'faster' || key === 'unlimited' ? key : undefined;
}

/** The keys in what was typed. Others are left out. */
export function keysTyped(typed: string): Key[] {
  return [...typed.matchAll(TYPED)].flatMap(([sequence]) => KEYS[sequence] ?? []);
}
