// Every fault of `demo --break`, on a real cluster: check shows the finding that is named, and its page repairs it, followed to the letter.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { type DemoServers, startServers } from '../../lib/cli/demo-servers.ts';
import { BREAKS, type BreakName } from '../../lib/cli/practise/names.ts';
import { Practice } from '../../lib/cli/practise/practice.ts';
import { check, createCluster } from '../../lib/index.ts';
import { connect } from '../../resp/index.ts';
import { serverProgram } from '../bed/index.ts';
import { takePorts } from '../bed/ports.ts';
import { findFetched, readProgram } from '../bed/servers.ts';
import { assertSoon } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

const run = promisify(execFile);

let program: string;
let kind: 'redis' | 'valkey';
let version: number;
before(async () => {
  program = await serverProgram();
  const { kind: own, major, minor } = await readProgram(program);
  kind = own;
  version = kind === 'valkey' ? 7.2 : major + minor / 10;
});

/** Breaks that leave something behind once they are repaired: each has a cluster of its own. All others take their turn on one. */
const LASTING: readonly BreakName[] = [
  ...(['dead-master', 'node-unreachable', 'node-failed', 'node-moved', 'node-wiped'] as const),
  ...(['duplicate-id', 'master-without-replica', 'master-without-slots'] as const),
  ...(['node-loading', 'node-no-address', 'node-stranger', 'replicas-uneven'] as const),
  ...(['same-zone', 'replicas-same-zone', 'replica-lagging', 'replica-misdirected'] as const),
  ...(['replica-of-replica', 'shard-shared', 'replica-mark'] as const),
  // These leave nothing, and take long.
  ...(['slots-contested', 'epoch-collision', 'shards-differ'] as const),
];
/** The first Redis that can be broken like this. */
const NEEDS: Partial<Record<BreakName, number>> = {
  ...{ 'keys-uncounted': 7, 'node-loading': 7, 'functions-differ': 7 },
  ...{ 'shard-shared': 7.2, 'shards-differ': 7.2 },
};
const PASSING = BREAKS.filter((name) => !LASTING.includes(name));

const isTooOldFor = (name: BreakName): boolean => version < (NEEDS[name] ?? 0);

/** The words of a line, as a shell takes them. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
}

/** Types a line of a page. */
async function type(line: string): Promise<void> {
  const [first, ...words] = wordsOf(line);
  if (first === 'redis-trib') {
    const { code, stdout, stderr } = await runMain(words, { canAsk: () => true, ask: async () => 'yes' });
    assert.equal(code, 0, `${line}\n${stdout}${stderr}`);
  } else if (first === 'redis-cli') await typeToServer(words);
  else await run(first ?? '', words);
  // Nobody types so fast that it does not answer yet.
  const [, port] = /(\d+)\/server\.conf/.exec(line) ?? [];
  if (port !== undefined) await assertSoon(async () => (await connect({ port: Number(port) })).destroy());
}

/** There may be no redis-cli. */
async function typeToServer([, port = '', ...words]: readonly string[]): Promise<void> {
  const [flag, password = ''] = words;
  const connection = await connect({ port: Number(port), ...(flag === '-a' ? { password } : {}) });
  const command = flag === '-a' ? words.slice(2) : words;
  const answer = connection.command(command as [string, ...string[]]);
  // A server that shuts down does not answer.
  await (command[0] === 'SHUTDOWN' ? answer.catch(() => {}) : answer);
  connection.destroy();
}

let turn: Promise<unknown> = Promise.resolve();

/** Consecutive ports: two that are looking for some at once would take each other's. */
function takeRow(count: number): Promise<number[]> {
  const row = turn.then(() => takePorts(count, '127.0.0.1'));
  turn = row.catch(() => {});
  return row;
}

/** The server under test, or one that can be broken like this, if it is there. */
async function programFor(name: BreakName): Promise<string | undefined> {
  const { only = kind } = new Practice(name);
  return only === kind ? program : (await findFetched(only === 'valkey' ? 'valkey-9.1' : 'redis-8.0'))?.path;
}

async function startCluster(server: string, spares = 0): Promise<DemoServers> {
  const count = 6 + spares;
  const [first = 0] = await takeRow(count);
  const servers = await startServers(server, count, first, new AbortController().signal);
  await createCluster(servers.nodes.slice(0, 6), { replicas: 1 });
  return servers;
}

async function practise(name: BreakName, servers: DemoServers, server: string): Promise<void> {
  const practice = new Practice(name);
  const text = await practice.begin({ servers, signal: new AbortController().signal }, server);
  for (const line of [practice.look, ...practice.cure]) assert.ok(text.includes(line), `${line}\n${text}`);
  assert.doesNotMatch(text, /\b(DIR|ID|ZONES)\b/);
  const [, , asked = '', ...options] = wordsOf(practice.look);
  if (name === 'node-failed') {
    // As it says, the replica has taken over.
    const { findings } = await check(asked);
    assert.ok(findings.every(({ kind }) => kind !== 'slots-uncovered'));
  }
  for (const line of practice.cure) await type(line);
  const zones = options.filter((word) => word !== '--zone').map((word) => word.split('='));
  await assertSoon(async () => {
    const { findings } = await check(asked.split(',')[0] ?? '', { zones: Object.fromEntries(zones) });
    assert.deepEqual(
      findings.map(({ message }) => message),
      [],
    );
  });
}

// Most of the time they wait for servers.
describe('`demo --break`', { concurrency: 5 }, () => {
  test('breaks that pass', async (t) => {
    const servers = await startCluster(program);
    t.after(() => servers.close());
    let isWhole = true;
    for (const name of PASSING) {
      // A cluster that is broken still would fail all that follow.
      if (!isWhole) return;
      isWhole = false;
      const isOlder = isTooOldFor(name);
      await t.test(name, { skip: isOlder && 'the server is too old' }, async () => {
        await practise(name, servers, program);
        isWhole = true;
      });
      isWhole ||= isOlder;
    }
  });

  for (const name of LASTING) {
    test(name, async (t) => {
      if (isTooOldFor(name)) return t.skip('the server is too old');
      const server = await programFor(name);
      if (server === undefined) return t.skip('there is no server that can be broken like this');
      const servers = await startCluster(server, new Practice(name).spares);
      try {
        await practise(name, servers, server);
      } finally {
        await servers.close();
      }
    });
  }
});
