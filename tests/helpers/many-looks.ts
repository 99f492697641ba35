// Looks at a cluster again and again in this process, and prints what is left. Arguments: the address of a node, and how often.
import { getEventListeners } from 'node:events';
import process from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';
import { check, listNodes, openCluster } from '../../lib/index.ts';

const [, , address = '', times = '0'] = process.argv;
/** A check asks each node for much more. */
const CHECK_EVERY = 25;
const gc = globalThis.gc as () => void;
const { signal } = new AbortController();

async function look(count: number): Promise<void> {
  await using cluster = await openCluster(address);
  for (let at = 0; at < count; at++) {
    await listNodes(at % 2 === 0 ? address : cluster, { signal });
    if (at % CHECK_EVERY === 0) await check(at % 2 === 0 ? address : cluster, { signal });
  }
}

async function heapUsed(): Promise<number> {
  for (let round = 0; round < 5; round++) {
    await turn();
    gc();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const warmUp = Math.ceil(Number(times) / 4);
await look(warmUp);
const before = await heapUsed();
await look(Number(times));
const grown = (await heapUsed()) - before;
const sockets = process.getActiveResourcesInfo().filter((type) => type.startsWith('TCP')).length;
process.stdout.write(
  JSON.stringify({ grown, sockets, listeners: getEventListeners(signal, 'abort').length }),
);
