import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import {
  type ClusterSnapshot,
  delNode,
  failover,
  joinNoLoad,
  type NodeVitals,
  reshard,
  watch,
} from '../../lib/index.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { load } from '../helpers/cli-runs.ts';
import { at, becomes, bePatient, idOfNode, startMasters, startPairs } from '../helpers/clusters.ts';
import { CommandLine, type Running, terminal } from '../helpers/command-line.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { shownBy } from '../helpers/screen.ts';

let bed: Bed;
/** Three masters, then a replica of each. */
let nodes: ServerNode[];
before(async () => {
  bed = await openBed();
  nodes = await startPairs(bed);
  await bePatient(nodes);
});
after(() => bed.close());

const nodeIn = ({ nodes }: ClusterSnapshot, { address }: ServerNode): NodeVitals | undefined =>
  nodes.find((node) => node.address === address);

/** Watches until a snapshot is as wanted, and resolves to it. */
async function until(
  snapshots: AsyncGenerator<ClusterSnapshot, void, void>,
  what: string,
  isWanted: (snapshot: ClusterSnapshot) => boolean,
  most = 300,
): Promise<ClusterSnapshot> {
  for (let count = 0; count < most; count++) {
    const { value } = await snapshots.next();
    assert.ok(value, 'the snapshots ended');
    if (isWanted(value)) return value;
  }
  throw new Error(`${what}: not in ${most} snapshots`);
}

describe('watch()', () => {
  it('has all nodes at once and rates with the second snapshot, from one write a node', async () => {
    const writes = new Map<string, string[][]>();
    const onCommands = (commands: readonly (readonly unknown[])[], node: string): void => {
      writes.set(node, [...(writes.get(node) ?? []), commands.map((words) => String(words[0]))]);
    };
    const snapshots = watch(at(nodes, 0).address, { intervalMs: 200, onCommands });
    const first = await until(snapshots, 'the first', () => true);
    assert.deepEqual(
      first.nodes.map(({ state }) => state),
      nodes.map(() => 'up'),
    );
    assert.deepEqual(
      first.nodes.map(({ address }) => address).sort(),
      nodes.map(({ address }) => address).sort(),
    );
    const second = await until(
      snapshots,
      'rates',
      ({ nodes: all }) => all.every(({ rates }) => rates !== null),
      10,
    );
    await snapshots.return();
    assert.equal(first.state, 'ok');
    assert.deepEqual(
      second.nodes.map(({ shard }) => shard),
      [1, 1, 2, 2, 3, 3],
    );
    const replicas = second.nodes.filter(({ role }) => role === 'replica');
    assert.ok(replicas.every(({ link, lagBytes }) => link === 'up' && lagBytes !== null));
    assert.ok(
      second.nodes.every(({ version, runId, keys, memory }) => version && runId && keys !== null && memory),
    );
    for (const [node, own] of writes) {
      const asking = own.filter((names) => names.includes('INFO'));
      assert.ok(asking.length <= second.number + 1, `${node} was asked ${asking.length} times`);
      assert.ok(own.length <= asking.length + 1, JSON.stringify(own));
    }
  });

  it('is not held up by a node that hangs, and has it back when it goes on', async () => {
    const [seed, , , hung] = nodes as [ServerNode, ServerNode, ServerNode, ServerNode];
    const snapshots = watch(seed.address, { intervalMs: 200 });
    await until(snapshots, 'the first', () => true);
    await hung.freeze();
    try {
      await until(snapshots, 'it is late', (one) => nodeIn(one, hung)?.state === 'late');
      const startedMs = performance.now();
      for (let count = 0; count < 5; count++) {
        const one = await until(snapshots, 'the next', () => true);
        assert.equal(nodeIn(one, hung)?.state, 'late');
        assert.ok(one.nodes.filter(({ state }) => state === 'up').length > 0);
      }
      // Half a second if the machine is idle; waiting for the node would take several.
      assert.ok(performance.now() - startedMs < 4000);
    } finally {
      await hung.thaw();
    }
    await until(snapshots, 'it is back', (one) => nodeIn(one, hung)?.state === 'up');
    await snapshots.return();
  });

  it('shows a failover within two snapshots, under the number that the shard had', async () => {
    const [seed, second, , , replica] = nodes as [ServerNode, ServerNode, ServerNode, ServerNode, ServerNode];
    const snapshots = watch(seed.address, { intervalMs: 100 });
    const before = await until(snapshots, 'the first', () => true);
    await failover(replica.address);
    await becomes(second, 'replica');
    let count = 0;
    const after = await until(snapshots, 'the failover', (one) => {
      count += 1;
      return nodeIn(one, replica)?.role === 'master' && nodeIn(one, second)?.role === 'replica';
    });
    await snapshots.return();
    assert.ok(count <= 2, `it took ${count}`);
    assert.equal(nodeIn(after, replica)?.shard, nodeIn(before, second)?.shard);
    assert.deepEqual(after.moves, []);
  });

  it('ends with the reason of its signal, and refuses an interval that is no time', async () => {
    const stop = new AbortController();
    const snapshots = watch(at(nodes, 0).address, { intervalMs: 60_000, signal: stop.signal });
    await until(snapshots, 'the first', () => true);
    const next = snapshots.next();
    stop.abort(new Error('enough'));
    await assert.rejects(next, { message: 'enough' });
    await assert.rejects(watch(at(nodes, 0).address, { intervalMs: 0 }).next(), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(watch('127.0.0.1:1').next(), { code: 'ECONNREFUSED' });
  });
});

describe('A cluster that changes while it is watched', () => {
  it('is followed when nodes join and leave, when slots move, and when the node named dies', async () => {
    const own = await startMasters(bed, 3, 1);
    const [seed, second, third, spare] = own as [ServerNode, ServerNode, ServerNode, ServerNode];
    await load(own.slice(0, 3), 20_000);
    const snapshots = watch(seed.address, { intervalMs: 100 });
    await until(snapshots, 'three nodes', (one) => one.nodes.length === 3);
    await joinNoLoad(second.address, spare.address);
    await until(
      snapshots,
      'the fourth',
      (one) => one.nodes.length === 4 && nodeIn(one, spare)?.state === 'up',
    );

    const moving = reshard(second.address, {
      ...{ from: [second.address], to: spare.address, slots: 1000, method: 'migrate' },
      limits: { keysPerSecond: 1000 },
    });
    const during = await until(snapshots, 'a move', ({ moves }) =>
      moves.some(({ slotsDone }) => slotsDone > 0),
    );
    await until(snapshots, 'an operator', ({ operators }) => operators.length > 0);
    const { plan } = await moving;
    assert.deepEqual(
      during.moves.map(({ source, target, by }) => ({ source, target, by })),
      [{ source: second.address, target: spare.address, by: 'open' }],
    );
    await until(snapshots, 'all slots', (one) => {
      const [move] = one.moves;
      return move?.slotsDone === 1000 && move.slotsOpen === 0;
    });
    assert.ok(plan.steps.length > 0);

    await delNode(second.address, spare.address, { drain: true });
    await until(snapshots, 'three nodes again', (one) => one.nodes.length === 3);

    const id = await idOfNode(seed);
    await seed.kill();
    const dead = await until(snapshots, 'the dead node', (one) => nodeIn(one, seed)?.state === 'down');
    assert.deepEqual(
      [nodeIn(dead, seed)?.id, nodeIn(dead, second)?.state, nodeIn(dead, third)?.state],
      [id, 'up', 'up'],
    );
    await until(snapshots, 'a finding about it', ({ findings }) =>
      findings.some(({ kind, nodes: about }) => kind !== 'slots-uncovered' && about.includes(seed.address)),
    );
    await seed.restart();
    await until(snapshots, 'its return', (one) => nodeIn(one, seed)?.state === 'up' && one.state === 'ok');
    await snapshots.return();
  });
});

describe('top without a terminal', () => {
  it('prints lines, a JSON object for each snapshot, or one document', async () => {
    const words = ['top', at(nodes, 0).address, '--interval', '100', '--count', '2'];
    const lines = await runMain(words);
    assert.deepEqual([lines.code, lines.stderr], [0, '']);
    assert.equal(lines.stdout.trimEnd().split('\n').length, 2);

    const stream = await runMain([...words, '--json-stream']);
    const documents = stream.stdout
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text));
    assert.equal(stream.code, 0);
    assert.deepEqual(
      documents.map(({ version }) => version),
      [1, 1, 1],
    );
    for (const { snapshot } of documents.slice(0, 2)) {
      assert.equal(snapshot.nodes.length, 6);
      assert.ok(snapshot.nodes.every(({ rates }: NodeVitals) => rates !== null));
    }
    assert.deepEqual([documents[2].command, documents[2].ok, documents[2].snapshots], ['top', true, 2]);

    const one = await runMain(['top', at(nodes, 0).address, '--interval', '100', '--json']);
    assert.equal(JSON.parse(one.stdout).snapshot.number, 2);
  });

  it('ends with 130 at a signal, and with 1 if the cluster does not answer', async () => {
    const stop = new AbortController();
    const running = runMain(['top', at(nodes, 0).address], { signal: stop.signal });
    stop.abort(new Error('stopped'));
    const { code, stderr } = await running;
    assert.deepEqual([code, stderr], [130, '']);
    assert.equal((await runMain(['top', '127.0.0.1:1'])).code, 1);
    assert.equal((await runMain(['top', at(nodes, 0).address, '--interval', '5'])).code, 2);
  });
});

const noTerminal =
  (terminal() === undefined && 'there is neither python3 nor script') ||
  (process.platform !== 'linux' && 'stty takes no device here');

describe('top on a terminal', { skip: noTerminal }, () => {
  const trib = new CommandLine();
  before(() => trib.build());
  after(() => trib.remove());

  const START = /tty=(\S+)\s+pid=(\d+)\s/;

  /** Starts it in a shell, which waits for a line when it has ended. */
  async function start(columns: number): Promise<Running & { tty: string; pid: number }> {
    const line = `echo "tty=$(tty) pid=$$ "; $TRIB top --interval 200 ${at(nodes, 0).address}; echo "ended with $?"; read end`;
    const running = trib.shellOnTerminal(line, columns, { env: { LC_ALL: 'C.UTF-8' } });
    await shows(running, columns, 24, /^q quit/m);
    const [, tty = '', pid] = START.exec(running.printed()) ?? [];
    return { ...running, tty, pid: Number(pid) };
  }

  const shows = async (running: Running, columns: number, rows: number, what: RegExp): Promise<void> => {
    await running.until(`it shows ${what}`, async () =>
      what.test((await shownBy(running.printed(), columns, rows)).lines.join('\n')),
    );
  };

  /** It has ended with this code, and the terminal is as it was. */
  async function assertGivenBack(running: Running & { tty: string }, code: number): Promise<void> {
    await running.until('it has ended', () => /ended with \d+/.test(running.printed()));
    const { lines, isAlternate, isCursorHidden } = await shownBy(running.printed(), 80, 24);
    assert.deepEqual([isAlternate, isCursorHidden], [false, false]);
    // What the shell itself says of a signal.
    const text = lines.filter((one) => one !== '' && !/^tty=|^Hangup/.test(one));
    assert.deepEqual(text, [`ended with ${code}`]);
    const settings = String(execFileSync('stty', ['-F', running.tty, '-a'])).split(/[\s;]+/);
    for (const setting of ['icanon', 'echo', 'isig']) assert.ok(settings.includes(setting), setting);
    running.type('\n');
    await running.finished;
  }

  it('shows the nodes, their details, another order and another size, and gives it back at Ctrl-C', async () => {
    const running = await start(100);
    const { lines, isAlternate, isCursorHidden } = await shownBy(running.printed(), 100, 24);
    assert.deepEqual([isAlternate, isCursorHidden], [true, true]);
    assert.match(lines.at(-1) ?? '', /^q quit/);
    for (const { address } of nodes) assert.ok(lines.some((one) => one.includes(address)));
    await shows(running, 100, 24, /\d%/);
    running.type('\u001b[B');
    await shows(running, 100, 24, /^run id +[0-9a-f]{40}/m);
    running.type('ss');
    await shows(running, 100, 24, /sort: keys/);
    running.type('p');
    await shows(running, 100, 24, /^frozen/m);
    running.type('p');
    execFileSync('stty', ['-F', running.tty, 'rows', '40', 'cols', '160']);
    await shows(running, 160, 40, /^redis-trib top[^\n]*every 0\.2 s(?:\n[^\n]*){38}\nq quit[^\n]*$/);
    running.type('\u0003');
    await assertGivenBack(running, 130);
  });

  it('gives it back at q', async () => {
    const running = await start(80);
    running.type('q');
    await assertGivenBack(running, 0);
  });

  for (const [signal, code] of [
    ['SIGTERM', 130],
    ['SIGHUP', 129],
  ] as const) {
    it(`gives it back at ${signal}`, async () => {
      const running = await start(80);
      const child = Number(readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8'));
      process.kill(child, signal);
      await assertGivenBack(running, code);
    });
  }

  it('does not touch it if the cluster does not answer', async () => {
    const running = trib.startOnTerminal(['top', '127.0.0.1:1'], 80);
    const { code, stdout } = await running.finished;
    assert.equal(code, 1);
    assert.ok(!stdout.includes('\u001b[?1049h'), stdout);
  });
});
