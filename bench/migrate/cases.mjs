import { floor, library, ours, theirs } from './candidates.mjs';
import { text } from './cluster.mjs';

/**
 * What is moved, by which candidates, and the goals. A goal compares a candidate with another: how many times as fast it is
 * (`faster`), the same for the part in which slots move (`moving`), or how many times the p99 of other clients may be (`p99`).
 */

const string = (size) => ({
  write: (key) => ['SET', key, text(typeof size === 'function' ? size() : size)],
  read: (key) => ['GET', key],
});
const elements = (name, make) => ({
  write: (key) => [name, key, ...Array.from({ length: 1000 }, (_, index) => make(index)).flat()],
});
const hash = { ...elements('HSET', (i) => [`field:${i}`, text(10)]), read: (key) => ['HGETALL', key] };
const list = { ...elements('RPUSH', () => text(10)), read: (key) => ['LRANGE', key, '0', '-1'] };
/** From 10 B to 100 KB, each power of ten equally often. */
const mixed = () => Math.round(10 ** (1 + 4 * Math.random()));

const byMigrate = { method: 'migrate' };
const unlimited = { method: 'migrate', maxStall: 'off' };
const atomic = { method: 'atomic' };

const us = ours(byMigrate);
const usUnlimited = ours(unlimited);
const inCode = library(byMigrate);
const inCodeUnlimited = library(unlimited);
const usAtomic = ours(atomic);
const inCodeAtomic = library(atomic);
const them = theirs();
const themPiped = theirs('--cluster-pipeline', '1000');
const themAtomic = theirs('--cluster-use-atomic-slot-migration');

const everybody = [us, inCode, usUnlimited, inCodeUnlimited, them, themPiped, floor];
const faster = (candidate, times, than) => ({ kind: 'faster', candidate, times, than });
const moving = (candidate, times, than) => ({ kind: 'moving', candidate, times, than });
const p99 = (candidate, times, than) => ({ kind: 'p99', candidate, times, than });
const asGoodAsTheFloor = [
  faster(inCodeUnlimited, 0.95, floor),
  moving(inCodeUnlimited, 0.95, floor),
  faster(us, 1.5, themPiped),
  p99(us, 1, themPiped),
];
const values = (title, keys, data) => ({
  ...{ title, slots: 1000, keys, data, candidates: everybody, goals: asGoodAsTheFloor },
});
const atomicRivals = ({ kind }) => (kind === 'valkey' ? [themAtomic, them] : [them]);
const atomicGoals = ({ kind }) => [
  ...[usAtomic, inCodeAtomic].map((each) => faster(each, 30, them)),
  ...(kind === 'valkey' ? [usAtomic, inCodeAtomic].map((each) => faster(each, 1.3, themAtomic)) : []),
];
const atomically = {
  servers: ['valkey-9.1', 'redis-8.6'],
  candidates: (server) => [usAtomic, inCodeAtomic, ...atomicRivals(server)],
  goals: atomicGoals,
};

export const cases = {
  empty: {
    title: 'empty slots',
    slots: 1000,
    keys: 0,
    candidates: [us, inCode, them],
    goals: [faster(us, 25, them), faster(inCode, 25, them)],
  },
  small: {
    title: '60 keys of 100 B a slot',
    slots: 1000,
    keys: 60,
    data: string(100),
    candidates: everybody,
    goals: [
      faster(us, 5, them),
      faster(us, 4, themPiped),
      faster(inCodeUnlimited, 0.9, floor),
      moving(inCodeUnlimited, 0.9, floor),
    ],
  },
  medium: values('250 keys of 100 B a slot', 250, string(100)),
  'values-1k': values('60 keys of 1 KB a slot', 60, string(1000)),
  'values-10k': values('10 keys of 10 KB a slot', 10, string(10_000)),
  'values-mixed': values('10 keys of 10 B to 100 KB a slot', 10, string(mixed)),
  'values-hash': values('a hash of 1000 fields a slot', 1, hash),
  'values-list': values('5 lists of 1000 elements a slot', 5, list),
  rebalance: {
    title: '3 → 4 → 3 masters, 1M keys of 100 B',
    verbs: ['grow', 'shrink'],
    keys: 61,
    data: string(100),
    candidates: [us, inCode, them, themPiped],
    goals: [faster(us, 5, them), faster(inCode, 5, them)],
  },
  'atomic-small': {
    title: '60 keys of 100 B a slot, by the servers themselves',
    slots: 1000,
    keys: 60,
    data: string(100),
    ...atomically,
  },
  'atomic-rebalance': {
    title: '3 → 4 → 3 masters, 1M keys of 100 B, by the servers themselves',
    verbs: ['grow', 'shrink'],
    keys: 61,
    data: string(100),
    ...atomically,
  },
  'far-empty': {
    title: 'empty slots, 20 ms away',
    slots: 1000,
    keys: 0,
    roundTripMs: 20,
    mostRounds: 2,
    candidates: [us, inCode, them],
    goals: [faster(us, 50, them), faster(inCode, 50, them)],
  },
  'far-small': {
    title: '10 keys of 100 B a slot, 20 ms away',
    slots: 1000,
    keys: 10,
    data: string(100),
    roundTripMs: 20,
    mostRounds: 2,
    candidates: [us, inCode, them],
    goals: [faster(us, 50, them), faster(inCode, 50, them)],
  },
  memory: {
    title: 'resident memory while 10M keys of 40 B move',
    slots: 1000,
    keys: 10_000,
    scaleKeys: true,
    data: string(40),
    mostRounds: 1,
    candidates: [us],
    goals: [{ kind: 'memory', candidate: us, most: 100 }],
  },
};

/** The cases with these names; `values` means all whose names begin with it. */
export function casesOf(names) {
  const all = Object.keys(cases);
  if (names.length === 0) return all;
  return names.flatMap((name) => {
    const found = all.filter((each) => each === name || each.startsWith(`${name}-`));
    if (found.length === 0) throw new Error(`No case "${name}": choose from ${all.join(', ')}`);
    return found;
  });
}
