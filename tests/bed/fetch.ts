// Fetches servers to test against from the Debian archive, without installing anything:
//   node --import tsx tests/bed/fetch.ts [name...|all]
import { chmod, lstat, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { findDebianArchive, openApt } from './apt.ts';
import {
  findFetched,
  isServerName,
  readProgram,
  type ServerName,
  type ServerProgram,
  serverNames,
  serverSources,
  serversFolder,
  serverTool,
} from './servers.ts';

/** Fetches a server unless it exists. Two processes may do so at once: the first to finish wins. */
export async function fetchServer(name: ServerName): Promise<ServerProgram> {
  while (await isBeingFetched(name)) await delay(200);
  const fetched = await findFetched(name);
  if (fetched !== undefined) return fetched;
  const building = join(serversFolder(), `.${name}.${process.pid}`);
  await mkdir(building, { recursive: true });
  try {
    await build(name, building);
    await rename(building, join(serversFolder(), name)).catch(async (error: unknown) => {
      if ((await findFetched(name)) === undefined) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return readProgram(serverTool(name, 'server'));
}

async function build(name: ServerName, folder: string): Promise<void> {
  const { kind, suite, librarySuite } = serverSources[name];
  const archive = await findDebianArchive(folder);
  const suites = librarySuite === undefined ? [suite] : [suite, librarySuite];
  const apt = await openApt(folder, archive ?? '', archive === undefined ? [] : suites);
  await apt.update();
  const from = archive === undefined || librarySuite === undefined ? '' : `/${suite}`;
  // The server package adds users and services. The package of its tools has all the dependencies of its program
  const needed = (await apt.closure([`${kind}-tools${from}`])).filter((item) =>
    /^(lib|zlib|lua|redis|valkey)/.test(item),
  );
  const root = join(folder, 'root');
  await apt.unpack([`${kind}-server${from}`, ...needed], root);
  await rm(join(folder, 'apt'), { recursive: true });
  await rm(join(root, 'usr/share'), { recursive: true, force: true });
  await linkMergedUsr(root);
  await writePrograms(root, join(folder, 'bin'), kind);
  const program = await readProgram(join(folder, 'bin', `${kind}-server`));
  if (program.name === name) return;
  if (archive === undefined) throw new Error(`Cannot fetch ${name}: this archive has ${program.name}`);
  process.stderr.write(`Debian ${suite} now has ${program.name} where it had ${name}\n`);
}

/** Packages contain a mixture of /lib and /usr/lib; the path of the interpreter in a binary is in /lib or /lib64. */
async function linkMergedUsr(root: string): Promise<void> {
  for (const name of ['bin', 'lib', 'lib64']) {
    if (await exists(join(root, name))) continue;
    if (await exists(join(root, 'usr', name))) await symlink(`usr/${name}`, join(root, name));
  }
}

/** Makes programs use the libraries of their own suite, relative to the folder, which may be moved. */
async function writePrograms(root: string, bin: string, kind: string): Promise<void> {
  const libraries = [];
  for (const parent of ['lib', 'usr/lib']) {
    const names = await readdir(join(root, parent)).catch(() => []);
    libraries.push(...names.filter((name) => name.includes('-linux-')).map((name) => `${parent}/${name}`));
  }
  const loader = await findLoader(root, libraries);
  const path = libraries.map((folder) => `$root/${folder}`).join(':');
  await mkdir(bin, { recursive: true });
  for (const name of await readdir(join(root, 'usr/bin'))) {
    if (!name.startsWith(`${kind}-`)) continue;
    const lines = [
      '#!/bin/sh',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's, not ours
      'root=${0%/*}/../root',
      `exec "$root/${loader}" --library-path "${path}" "$root/usr/bin/${name}" "$@"`,
    ];
    await writeFile(join(bin, name), `${lines.join('\n')}\n`);
    await chmod(join(bin, name), 0o755);
  }
}

/** Looks next to the C library: in older suites the well-known path is a link to the host's loader. */
async function findLoader(root: string, libraries: readonly string[]): Promise<string> {
  for (const folder of libraries) {
    const name = (await readdir(join(root, folder))).find((item) => /^ld-linux.*\.so\.\d$/.test(item));
    if (name !== undefined) return `${folder}/${name}`;
  }
  throw new Error(`Cannot find a dynamic loader in "${root}"`);
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** True if another live process is fetching it. Removes what dead ones left behind. */
async function isBeingFetched(name: ServerName): Promise<boolean> {
  for (const entry of await readdir(serversFolder()).catch(() => [])) {
    if (!entry.startsWith(`.${name}.`)) continue;
    if (isAlive(Number(entry.split('.').at(-1)))) return true;
    await rm(join(serversFolder(), entry), { recursive: true, force: true });
  }
  return false;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

async function main(args: readonly string[]): Promise<void> {
  const names = args.length === 0 || args.includes('all') ? serverNames : args.filter(isServerName);
  const unknown = args.filter((arg) => arg !== 'all' && !isServerName(arg));
  if (unknown.length > 0) {
    process.stderr.write(`No server "${unknown[0]}": choose from ${serverNames.join(', ')}, all\n`);
    process.exitCode = 2;
    return;
  }
  const waiting = [...names];
  const failures: unknown[] = [];
  // Two at a time: one downloads while the other unpacks
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      try {
        const { kind, version, path } = await fetchServer(name);
        process.stdout.write(`${name}: ${kind} ${version} ${path}\n`);
      } catch (error) {
        failures.push(error);
        process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
      }
    }
  };
  await Promise.all([worker(), worker()]);
  if (failures.length > 0) process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2));
