import type { Reply } from '../../../resp/index.ts';
import { badReply } from '../../errors.ts';

/** What a server says of one of its commands. */
export interface KnownCommand {
  /** Place of the first key; 0 if it takes none, or if only its arguments say where they are. */
  readonly first: number;
  /** Place of the last key; from the end if negative. */
  readonly last: number;
  readonly step: number;
  readonly isWrite: boolean;
  readonly isMovable: boolean;
  /** What is in the place of keys are channels. */
  readonly isPublish: boolean;
}

/** Commands of a server, and subcommands as `xgroup|create`, by their names in lower case. */
export type KnownCommands = ReadonlyMap<string, KnownCommand>;

/** What a command of a replication stream may have changed. */
export type Change =
  | { readonly what: 'nothing' }
  | { readonly what: 'functions' }
  /** Any key of the node: all were deleted, or the command does not say which it changes. */
  | { readonly what: 'any-key'; readonly by: string }
  /** Some that it names may not have changed. `also`: keys in another database. */
  | { readonly what: 'keys'; readonly keys: readonly string[]; readonly also?: InDatabase };

interface InDatabase {
  readonly db: number;
  readonly keys: readonly string[];
}

const NOTHING: Change = { what: 'nothing' };

/** Reads the reply of COMMAND. */
export function readCommands(reply: Reply, address: string): KnownCommands {
  const known = new Map<string, KnownCommand>();
  const read = (entry: unknown): void => {
    if (!Array.isArray(entry)) throw badReply(`${address} answers COMMAND with something else`, address);
    const [name, , flags, first, last, step] = entry;
    const subcommands: unknown = entry[9];
    if (typeof name !== 'string' || !Array.isArray(flags))
      throw badReply(`${address} answers COMMAND with a command without name or flags`, address);
    known.set(name.toLowerCase(), {
      first: placeIn(first),
      last: placeIn(last),
      step: Math.max(1, placeIn(step)),
      isWrite: flags.includes('write'),
      isMovable: flags.includes('movablekeys'),
      isPublish: flags.includes('pubsub'),
    });
    if (Array.isArray(subcommands)) for (const one of subcommands) read(one);
  };
  if (!Array.isArray(reply)) throw badReply(`${address} answers COMMAND with something else`, address);
  for (const entry of reply) read(entry);
  return known;
}

function placeIn(reply: unknown): number {
  return Number.isSafeInteger(reply) ? (reply as number) : 0;
}

/** Commands of which only the arguments tell where their keys are: the place of the number of keys, and how far apart they are. */
const COUNTED: ReadonlyMap<string, readonly [place: number, step: number]> = new Map([
  ['lmpop', [1, 1]],
  ['zmpop', [1, 1]],
  ['blmpop', [2, 1]],
  ['bzmpop', [2, 1]],
  ['msetex', [1, 2]],
]);
/** They may change keys that they do not name. Servers replicate what scripts do, unless they are told not to. */
const SCRIPTS: ReadonlySet<string> = new Set(['eval', 'evalsha', 'fcall']);
/** Deletes keys of slots that a node no longer owns, after they have moved. */
const TRIM = 'trimslots';

/**
 * What a command of a replication stream may have changed. Keys that it only reads may be among them; a key that it changes never is
 * missing.
 */
export function changeOf(words: readonly string[], known: KnownCommands): Change {
  const name = (words[0] ?? '').toLowerCase();
  if (SCRIPTS.has(name)) return { what: 'any-key', by: name };
  const command = known.get(`${name}|${(words[1] ?? '').toLowerCase()}`) ?? known.get(name);
  if (!command) return { what: 'any-key', by: name };
  if (name === 'function') return command.isWrite ? { what: 'functions' } : NOTHING;
  if (name === TRIM || command.isPublish) return NOTHING;
  const counted = COUNTED.get(name);
  if (counted) return keysOrAny(name, countedKeys(words, ...counted));
  const places = command.first > 0 ? [...placesOf(command, words.length)] : [];
  const keys = places.map((place) => words[place] ?? '');
  switch (name) {
    case 'sort':
      // Without STORE it is not replicated.
      return keysOrAny(name, storedBySort(words));
    case 'georadius':
    case 'georadiusbymember':
      return keysOrAny(name, afterWords(words, ['store', 'storedist']));
    case 'migrate':
      return keysOrAny(name, migrated(words));
    case 'xreadgroup':
      return keysOrAny(name, streamsRead(words));
    case 'move':
      return { what: 'keys', keys, also: { db: databaseIn(words[2]), keys } };
    case 'copy':
      return { what: 'keys', keys, ...copiedElsewhere(words) };
  }
  if (keys.length > 0) return { what: 'keys', keys };
  return command.isWrite || command.isMovable ? { what: 'any-key', by: name } : NOTHING;
}

/** True if the argument after these may be a key, in a command of `count` words. */
export function mayBeKey(before: readonly string[], count: number, known: KnownCommands): boolean {
  const name = (before[0] ?? '').toLowerCase();
  const command = known.get(`${name}|${(before[1] ?? '').toLowerCase()}`) ?? known.get(name);
  if (!command) return false;
  const place = before.length;
  const counted = COUNTED.get(name);
  if (counted) return place > counted[0] && (place - counted[0] - 1) % counted[1] === 0;
  if (command.isMovable) return true;
  if (command.first <= 0 || place < command.first) return false;
  return place <= lastOf(command, count) && (place - command.first) % command.step === 0;
}

function lastOf({ last }: KnownCommand, count: number): number {
  return Math.min(count - 1, last < 0 ? count + last : last);
}

function* placesOf(command: KnownCommand, count: number): Generator<number> {
  const last = lastOf(command, count);
  for (let place = command.first; place <= last; place += command.step) yield place;
}

function keysOrAny(by: string, keys: readonly string[]): Change {
  return keys.length > 0 ? { what: 'keys', keys } : { what: 'any-key', by };
}

function countedKeys(words: readonly string[], at: number, step: number): string[] {
  const count = Number(words[at]);
  if (!Number.isSafeInteger(count) || count < 1 || at + 1 + (count - 1) * step >= words.length) return [];
  return Array.from({ length: count }, (_, index) => words[at + 1 + index * step] ?? '');
}

/** Options of SORT that take arguments, by how many (sortGetKeys in db.c). */
const OF_SORT: Readonly<Record<string, number>> = { limit: 2, get: 1, by: 1 };

function storedBySort(words: readonly string[]): string[] {
  let stored: string | undefined;
  for (let at = 2; at < words.length; at++) {
    const word = (words[at] ?? '').toLowerCase();
    if (word === 'store') stored = words[++at];
    else at += OF_SORT[word] ?? 0;
  }
  return stored === undefined ? [] : [stored];
}

// A member may have the name of an option: then too many count.
function afterWords(words: readonly string[], options: readonly string[]): string[] {
  return words.filter((_, index) => index > 1 && options.includes((words[index - 1] ?? '').toLowerCase()));
}

function migrated(words: readonly string[]): string[] {
  const [, , , key] = words;
  if (key !== undefined && key !== '') return [key];
  const at = words.findIndex((word, index) => index > 5 && word.toLowerCase() === 'keys');
  return at < 0 ? [] : words.slice(at + 1);
}

function streamsRead(words: readonly string[]): string[] {
  // GROUP group consumer come first, and may have any names.
  const at = words.findIndex((word, index) => index > 3 && word.toLowerCase() === 'streams');
  return at < 0 ? [] : words.slice(at + 1, at + 1 + Math.floor((words.length - at - 1) / 2));
}

function copiedElsewhere(words: readonly string[]): { readonly also?: InDatabase } {
  const at = words.findIndex((word, index) => index > 2 && word.toLowerCase() === 'db');
  const [, , copy] = words;
  return at < 0 || copy === undefined ? {} : { also: { db: databaseIn(words[at + 1]), keys: [copy] } };
}

/** The database that SELECT, MOVE and COPY name. Throws a TypeError if they name none. */
export function databaseIn(word: string | undefined): number {
  if (word === undefined || !/^\d{1,9}$/.test(word))
    throw new TypeError(`no database: ${JSON.stringify(word ?? '')}`);
  return Number(word);
}
