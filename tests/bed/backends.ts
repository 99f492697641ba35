import { openDocker } from './docker.ts';
import { fetchServer } from './fetch.ts';
import { type Launch, launchProcess } from './process.ts';
import {
  defaultServer,
  findFetched,
  findOnPath,
  type ServerName,
  type ServerProgram,
  serverNames,
} from './servers.ts';
import type { Backend } from './types.ts';

export interface OpenBackend {
  readonly backend: Backend;
  readonly program: Omit<ServerProgram, 'path'>;
  readonly launch: Launch;
  /** The program, if it runs on this machine. */
  readonly path?: string;
  /** A label of the containers that the backend creates. */
  readonly label?: string;
}

/** Opens the first backend that has the server, or the forced one. */
export async function openBackend(
  name: ServerName | undefined,
  forced: Backend | undefined,
): Promise<OpenBackend> {
  const wanted = name ?? defaultServer;
  const reasons: string[] = [];
  const attempts: readonly [Backend, () => Promise<OpenBackend | undefined>][] = [
    ['docker', () => openDocker(name, reasons)],
    ['unpacked', () => openFetched(name)],
    ['path', () => openPath(name, reasons)],
    ['unpacked', () => openFetching(wanted, reasons)],
  ];
  for (const [backend, open] of attempts) {
    if (forced !== undefined && forced !== backend) continue;
    const opened = await open();
    if (opened !== undefined) return opened;
  }
  const how = forced === undefined ? '' : ` by way of ${forced}`;
  throw new Error(
    [
      `Cannot find ${name ?? 'a Redis or Valkey server'} to test with${how}: start a Docker engine, or install ` +
        'redis-server or valkey-server, or on Debian run "npm run servers"',
      ...reasons,
    ].join('\n'),
  );
}

async function openFetched(name: ServerName | undefined): Promise<OpenBackend | undefined> {
  for (const each of name === undefined ? [defaultServer, ...serverNames] : [name]) {
    const program = await findFetched(each);
    if (program !== undefined) return asProcess('unpacked', program);
  }
  return undefined;
}

async function openPath(name: ServerName | undefined, reasons: string[]): Promise<OpenBackend | undefined> {
  for (const kind of ['redis', 'valkey'] as const) {
    const program = await findOnPath(kind);
    if (program === undefined) continue;
    if (name === undefined || name === program.name) return asProcess('path', program);
    reasons.push(`${program.path} is ${program.name}`);
  }
  return undefined;
}

async function openFetching(name: ServerName, reasons: string[]): Promise<OpenBackend | undefined> {
  try {
    return asProcess('unpacked', await fetchServer(name));
  } catch (error) {
    reasons.push(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function asProcess(backend: Backend, program: ServerProgram): OpenBackend {
  return { backend, program, launch: launchProcess(program.path), path: program.path };
}
