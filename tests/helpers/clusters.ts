import assert from 'node:assert/strict';
import {
  type CheckOptions,
  type ClusterLike,
  check,
  type FindingKind,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { formatAddress } from '../../lib/model/address.ts';
import { isInHandshake, type NodeRecord, parseClusterNodes } from '../../lib/model/node.ts';
import { formatRanges, keySlot } from '../../lib/model/slot.ts';
import type { ConnectionOptions } from '../../lib/options.ts';
import type { Reply } from '../../resp/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import type { Bed, ServerNode, StartOptions } from '../bed/index.ts';

/** For tests that wait for a failure to be declared, or for nothing but a cluster's start. */
export const quick: StartOptions = { config: { 'cluster-node-timeout': '1000' } };

/** What a node needs of its callers. */
export function optionsFor(node: ServerNode): ConnectionOptions {
  return {
    ...(node.password === undefined ? {} : { password: node.password }),
    ...(node.tls === undefined ? {} : { tls: { ca: node.tls.ca } }),
  };
}

/** So many servers that are in no cluster. */
export async function startNodes(bed: Bed, count: number, options?: StartOptions): Promise<ServerNode[]> {
  return bed.start(count, options);
}

/** A cluster of so many masters, followed by so many servers that are in no cluster. */
export async function startMasters(
  bed: Bed,
  masters: number,
  spare = 0,
  options: StartOptions = quick,
): Promise<ServerNode[]> {
  const nodes = await bed.start(masters + spare, options);
  const [first] = nodes;
  assert.ok(first);
  await startClusterOnMulti(
    nodes.slice(0, masters).map(({ address }) => address),
    optionsFor(first),
  );
  return nodes;
}

/** The node at this place of a list that is known to be long enough. */
export function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index];
  assert.ok(item !== undefined, `No item ${index}`);
  return item;
}

/** The lines of a node's CLUSTER NODES, those in handshake left out. */
export async function recordsOf(node: ServerNode): Promise<NodeRecord[]> {
  const records = parseClusterNodes(String(await ask(node, 'CLUSTER', 'NODES')));
  return records.filter((record) => !isInHandshake(record));
}

export async function idOfNode(node: ServerNode): Promise<string> {
  return String(await ask(node, 'CLUSTER', 'MYID'));
}

/** Waits until a node says of itself that it has this role. */
export function becomes(node: ServerNode, wanted: NodeRecord['role'], timeoutMs?: number): Promise<void> {
  return eventually(
    `${node.address} is a ${wanted}`,
    async () =>
      (await recordsOf(node)).some(({ flags, role }) => flags.includes('myself') && role === wanted),
    timeoutMs,
  );
}

/** What a node says of its cluster: by address, the slots of a master, or whose replica it is, and all that is odd. */
export async function seenBy(node: ServerNode): Promise<Record<string, string>> {
  const records = await recordsOf(node);
  const nameOf = (record: NodeRecord | undefined) =>
    record ? formatAddress({ ...record.address, host: record.address.host || node.host }) : 'a stranger';
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

/** Tries until the assertions hold; fails as they do once the time is over. */
export async function assertSoon(assertions: () => Promise<void>, timeoutMs?: number): Promise<void> {
  const holds = () => assertions().then(() => true);
  await eventually('the assertions hold', holds, timeoutMs).catch(() => assertions());
}

/**
 * Fails unless check tells of exactly these kinds of findings, or does so soon: packets on the cluster bus and links of
 * replicas that are new take a while to settle after an operation.
 */
export async function assertFindings(
  cluster: ClusterLike,
  kinds: readonly FindingKind[],
  options?: CheckOptions,
): Promise<void> {
  await assertSoon(async () => {
    const { findings } = await check(cluster, options);
    const told = findings.map(({ severity, message }) => `${severity}: ${message}`);
    assert.deepEqual(
      findings.map(({ kind }) => kind),
      kinds,
      `check tells of:\n${told.join('\n')}`,
    );
  });
}

/**
 * Fails unless each of these nodes says exactly this of the cluster, and serves. A packet that was sent before a change and
 * arrives after it makes a node take back for a moment what it said already.
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

/** Fails unless the node knows nobody and owns nothing, as it was before it was in a cluster. */
export async function assertAlone(node: ServerNode): Promise<void> {
  assert.deepEqual(await seenBy(node), { [node.address]: '' });
}

const AGING = [4, 5, 7];
const EPOCH = 6;

/** CLUSTER NODES of each node, without what changes by itself: times, links, and what it has heard of config epochs of others. */
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

/** Sends commands to a node in one write; fails where one is refused. */
export async function tell(node: ServerNode, ...commands: (readonly string[])[]): Promise<Reply[]> {
  const connection = await connectTo(node);
  try {
    const replies = await connection.pipeline(commands);
    for (const reply of replies) if (reply instanceof Error) throw reply;
    return replies;
  } finally {
    connection.destroy();
  }
}

/** Open slots as each node tells of its own. */
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
