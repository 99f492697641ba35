import process from 'node:process';
import { openBackend } from './backends.ts';
import { openGuarded } from './guardian.ts';
import { type OwnedNode, startNode } from './node.ts';
import { createRelayNet } from './relay.ts';
import { isServerName, type ServerName, serverNames } from './servers.ts';
import type { Backend, Bed } from './types.ts';

export type { ServerName } from './servers.ts';
export type { Backend, Bed, ServerNode, StartOptions, TlsFiles } from './types.ts';

export interface BedOptions {
  /** @default the environment's REDIS_TRIB_TEST_SERVER, or 'redis-8.0', or any available server */
  readonly server?: ServerName;
  /** @default the environment's REDIS_TRIB_TEST_BACKEND, or the first that works of docker, unpacked and path */
  readonly backend?: Backend;
}

/** Opens a bed for servers of one name. Unless a test asks for a server, the environment chooses. */
export async function openBed(options: BedOptions = {}): Promise<Bed> {
  const { backend, program, launch, label } = await openBackend(
    options.server ?? readServerName(),
    options.backend ?? readBackend(),
  );
  const guarded = await openGuarded(label);
  const { name, kind, version, major, minor } = program;
  const context = { dir: guarded.dir, major, launch, relays: createRelayNet() };
  const nodes: OwnedNode[] = [];

  const close = async () => {
    await Promise.all(nodes.splice(0).map((node) => node.dispose()));
    await guarded.release();
  };
  return {
    backend,
    server: { name, kind, version, major, minor },
    async start(count, startOptions = {}) {
      const starts = Array.from({ length: count }, async () => {
        const node = await startNode(context, startOptions);
        nodes.push(node);
        return node;
      });
      // All must settle: if one fails, none of the others may start after `close()`
      await Promise.allSettled(starts);
      const started = await Promise.all(starts);
      return started.sort((a, b) => a.port - b.port);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The program of the server to test with, for tests that run it themselves. */
export async function serverProgram(): Promise<string> {
  const backend = readBackend() === 'path' ? 'path' : 'unpacked';
  const { path } = await openBackend(readServerName(), backend);
  if (path === undefined) throw new Error('The server does not run as a program on this machine');
  return path;
}

function readServerName(): ServerName | undefined {
  const name = process.env.REDIS_TRIB_TEST_SERVER;
  if (name === undefined || name === '') return undefined;
  if (!isServerName(name)) throw new Error(`No server "${name}": choose from ${serverNames.join(', ')}`);
  return name;
}

function readBackend(): Backend | undefined {
  const name = process.env.REDIS_TRIB_TEST_BACKEND;
  if (name === undefined || name === '') return undefined;
  if (name !== 'docker' && name !== 'unpacked' && name !== 'path') {
    throw new Error(`No backend "${name}": choose from docker, unpacked, path`);
  }
  return name;
}
