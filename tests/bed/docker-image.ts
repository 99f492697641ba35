// Makes Docker images from fetched servers, for machines that cannot pull any:
//   node --import tsx tests/bed/docker-image.ts [name...]
// Prints the tag of each, redis-trib-test:<name>. REDIS_TRIB_TEST_IMAGE may be set to one of them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { madeImage } from './docker.ts';
import { fetchServer } from './fetch.ts';
import { defaultServer, isServerName, type ServerName, serverSources, serversFolder } from './servers.ts';

/** Imports only a server's files: a C library and the programs, without even a shell. */
async function makeImage(name: ServerName): Promise<string> {
  await fetchServer(name);
  const extra = await mkdtemp(join(tmpdir(), 'redis-trib-image-'));
  try {
    await mkdir(join(extra, 'data'));
    await mkdir(join(extra, 'usr/local/bin'), { recursive: true });
    if (serverSources[name].kind === 'valkey') {
      // The official images of Valkey also have programs by the names of Redis
      for (const tool of ['server', 'cli']) {
        await symlink(`/usr/bin/valkey-${tool}`, join(extra, `usr/local/bin/redis-${tool}`));
      }
    }
    const image = madeImage(name);
    const changes = ['ENV PATH=/usr/local/bin:/usr/bin', 'WORKDIR /data'].flatMap((line) => [
      '--change',
      line,
    ]);
    const files = ['-C', join(serversFolder(), name, 'root'), '.', '-C', extra, './data', './usr/local'];
    const tar = spawn('tar', ['-c', '--owner=0', '--group=0', ...files], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const load = spawn('docker', ['import', ...changes, '-', image], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    tar.stdout.pipe(load.stdin);
    const codes = await Promise.all([once(tar, 'close'), once(load, 'close')]);
    if (codes.some(([code]) => code !== 0)) throw new Error(`Cannot import ${image}`);
    return image;
  } finally {
    await rm(extra, { recursive: true });
  }
}

const args = process.argv.slice(2);
const unknown = args.filter((arg) => !isServerName(arg));
if (unknown.length > 0) throw new Error(`No server "${unknown[0]}"`);
const names = args.filter(isServerName);
for (const name of names.length > 0 ? names : [defaultServer]) {
  process.stdout.write(`${await makeImage(name)}\n`);
}
