import { createServer, type Server } from 'node:net';
import process from 'node:process';

// Client ports and their bus ports, 10000 higher, do not overlap each other or the range from which Linux and
// macOS take the local ports of outgoing connections (32768 and 49152 up).
const firstPort = 10_300;
const lastPort = 20_299;
const blockSize = 50;
const blockCount = Math.floor((lastPort - firstPort + 1) / blockSize);

/** Ports of the blocks that this process has claimed. */
const ports: number[] = [];
let turn: Promise<unknown> = Promise.resolve();

/** A port that is free, with its cluster bus port, and that no other bed will take. */
export function takePort(host: string): Promise<number> {
  const taken = turn.then(() => findPort(host));
  turn = taken.catch(() => undefined);
  return taken;
}

async function findPort(host: string): Promise<number> {
  for (;;) {
    const port = ports.shift();
    if (port === undefined) ports.push(...(await claimBlock()));
    else if ((await isFree(port, host)) && (await isFree(port + 10_000, host))) return port;
  }
}

/** Consecutive ports. */
export async function takePorts(count: number, host: string): Promise<number[]> {
  const run: number[] = [];
  while (run.length < count) {
    const port = await takePort(host);
    if (port !== (run.at(-1) ?? port - 1) + 1) run.length = 0;
    run.push(port);
  }
  return run;
}

/** Gives a port back, which is reused as late as possible. */
export function returnPort(port: number): void {
  ports.push(port);
}

/**
 * Listening on a block's first port claims the block among all processes. The claim ends with the process,
 * however it ends.
 */
async function claimBlock(): Promise<number[]> {
  for (let attempt = 0; attempt < blockCount; attempt += 1) {
    const start = firstPort + ((process.pid + attempt) % blockCount) * blockSize;
    const claim = await listen(start, '127.0.0.1');
    if (claim === undefined) continue;
    claim.unref();
    return Array.from({ length: blockSize - 1 }, (_, index) => start + 1 + index);
  }
  throw new Error(`Cannot find a free block of ports between ${firstPort} and ${lastPort}`);
}

async function isFree(port: number, host: string): Promise<boolean> {
  const server = await listen(port, host);
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

function listen(port: number, host: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => resolve(server));
  });
}
