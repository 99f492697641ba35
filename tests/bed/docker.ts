import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { ContainerRuntimeClient } from 'testcontainers';
import type { OpenBackend } from './backends.ts';
import type { Launch } from './process.ts';
import { defaultServer, findProgram, parseVersion, type ServerName, serverSources } from './servers.ts';

/** The tag of the images that `docker-image.ts` makes. */
export function madeImage(name: ServerName): string {
  return `redis-trib-test:${name}`;
}

/**
 * Opens a backend with a container for each node, in the host's network so that addresses are right. Resolves to
 * undefined, with a reason, if there is no engine or no image.
 */
export async function openDocker(
  name: ServerName | undefined,
  reasons: string[],
): Promise<OpenBackend | undefined> {
  if (!hasEngine()) {
    reasons.push('There is no Docker engine');
    return undefined;
  }
  const { getContainerRuntimeClient } = await import('testcontainers');
  const client = await getContainerRuntimeClient().catch(() => undefined);
  if (client === undefined) {
    reasons.push('No Docker engine answers');
    return undefined;
  }
  const complain = (reason: string): undefined => {
    reasons.push(reason);
    process.stderr.write(`Not testing with Docker: ${reason}\n`);
  };
  if (client.info.containerRuntime.operatingSystem.includes('Docker Desktop')) {
    return complain('Docker Desktop has no host network that reaches this machine');
  }
  const wanted = name ?? defaultServer;
  const image = await findImage(client, wanted).catch((error: unknown) => complain(oneLine(error)));
  if (image === undefined) return undefined;
  const kind = name === undefined && image.includes('valkey') ? 'valkey' : serverSources[wanted].kind;
  const program = await readVersion(client, image, `${kind}-server`).catch((error: unknown) =>
    complain(`cannot run ${image}: ${oneLine(error)}`),
  );
  if (program === undefined) return undefined;
  if (name !== undefined && program.name !== name) return complain(`${image} is ${program.name}`);
  const label = `redis-trib-bed=${randomUUID()}`;
  return {
    backend: 'docker',
    program,
    launch: launchContainer(client, image, `${kind}-server`, label),
    label,
  };
}

/** False if there is no need to load testcontainers, which takes a second. */
function hasEngine(): boolean {
  if (process.env.DOCKER_HOST !== undefined) return true;
  const sockets = [
    '/var/run/docker.sock',
    join(process.env.XDG_RUNTIME_DIR ?? '/nonexistent', 'docker.sock'),
    join(homedir(), '.docker/run/docker.sock'),
    join(homedir(), '.testcontainers.properties'),
  ];
  return sockets.some((path) => existsSync(path));
}

async function findImage(client: ContainerRuntimeClient, name: ServerName): Promise<string> {
  const { ImageName } = await import('testcontainers');
  const override = process.env.REDIS_TRIB_TEST_IMAGE;
  const official = serverSources[name].image;
  const candidates = override ? [override] : [official, madeImage(name)];
  for (const image of candidates) {
    if (await client.image.exists(ImageName.fromString(image))) return image;
  }
  const image = override || official;
  await client.image.pull(ImageName.fromString(image)).catch((cause: unknown) => {
    throw new Error(`${image} is not here and cannot be pulled: ${oneLine(cause)}`, { cause });
  });
  return image;
}

async function readVersion(client: ContainerRuntimeClient, image: string, server: string) {
  const { GenericContainer, Wait } = await import('testcontainers');
  const started = await new GenericContainer(image)
    .withEntrypoint([server])
    .withCommand(['--version'])
    .withAutoCleanup(false)
    .withWaitStrategy(Wait.forOneShotStartup())
    .start();
  const container = client.container.getById(started.getId());
  const text = readStream(await container.logs({ stdout: true }));
  await container.remove({ v: true });
  return parseVersion(text);
}

function launchContainer(
  client: ContainerRuntimeClient,
  image: string,
  server: string,
  label: string,
): Launch {
  const [labelName = '', labelValue = ''] = label.split('=');
  return async (dir) => {
    const { GenericContainer, StartupCheckStrategy } = await import('testcontainers');
    /** Reports ready at once: PING decides whether the server is up. */
    class AtOnce extends StartupCheckStrategy {
      override async checkStartupState() {
        return 'SUCCESS' as const;
      }
    }
    const log = join(dir, 'server.log');
    const started = await new GenericContainer(image)
      .withNetworkMode('host')
      .withBindMounts([{ source: dir, target: dir }])
      .withUser(`${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`)
      .withLabels({ [labelName]: labelValue })
      // The guardian cleans up. Without a `docker` command the reaper does, which needs an image of its own
      .withAutoCleanup(findProgram('docker') === undefined)
      .withEntrypoint([server])
      .withCommand([join(dir, 'server.conf'), '--logfile', log])
      .withWaitStrategy(new AtOnce())
      .start();
    const container = client.container.getById(started.getId());
    const { Pid } = (await container.inspect()).State;
    const state = { hasExited: false };
    const finish = async () => {
      await container.wait();
      // What it prints before it opens its log, such as an error in the configuration
      await appendFile(log, readStream(await container.logs({ stdout: true, stderr: true })));
      await container.remove({ v: true });
      state.hasExited = true;
    };
    return {
      exited: finish(),
      get pid() {
        return state.hasExited || Pid === 0 ? undefined : Pid;
      },
      get hasExited() {
        return state.hasExited;
      },
      async signal(signal) {
        await container.kill({ signal }).catch((error: unknown) => {
          if (!isGone(error)) throw error;
        });
      },
    };
  };
}

/** Removes the frames from a container's output: 8 bytes before each piece, of which the last four are its length. */
function readStream(frames: NodeJS.ReadableStream | Buffer): string {
  if (!Buffer.isBuffer(frames)) throw new Error('The Docker engine answered with a stream');
  let text = '';
  for (let offset = 0; offset + 8 <= frames.length; ) {
    const end = offset + 8 + frames.readUInt32BE(offset + 4);
    text += frames.toString('latin1', offset + 8, end);
    offset = end;
  }
  return text;
}

/** True if the engine says that the container does not exist or is not running. */
function isGone(error: unknown): boolean {
  if (!(error instanceof Error) || !('statusCode' in error)) return false;
  return error.statusCode === 404 || error.statusCode === 409;
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').trim();
}
