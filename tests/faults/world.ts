import { setTimeout as sleep } from 'node:timers/promises';
import { replicate, startClusterOnMulti } from '../../lib/index.ts';
import { isInHandshake, isSuspected, type NodeRecord, slotsOf } from '../../lib/model/node.ts';
import { parseClusterNodes } from '../../lib/model/node-lines.ts';
import type { Connection, Reply } from '../../resp/index.ts';
import { connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerName, type ServerNode } from '../bed/index.ts';
import { at } from '../helpers/clusters.ts';

const MASTERS = 3;
export const NODE_TIMEOUT_MS = 1000;
const HEAL_MS = 40_000;

/** A server, and its own line of CLUSTER NODES. */
export interface Member {
  readonly node: ServerNode;
  readonly record: NodeRecord;
}

/** Masters with one replica each, and one node that joins and leaves. */
export interface World {
  readonly bed: Bed;
  /** The servers of the cluster; the last is the one that joins and leaves. */
  readonly nodes: readonly ServerNode[];
  readonly spare: ServerNode;
}

/** Starts the servers. Acknowledged writes survive their death, because a kill is not a power cut. */
export async function startWorld(server: ServerName): Promise<World> {
  const bed = await openBed({ server });
  try {
    const nodes = await bed.start(2 * MASTERS + 1, {
      relay: true,
      config: {
        'cluster-node-timeout': `${NODE_TIMEOUT_MS}`,
        'cluster-migration-barrier': '100',
        appendonly: 'yes',
        appendfsync: 'no',
        'auto-aof-rewrite-percentage': '0',
      },
    });
    const masters = nodes.slice(0, MASTERS);
    await startClusterOnMulti(masters.map(({ address }) => address));
    for (const [index, master] of masters.entries()) {
      await replicate(master.address, at(nodes, MASTERS + index).address);
    }
    const world = { bed, nodes, spare: at(nodes, 2 * MASTERS) };
    await healed(world);
    return world;
  } catch (error) {
    await bed.close();
    throw error;
  }
}

const connections = new WeakMap<ServerNode, Connection>();

/** Asks a server on a kept connection, because for a new one its relay has to look at every process. */
export async function ask(node: ServerNode, ...command: string[]): Promise<Reply> {
  let connection = connections.get(node);
  if (!connection || connection.closed) {
    connection = await connectTo(node);
    connections.set(node, connection);
  }
  try {
    return await connection.command(command, { timeout: 2000 });
  } catch (error) {
    if ((error as { code?: string }).code === 'TIMEOUT') connection.destroy();
    throw error;
  }
}

/** The lines of a server's CLUSTER NODES, without nodes in handshake. */
export async function recordsOf(node: ServerNode): Promise<NodeRecord[]> {
  const records = parseClusterNodes(String(await ask(node, 'CLUSTER', 'NODES')));
  return records.filter((record) => !isInHandshake(record));
}

/**
 * The open slots that each master reports as its own, in words. A replica may report slots that its master had open before it came
 * back as a replica (Valkey): no command closes them there.
 */
export function openSlotsAmong(members: readonly Member[]): string[] {
  const masters = members.filter(({ record }) => record.role === 'master');
  return masters.flatMap(({ node, record }) =>
    record.openSlots.map(({ slot, direction }) => `${node.address} ${direction} ${slot}`),
  );
}

/** Every server with its own line of CLUSTER NODES. */
export async function membersOf({ nodes }: World): Promise<Member[]> {
  return Promise.all(nodes.map(memberOf));
}

async function memberOf(node: ServerNode): Promise<Member> {
  const record = (await recordsOf(node)).find(({ flags }) => flags.includes('myself'));
  if (!record) throw new Error(`${node.address} does not list itself`);
  return { node, record };
}

/** Masters that own slots. */
export function ownersAmong(members: readonly Member[]): Member[] {
  return members.filter(({ record }) => record.role === 'master' && record.slots.length > 0);
}

/** The replica of a master, if it has one. */
export function replicaAmong(members: readonly Member[], master: Member): Member | undefined {
  return members.find(({ record }) => record.role === 'replica' && record.masterId === master.record.id);
}

/** The server that owns each slot. */
export function ownerBySlot(members: readonly Member[]): Map<number, ServerNode> {
  return new Map(
    ownersAmong(members).flatMap(({ node, record }) => slotsOf(record).map((slot) => [slot, node])),
  );
}

/** True if the node that joins and leaves is a member. */
export function isSpareIn(members: readonly Member[], { spare }: World): boolean {
  const member = members.find(({ node }) => node === spare);
  return member !== undefined && (member.record.slots.length > 0 || member.record.role === 'replica');
}

/**
 * Waits until every server answers, sees no other as failed, serves, and every replica has a link to its master. A slot
 * may be open. Throws with what is wrong at the deadline.
 */
export async function healed(world: World): Promise<Member[]> {
  let amiss: string[] = [];
  const deadline = performance.now() + HEAL_MS;
  // Twice in a row: right after it is back, a node may say what it last knew
  for (let good = 0; good < 2; await sleep(50)) {
    amiss = (await Promise.all(world.nodes.map((node) => amissAt(world, node)))).flat();
    good = amiss.length === 0 ? good + 1 : 0;
    if (performance.now() > deadline) throw new Error(`The cluster does not heal: ${amiss.join('; ')}`);
  }
  return membersOf(world);
}

async function amissAt(world: World, node: ServerNode): Promise<string[]> {
  try {
    const records = await recordsOf(node);
    if (records.length === 1 && node === world.spare) return [];
    const [info, replication] = (
      await Promise.all([ask(node, 'CLUSTER', 'INFO'), ask(node, 'INFO', 'replication')])
    ).map(String) as [string, string];
    const isImporting = records.some(({ openSlots }) =>
      openSlots.some(({ direction }) => direction === 'importing'),
    );
    const lost = records.filter(
      (record) =>
        isSuspected(record) || (record.linkState !== 'connected' && !record.flags.includes('myself')),
    );
    return [
      // Redis before 7.0 does not serve while the source of a slot that it imports has failed over
      ...(info.includes('cluster_state:ok') || isImporting
        ? []
        : [`${node.address} reports cluster_state:fail`]),
      ...(/^master_link_status:down/m.test(replication) ? [`${node.address} has no link to its master`] : []),
      ...lost.map(({ address }) => `${node.address} does not trust ${address.host}:${address.port}`),
    ];
  } catch (error) {
    return [`${node.address}: ${String(error)}`];
  }
}

/** Fails unless each master has a replica, except the one that joins and leaves. */
export function isWhole(members: readonly Member[], world: World): boolean {
  const masters = ownersAmong(members).filter(({ node }) => node !== world.spare);
  return masters.length === MASTERS && masters.every((master) => replicaAmong(members, master));
}

/** Empties every master, and waits until the replicas are empty too. */
export async function emptied(world: World): Promise<void> {
  for (const { node, record } of await membersOf(world)) {
    if (record.role === 'master') await ask(node, 'FLUSHALL');
  }
  await eventually('every node is empty', async () => {
    const sizes = await Promise.all(world.nodes.map((node) => ask(node, 'DBSIZE')));
    return sizes.every((size) => size === 0);
  });
}
