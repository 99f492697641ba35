import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type Reply, type Command as ServerCommand } from '../../../resp/index.ts';
import { parseAddress } from '../../model/address.ts';
import type { DemoServers } from '../demo-servers.ts';

/** A cluster that is to be broken. Its nodes are named by their place among the servers: masters first, then their replicas. */
export interface PracticeScene {
  readonly servers: DemoServers;
  readonly signal: AbortSignal;
}

/** Places of the nodes of the cluster: masters, then their replicas. */
export const ALL: readonly number[] = [0, 1, 2, 3, 4, 5];

/** The address of a node, by its place. */
export function nodeAt({ servers }: PracticeScene, index: number): string {
  return servers.nodes[index] ?? '';
}

/** The path of a file of a node. */
export function fileOf({ servers }: PracticeScene, index: number, name: string): string {
  return join(servers.dir, `${portAt(servers, index)}`, name);
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
  const own = readFileSync(fileOf(scene, other, 'nodes.conf'), 'latin1');
  const [, id = ''] = /(\w+) \S+ \S*myself/.exec(own) ?? [];
  await Promise.all(places.map((place) => kill(scene, place)));
  for (const place of places) {
    const file = fileOf(scene, place, 'nodes.conf');
    const lines = readFileSync(file, 'latin1').split('\n');
    const kept = lines.map((line) => (line.startsWith(id) ? changed(line) : line));
    writeFileSync(file, `${kept.filter((line) => line !== '').join('\n')}\n`, 'latin1');
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
