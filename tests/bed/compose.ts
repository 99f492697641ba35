// Prints the path of docker-compose 2: the one installed, or one fetched from the Debian archive.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { findDebianArchive, openApt } from './apt.ts';
import { findProgram, serversFolder } from './servers.ts';

const run = promisify(execFile);
// The first suite that has version 2; it is one Go program, and runs on older suites too
const suite = 'trixie';
const plugin = 'libexec/docker/cli-plugins/docker-compose';

async function findCompose(): Promise<string | undefined> {
  const folders = [
    '/usr/lib/docker/cli-plugins',
    '/usr/local/lib/docker/cli-plugins',
    join(homedir(), '.docker/cli-plugins'),
  ];
  const candidates = [
    ...folders.map((folder) => join(folder, 'docker-compose')),
    join('/usr', plugin),
    join('/usr/local', plugin),
    findProgram('docker-compose'),
    join(serversFolder(), 'docker-compose'),
  ];
  for (const path of candidates) {
    if (path === undefined || !existsSync(path)) continue;
    const { stdout } = await run(path, ['version']).catch(() => ({ stdout: '' }));
    if (/version v?[2-9]/.test(stdout)) return path;
  }
  return undefined;
}

async function fetchCompose(): Promise<string> {
  const building = join(serversFolder(), `.docker-compose.${process.pid}`);
  await mkdir(building, { recursive: true });
  try {
    const archive = await findDebianArchive(building);
    if (archive === undefined) throw new Error('Cannot fetch docker-compose: this is not Debian. Install it');
    const apt = await openApt(building, archive, [suite]);
    await apt.update();
    await apt.unpack(['docker-compose'], building);
    await rename(join(building, 'usr', plugin), join(serversFolder(), 'docker-compose'));
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return join(serversFolder(), 'docker-compose');
}

process.stdout.write(`${(await findCompose()) ?? (await fetchCompose())}\n`);
