// Opens many connections to a server, leaves them idle, and prints what they cost. Arguments: host, port and how many.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, connect } from '../../resp/index.ts';

const [, , host = '', port = '0', count = '0'] = process.argv;
const gc = globalThis.gc as () => void;

async function measure(): Promise<{ heap: number; rss: number }> {
  for (let round = 0; round < 5; round++) {
    await sleep(10);
    gc();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss };
}

const open = async (): Promise<Connection> => {
  const connection = await connect({ host, port: Number(port), clientName: 'redis-trib' });
  await connection.command(['CLUSTER', 'NODES']);
  return connection;
};

// The first ones load code, which is not their cost.
for (let index = 0; index < 20; index++) await (await open()).close();
const before = await measure();
const connections: Connection[] = [];
for (let index = 0; index < Number(count); index++) connections.push(await open());
const after = await measure();
const bytes = Math.round((after.heap - before.heap) / connections.length);
const resident = Math.round((after.rss - before.rss) / connections.length);
for (const connection of connections) connection.destroy();
process.stdout.write(JSON.stringify({ bytes, resident }));
