import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type ServerName = 'redis-6.0' | 'redis-7.0' | 'redis-8.0' | 'redis-8.6' | 'valkey-8.1' | 'valkey-9.1';

export interface ServerSource {
  readonly kind: 'redis' | 'valkey';
  /** The Debian suite that contains it. */
  readonly suite: string;
  /** The suite of its libraries, if it is another one. */
  readonly librarySuite?: string;
  readonly image: string;
}

export const serverSources: Readonly<Record<ServerName, ServerSource>> = {
  'redis-6.0': { kind: 'redis', suite: 'bullseye', image: 'redis:6.0' },
  'redis-7.0': { kind: 'redis', suite: 'bookworm', image: 'redis:7.0' },
  'redis-8.0': { kind: 'redis', suite: 'trixie', image: 'redis:8.0' },
  'redis-8.6': { kind: 'redis', suite: 'experimental', librarySuite: 'sid', image: 'redis:8.6' },
  'valkey-8.1': { kind: 'valkey', suite: 'trixie', image: 'valkey/valkey:8.1' },
  'valkey-9.1': { kind: 'valkey', suite: 'forky', image: 'valkey/valkey:9.1' },
};

export const serverNames: readonly ServerName[] = Object.keys(serverSources) as ServerName[];

export function isServerName(text: string): text is ServerName {
  return Object.hasOwn(serverSources, text);
}

export const defaultServer: ServerName = 'redis-8.0';

/** A server's program, and what it reports of itself. */
export interface ServerProgram {
  /** Its kind, major and minor version, as in `ServerName`; a server on PATH may have any version. */
  readonly name: string;
  readonly kind: 'redis' | 'valkey';
  readonly version: string;
  readonly major: number;
  readonly minor: number;
  readonly path: string;
}

/** The place of fetched servers: a folder for each, with its programs in `bin/`. */
export function serversFolder(): string {
  return resolve(process.env.REDIS_TRIB_SERVERS ?? join(import.meta.dirname, '../../.servers'));
}

/** The path of a program of a fetched server, such as `redis-cli`. */
export function serverTool(name: ServerName, tool: 'cli' | 'server' | 'benchmark'): string {
  return join(serversFolder(), name, 'bin', `${serverSources[name].kind}-${tool}`);
}

export async function readProgram(path: string): Promise<ServerProgram> {
  const { stdout } = await run(path, ['--version']);
  return { ...parseVersion(stdout), path };
}

/** Reads `Redis server v=8.0.2 sha=…` and `Valkey server v=9.1.0 sha=…`. */
export function parseVersion(text: string): Omit<ServerProgram, 'path'> {
  const match = /^(Redis|Valkey) server v=((\d+)\.(\d+)\S*)/m.exec(text);
  if (match === null) throw new Error(`Cannot read a server's version from "${text.trim()}"`);
  const [, product, version = '', major, minor] = match;
  const kind = product === 'Valkey' ? 'valkey' : 'redis';
  return { name: `${kind}-${major}.${minor}`, kind, version, major: Number(major), minor: Number(minor) };
}

export async function findFetched(name: ServerName): Promise<ServerProgram | undefined> {
  const path = serverTool(name, 'server');
  return existsSync(path) ? readProgram(path) : undefined;
}

export async function findOnPath(kind: 'redis' | 'valkey'): Promise<ServerProgram | undefined> {
  const path = findProgram(`${kind}-server`);
  return path === undefined ? undefined : readProgram(path);
}

/** Looks for a program on PATH. */
export function findProgram(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(':')
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}
