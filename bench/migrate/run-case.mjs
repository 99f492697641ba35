import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { joinNoLoad } from '../../lib/index.ts';
import { tagOfSlot } from '../../tests/helpers/clusters.ts';
import { library } from './candidates.mjs';
import { nowMs } from './clock.mjs';
import { startCluster } from './cluster.mjs';
import { memorySampler } from './memory.mjs';
import { profile } from './profile.mjs';
import { openWatcher } from './watcher.mjs';

const IDLE_MS = 1000;
/** Slots of the first two masters that never move, for the keys of the other client. */
const STILL_SLOTS = [5400, 10_900];

const range = (count) => Array.from({ length: count }, (_, index) => index);

/**
 * Runs a case: every candidate moves the same data in turn, round by round, in alternating order. Every move is verified.
 * Resolves to the samples by verb and candidate, and the latencies seen while nothing moved.
 */
export async function runCase(name, definition, context) {
  const { bed, rounds, scale } = context;
  const { verbs = ['move'], roundTripMs = 0, data, scaleKeys = verbs[0] !== 'move' } = definition;
  const isFar = roundTripMs > 0;
  const say = (text) => process.stderr.write(`${name}: ${text}\n`);
  const spare = verbs[0] === 'move' ? 0 : 1;
  const cluster = await startCluster(bed, spare, isFar ? { relay: true, unixSocket: true } : {});
  const slots = range(
    spare > 0 ? 16_384 : Math.max(1, Math.round(definition.slots * (scaleKeys ? 1 : scale))),
  );
  assert.ok(slots.length <= 5000 || spare > 0, 'The first master has only 5000 slots to move');
  const keys = Math.round(definition.keys * (scaleKeys ? scale : 1));
  if (keys > 0) await cluster.load(slots, keys, data.write, data.read);
  if (spare === 0) {
    const small = { write: (key) => ['SET', key, 'x'.repeat(100)], read: (key) => ['GET', key] };
    await cluster.load(STILL_SLOTS, 1, small.write, small.read);
  }
  for (const node of cluster.spare) await admit(cluster, node);
  say(`${slots.length} slots, ${cluster.keys} keys`);

  const watchers = await openWatchers(cluster, spare, isFar);
  const results = new Map(verbs.map((verb) => [verb, new Map()]));
  const candidates = definition.candidates.map((candidate) => ({ ...candidate }));
  for (const seen of results.values()) for (const each of candidates) seen.set(each.name, newSamples());
  let [holder, receiver] = [cluster.members[0], cluster.spare[0] ?? cluster.members[1]];

  /** One move by one candidate, while the other client measures; fails if anything is not as it should be. */
  const once = async (candidate, verb, samples, onLook) => {
    const [from, to] = verb === 'shrink' ? [receiver, holder] : [holder, receiver];
    const [fromId, toId] = await Promise.all([cluster.idOf(from), cluster.idOf(to)]);
    const memory = memorySampler();
    const job = { ...{ cluster, context, verb, from, to, slots }, ids: { from: fromId, to: toId } };
    const watcher = watchers.get(from);
    for (const node of cluster.members) if (isFar) node.setDelay(roundTripMs / 2);
    await onLook?.(job);
    watcher.start();
    let span;
    try {
      span = await candidate.run({ ...job, ...(scaleKeys && spare === 0 ? { onTick: memory.tick } : {}) });
    } finally {
      for (const node of cluster.members) if (isFar) node.setDelay(0);
    }
    // The start of a process disturbs no client, and would only dilute the latencies.
    const start = context.starts[candidate.starts] ?? 0;
    const latencies = await watcher.stop({ from: Math.min(span.from + start, span.to - 1), to: span.to });
    await onLook?.(job);
    await verifyMove(cluster, job);
    if (verb === 'move') [holder, receiver] = [receiver, holder];
    samples?.times.push(span.ms);
    if (span.movingMs > 0) samples?.moving.push(span.movingMs);
    // Too many for the arguments of one call.
    for (const latency of latencies) samples?.latencies.push(latency);
    samples?.memory.push(...memory.seen);
    return span;
  };

  try {
    const idle = await watchIdle(watchers.get(holder));
    const inCode = candidates.find(({ name }) => name.startsWith('library'));
    if (spare === 0 && !isFar && inCode) for (let time = 0; time < 2; time++) await once(inCode, 'move');
    const most = Math.min(rounds, definition.mostRounds ?? rounds);
    for (let round = 0; round < most; round++) {
      const order = round % 2 === 0 ? candidates : [...candidates].reverse();
      for (const candidate of order) {
        for (const verb of verbs) {
          const { ms } = await once(candidate, verb, results.get(verb).get(candidate.name));
          say(`round ${round + 1}, ${verb}: ${candidate.name}: ${ms.toFixed(0)} ms`);
        }
      }
    }
    for (const verb of context.profile ? verbs : []) {
      for (const candidate of candidates.filter(({ name }) => /^(library|floor)/.test(name))) {
        const title = `${name}, ${verb}, ${candidate.name}`;
        await profile(title, (nodeArgs, onLook) =>
          once(candidate.options ? library(candidate.options, nodeArgs) : candidate, verb, undefined, onLook),
        );
      }
    }
    return { results, idle, slots: slots.length, keys: cluster.keys };
  } finally {
    await Promise.all([...watchers.values()].map((watcher) => watcher.close()));
    await Promise.all([...cluster.members, ...cluster.spare].map((node) => node.kill()));
  }
}

const newSamples = () => ({ times: [], moving: [], latencies: [], memory: [] });

async function openWatchers(cluster, spare, isFar) {
  const nodes = spare > 0 ? [cluster.members[0], cluster.spare[0]] : cluster.members.slice(0, 2);
  const watchers = new Map();
  for (const [index, node] of nodes.entries()) {
    // The client is near, the operator is far.
    const place = isFar ? { path: node.unixSocket } : { host: node.host, port: node.port };
    watchers.set(node, await openWatcher(place, `key:0:{${tagOfSlot(STILL_SLOTS[index])}}`));
  }
  return watchers;
}

async function watchIdle(watcher) {
  const from = nowMs();
  watcher.start();
  await delay(IDLE_MS);
  return watcher.stop({ from, to: nowMs() });
}

/** Makes a node a member without slots. */
async function admit(cluster, node) {
  await joinNoLoad(cluster.members[0].address, node.address);
  cluster.members.push(node);
}

async function verifyMove(cluster, { verb, from, to, slots }) {
  if (verb === 'shrink') {
    // redis-trib takes the node out of the cluster, redis-cli only empties it.
    const [first] = cluster.members;
    const [reply] = await cluster.tell(first, [['CLUSTER', 'NODES']]);
    const isMember = String(reply).includes(from.address);
    if (!isMember) cluster.members.splice(cluster.members.indexOf(from), 1);
    await cluster.verify();
    assert.equal(await cluster.countSlots(from), 0, `slots left on ${from.address}`);
    if (!isMember) await admit(cluster, from);
    return;
  }
  await cluster.verify();
  if (verb === 'move') return cluster.verifyHolds(to, slots);
  const count = await cluster.countSlots(to);
  assert.ok(count >= 4000 && count <= 4200, `${to.address} has ${count} slots, not a quarter`);
}
