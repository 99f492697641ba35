// A program that uses the installed package. Arguments: the addresses of four servers that are in no cluster.
import { subscribe } from 'node:diagnostics_channel';
import process from 'node:process';
import {
  check,
  execute,
  joinCluster,
  keySlot,
  listNodes,
  migrateSlots,
  openCluster,
  quitCluster,
  replicate,
  startClusterOnMulti,
} from 'redis-trib';
import { connect } from 'redis-trib/resp';

const KEYS = 500;
const [first, second, third, fourth] = process.argv.slice(2);

function require(isTrue, what) {
  if (!isTrue) throw new Error(what);
}

await startClusterOnMulti([first, second]);
const { nodes } = await listNodes(first);
for (const node of nodes) {
  const connection = await connect({ host: node.host, port: node.port });
  const held = new Set(node.assignedSlots);
  const keys = Array.from({ length: KEYS }, (_, index) => `key:${index}`).filter((key) =>
    held.has(keySlot(key)),
  );
  await connection.pipeline(keys.map((key) => ['SET', key, key]));
  await connection.close();
}

const events = [];
await joinCluster(first, third, { onEvent: ({ type }) => events.push(type) });
require(events.includes('move-done'), 'no event reports the move');
await replicate(first, fourth);
const slot = (await listNodes(first)).nodes.find((node) => node.addr() === first).assignedSlots[0];
await migrateSlots(first, second, [slot], { method: 'migrate' });
const stopped = await migrateSlots(second, first, [slot], {
  signal: AbortSignal.abort(new Error('not now')),
}).catch((error) => error.message);
require(stopped === 'not now', `an aborted call says: ${stopped}`);
const refused = await joinCluster(first, '127.0.0.1:1').catch((error) => error.code);
require(refused === 'ECONNREFUSED', `a node that is not there says: ${refused}`);
await quitCluster(third);

const sent = [];
subscribe('redis-trib:command', ({ node, commands, ms, code }) => {
  if (ms >= 0 && code === null) sent.push(...commands.map((name) => `${name} to ${node}`));
});
const cluster = await openCluster(first);
const { ok, findings } = await check(cluster);
require(ok, JSON.stringify(findings));
const sizes = await execute(cluster, ['DBSIZE'], { mastersOnly: true });
await cluster.close();
require(sent.includes(`DBSIZE to ${first}`), `the channel reports: ${sent.join(', ')}`);
const sum = sizes.reduce((total, { result }) => total + result, 0);
require(sum === KEYS, `${sum} keys of ${KEYS} are there`);
console.log('all keys there');
