import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { MANIFEST } from '../../lib/copy/backup/files.ts';
import { type BackupManifest, backupCluster, migrateSlots, restoreCluster } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, idOfNode, keysOfSlot, startMasters, tell } from '../helpers/clusters.ts';
import { CommandLine } from '../helpers/command-line.ts';
import { abortOf } from '../helpers/errors.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { startMadeUp } from '../helpers/made-up-server.ts';
import { faultOf } from '../helpers/schemas.ts';

let bed: Bed;
let masters: ServerNode[];
let seed: ServerNode;
let home: string;
let client: ClusterClient;
before(async () => {
  bed = await openBed();
  masters = await startMasters(bed, 3);
  seed = at(masters, 0);
  client = new ClusterClient(seed);
  home = mkdtempSync(join(tmpdir(), 'redis-trib-backup-'));
});
after(async () => {
  await client.close();
  await bed.close();
  rmSync(home, { recursive: true });
});

let folders = 0;
const newFolder = (): string => join(home, `${++folders}`);

/** Makes a master take this long for each key of a snapshot, so that something can happen in the meantime. */
const slow = (node: ServerNode, microseconds: string) =>
  ask(node, 'CONFIG', 'SET', 'rdb-key-save-delay', microseconds);

describe('backupCluster()', () => {
  before(async () => {
    const keys = Array.from({ length: 3000 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, `${key} `.repeat(30))));
  });

  it('saves a snapshot of every master, and a manifest that describes them', async () => {
    const dir = newFolder();
    const done: number[] = [];
    const { manifest, bytes } = await backupCluster(seed.address, {
      dir,
      onEvent: (event) => event.type === 'backup-progress' && done.push(event.mastersDone),
    });
    assert.equal(done.at(-1), 3);
    const read = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as BackupManifest;
    assert.deepEqual(read, manifest);
    assert.equal(faultOf(read, 'manifest'), undefined);
    assert.deepEqual([manifest.version, manifest.problems], [1, []]);
    assert.ok(Math.abs(Date.parse(manifest.date) - Date.now()) < 60_000, manifest.date);
    assert.deepEqual(
      manifest.masters.map(({ id }) => id),
      await Promise.all(masters.map(idOfNode)),
    );
    assert.equal(manifest.masters.map(({ slots }) => slots).join(' '), '0-5461 5462-10922 10923-16383');
    let sum = 0;
    for (const { file, address, sha256, bytes: own, server } of manifest.masters) {
      const content = readFileSync(join(dir, file));
      assert.equal(content.length, own);
      assert.equal(createHash('sha256').update(content).digest('hex'), sha256);
      assert.match(content.toString('latin1', 0, 9), /^(REDIS\d{4}|VALKEY\d{3})$/);
      assert.equal(content[content.length - 9], 0xff, 'it ends like a snapshot, with a checksum');
      assert.ok(file.includes(address.replace(':', '-')), file);
      assert.match(server, /^(Redis|Valkey) \d+\.\d+/);
      sum += own;
    }
    assert.equal(sum, bytes);
    assert.deepEqual(
      readdirSync(dir).sort(),
      ['manifest.json', ...manifest.masters.map(({ file }) => file)].sort(),
    );
    for (const name of readdirSync(dir)) assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600, name);
    for (const node of masters) assert.match(String(await ask(node, 'INFO', 'replication')), /role:master/);
  });

  it('takes the snapshot with and without diskless replication', async () => {
    for (const diskless of ['yes', 'no']) {
      for (const node of masters) await ask(node, 'CONFIG', 'SET', 'repl-diskless-sync', diskless);
      const { bytes } = await backupCluster(seed.address, { dir: newFolder(), concurrency: 1 });
      assert.ok(bytes > 3000 * 20, `${bytes} bytes, diskless ${diskless}`);
    }
  });

  it('refuses a directory that is not empty, and a cluster with an open slot, and writes nothing', async () => {
    const dir = newFolder();
    mkdirSync(dir);
    writeFileSync(join(dir, 'other'), '');
    await assert.rejects(backupCluster(seed.address, { dir }), { code: 'DIRECTORY_NOT_EMPTY' });
    assert.deepEqual(readdirSync(dir), ['other']);
    const full = newFolder();
    await backupCluster(seed.address, { dir: full });
    await assert.rejects(backupCluster(seed.address, { dir: full }), { code: 'DIRECTORY_NOT_EMPTY' });
    assert.ok(existsSync(join(full, 'manifest.json')));
    await assert.rejects(backupCluster(seed.address, { dir: join(dir, 'other') }), { code: 'FILE_FAILED' });
    await assert.rejects(backupCluster(seed.address, { dir: join(dir, 'a', 'b') }), { code: 'FILE_FAILED' });

    const [first, second] = [at(masters, 0), at(masters, 1)];
    await ask(first, 'CLUSTER', 'SETSLOT', '7', 'MIGRATING', await idOfNode(second));
    const open = newFolder();
    await assert.rejects(backupCluster(seed.address, { dir: open }), { code: 'OPEN_SLOT', openSlots: [7] });
    assert.equal(existsSync(open), false);
    const { manifest } = await backupCluster(seed.address, { dir: open, force: true });
    assert.equal(manifest.problems.length, 1);
    await ask(first, 'CLUSTER', 'SETSLOT', '7', 'STABLE');
    const warnings: string[] = [];
    await restoreCluster(seed.address, {
      ...{ dir: open, dryRun: true },
      onEvent: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    assert.ok(warnings[0]?.includes(at(manifest.problems, 0)), 'a restore says what may be missing');
    assert.equal(warnings.length, 1);
  });

  it('leaves no file if it is interrupted', async () => {
    for (const node of masters) await slow(node, '1000');
    const dir = newFolder();
    const stop = new AbortController();
    const reason = new Error('enough');
    const stopping = backupCluster(seed.address, {
      dir,
      signal: stop.signal,
      concurrency: 2,
      onEvent: (event) => {
        if (event.type !== 'backup-progress') return;
        assert.ok(readdirSync(dir).length > 0);
        stop.abort(reason);
      },
    });
    const { moved } = await abortOf(stopping, reason);
    assert.deepEqual([moved.slots, moved.keys], [0, 0]);
    assert.equal(existsSync(dir), false);
    for (const node of masters) await slow(node, '0');
  });

  it('gives up a master that sends nothing', async () => {
    // The only master: on a busy machine, another might be silent for that long before it.
    const only = at(await startMasters(bed, 1), 0);
    await tell(only, ...keysOfSlot(1, 300).map((key) => ['SET', key, 'value']));
    await slow(only, '10000');
    const dir = newFolder();
    const failing = backupCluster(only.address, {
      dir,
      idleTimeout: 1000,
      onEvent: (event) => event.type === 'backup-progress' && only.freeze(),
    });
    const error = await refusalOf(failing);
    assert.deepEqual([error.code, error.address], ['BACKUP_FAILED', only.address]);
    assert.equal(existsSync(dir), false);
    await only.thaw();
    await slow(only, '0');
    const again = () => backupCluster(only.address, { dir });
    await follow(adviceFor(error.next, 'retry', 'repaired'), { nodes: [only], again });
    assert.ok(existsSync(join(dir, MANIFEST)));
  });

  it('is refused if slots moved in the meantime, and done when they have', async () => {
    const [first, second] = [at(masters, 0), at(masters, 1)];
    await slow(second, '1000');
    const dir = newFolder();
    let moving: Promise<unknown> | undefined;
    const error = await refusalOf(
      backupCluster(seed.address, {
        dir,
        onEvent: ({ type }) => {
          if (type === 'backup-progress') moving ??= migrateSlots(first.address, second.address, [5]);
        },
      }),
    );
    assert.deepEqual([error.code, existsSync(dir)], ['BACKUP_FAILED', false]);
    await moving;
    await slow(second, '0');
    const again = () => backupCluster(seed.address, { dir });
    await follow(adviceFor(error.next, 'retry', 'moves-done'), { nodes: masters, again });
    assert.ok(existsSync(join(dir, MANIFEST)));
    await migrateSlots(second.address, first.address, [5]);
  });

  it('is refused if slots moved to a master that was saved already, and back before another was saved', async () => {
    const [first, second] = [at(masters, 0), at(masters, 1)];
    await slow(second, '1000');
    const dir = newFolder();
    let moving: Promise<unknown> | undefined;
    const thereAndBack = async (): Promise<void> => {
      await migrateSlots(first.address, second.address, [5]);
      await migrateSlots(second.address, first.address, [5]);
    };
    const error = await refusalOf(
      backupCluster(seed.address, {
        dir,
        onEvent: ({ type }) => {
          if (type === 'backup-progress') moving ??= thereAndBack();
        },
      }),
    );
    assert.deepEqual([error.code, existsSync(dir)], ['BACKUP_FAILED', false]);
    await moving;
    await slow(second, '0');
  });

  it('names a master that sends no snapshot, and waits for one that is loading', async () => {
    let asked = 0;
    const answers = ['-LOADING it is loading\r\n', '\n$4\r\nabc', '-ERR no\r\n', '+what\r\n'];
    let answer = 0;
    await using server = await startMadeUp((words, port) => {
      const [word = '', sub = ''] = words;
      if (sub === 'NODES') {
        const line = `${'1'.repeat(40)} 127.0.0.1:${port}@${port} myself,master - 0 0 1 connected 0-16383\n`;
        return `$${line.length}\r\n${line}\r\n`;
      }
      if (sub === 'INFO') {
        const info =
          'cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:1\r\ncluster_current_epoch:1\r\n';
        return `$${info.length}\r\n${info}\r\n`;
      }
      if (word === 'INFO') return '$21\r\nredis_version:7.0.15\n\r\n';
      if (word === 'SYNC') {
        asked += 1;
        const text = answer === 0 && asked > 1 ? '$3\r\nabc' : at(answers, answer);
        return (socket) => socket.end(text);
      }
      return '+OK\r\n';
    });
    assert.equal((await backupCluster(server.address, { dir: newFolder() })).bytes, 3);
    assert.equal(asked, 2);
    const wanted = [
      /./,
      { code: 'BACKUP_FAILED', address: server.address },
      { code: 'BACKUP_FAILED', address: server.address },
      { code: 'BAD_REPLY', address: server.address },
    ];
    for (answer = 1; answer < answers.length; answer++) {
      const dir = newFolder();
      await assert.rejects(backupCluster(server.address, { dir }), at(wanted, answer));
      assert.equal(existsSync(dir), false);
    }
  });
});

describe('redis-trib backup', () => {
  it('prints what was saved as text, as JSON and like redis-cli', async () => {
    const [dir, other, third] = [newFolder(), newFolder(), newFolder()];
    const plain = await runMain(['backup', seed.address, '--dir', dir]);
    assert.deepEqual([plain.code, plain.stderr], [0, '']);
    assert.ok(plain.stdout.includes(dir), plain.stdout);
    const json = await runMain(['backup', seed.address, '--dir', other, '--json']);
    const data = JSON.parse(json.stdout);
    assert.deepEqual([json.code, data.ok, data.dir, data.masters.length], [0, true, other, 3]);
    const compat = await runMain(['--cluster', 'backup', seed.address, third]);
    assert.deepEqual([compat.code, compat.stderr], [0, ''], compat.stdout);
    assert.match(
      compat.stdout,
      /\n>>> Node \S+ -> Saving RDB\.\.\.\nSaving cluster configuration to: \S+\/manifest\.json\n\[OK\] Backup created into: \S+\n$/,
    );
    const again = await runMain(['--cluster', 'backup', seed.address, third]);
    assert.equal(again.code, 1);
    assert.match(again.stdout, /\[ERR\] Failed to back cluster!\n$/);
  });

  it('is refused if a killed one left files', async (context) => {
    const trib = new CommandLine();
    await trib.build();
    context.after(() => trib.remove());
    const last = at(masters, 2);
    await slow(last, '1000');
    const dir = newFolder();
    const run = trib.start(['backup', seed.address, '--dir', dir]);
    await run.until('files are there', () => existsSync(dir) && readdirSync(dir).length > 1);
    run.child.kill('SIGKILL');
    await run.finished;
    await slow(last, '0');
    const left = readdirSync(dir);
    const again = await runMain(['backup', seed.address, '--dir', dir, '--json']);
    assert.deepEqual([again.code, JSON.parse(again.stdout).error.code], [1, 'DIRECTORY_NOT_EMPTY']);
    assert.deepEqual(readdirSync(dir), left);
    for (const name of left) rmSync(join(dir, name));
    assert.equal((await runMain(['backup', seed.address, '--dir', dir])).code, 0);
  });

  it('names the master that died in the middle, exits with 1 and leaves no manifest', async () => {
    const last = at(masters, 2);
    await slow(last, '1000');
    const dir = newFolder();
    const running = runMain(['backup', seed.address, '--dir', dir, '--json']);
    const isSaved = (name: string): boolean => name.endsWith('.rdb');
    await eventually('two are saved', () => readdirSync(dir).filter(isSaved).length === 2);
    await last.kill();
    const { code, stdout } = await running;
    const { error } = JSON.parse(stdout);
    assert.deepEqual([code, error.code, error.address], [1, 'BACKUP_FAILED', last.address]);
    assert.equal(existsSync(dir), false);
    await last.restart();
  });
});
