import { startClusterOnMulti } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerName, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, idOfNode, recordsOf, settled } from '../helpers/clusters.ts';

export const SERVERS = 5;
export const NODE_TIMEOUT_MS = 1000;

/** Servers that are formed into a cluster, used, and formed into another. */
export interface Stage {
  readonly bed: Bed;
  readonly nodes: readonly ServerNode[];
}

/** The form of a cluster: the first nodes are its masters, the next their replicas, the others in no cluster. */
export interface Form {
  readonly masters: number;
  /** The master of each replica, by place. */
  readonly replicas?: readonly number[];
  /** Keys, spread over all slots. @default 0 */
  readonly keys?: number;
}

/** Acknowledged writes survive the death of a server, because a kill is not a power cut. */
export async function openStage(server?: ServerName, relay = false): Promise<Stage> {
  const bed = await openBed(server === undefined ? {} : { server });
  try {
    const nodes = await bed.start(SERVERS, {
      relay,
      config: {
        'cluster-node-timeout': `${NODE_TIMEOUT_MS}`,
        'cluster-migration-barrier': '100',
        appendonly: 'yes',
        appendfsync: 'no',
        'auto-aof-rewrite-percentage': '0',
      },
    });
    return { bed, nodes };
  } catch (error) {
    await bed.close();
    throw error;
  }
}

/** Dissolves what was there, and makes a cluster of this form. Resolves to the value of each key. */
export async function build(
  { nodes }: Stage,
  { masters, replicas = [], keys = 0 }: Form,
): Promise<Map<string, string>> {
  for (const node of nodes) node.reconnect();
  await Promise.all(nodes.map((node) => (node.pid === undefined ? node.restart() : node.thaw())));
  // A node that learned of another from one that still knew it must forget it again.
  await eventually('every node is alone and empty', async () => {
    await Promise.all(nodes.map(clear));
    return (await Promise.all(nodes.map(isAlone))).every((alone) => alone);
  });
  if (masters > 0) await startClusterOnMulti(nodes.slice(0, masters).map(({ address }) => address));
  if (replicas.length > 0) await attach(nodes, masters, replicas);
  const values = new Map(Array.from({ length: keys }, (_, index) => [`key:${index}`, `value:${index}`]));
  if (values.size > 0) {
    const client = new ClusterClient(at(nodes, 0));
    await Promise.all([...values].map(([key, value]) => client.set(key, value)));
    await client.close();
  }
  return values;
}

async function clear(node: ServerNode): Promise<void> {
  await ask(node, 'ACL', 'SETUSER', 'default', '+@all');
  await ask(node, 'CONFIG', 'SET', 'maxmemory', '0');
  await ask(node, 'FLUSHALL').catch(() => undefined);
  await ask(node, 'CLUSTER', 'MIGRATION', 'CANCEL', 'ALL').catch(() => undefined);
  await ask(node, 'CLUSTER', 'RESET', 'HARD');
  await ask(node, 'FLUSHALL');
  await ask(node, 'CONFIG', 'SET', 'cluster-node-timeout', `${NODE_TIMEOUT_MS}`);
}

async function isAlone(node: ServerNode): Promise<boolean> {
  const nodes = String(await ask(node, 'CLUSTER', 'NODES'))
    .trim()
    .split('\n');
  const [keys, info] = await Promise.all([ask(node, 'DBSIZE'), ask(node, 'CLUSTER', 'INFO')]);
  return nodes.length === 1 && keys === 0 && String(info).includes('cluster_slots_assigned:0');
}

async function attach(
  nodes: readonly ServerNode[],
  masters: number,
  replicas: readonly number[],
): Promise<void> {
  const first = at(nodes, 0);
  const added = nodes.slice(masters, masters + replicas.length);
  for (const node of added) await ask(first, 'CLUSTER', 'MEET', node.host, `${node.port}`);
  const members = nodes.slice(0, masters + replicas.length);
  await eventually('all know each other', async () => {
    const known = await Promise.all(members.map(recordsOf));
    return known.every(({ length }) => length === members.length);
  });
  for (const [index, master] of replicas.entries()) {
    const id = await idOfNode(at(nodes, master));
    await eventually(
      'it accepts a master',
      async () => (await ask(at(added, index), 'CLUSTER', 'REPLICATE', id)) === 'OK',
    );
  }
  await eventually('replicas have copied', async () => {
    const infos = await Promise.all(added.map((node) => ask(node, 'INFO', 'replication')));
    return infos.every((info) => /^master_link_status:up/m.test(String(info)));
  });
  await settled(members);
}
