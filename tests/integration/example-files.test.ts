// The commands in examples/ run against real servers, with the addresses of these in place of theirs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, becomes, quick, settled } from '../helpers/clusters.ts';
import { commandsIn, commandsOf, documentsOf, readExample } from '../helpers/examples.ts';
import { type Ran, runMain } from '../helpers/made-up-io.ts';

const folder = mkdtempSync(join(tmpdir(), 'redis-trib-example-files-'));
let bed: Bed;
let nodes: readonly ServerNode[];
before(async () => {
  bed = await openBed();
  nodes = await bed.start(6, quick);
});
after(async () => {
  await bed.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A word of an example with real addresses. `node` stands for the one that a hook is run on. */
function real(word: string, separator: string, node: ServerNode): string {
  const all = nodes.map(({ address }) => address).join(separator);
  const replaced = word
    .replace(/^redis-headless:6379$|^\$NODES$|^\$\{NODES.*\}$|^\{\{ redis_nodes \| join.*\}\}$/, all)
    .replace(/^redis:6379$|^\{\{ redis_nodes \| first \}\}$/, at(nodes, 0).address)
    .replace(/^redis-(\d):6379$/, (_, number: string) => at(nodes, Number(number) - 1).address)
    .replace(/^127\.0\.0\.1:700(\d)$/, (_, number: string) => at(nodes, Number(number)).address)
    .replace(/^127\.0\.0\.1:(6379|%i)$/, node.address)
    .replace(/^\/backup\/.*/, join(folder, 'backup'));
  assert.doesNotMatch(replaced, /[$%{]|^redis/, `${word} is replaced`);
  return replaced;
}

async function run([name = '', ...words]: readonly string[], node: ServerNode = at(nodes, 0)): Promise<Ran> {
  const args = words.map((word) => real(word, name === 'ensure' ? ' ' : ',', node));
  return runMain([name, ...args.flatMap((word) => word.split(' '))]);
}

const of = (file: string, ...names: readonly string[]): string[][] =>
  documentsOf(file)
    .flatMap(commandsIn)
    .filter(([name = '']) => names.includes(name));

describe('The examples', () => {
  it('of a Job make a cluster, and do nothing the next time', async () => {
    const commands = of('kubernetes/ensure-job.yaml', 'wait', 'ensure');
    assert.deepEqual(
      commands.map(([name]) => name),
      ['wait', 'ensure'],
    );
    for (const command of [...commands, ...commands]) {
      const { code, stderr } = await run(command);
      assert.equal(code, 0, stderr);
    }
    await settled(nodes);
  });

  it('of Compose, Ansible and GitHub Actions end with 0 for that cluster', async () => {
    const commands = [
      ...of('docker-compose/compose.yaml', 'ensure'),
      ...of('ansible/cluster.yml', 'wait', 'ensure', 'check'),
      ...of('github-actions/redis-cluster.yml', 'wait', 'ensure'),
    ];
    assert.equal(commands.length, 7);
    for (const command of commands) {
      const { code, stdout, stderr } = await run(command);
      assert.equal(code, 0, `${command.join(' ')}: ${stderr}`);
      // Ansible reports a change by it.
      if (command.includes('--json')) assert.equal(JSON.parse(stdout).did, 'nothing');
    }
  });

  it('of a CronJob back it up', async () => {
    const [command = [], ...more] = of('kubernetes/backup-cronjob.yaml', 'backup');
    assert.deepEqual([more, (await run(command)).code], [[], 0]);
  });

  it('of a pod and of a unit let a replica take over, and say when a node is ready', async () => {
    const hooks = of('kubernetes/statefulset.yaml', 'is_ready', 'step_down');
    const units = commandsOf(readExample('systemd/redis@.service'));
    assert.deepEqual(
      [...hooks, ...units].map(([name]) => name),
      ['is_ready', 'step_down', 'step_down'],
    );
    const [ready = [], ...stepDowns] = [...hooks, ...units];
    for (const [index, command] of stepDowns.entries()) {
      const node = at(nodes, index);
      assert.equal((await run(ready, node)).code, 0);
      assert.equal((await run(command, node)).code, 0);
      await becomes(node, 'replica');
    }
  });

  it('of a sidecar reports health, prints what it sees, and ends on SIGTERM', async () => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    const file = join(folder, 'sidecar.mts');
    const library = JSON.stringify(join(root, 'lib/index.ts'));
    writeFileSync(file, readExample('sidecar.ts').replace("'redis-trib'", library));
    const port = `${at(nodes, 0).port + 5000}`;
    const child = spawn(process.execPath, ['--import', 'tsx', file], {
      cwd: root,
      env: { ...process.env, CLUSTER: at(nodes, 0).address, PORT: port, EVERY_MS: '60000' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
    try {
      const lines = createInterface({ input: child.stdout });
      const { value } = await lines[Symbol.asyncIterator]().next();
      const { ok, masters, replicas } = JSON.parse(String(value));
      assert.deepEqual([ok, masters, replicas], [true, 3, 3]);
      const answer = await fetch(`http://127.0.0.1:${port}/healthz`);
      assert.deepEqual([answer.status, await answer.json()], [200, { ok: true, missing: [] }]);
      const seen = await fetch(`http://127.0.0.1:${port}/cluster`);
      assert.equal(((await seen.json()) as { masters: number }).masters, 3);
    } finally {
      child.kill('SIGTERM');
    }
    assert.equal(await ended, 0);
  });
});
