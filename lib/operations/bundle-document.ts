import { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { NodeRecording, Recorded, Recording, Unanswered } from '../model/recording.ts';
import { boolean, list, Misfit, number, optional, type Reader, record, text } from '../plan/read.ts';

/** Longest document, in bytes. */
export const LONGEST_BUNDLE: number = 64 * 1024 * 1024;

const VERSION = 1;
const [MOST_NODES, DEEPEST] = [4096, 8];

/** What the nodes of a cluster answered, to be looked at elsewhere. JSON; see docs/json.md. */
export interface Bundle {
  readonly bundle: typeof VERSION;
  /** Version of redis-trib that wrote it. */
  readonly by: string;
  /** When it was written: ISO 8601, UTC. */
  readonly at: string;
  readonly isAnonymous: boolean;
  /** The addresses that were named, the one that was asked first before all others. */
  readonly asked: readonly string[];
  /** Whether a node that no member lists sent packets to members. Absent if nobody listened, as all slots have owners. */
  readonly unlisted?: boolean;
  readonly nodes: readonly BundledNode[];
}

export interface BundledNode {
  readonly address: string;
  /** By command: the answers in the order in which it was asked. */
  readonly answers: Readonly<Record<string, readonly BundledAnswer[]>>;
  /** By database: how many keys are in each slot that has any. Databases whose slots were not counted are left out. */
  readonly keys: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** An answer; text of several lines is a list of them, for people. */
export type BundledAnswer =
  | string
  | number
  | null
  | { readonly lf: readonly string[] }
  | { readonly crlf: readonly string[] }
  | { readonly error: string }
  | Unanswered
  | readonly BundledAnswer[];

/** The document of a recording. */
export function bundleOf(recording: Recording, about: Pick<Bundle, 'by' | 'at' | 'isAnonymous'>): Bundle {
  return {
    bundle: VERSION,
    ...about,
    asked: recording.asked,
    ...(recording.unlisted === undefined ? {} : { unlisted: recording.unlisted }),
    nodes: [...recording.nodes].map(([address, { answers, keys }]) => ({
      address,
      answers: Object.fromEntries([...answers].map(([command, all]) => [command, all.map(shown)])),
      keys: Object.fromEntries([...keys].map(([db, counts]) => [db, Object.fromEntries(counts)])),
    })),
  };
}

function shown(answer: Recorded | Unanswered): BundledAnswer {
  if (isList(answer)) return answer.map(shown);
  if (typeof answer !== 'string' || !answer.includes('\n')) return answer;
  return answer.includes('\r\n') ? { crlf: answer.split('\r\n') } : { lf: answer.split('\n') };
}

function isList(answer: Recorded | Unanswered): answer is readonly Recorded[] {
  return Array.isArray(answer);
}

/** A bundle as people read it. Throws a ClusterError `BUNDLE_INVALID` for one that is too large to be read again. */
export function formatBundle(bundle: Bundle): string {
  const text = `${JSON.stringify(bundle, null, 1)}\n`;
  const bytes = Buffer.byteLength(text);
  if (bytes > LONGEST_BUNDLE) throw tooLong(bytes);
  return text;
}

function tooLong(length: number): ClusterError {
  return invalid(`it has ${length} bytes, the maximum is ${LONGEST_BUNDLE}`);
}

/**
 * Reads a bundle from text. Throws a ClusterError `BUNDLE_INVALID` that says what is wrong: too long, no JSON, written by a newer
 * version, or the field that is not as it should be.
 */
export function parseBundle(json: string): Recording & Pick<Bundle, 'at'> {
  if (json.length > LONGEST_BUNDLE) throw tooLong(json.length);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // The parser's message repeats part of the text.
    throw invalid('it is not JSON, or is cut short');
  }
  const version = typeof value === 'object' && value !== null && 'bundle' in value ? value.bundle : undefined;
  if (typeof version === 'number' && version > VERSION)
    throw invalid(
      `it has version ${version}, and this redis-trib reads version ${VERSION}: update redis-trib`,
    );
  if (version !== VERSION) throw invalid('it has no "bundle": 1');
  try {
    return recordingIn(readBundle(value, ''));
  } catch (error) {
    throw error instanceof Misfit ? invalid(error.message) : error;
  }
}

function invalid(why: string): ClusterError {
  return new ClusterError('BUNDLE_INVALID', `Not a bundle: ${why}`);
}

interface ReadBundle {
  readonly bundle: number;
  readonly by: string;
  readonly at: string;
  readonly isAnonymous: boolean;
  readonly asked: readonly string[];
  readonly unlisted?: boolean;
  readonly nodes: readonly {
    readonly address: string;
    readonly answers: ReadonlyMap<string, (Recorded | Unanswered)[]>;
    readonly keys: ReadonlyMap<string, ReadonlyMap<string, number>>;
  }[];
}

const address: Reader<string> = (value, at) => {
  try {
    parseAddress(String(value));
  } catch {
    throw new Misfit(`${at}: expected host:port`);
  }
  return text(/^/, 'host:port')(value, at);
};

/** A number, or a list of them. */
const answer =
  (depth: number): Reader<Recorded | Unanswered> =>
  (value, at) => {
    if (value === null || typeof value === 'number' || typeof value === 'string') return value;
    if (depth > DEEPEST) throw new Misfit(`${at}: lists in lists, more than ${DEEPEST} deep`);
    if (Array.isArray(value))
      return value.map((one, index) => answer(depth + 1)(one, `${at}[${index}]`) as Recorded);
    const fields = typeof value === 'object' ? (value as Readonly<Record<string, unknown>>) : {};
    for (const [name, end] of Object.entries({ crlf: '\r\n', lf: '\n' })) {
      const lines = fields[name];
      if (Array.isArray(lines) && lines.every((line) => typeof line === 'string')) return lines.join(end);
    }
    const { error, failed, message, code, tls } = fields;
    if (typeof error === 'string') return { error };
    if (typeof failed !== 'string' || typeof message !== 'string')
      throw new Misfit(`${at}: expected an answer`);
    return {
      ...{ failed, message },
      ...(typeof code === 'string' ? { code } : {}),
      ...(typeof tls === 'string' ? { tls } : {}),
    };
  };

/** An object with any names. */
const mapOf =
  <Value>(reader: Reader<Value>): Reader<ReadonlyMap<string, Value>> =>
  (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new Misfit(`${at}: expected an object`);
    return new Map(Object.entries(value).map(([name, one]) => [name, reader(one, `${at}.${name}`)]));
  };

const readBundle: Reader<ReadBundle> = record<ReadBundle>({
  bundle: number(VERSION, VERSION),
  by: text(/^/, 'a version'),
  at: text(/^/, 'a time'),
  isAnonymous: boolean,
  asked: list(address, MOST_NODES),
  unlisted: optional(boolean),
  nodes: list(
    record<ReadBundle['nodes'][number]>({
      address,
      answers: mapOf(list(answer(0), MOST_NODES)),
      keys: mapOf(mapOf(number(0, Number.MAX_SAFE_INTEGER))),
    }),
    MOST_NODES,
  ),
});

function recordingIn({ asked, at, nodes, unlisted }: ReadBundle): Recording & Pick<Bundle, 'at'> {
  const [seed, ...elsewhere] = asked;
  if (seed === undefined) throw new Misfit('asked: expected at least one address');
  const numbers = (counts: ReadonlyMap<string, number>) =>
    new Map([...counts].map(([slot, count]) => [Number(slot), count]));
  return {
    asked: [seed, ...elsewhere],
    at,
    ...(unlisted === undefined ? {} : { unlisted }),
    nodes: new Map(
      nodes.map((node): [string, NodeRecording] => [
        node.address,
        {
          answers: new Map(node.answers),
          keys: new Map([...node.keys].map(([db, counts]) => [Number(db), numbers(counts)])),
        },
      ]),
    ),
  };
}
