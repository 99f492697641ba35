import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import { connect, type Reply, type Command as ServerCommand } from '../../../resp/index.ts';
import type { OnEvent } from '../../events.ts';
import { parseAddress } from '../../model/address.ts';
import type { OperationOptions } from '../../options.ts';
import type { DemoServers } from '../demo-servers.ts';

/** A cluster that is to be broken. Its nodes are named by their place among the servers: masters first, then their replicas. */
export interface PracticeScene {
  readonly servers: DemoServers;
  readonly signal: AbortSignal;
  /** Takes events of what is waited for. @default none */
  readonly onEvent?: OnEvent | undefined;
}

/** Places of the nodes of the cluster: masters, then their replicas. */
export const ALL: readonly number[] = [0, 1, 2, 3, 4, 5];

/** The address of a node, by its place. */
export function nodeAt({ servers }: PracticeScene, index: number): string {
  return servers.nodes[index] ?? '';
}

/** The path of a file of a node. */
export function fileOf({ servers }: PracticeScene, index: number, name: string): string {
  return pathOf(servers.dir, `${portAt(servers, index)}`, name);
}

function portAt({ nodes }: DemoServers, index: number): number {
  return parseAddress(nodes[index] ?? '').port;
}

/** Ends a node as if its machine had failed. */
export const kill = (scene: PracticeScene, index: number): Promise<void> =>
  scene.servers.kill(nodeAt(scene, index));

/** Starts it again. */
export const start = (scene: PracticeScene, index: number): Promise<void> =>
  scene.servers.start(nodeAt(scene, index));

export const set = (scene: PracticeScene, index: number, setting: string, value: string): Promise<unknown> =>
  tell(scene, index, ['CONFIG', 'SET', setting, value]);

/** Makes a spare server another replica of a master. */
export async function addSpare(scene: PracticeScene, spare: number, master = 0): Promise<void> {
  const { replicate } = await import('../../operations/replicate.ts');
  await replicate(nodeAt(scene, master), nodeAt(scene, spare), optionsOf(scene));
}

/** Makes a spare server a master without slots. */
export async function join(scene: PracticeScene, spare: number): Promise<void> {
  const { joinNoLoad } = await import('../../operations/join-cluster.ts');
  await joinNoLoad(nodeAt(scene, 0), nodeAt(scene, spare), optionsOf(scene));
}

/** For an operation that is a part of a break. */
export function optionsOf({ signal, onEvent }: PracticeScene): OperationOptions {
  return { signal, ...(onEvent ? { onEvent } : {}) };
}

/** Its shard, which Redis has from 7.2 on. */
export async function shardOf(scene: PracticeScene, index: number): Promise<string> {
  const [id] = await tell(scene, index, ['CLUSTER', 'MYSHARDID']);
  return `${id}`;
}

export async function idOf(scene: PracticeScene, index: number): Promise<string> {
  const [id] = await tell(scene, index, ['CLUSTER', 'MYID']);
  return `${id}`;
}

const PATIENCE = ['cluster-node-timeout', '600000'] as const;

/** Keeps members from being declared failed for ten minutes, until it is set again. */
export async function setPatience(scene: PracticeScene): Promise<void> {
  for (const index of scene.servers.nodes.keys()) await set(scene, index, ...PATIENCE);
}

/** The same, also by servers that are started again. */
export async function bePatient(scene: PracticeScene): Promise<void> {
  for (const index of scene.servers.nodes.keys())
    appendFileSync(fileOf(scene, index, 'server.conf'), `${PATIENCE.join(' ')}\n`);
  await setPatience(scene);
}

/** Restarts members, with the line about another in their nodes.conf changed. An empty one is left out. */
export async function relist(
  scene: PracticeScene,
  places: readonly number[],
  other: number,
  changed: (line: string) => string,
): Promise<void> {
  // It may be dead.
  const own = readFileSync(fileOf(scene, other, 'nodes.conf'), 'latin1');
  const [, id = ''] = /(\w+) \S+ \S*myself/.exec(own) ?? [];
  await rewrite(scene, places, (text) => lineOf(text, id, changed));
}

/** A nodes.conf with the line of a node changed. An empty one is left out. */
export function lineOf(text: string, id: string, changed: (line: string) => string): string {
  const lines = text.split('\n').map((line) => (line.startsWith(id) ? changed(line) : line));
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}

/**
 * Restarts all members with other nodes.conf, each of which has the others at a bus port where nobody listens: they do not hear from one another,
 * and wait ten minutes before they hold one another for failed.
 */
export async function part(
  scene: PracticeScene,
  changed: (text: string, place: number) => string = (text) => text,
): Promise<void> {
  const places = [...scene.servers.nodes.keys()];
  const files = places.map((place) => fileOf(scene, place, 'server.conf'));
  const texts = files.map((file) => readFileSync(file));
  for (const file of files) appendFileSync(file, `${PATIENCE.join(' ')}\n`);
  await rewrite(scene, places, (text, place) => changed(text.replace(/@\d+/g, '@1'), place));
  // Another start is an ordinary one.
  files.forEach((file, index) => void writeFileSync(file, texts[index] ?? ''));
}

async function rewrite(
  scene: PracticeScene,
  places: readonly number[],
  changed: (text: string, place: number) => string,
): Promise<void> {
  await Promise.all(places.map((place) => kill(scene, place)));
  for (const place of places) {
    const file = fileOf(scene, place, 'nodes.conf');
    writeFileSync(file, changed(readFileSync(file, 'latin1'), place), 'latin1');
  }
  await Promise.all(places.map((place) => start(scene, place)));
}

/** Sends commands to a node on a connection of their own. Rejects with the first error that it answers. */
export async function tell(
  scene: PracticeScene,
  index: number,
  ...commands: readonly ServerCommand[]
): Promise<Reply[]> {
  const { host, port } = parseAddress(nodeAt(scene, index));
  const connection = await connect({ host, port, signal: scene.signal });
  try {
    const replies = await connection.pipeline(commands);
    for (const reply of replies) if (reply instanceof Error) throw reply;
    return replies;
  } finally {
    connection.destroy();
  }
}
