import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeVitals } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { keysOn, load } from '../helpers/cli-runs.ts';
import { at, openSlotsAt, startMasters, startPairs } from '../helpers/clusters.ts';
import { CommandLine, type Running, terminal } from '../helpers/command-line.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { shownBy } from '../helpers/screen.ts';

let bed: Bed;
/** Three masters, then a replica of each. */
let nodes: ServerNode[];
before(async () => {
  bed = await openBed();
  nodes = await startPairs(bed);
});
after(() => bed.close());

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

  describe('beside a move', () => {
    const KEYS = 20_000;
    let masters: ServerNode[];
    before(async () => {
      masters = await startMasters(bed, 2);
      await load(masters, KEYS);
    });

    async function move(from: ServerNode, to: ServerNode): Promise<Running> {
      const ends = `--from ${from.address} --to ${to.address} --slots 2000 --yes`;
      const line = `$TRIB reshard ${from.address} ${ends} --method migrate --max-keys-per-second 500 --top; echo "ended with $?"`;
      const running = trib.shellOnTerminal(line, 100, { env: { LC_ALL: 'C.UTF-8' } });
      await shows(running, 100, 24, /^this move [1-9]\d* of 2000 slots/m);
      running.type(' ');
      await shows(running, 100, 24, /^this move .*paused, at most 500\/s$/m);
      return running;
    }

    it('pauses it, goes on without a limit, and then says what was moved', async () => {
      const [from, to] = [at(masters, 0), at(masters, 1)];
      const running = await move(from, to);
      // Batches on their way arrive first.
      await eventually('no key moves', async () => {
        const before = await keysOn([to]);
        await sleep(500);
        return before === (await keysOn([to]));
      });
      running.type(' 0');
      const { stdout } = await running.finished;
      const { lines, isAlternate } = await shownBy(stdout, 100, 24);
      assert.equal(isAlternate, false);
      assert.match(lines.join('\n'), /holds the slots[\s\S]*ended with 0/);
      assert.equal(await keysOn(masters), KEYS);
    });

    it('stops it at Ctrl-C while it is paused, with no slot open', async () => {
      const running = await move(at(masters, 1), at(masters, 0));
      running.type('\u0003');
      const { stdout } = await running.finished;
      assert.match(stdout.slice(stdout.lastIndexOf('\u001b[?1049l')), /safe point[\s\S]*ended with 130/);
      assert.deepEqual(await openSlotsAt(masters), []);
    });

    it('leaves no slot open if its terminal is killed while it is paused', async () => {
      const [from, to] = [at(masters, 1), at(masters, 0)];
      const running = await move(from, to);
      assert.notDeepEqual(await openSlotsAt(masters), []);
      running.child.kill('SIGKILL');
      await eventually('its slots are closed', async () => (await openSlotsAt(masters)).length === 0);
      // Once it has ended, another may begin.
      await eventually('no process moves slots', async () =>
        (await Promise.all(masters.map((node) => ask(node, 'CLIENT', 'LIST')))).every(
          (list) => !String(list).includes('name=redis-trib'),
        ),
      );
      assert.equal(await keysOn(masters), KEYS);
    });
  });
});
