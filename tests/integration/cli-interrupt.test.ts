// Signals in the middle of a long move, one after the other on one cluster: each command is stopped and run again.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { countSlots } from '../../lib/model/node.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  addressesOf,
  assertDone,
  assertEnded,
  errorOf,
  keysOn,
  LONGEST_EXIT_MS,
  load,
} from '../helpers/cli-runs.ts';
import { at, openSlotsAt, recordsOf } from '../helpers/clusters.ts';
import { CommandLine, type Finished, type Running, terminal } from '../helpers/command-line.ts';

/** Goes to the start of the line and erases it. */
const ERASE = '\r\u001b[K';
const KEYS = 250_000;
const noTerminal = terminal() === undefined && 'there is neither python3 nor script';

const trib = new CommandLine();
let bed: Bed;
let nodes: ServerNode[];
let [a, b, target]: ServerNode[] = [];
let joining: string[];
before(async () => {
  [bed] = await Promise.all([openBed(), trib.build()]);
  nodes = await bed.start(3, { config: { 'cluster-node-timeout': '3000' } });
  [a, b, target] = nodes;
  joining = ['join', '--method', 'migrate', '--concurrency', '1', at(nodes, 0).address, at(nodes, 2).address];
  assertDone(await trib.run(['create', '--yes', ...addressesOf(nodes.slice(0, 2))]));
  await load(nodes.slice(0, 2), KEYS);
});
after(async () => {
  trib.remove();
  await bed.close();
});

const keysAt = async (node: ServerNode): Promise<number> => Number(await ask(node, 'DBSIZE'));

/** Resolves when keys have come to the node, or have begun to leave it. */
function hasBegun(running: Running, node: ServerNode, moves: (keys: number) => boolean): Promise<void> {
  return running.until('keys are moving', async () => moves(await keysAt(node)));
}

/** Stopped at a safe point: code 130, a line at the signal and one at the end, and no slot open. */
async function assertInterrupted({ code, stdout, stderr, ...ran }: Finished): Promise<void> {
  assert.deepEqual([code, stdout], [130, ''], stderr);
  assert.match(stderr, /(^|\n)\n.+\n(Warning: .*\n)*.+\n$/);
  assertEnded({ code, stdout, stderr, ...ran });
  assert.deepEqual(await openSlotsAt(nodes), []);
}

describe('A long move', () => {
  test('stops at SIGINT with no slot open, and without losing a key', async () => {
    assert.ok(target);
    const running = trib.start(joining);
    // The first key is only a copy, by which the target is proven.
    await hasBegun(running, target, (keys) => keys > 1);
    running.child.kill('SIGINT');
    await assertInterrupted(await running.finished);
    assert.equal(await keysOn(nodes), KEYS);
    const moved = await keysAt(target);
    assert.ok(moved > 0 && moved < KEYS / 4, `${moved} keys have moved`);
  });

  test('continues when the same command is run again, and is INTERRUPTED in JSON', async () => {
    assert.ok(target);
    const part = await keysAt(target);
    const json = trib.start([...joining, '--json']);
    await hasBegun(json, target, (keys) => keys > part + 1);
    json.child.kill('SIGINT');
    const ran = await json.finished;
    const { code, openSlots } = errorOf(ran, 'join');
    assert.deepEqual([ran.code, code, openSlots], [130, 'INTERRUPTED', []]);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  test('ends at once at the second signal, though a node is frozen, and names the way to repair', async () => {
    assert.ok(target);
    const running = trib.start(joining);
    const before = await keysAt(target);
    await hasBegun(running, target, (keys) => keys > before);
    await target.freeze();
    try {
      running.child.kill('SIGTERM');
      await running.shows(/(^|\n)\n\S/);
      const asked = performance.now();
      running.child.kill('SIGINT');
      const { code, stdout, stderr } = await running.finished;
      assert.deepEqual([code, stdout], [130, '']);
      assert.ok(stderr.includes('redis-trib fix'), stderr);
      assert.ok(performance.now() - asked < LONGEST_EXIT_MS);
    } finally {
      await target.thaw();
    }
  });

  test('shows its progress on a terminal in one line, which it erases at the end', {
    skip: noTerminal,
  }, async () => {
    const running = trib.startOnTerminal(joining, 80);
    const ran = await running.finished;
    assert.equal(ran.code, 0, ran.stdout);
    const lines = ran.stdout.split(ERASE);
    assert.match(lines.pop() ?? '', /^.+ \(\d+\.\d+ s\)\r\n$/);
    assert.equal(lines.at(-1)?.includes('\n'), false);
    const moves = lines.filter((line) =>
      /^\d+\/\d+ slots {2}\S+\/\S+ keys {2}\S+ keys\/s {2}(…|\d+:\d\d) left {2}/.test(line),
    );
    assert.ok(moves.length > 2, ran.stdout);
    assert.ok(
      moves.some((line) => / \d+:\d\d left /.test(line)),
      moves.join('\n'),
    );
    for (const line of lines) assert.ok(line.length < 80 || line.includes('Warning'), line);
    assertEnded(ran);
    assert.deepEqual(await openSlotsAt(nodes), []);
    assert.equal(await keysOn(nodes), KEYS);
  });

  // A terminal that is closed may say so twice, and wants no slot left open.
  for (const [signal, times] of [
    ['SIGTERM', 1],
    ['SIGHUP', 2],
  ] as const) {
    test(`stops at ${signal} with no slot open`, async () => {
      assert.ok(target);
      const before = await keysAt(target);
      const running = trib.start(['quit', target.address]);
      await hasBegun(running, target, (keys) => keys < before);
      for (let time = 0; time < times; time++) running.child.kill(signal);
      await assertInterrupted(await running.finished);
    });
  }

  test('stops at Ctrl-C on a terminal of unknown size', { skip: noTerminal }, async () => {
    assert.ok(target);
    const typed = trib.startOnTerminal(['quit', target.address], 0);
    await typed.shows(/keys\/s {2}\d+:\d\d left/);
    typed.type('\x03');
    const { code, stdout } = await typed.finished;
    assert.equal(code, 130, stdout);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  test('is done in the end, with every key and a healthy cluster', async () => {
    assert.ok(a && target);
    assertDone(await trib.run(['quit', target.address]));
    assert.equal(await keysOn(nodes), KEYS);
    assertDone(await trib.run(['check', a.address]));
  });
});

describe('A move that is interrupted', () => {
  const TO_MOVE = 1000;

  /** Runs it slowly, stops it in the middle, and resolves to what it says. */
  async function stop(args: readonly string[]): Promise<string> {
    assert.ok(b);
    const running = trib.start([...args, '--method', 'migrate', '--max-keys-per-second', '2000']);
    const before = await keysAt(b);
    await hasBegun(running, b, (keys) => Math.abs(keys - before) > 4500);
    running.child.kill('SIGINT');
    const ran = await running.finished;
    await assertInterrupted(ran);
    return ran.stderr;
  }

  async function slotsOfB(): Promise<number> {
    assert.ok(b);
    const { port } = b;
    const record = (await recordsOf(b)).find(({ address }) => address.port === port);
    assert.ok(record);
    return countSlots(record);
  }

  const movedIn = (stderr: string): number => {
    const [, moved] = /\b(\d+) of 1000\b/.exec(stderr) ?? [];
    assert.ok(moved, stderr);
    return Number(moved);
  };

  test('says how many slots have moved, and migrate_slots names --resume, which moves the rest', async () => {
    assert.ok(a && b);
    const atFirst = await slotsOfB();
    const move = ['migrate_slots', a.address, b.address, `0-${TO_MOVE - 1}`];
    const said = await stop(move);
    assert.equal(await slotsOfB(), atFirst + movedIn(said));
    assert.ok(said.includes('--resume'), said);
    assertDone(await trib.run([...move, '--resume']));
    assert.equal(await slotsOfB(), atFirst + TO_MOVE);
  });

  test('says how many slots have moved, so that reshard can move the rest', async () => {
    assert.ok(a && b);
    const atFirst = await slotsOfB();
    const some = ['reshard', '--yes', a.address, '--from', b.address, '--to', a.address, '--slots'];
    const moved = movedIn(await stop([...some, `${TO_MOVE}`]));
    assert.equal(await slotsOfB(), atFirst - moved);
    assertDone(await trib.run([...some, `${TO_MOVE - moved}`]));
    assert.equal(await slotsOfB(), atFirst - TO_MOVE);
    assert.equal(await keysOn(nodes), KEYS);
  });
});
