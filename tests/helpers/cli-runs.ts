// What the tests of the command line expect of every run.
import assert from 'node:assert/strict';
import { ask, connectTo, eventually } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { snapshot } from './clusters.ts';
import type { Finished } from './command-line.ts';
import { runMain } from './made-up-io.ts';

/** A password that has to be quoted in JSON, in a shell and in a configuration file. */
export const SECRET = 'hunter2 "and" \\more';

/** An open handle keeps a process alive for ever; a busy machine delays its end by seconds. */
export const LONGEST_EXIT_MS = 10_000;

/** A busy machine also delays a MIGRATE, which is reported and tried again. */
const RETRIES = /^Warning: \S+ slot \d+: .*\n/gm;

export interface Json {
  readonly version: number;
  readonly command: string;
  readonly ok: boolean;
  readonly [field: string]: unknown;
}

export function addressesOf(nodes: readonly ServerNode[]): string[] {
  return nodes.map(({ address }) => address);
}

/** Runs a command line in this process, which is faster. How processes end is tested with commands that change something. */
export async function runHere(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  return { ...(await runMain(args, { env })), lingeredMs: 0 };
}

/** Named before and after the slots of a dead master are given away. */
const LOSSES = /^Warning: \d+ slots of \S+ (?:are to be|were) given up with their keys.*\n/gm;

/** Succeeded: code 0, nothing on stderr but what was lost, and no open handle. */
export function assertDone(ran: Finished): void {
  assert.deepEqual(
    [ran.code, ran.stderr.replaceAll(RETRIES, '').replaceAll(LOSSES, '')],
    [0, ''],
    ran.stdout,
  );
  assertEnded(ran);
}

/** Failed: code 1, nothing on stdout, a line that says why, and perhaps one that says what to do next. */
export function assertFailed(ran: Finished): void {
  assert.deepEqual([ran.code, ran.stdout], [1, ''], ran.stderr);
  assert.match(
    ran.stderr,
    /^Error: .+\n(Before that, .+\n)?(Slots left open: .+\n)?(Next: .+\n( {6}.+\n)*)?$/,
  );
  assertEnded(ran);
}

/** No open handle kept the process alive. */
export function assertEnded({ lingeredMs }: Finished): void {
  assert.ok(lingeredMs < LONGEST_EXIT_MS, `it lingered for ${lingeredMs} ms`);
}

/** Neither stream shows the password, or the part of it that needs no quotes. */
export function assertSecret({ stdout, stderr }: Finished): void {
  for (const text of [SECRET, JSON.stringify(SECRET).slice(1, -1), 'hunter2'])
    assert.ok(!(stdout + stderr).includes(text), stdout + stderr);
}

/** The only document on stdout. */
export function documentOf({ stdout }: Finished, command: string): Json {
  assert.ok(stdout.endsWith('}\n') && stdout.indexOf('\n') === stdout.length - 1, stdout);
  const document = JSON.parse(stdout) as Json;
  assert.deepEqual([document.version, document.command], [1, command]);
  return document;
}

/** The error in the document of a run that failed. */
export function errorOf(ran: Finished, command: string): Json {
  const { ok, error } = documentOf(ran, command);
  assert.equal(ok, false);
  return error as Json;
}

/** Sets so many small keys, each on the one of these masters that owns its slot. */
export async function load(nodes: readonly ServerNode[], count: number): Promise<void> {
  const keys = Array.from({ length: count }, (_, number) => ['SET', `key:${number}`, 'value']);
  const loaded = await Promise.all(
    nodes.map(async (node) => {
      const connection = await connectTo(node);
      const replies = await connection.pipeline(keys);
      connection.destroy();
      return replies.filter((reply) => reply === 'OK').length;
    }),
  );
  assert.equal(
    loaded.reduce((sum, number) => sum + number, 0),
    count,
  );
}

/** How many keys these nodes hold together. */
export async function keysOn(nodes: readonly ServerNode[]): Promise<number> {
  const sizes = await Promise.all(nodes.map((node) => ask(node, 'DBSIZE')));
  return sizes.reduce<number>((sum, size) => sum + Number(size), 0);
}

/** What each node says of the cluster, once all say the same. */
export async function calm(nodes: readonly ServerNode[]): Promise<string[]> {
  let texts: string[] = [];
  await eventually('all nodes say the same', async () => {
    texts = await snapshot(nodes);
    const said = new Map<string, Set<string>>();
    for (const line of texts.flatMap((text) => text.split('\n'))) {
      const [id = '', , flags = '', , , , , , ...slots] = line.split(' ');
      const own = slots.filter((slot) => !slot.startsWith('['));
      said.set(id, (said.get(id) ?? new Set()).add([flags.replace('myself,', ''), ...own].join(' ')));
    }
    return [...said.values()].every(({ size }) => size === 1);
  });
  return texts;
}
