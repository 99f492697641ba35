import assert from 'node:assert/strict';
import {
  type CheckOptions,
  type ClusterError,
  type ClusterLike,
  check,
  createCluster,
  type FindingKind,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { formatAddress } from '../../lib/model/address.ts';
import { isInHandshake, type NodeRecord } from '../../lib/model/node.ts';
import { parseClusterNodes } from '../../lib/model/node-lines.ts';
import { formatRanges, keySlot } from '../../lib/model/slot.ts';
import type { ConnectionOptions } from '../../lib/options.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import type { Bed, ServerNode, StartOptions } from '../bed/index.ts';

/**
 * For tests that wait for a failure to be declared, or only for a cluster to start. On a busy machine, even a healthy node
 * may be silent for a second: `startMasters` makes the others more patient, see `bePatient`.
 */
export const quick: StartOptions = { config: { 'cluster-node-timeout': '1000' } };

const PATIENT_TIMEOUT_MS = 15_000;

/** The connection options that a node needs. */
export function optionsFor(node: ServerNode): ConnectionOptions {
  return {
    ...(node.password === undefined ? {} : { password: node.password }),
    ...(node.tls === undefined ? {} : { tls: { ca: node.tls.ca } }),
  };
}

/** Starts so many servers that are in no cluster. */
export async function startNodes(bed: Bed, count: number, options?: StartOptions): Promise<ServerNode[]> {
  return bed.start(count, options);
}

/**
 * Starts a cluster of so many masters, and so many servers that are in no cluster. Resolves when the cluster serves. Unless
 * the options set a node timeout, it is short until then (a new master waits that long to serve), and long afterwards.
 */
export async function startMasters(
  bed: Bed,
  masters: number,
  spare = 0,
  options: StartOptions = {},
): Promise<ServerNode[]> {
  const nodes = await bed.start(masters + spare, {
    ...options,
    config: { ...quick.config, ...options.config },
  });
  const [first] = nodes;
  assert.ok(first);
  const members = nodes.slice(0, masters);
  await startClusterOnMulti(
    members.map(({ address }) => address),
    optionsFor(first),
  );
  await settled(members);
  if (options.config?.['cluster-node-timeout'] === undefined) await bePatient(members);
  return nodes;
}

/** Starts three masters, each with a replica, which notice a failure soon. Masters first, then their replicas in the same order. */
export async function startPairs(bed: Bed, options: StartOptions = quick): Promise<ServerNode[]> {
  const nodes = await bed.start(6, options);
  await createCluster(
    nodes.map(({ address }) => address),
    { ...optionsFor(at(nodes, 0)), replicas: 1 },
  );
  await settled(nodes);
  const own = await Promise.all(
    nodes.map(async (node) => (await recordsOf(node)).find(({ flags }) => flags.includes('myself'))),
  );
  const masters = nodes.filter((_, index) => own[index]?.role === 'master');
  const ids = await Promise.all(masters.map(idOfNode));
  const replicas = ids.map((id) =>
    at(
      nodes,
      own.findIndex((record) => record?.masterId === id),
    ),
  );
  return [...masters, ...replicas];
}

/** Makes nodes wait long before they declare another failed, so that they go on serving if one is slow for some seconds. */
export async function bePatient(nodes: readonly ServerNode[]): Promise<void> {
  await Promise.all(
    nodes.map((node) => ask(node, 'CONFIG', 'SET', 'cluster-node-timeout', `${PATIENT_TIMEOUT_MS}`)),
  );
}

/** The item at this place of a list that is known to be long enough. */
export function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index];
  assert.ok(item !== undefined, `No item ${index}`);
  return item;
}

/** The lines of a node's CLUSTER NODES, without nodes in handshake. */
export async function recordsOf(node: ServerNode): Promise<NodeRecord[]> {
  const records = parseClusterNodes(String(await ask(node, 'CLUSTER', 'NODES')));
  return records.filter((record) => !isInHandshake(record));
}

export async function idOfNode(node: ServerNode): Promise<string> {
  return String(await ask(node, 'CLUSTER', 'MYID'));
}

/** Waits until a node says that it has this role. */
export function becomes(node: ServerNode, wanted: NodeRecord['role'], timeoutMs?: number): Promise<void> {
  return eventually(
    `${node.address} is a ${wanted}`,
    async () =>
      (await recordsOf(node)).some(({ flags, role }) => flags.includes('myself') && role === wanted),
    timeoutMs,
  );
}

/** Waits until each of these nodes says that the node has failed: `fail`, not only `fail?`. */
export async function declaredFailed(by: readonly ServerNode[], node: ServerNode): Promise<void> {
  const line = new RegExp(`:${node.port}@\\S+ \\S*,fail[ ,]`);
  for (const one of by) {
    await eventually(`${one.address} says that ${node.address} has failed`, async () =>
      line.test(String(await ask(one, 'CLUSTER', 'NODES'))),
    );
  }
}

/** What a node says of its cluster: by address, the slots of a master or the master of a replica, and anything unusual. */
export async function seenBy(node: ServerNode): Promise<Record<string, string>> {
  const records = await recordsOf(node);
  const nameOf = (record: NodeRecord | undefined) =>
    record ? formatAddress({ ...record.address, host: record.address.host || node.host }) : 'an unknown node';
  return Object.fromEntries(
    records.map((record) => {
      const { flags, role, masterId, slots, openSlots, linkState } = record;
      const words = [
        role === 'master'
          ? formatRanges(slots)
          : `replica of ${nameOf(records.find(({ id }) => id === masterId))}`,
        ...openSlots.map(({ slot, direction, peer }) => {
          const other = records.find(({ id }) => id === peer);
          return `[${slot} ${direction} ${other ? nameOf(other) : peer}]`;
        }),
        ...flags.filter((flag) => !['myself', 'master', 'slave', 'nofailover'].includes(flag)),
        ...(linkState === 'connected' ? [] : [linkState]),
      ];
      return [nameOf(record), words.filter((word) => word !== '').join(' ')];
    }),
  );
}

const LATE_PACKETS_MS = 5000;

/** Tries until the assertions hold. At the deadline, fails as they do. */
export async function assertSoon(assertions: () => Promise<void>, timeoutMs?: number): Promise<void> {
  const holds = () => assertions().then(() => true);
  await eventually('the assertions hold', holds, timeoutMs).catch(() => assertions());
}

/**
 * Fails unless check soon reports exactly these kinds of findings: packets on the cluster bus and links of new replicas
 * take a while to settle after an operation. Settings do not count: `startMasters` gives its members another node timeout than
 * the nodes that are added later.
 */
export async function assertFindings(
  cluster: ClusterLike,
  kinds: readonly FindingKind[],
  options?: CheckOptions,
): Promise<void> {
  await assertSoon(async () => {
    const { findings: all } = await check(cluster, options);
    const findings = all.filter(({ kind }) => kind !== 'settings-differ');
    const shown = findings.map(({ severity, message }) => `${severity}: ${message}`);
    assert.deepEqual(
      findings.map(({ kind }) => kind),
      kinds,
      `check reports:\n${shown.join('\n')}`,
    );
  });
}

/**
 * Fails unless each of these nodes soon says exactly this of the cluster, and serves. A packet that was sent before a change
 * and arrives after it makes a node take back what it said for a moment.
 */
export async function assertSeenByAll(
  nodes: readonly ServerNode[],
  layout: Readonly<Record<string, string>>,
): Promise<void> {
  await assertSoon(() => assertSeenNow(nodes, layout), LATE_PACKETS_MS);
}

async function assertSeenNow(
  nodes: readonly ServerNode[],
  layout: Readonly<Record<string, string>>,
): Promise<void> {
  await Promise.all(
    nodes.map(async (node) => {
      assert.deepEqual(sorted(await seenBy(node)), sorted(layout), `as ${node.address} sees it`);
      assert.match(
        String(await ask(node, 'CLUSTER', 'INFO')),
        /^cluster_state:ok/m,
        `state of ${node.address}`,
      );
    }),
  );
}

/** The same for a list in which each node is given its slots, or `replica of …`. */
export async function assertLayout(layout: readonly (readonly [ServerNode, string])[]): Promise<void> {
  await assertSeenByAll(
    layout.map(([node]) => node),
    Object.fromEntries(layout.map(([node, text]) => [node.address, text])),
  );
}

function sorted(layout: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(layout).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Fails unless the node knows no other node and owns no slot. */
export async function assertAlone(node: ServerNode): Promise<void> {
  assert.deepEqual(await seenBy(node), { [node.address]: '' });
}

const AGING = [4, 5, 7];
const EPOCH = 6;

/** CLUSTER NODES of each node, without what changes on its own: times, links, and the config epochs of others. */
export async function snapshot(nodes: readonly ServerNode[]): Promise<string[]> {
  return Promise.all(
    nodes.map(async (node) => {
      const lines = String(await ask(node, 'CLUSTER', 'NODES'))
        .trim()
        .split('\n');
      return lines
        .filter((line) => !/^\S+ \S+ \S*handshake/.test(line))
        .map((line) =>
          line
            .split(' ')
            .map((field, index) =>
              (line.includes('myself') ? AGING : [...AGING, EPOCH]).includes(index) ? '-' : field,
            )
            .join(' '),
        )
        .sort()
        .join('\n');
    }),
  );
}

/**
 * Sends commands to a node in one write, all of them again while the node says that the cluster is down. Fails if one is
 * refused for another reason.
 */
export async function tell(node: ServerNode, ...commands: (readonly string[])[]): Promise<Reply[]> {
  const connection = await connectTo(node);
  try {
    let replies: Reply[] = [];
    await eventually('the cluster is up', async () => {
      replies = await connection.pipeline(commands);
      return !replies.some((reply) => reply instanceof ReplyError && reply.code === 'CLUSTERDOWN');
    });
    for (const reply of replies) if (reply instanceof Error) throw reply;
    return replies;
  } finally {
    connection.destroy();
  }
}

/** The open slots that each node reports as its own. */
export async function openSlotsAt(nodes: readonly ServerNode[]): Promise<string[]> {
  const all = await Promise.all(
    nodes.map(async (node) => {
      const records = await recordsOf(node);
      const own = records.find(({ flags }) => flags.includes('myself'));
      return (own?.openSlots ?? []).map(({ slot, direction }) => `${node.address} ${direction} ${slot}`);
    }),
  );
  return all.flat().sort();
}

/** The slots that are open at any of these nodes, sorted. */
export async function slotsOpenAt(nodes: readonly ServerNode[]): Promise<number[]> {
  const slots = (await openSlotsAt(nodes)).map((text) => Number(text.split(' ').at(-1)));
  return [...new Set(slots)].sort((a, b) => a - b);
}

/** Fails unless an error names every slot that is open at these nodes. */
export async function assertAllNamed(nodes: readonly ServerNode[], error: ClusterError): Promise<void> {
  const unnamed = (await slotsOpenAt(nodes)).filter((slot) => !error.openSlots.includes(slot));
  assert.deepEqual(unnamed, [], 'every open slot is named');
}

/** Waits until all of these nodes see each other and the same slot owners. */
export async function settled(nodes: readonly ServerNode[]): Promise<void> {
  await eventually('the nodes agree', async () => {
    const views = await Promise.all(nodes.map(seenBy));
    const texts = views.map((view) => JSON.stringify(sorted(view)));
    const states = await Promise.all(nodes.map((node) => ask(node, 'CLUSTER', 'INFO')));
    return new Set(texts).size === 1 && states.every((state) => /^cluster_state:ok/m.test(String(state)));
  });
}

/** So many keys of one slot, different ones for each prefix. */
export function keysOfSlot(slot: number, count: number, prefix = 'key'): string[] {
  const tag = tagOfSlot(slot);
  return Array.from({ length: count }, (_, index) => `${prefix}:${index}:{${tag}}`);
}

const tags = new Map<number, string>();

/** A hash tag of a slot. */
export function tagOfSlot(slot: number): string {
  for (let number = tags.size; !tags.has(slot); number++) {
    const tag = `t${number}`;
    const of = keySlot(tag);
    if (!tags.has(of)) tags.set(of, tag);
  }
  return tags.get(slot) ?? '';
}

/** How many keys a node holds. */
export async function sizeOf(node: ServerNode): Promise<number> {
  return Number(await ask(node, 'DBSIZE'));
}
