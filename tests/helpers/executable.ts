import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { topics } from '../../lib/cli/topics.ts';
import type { Bed } from '../bed/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const LONGEST_RUN_MS = 60_000;

/** Makes an executable of the build as one file and of a program of Node.js, which must be version 26 or newer. */
export function makeExecutable(node: string, file: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'redis-trib-executable-'));
  try {
    const config = join(folder, 'config.json');
    const fields = {
      main: join(root, 'dist-single/redis-trib.mjs'),
      mainFormat: 'module',
      output: file,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
    };
    writeFileSync(config, JSON.stringify(fields));
    execFileSync(node, ['--build-sea', config], { stdio: ['ignore', 'ignore', 'inherit'] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Uses an executable in an empty folder without a PATH, so that it finds nothing that is not in it. */
export async function useExecutable(file: string, bed: Bed): Promise<void> {
  const cwd = mkdtempSync(join(tmpdir(), 'redis-trib-alone-'));
  const [node] = await bed.start(1);
  assert.ok(node);
  const trib = (...args: string[]): string =>
    execFileSync(file, args, { cwd, env: {}, encoding: 'utf8', timeout: LONGEST_RUN_MS });
  try {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    assert.equal(trib('--version'), `${version}\n`);
    assert.match(trib('--help'), /^Usage: redis-trib /);
    for (const topic of Object.keys(topics)) assert.match(trib('help', topic), /^# /m, topic);
    assert.match(trib('help', 'errors', 'OPEN_SLOT'), /^### OPEN_SLOT\n\nSlots are open/);
    trib('start', node.address);
    assert.match(trib('list', node.address), /^Total 1 nodes, 1 masters, 0 fail\n/);
    assert.equal(JSON.parse(trib('check', node.address, '--json')).ok, true);
    // Loads modules of Node.js when it needs them.
    assert.equal(JSON.parse(trib('backup', node.address, '--dir', 'copy', '--json')).ok, true);
  } finally {
    await node.kill();
    rmSync(cwd, { recursive: true, force: true });
  }
}
