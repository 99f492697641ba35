// The command line with little memory, a poor environment, no place to write and no reader.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { check, listNodes } from '../../lib/index.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, openSlotsAt, quick, settled } from '../helpers/clusters.ts';
import { CommandLine, type Finished } from '../helpers/command-line.ts';

/** The whole environment besides PATH: no HOME, no TERM, and a time zone that does not exist. */
const env = { NODE_OPTIONS: '--max-old-space-size=64', LC_ALL: 'C', TZ: 'Nowhere/Else' };
/** Not even root can create a file there. */
const NOWHERE_TO_WRITE = '/proc';

const cli = new CommandLine();
let bed: Bed;
let nodes: readonly ServerNode[];
const name = (place: number): string => at(nodes, place).address;

before(async () => {
  [bed] = await Promise.all([openBed(), cli.build()]);
  nodes = await bed.start(3, quick);
});
after(async () => {
  cli.remove();
  await bed.close();
});

const skip = existsSync(`${NOWHERE_TO_WRITE}/self`) ? false : 'there is no /proc';

/** Makes the whole file system read-only for what follows: only root may do that. */
const READ_ONLY = 'mount -o remount,ro,bind / /';
const isReadOnly =
  spawnSync('unshare', ['-m', 'sh', '-c', `${READ_ONLY} && ! touch ${tmpdir()}/redis-trib-written`])
    .status === 0;

function shell(line: string): Promise<Finished> {
  const there = `cd ${NOWHERE_TO_WRITE} && ${line}`;
  const script = isReadOnly ? `unshare -m sh -c '${READ_ONLY} && exec sh' <<'END'\n${there}\nEND` : there;
  return cli.shell(script, { env });
}

async function succeeds(line: string): Promise<string> {
  const { code, stdout, stderr } = await shell(line);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, `${line}: ${stdout}`);
  return stdout;
}

describe('The command line on a small machine', { skip }, () => {
  it('can write nowhere', {
    skip: !isReadOnly && 'the file system cannot be made read-only here',
  }, async () => {
    const { stderr } = await shell(`touch ${tmpdir()}/redis-trib-written`);
    assert.match(stderr, /Read-only file system/);
  });

  it('works', async () => {
    assert.match(await succeeds('$TRIB --version'), /^\d+\.\d+\.\d+\n$/);
    assert.match(await succeeds('$TRIB help'), /migrate_slots/);
    assert.match(await succeeds(`$TRIB create ${name(0)} ${name(1)} ${name(2)} --yes`), /3 masters/);
    const client = new ClusterClient(at(nodes, 0));
    await Promise.all(Array.from({ length: 2000 }, (_, key) => client.set(`key:${key}`, 'x'.repeat(1000))));
    await client.close();
    await succeeds(`$TRIB migrate_slots ${name(0)} ${name(1)} 0-999 --method migrate`);
    await succeeds(`$TRIB rebalance ${name(0)} --threshold 0 --yes`);
    assert.match(await succeeds(`$TRIB list ${name(0)}`), /^Total 3 nodes, 3 masters, 0 fail\n/);
    await settled(nodes);
    assert.match(await succeeds(`$TRIB check ${name(0)}`), /All 16384 slots covered/);
  });

  it('fails if a plan cannot be saved, before anything is changed', async () => {
    const plan = `--plan ${NOWHERE_TO_WRITE}/plan.json`;
    const { code, stderr } = await shell(`$TRIB migrate_slots ${name(0)} ${name(1)} 5000-5009 ${plan}`);
    assert.notEqual(code, 0);
    assert.ok(stderr.includes('plan.json'), stderr);
    assertNoStack(stderr);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  for (const command of ['check', 'list', 'info', '--help', '--version']) {
    it(`ends ${command} with 0 if its reader has seen enough`, async () => {
      const words = command.startsWith('--') ? command : `${command} ${name(0)}`;
      const { code, stderr } = await shell(`{ $TRIB ${words}; echo "ended with $?" >&2; } | true`);
      assert.equal(code, 0);
      assert.equal(stderr, 'ended with 0\n');
    });

    it(`ends ${command} with 1 and the reason if its output cannot be written`, async () => {
      const words = command.startsWith('--') ? command : `${command} ${name(0)}`;
      const { code, stderr } = await shell(`$TRIB ${words} > /dev/full`);
      assert.equal(code, 1);
      assert.match(stderr, /^.*ENOSPC.*\n$/);
    });
  }

  it('closes the slots that it opened, with or without a reader', async () => {
    await settled(nodes);
    const { findings } = await check(name(0));
    assert.deepEqual(findings, []);
    const move = (from: number, to: number): string =>
      `$TRIB migrate_slots ${name(from)} ${name(to)} 10000-10899 --method migrate --json-stream`;
    const read = await shell(`{ ${move(1, 0)}; echo "ended with $?" >&2; } | head -1`);
    assert.equal(read.stderr, 'ended with 0\n');
    assert.match(read.stdout, /^\{"version":1,"event":.*\n$/);
    const full = await shell(`${move(0, 1)} > /dev/full`);
    assert.equal(full.code, 1);
    assert.match(full.stderr, /^.*ENOSPC.*\n$/);
    const mute = await shell(`${move(1, 0)} > /dev/full 2> /dev/full`);
    assert.equal(mute.code, 1);
    assert.deepEqual(await openSlotsAt(nodes), []);
    await settled(nodes);
    const { nodes: listed } = await listNodes(name(0));
    assert.ok(listed.find((node) => node.addr() === name(0))?.assignedSlots.includes(10000));
  });
});

function assertNoStack(stderr: string): void {
  assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+/m);
}
