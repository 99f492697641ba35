import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseClusterNodes } from '../../lib/model/node-lines.ts';
import { inParallel } from '../../lib/nodes/parallel.ts';
import { connectTo } from '../../tests/bed/client.ts';

/** Servers started at once: each answers PING before the next ones are started. */
const STARTED_AT_ONCE = 20;
/** How often to ask nodes if seconds matter: asking two hundred of them takes longer than that. */
const PAUSE_MS = 100;
/** If milliseconds matter: pause per node. */
const PAUSE_PER_NODE_MS = 1;
/** Once nodes have known no other for this long, no MEET or gossip of the former cluster is left. */
const QUIET_MS = 2000;
const PATIENCE_MS = 120_000;

/** Real nodes, each with a connection to watch it. */
export async function startNodes(bed, count, options = {}) {
  const config = { 'cluster-node-timeout': '15000', ...options.config };
  const nodes = [];
  while (nodes.length < count) {
    const next = Math.min(STARTED_AT_ONCE, count - nodes.length);
    nodes.push(...(await bed.start(next, { ...options, config })));
  }
  return Promise.all(nodes.map(async (node) => ({ node, connection: await connectTo(node) })));
}

export const addressesOf = (nodes) => nodes.map(({ node }) => node.address);

/**
 * Moves the nodes of a cluster far away: they announce ports at which `delay.mjs` listens, while the cluster bus between them has no
 * delay. Resolves to the address of the first.
 */
export async function moveAway(nodes, delayMs) {
  const relays = fork(new URL('delay.mjs', import.meta.url));
  relays.unref();
  relays.send({ ports: nodes.map(({ node }) => node.port), delayMs });
  const [ports] = await once(relays, 'message');
  relays.channel.unref();
  await Promise.all(
    nodes.map(({ connection }, index) =>
      connection.command(['CONFIG', 'SET', 'cluster-announce-port', String(ports[index])]),
    ),
  );
  const wanted = ports.toSorted((a, b) => a - b).join();
  await until('all nodes have heard of the new ports', async () => {
    const seen = await inParallel(nodes, async ({ connection }) =>
      parseClusterNodes(String(await connection.command(['CLUSTER', 'NODES'])))
        .map(({ address }) => address.port)
        .toSorted((a, b) => a - b)
        .join(),
    );
    return seen.every((each) => each === wanted);
  });
  return `127.0.0.1:${ports[0]}`;
}

/** Stops former members and starts other nodes with their ids, so that no member is where the others look for it. */
export async function moveTo(nodes, former) {
  const texts = await Promise.all(former.map(({ node }) => readFile(join(node.dir, 'nodes.conf'), 'latin1')));
  await Promise.all(
    [...nodes, ...former].map(async ({ node, connection }) => {
      await connection.close();
      await node.kill();
    }),
  );
  await inParallel(
    nodes.map((watched, index) => ({ watched, text: texts[index] })),
    async ({ watched, text }) => {
      await watched.node.restart({ nodesConf: { text } });
      watched.connection = await connectTo(watched.node);
    },
    STARTED_AT_ONCE,
  );
}

/** Makes nodes know no other and own no slot again, and waits until nothing of the former cluster is in flight. */
export async function resetAll(nodes) {
  await Promise.all(nodes.map(({ connection }) => connection.command(['CLUSTER', 'RESET', 'HARD'])));
  let quietSince = performance.now();
  await until('all nodes know nobody', async () => {
    const infos = await clusterInfos(nodes);
    if (infos.some((info) => !/cluster_known_nodes:1\r/.test(info))) {
      quietSince = performance.now();
      await Promise.all(nodes.map(({ connection }) => connection.command(['CLUSTER', 'RESET', 'HARD'])));
    }
    return performance.now() - quietSince > QUIET_MS;
  });
}

/** Waits until every node reports cluster_state:ok and this number of nodes, then checks once thoroughly. */
export async function allServe(nodes) {
  const count = nodes.length;
  const wanted = [/^cluster_state:ok\r/m, new RegExp(`^cluster_known_nodes:${count}\r`, 'm')];
  await until(
    `${count} nodes serve and know each other`,
    async () => {
      const infos = await clusterInfos(nodes);
      return infos.every((info) => wanted.every((pattern) => pattern.test(info)));
    },
    count * PAUSE_PER_NODE_MS,
  );
}

/** Waits until all nodes list the same nodes, in the same roles and with the same slots. */
export async function verifyAgreed(nodes) {
  let first = [];
  await until('all nodes tell the same', async () => {
    const seen = await inParallel(nodes, recordsOf, 8);
    [first = []] = seen;
    return new Set(seen.map((records) => records.join('\n'))).size === 1;
  });
  if (first.length !== nodes.length) throw new Error(`They know ${first.length} of ${nodes.length} nodes`);
  return first.map((text) => JSON.parse(text));
}

async function recordsOf({ connection }) {
  const records = parseClusterNodes(String(await connection.command(['CLUSTER', 'NODES'])));
  return records.map(({ id, role, masterId, slots }) => JSON.stringify({ id, role, masterId, slots })).sort();
}

function clusterInfos(nodes) {
  return Promise.all(
    nodes.map(async ({ connection }) => String(await connection.command(['CLUSTER', 'INFO']))),
  );
}

async function until(what, condition, pauseMs = PAUSE_MS) {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Timed out waiting until ${what}`);
    await sleep(pauseMs);
  }
}
