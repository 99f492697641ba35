import { type Comparing, compareSides } from '../copy/compare/compare-sides.ts';
import { type DifferenceCounts, DifferenceTally } from '../copy/compare/difference-tally.ts';
import { compareFunctions, type FunctionDifference } from '../copy/compare/functions.ts';
import { Side } from '../copy/compare/side.ts';
import { databasesOf, type KeySource, lookAtSource, nodesToRead } from '../copy/key-source.ts';
import { ClusterError, invalidArgument } from '../errors.ts';
import { type AddressLike, formatAddress, parseAddress, sameAddress } from '../model/address.ts';
import type { KeyDifference } from '../model/key-difference.ts';
import { Throttle } from '../move/throttle.ts';
import { unlessAborted } from '../nodes/abort.ts';
import { Account } from '../nodes/account.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { askDatabases, askInfo, numberOf } from '../nodes/node-info.ts';
import type { ConnectionOptions, ControlOptions, MoveLimits } from '../options.ts';
import { DEFAULTS } from '../settings.ts';
import { withReading } from './cluster.ts';

export interface CompareOptions extends ConnectionOptions, ControlOptions {
  /** How to connect to the second side. None of what is given for the first is sent there. @default no authentication, no TLS */
  readonly other?: ConnectionOptions;
  /** Databases of the first side to compare, each with that of the same number. @default all in which either has keys */
  readonly databases?: readonly number[];
  /** How often a key that differs is looked at, half a second apart, before it counts: it may be being written. @default 3 */
  readonly rounds?: number;
  /** Keys per second that are looked at. @default none */
  readonly limits?: Pick<MoveLimits, 'keysPerSecond'>;
  /** Called synchronously with each difference, also with those that the result does not name. @default none */
  readonly onDifference?: (difference: KeyDifference) => void;
  /** Milliseconds to wait for nodes to agree, and for keys to be served. @default 60000 */
  readonly agreeTimeout?: number;
}

/** What is the same on two sides, and what is not. */
export interface CompareResult extends DifferenceCounts {
  /** True if every key and function is the same on both sides. */
  readonly equal: boolean;
  /** Addresses of the two sides as they were given. */
  readonly sides: readonly [string, string];
  /** Databases of the first side with its key counts at the start, and the database of the second that each is compared with. */
  readonly databases: readonly { readonly db: number; readonly keys: number; readonly to: number }[];
  /** The keys that differ, at most a thousand. */
  readonly differences: readonly KeyDifference[];
  /** The function libraries that differ. */
  readonly functions: readonly FunctionDifference[];
  /** Duration in milliseconds. */
  readonly elapsedMs: number;
}

/**
 * Compares every key of two clusters or standalone servers, with its expiry to a second, and their functions. Values are the same
 * whatever their encoding, the order of their members and the version of their servers: equal DUMPs are, and others are decoded.
 * Changes nothing, and keeps no names but of the first thousand keys that differ. What is being written may settle: see `rounds`. A key
 * that changes after it was looked at may be missed.
 * Rejects with ClusterError `SAME_CLUSTER` or `SAME_NODE` if the two are one, `DATABASES_DIFFER`, `SLOTS_UNCOVERED`, `OPEN_SLOT`,
 * `NODE_UNREACHABLE`, and `NOT_REACHED` if slots never stay where they are.
 */
export async function compareKeys(
  one: AddressLike,
  other: AddressLike,
  options: CompareOptions = {},
): Promise<CompareResult> {
  const { signal, onEvent, agreeTimeout, other: reaching = {}, rounds = DEFAULTS.compare.rounds } = options;
  if (!(rounds >= 1)) throw invalidArgument(`Not a number of rounds from 1 up: "${rounds}"`);
  const control = {
    ...(signal === undefined ? {} : { signal }),
    ...(onEvent === undefined ? {} : { onEvent }),
    ...(agreeTimeout === undefined ? {} : { agreeTimeout }),
  };
  return withReading(one, options, (first) =>
    withReading(other, { ...reaching, ...control }, async (second) => {
      const started = performance.now();
      const sides = await Promise.all([open(first, one), open(second, other)]);
      requireTwo(sides);
      const found = await compare(sides, options);
      return { ...found, elapsedMs: performance.now() - started };
    }),
  );
}

type Pair = readonly [KeySource, KeySource];

function forBoth<Result>(
  [one, other]: Pair,
  work: (source: KeySource) => Promise<Result>,
): Promise<[Result, Result]> {
  return Promise.all([work(one), work(other)]);
}

async function open(parent: Context, given: AddressLike): Promise<KeySource> {
  const address = parseAddress(given);
  const name = formatAddress(address);
  // Nothing is left behind that an end would have to report.
  const context: Context = { ...parent, account: new Account() };
  await unlessAborted(context.connections.get(address), context.signal);
  const info = await askInfo(context.connections, address, ['cluster']);
  const view =
    numberOf(info, 'cluster_enabled') === 1
      ? await lookAtSource(context, address, `compare ${name}`)
      : undefined;
  return { address, name, context, view, fromReplicas: false };
}

function requireTwo([one, other]: Pair): void {
  const ids = new Set(one.view?.nodes.map(({ id }) => id));
  if (other.view?.nodes.some(({ id }) => ids.has(id)))
    throw nodeError(
      'SAME_CLUSTER',
      other.name,
      `${one.name} and ${other.name} are nodes of the same cluster`,
    );
  if (sameAddress(one.address, other.address))
    throw nodeError('SAME_NODE', other.name, `Same node: ${other.name} cannot be compared with itself`);
}

async function compare(pair: Pair, options: CompareOptions): Promise<Omit<CompareResult, 'elapsedMs'>> {
  const [one, other] = await forBoth(pair, (source) => Side.of(source));
  const { databases, total } = await match(pair, options);
  const { rounds = DEFAULTS.compare.rounds, limits = {}, onDifference = () => {} } = options;
  const { context } = pair[0];
  const tally = new DifferenceTally(context, total, onDifference);
  const throttle = new Throttle(limits);
  const comparing: Comparing = {
    databases,
    rounds,
    tally,
    admit: async (keys) => {
      await throttle.admit(keys, 0, context.signal);
      context.signal?.throwIfAborted();
    },
  };
  await compareSides(one, other, comparing);
  const functions = await compareFunctions(...pair);
  const { counts, differences } = tally;
  const { differ, missing, surplus, unknown } = counts;
  return {
    equal: differ + missing + surplus + unknown + functions.length === 0,
    sides: [pair[0].name, pair[1].name],
    databases,
    ...counts,
    differences,
    functions,
  };
}

/** Maps each database of the first side to one of the second, as an import does. */
async function match(
  pair: Pair,
  { databases: wanted }: CompareOptions,
): Promise<{ readonly databases: CompareResult['databases']; readonly total: number }> {
  const [own, theirs] = await forBoth(pair, async (source): Promise<Held> => {
    const held = await databasesOf(source.context, await nodesToRead(source, source.view));
    const { view, context, address } = source;
    return { held, there: await askDatabases(context.connections, address, view !== undefined) };
  });
  const keysOf = ({ held }: Held, db: number): number => held.find((some) => some.db === db)?.keys ?? 0;
  const all = wanted ?? [...own.held, ...theirs.held].map(({ db }) => db);
  const chosen = [...new Set(all)].sort((a, b) => a - b);
  const isOnly = wanted?.length === 1;
  const databases = chosen.map((db) => ({
    db,
    keys: keysOf(own, db),
    to: isOnly && db >= theirs.there ? 0 : db,
  }));
  for (const [side, { there }] of [own, theirs].entries()) {
    const beyond = databases.map(({ db, to }) => (side === 0 ? db : to)).filter((db) => db >= there);
    if (beyond.length === 0) continue;
    const name = pair[side]?.name ?? '';
    throw new ClusterError(
      'DATABASES_DIFFER',
      `Cannot compare databases ${beyond.join(', ')}: ${name} has ${there === 1 ? 'one database' : `${there} databases`}`,
      {
        address: name,
        hint: 'A single database is compared with database 0 of a second side that does not have it',
      },
    );
  }
  const total = databases.reduce((sum, { keys, to }) => sum + keys + keysOf(theirs, to), 0);
  return { databases, total };
}

interface Held {
  readonly held: readonly { readonly db: number; readonly keys: number }[];
  /** How many databases it has. */
  readonly there: number;
}
