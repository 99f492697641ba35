import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeCertificate } from './certificate.ts';
import { configText } from './config.ts';
import { ping } from './ping.ts';
import { returnPort, takePort } from './ports.ts';
import type { Launch, Running, Signal } from './process.ts';
import type { Relay, RelayNet } from './relay.ts';
import type { ServerNode, StartOptions } from './types.ts';

const startDeadlineMs = 30_000;

export interface NodeContext {
  /** The folder that contains the folders of nodes. */
  readonly dir: string;
  readonly major: number;
  readonly launch: Launch;
  readonly relays: RelayNet;
}

/** A node, and the way to end it permanently. */
export interface OwnedNode extends ServerNode {
  dispose(): Promise<void>;
}

class PortTaken extends Error {}

/** Starts one server, with several attempts: another process may take the port before the server does. */
export async function startNode(context: NodeContext, options: StartOptions): Promise<OwnedNode> {
  for (let attempt = 1; ; attempt += 1) {
    const node = await createNode(context, options);
    try {
      await node.restart();
      return node;
    } catch (error) {
      await node.dispose();
      if (!(error instanceof PortTaken) || attempt === 5) throw error;
    }
  }
}

async function createNode(context: NodeContext, options: StartOptions): Promise<OwnedNode> {
  const { host = '127.0.0.1', password } = options;
  if (options.relay === true && host !== '127.0.0.1') throw new Error('A relay listens on 127.0.0.1 only');
  const port = await takePort(host);
  const dir = join(context.dir, String(port));
  await mkdir(dir);
  const tls = options.tls === true ? await makeCertificate(dir) : undefined;
  const relay = options.relay === true ? await context.relays.open(port) : undefined;
  const bind = relay?.upstream ?? host;
  const place = { dir, bind, port, announce: relay && host };
  await writeFile(join(dir, 'server.conf'), configText(place, options, context.major));

  let running: Running | undefined;
  const log = () => readFile(join(dir, 'server.log'), 'latin1').catch(() => '');

  const send = async (signal: Signal) => {
    if (running === undefined || running.hasExited)
      throw new Error(`The server on port ${port} does not run`);
    await running.signal(signal);
  };
  const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
    if (running === undefined || running.hasExited) return;
    await running.signal(signal);
    // A frozen server does not see SIGTERM
    if (signal === 'SIGTERM') await running.signal('SIGCONT');
    await running.exited;
    relay?.setPid(undefined);
  };
  const run = async () => {
    running = await context.launch(dir);
    relay?.setPid(running.pid);
    const deadline = Date.now() + startDeadlineMs;
    while (!(await ping({ host: bind, port, password, tls }))) {
      const text = running.hasExited || Date.now() > deadline ? await log() : '';
      if (running.hasExited) {
        const reason = text.trim().split('\n').slice(-5).join('\n');
        if (/address already in use|failed listening/i.test(text)) throw new PortTaken(reason);
        throw new Error(`Cannot start a server on port ${port}: ${reason}`);
      }
      if (Date.now() > deadline) throw new Error(`The server on port ${port} does not answer PING:\n${text}`);
      await delay(10);
    }
  };
  const relayed = (): Relay => {
    if (relay === undefined) throw new Error('Cannot cut off a node that was started without `relay: true`');
    return relay;
  };

  return {
    host,
    port,
    address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    busPort: port + 10_000,
    dir,
    password,
    tls,
    unixSocket: options.unixSocket === true ? join(dir, 'redis.sock') : undefined,
    get pid() {
      return running?.pid;
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    freeze: () => send('SIGSTOP'),
    thaw: () => send('SIGCONT'),
    async restart(restartOptions = {}) {
      await end('SIGTERM');
      const { nodesConf = 'keep' } = restartOptions;
      if (nodesConf === 'empty') await rm(join(dir, 'nodes.conf'), { force: true });
      else if (nodesConf !== 'keep') await writeFile(join(dir, 'nodes.conf'), nodesConf.text, 'latin1');
      await run();
    },
    cutOff: (from) => relayed().cutOff(from?.map((node) => node.port)),
    reconnect: () => relay?.reconnect(),
    setDelay: (delayMs) => relayed().setDelay(delayMs),
    log,
    async dispose() {
      await end('SIGKILL');
      relay?.close();
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
      returnPort(port);
    },
  };
}
