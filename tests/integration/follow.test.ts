import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import {
  type ClusterEvent,
  compareKeys,
  type FollowOptions,
  type FollowResult,
  failover,
  followKeys,
  migrateSlots,
} from '../../lib/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { serverNames } from '../bed/servers.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, settled, startMasters, startPairs } from '../helpers/clusters.ts';
import { abortOf, failureOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
/** Three masters, then a replica of each. */
let pairs: ServerNode[];
/** Two masters without replicas: no backlog until they are followed. */
let plain: ServerNode[];
/** The cluster that follows. */
let target: ServerNode[];
/** Redis 6.0 cannot pause writes and still be read. */
let canPause: boolean;
before(async () => {
  bed = await openBed();
  const config = { 'cluster-node-timeout': '1500', 'repl-diskless-sync-delay': '0' };
  [pairs, plain, target] = await Promise.all([
    startPairs(bed, { config }),
    startMasters(bed, 2, 0, { config: { 'repl-diskless-sync-delay': '0' }, relay: true }),
    startMasters(bed, 2),
  ]);
  canPause = bed.server.kind === 'valkey' || bed.server.major > 6;
});
after(() => bed.close());
const running = new Set<Following>();
const writing = new Set<Writers>();
afterEach(async () => {
  for (const one of [...running, ...writing]) await one.stop().catch(() => undefined);
});
beforeEach(async () => {
  for (const node of [...target, ...plain]) await ask(node, 'FLUSHALL');
  for (const node of pairs) {
    const connection = await connectTo(node);
    await connection.pipeline([['FLUSHALL']]);
    await connection.close();
  }
});

const seedOf = (nodes: readonly ServerNode[]) => at(nodes, 0).address;

/** Follows until it is stopped. */
class Following {
  readonly events: ClusterEvent[] = [];
  readonly ended: Promise<unknown>;
  readonly #stop = new AbortController();
  readonly #reason = new Error('enough');

  constructor(
    source: readonly ServerNode[],
    options: FollowOptions = {},
    to: readonly ServerNode[] = target,
  ) {
    running.add(this);
    this.ended = followKeys(seedOf(to), seedOf(source), {
      ...options,
      signal: this.#stop.signal,
      onEvent: (event) => this.events.push(event),
    }).then(
      (result) => result,
      (error: unknown) => error,
    );
  }

  get stopped(): Extract<ClusterEvent, { type: 'stopped' }> | undefined {
    return this.events.find((event) => event.type === 'stopped');
  }

  /** How many times an event of this type was seen. */
  count(type: ClusterEvent['type']): number {
    return this.events.filter((event) => event.type === type).length;
  }

  /** Waits until all keys are copied and changes are. */
  async begun(): Promise<void> {
    await this.#until('it follows', () => this.count('follow-progress') > 0);
  }

  /** Waits until it is close behind a source that is being written. */
  async keepsUp(): Promise<void> {
    const before = this.events.length;
    await this.#until('it is close', () =>
      this.events.slice(before).some((event) => event.type === 'follow-progress' && event.behindMs < 5000),
    );
  }

  /** Waits until it is done with all that has changed. */
  async caughtUp(): Promise<void> {
    const before = this.events.length;
    await this.#until('nothing is behind', () =>
      this.events
        .slice(before)
        .some((event) => event.type === 'follow-progress' && event.behindKeys === 0 && event.behindMs === 0),
    );
  }

  async #until(what: string, isSo: () => boolean): Promise<void> {
    let failure: unknown;
    this.ended.then((error) => {
      failure = error;
    });
    await eventually(what, async () => {
      if (failure !== undefined) throw failure;
      return isSo();
    });
  }

  async stop(): Promise<void> {
    running.delete(this);
    this.#stop.abort(this.#reason);
    await abortOf(
      this.ended.then((error) => Promise.reject(error)),
      this.#reason,
    );
  }
}

/** Writes keys of all types over and over, and deletes some, until it is stopped. */
class Writers {
  readonly #client: ClusterClient;
  readonly #loops: Promise<void>[];
  #isOver = false;
  writes = 0;

  constructor(nodes: readonly ServerNode[]) {
    this.#client = new ClusterClient(at(nodes, 0), at(nodes, 1));
    writing.add(this);
    this.#loops = Array.from({ length: 8 }, (_, index) => this.#loop(index));
  }

  async #loop(index: number): Promise<void> {
    for (let round = 0; !this.#isOver; round++) {
      const key = `w:${index}:${round % 60}`;
      const commands = [
        ['SET', key, `${round}`],
        ['APPEND', key, 'x'],
        ['DEL', key],
        ['RPUSH', key, 'a', 'b'],
        ['LPOP', key],
        ['DEL', key],
        ['HSET', key, 'f', `${round}`],
        ['DEL', key],
        ['SET', key, `${round}`, 'EX', '900'],
      ];
      for (const command of commands.slice(0, 1 + (round % commands.length))) {
        const reply = await this.#client.command(key, command).catch((error: unknown) => error);
        // A master that fails over loses what its replica did not have: then the type is another.
        if (reply instanceof Error && !/^(WRONGTYPE|UNBLOCKED)/.test(reply.message)) throw reply;
        this.writes += 1;
      }
    }
  }

  async stop(): Promise<void> {
    writing.delete(this);
    this.#isOver = true;
    await Promise.all(this.#loops);
    await this.#client.close();
  }
}

async function write(nodes: readonly ServerNode[], ...commands: (readonly string[])[]): Promise<void> {
  const client = new ClusterClient(at(nodes, 0));
  for (const command of commands) await client.command(command[1] ?? '', command);
  await client.close();
}

async function fill(nodes: readonly ServerNode[], count: number, prefix = 'k'): Promise<void> {
  const client = new ClusterClient(at(nodes, 0));
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      client.command(`${prefix}:${index}`, ['SET', `${prefix}:${index}`, `value of ${index}`]),
    ),
  );
  await client.close();
}

async function sameAs(source: readonly ServerNode[]): Promise<number> {
  const { equal, keys, differences } = await compareKeys(seedOf(source), seedOf(target), { rounds: 6 });
  assert.deepEqual(differences.slice(0, 5), []);
  assert.equal(equal, true);
  return keys;
}

describe('followKeys()', () => {
  it('copies what changes, deletes what is deleted, and says how far behind it is', async () => {
    await fill(plain, 500);
    const following = new Following(plain);
    await following.begun();
    const writers = new Writers(plain);
    await write(
      plain,
      ['SET', 'k:1', 'another'],
      ['DEL', 'k:2'],
      ['PEXPIRE', 'k:3', '900000'],
      ['PEXPIRE', 'k:4', '50'],
      ['SET', '\x00\xff\r\n', '\x00\xff'],
      ['SET', '{k:5}', '5'],
      ['RENAME', '{k:5}', '{k:5}:new'],
      ['SADD', 'set', 'a', 'b'],
      ['XADD', 'stream', '1-1', 'f', 'v'],
      ['XGROUP', 'CREATE', 'stream', 'group', '0'],
      ['ZADD', '{z}1', '1', 'a'],
      ['ZUNIONSTORE', '{z}2', '1', '{z}1'],
      ['RPUSH', '{s}1', '2', '1'],
      ['SORT', '{s}1', 'STORE', '{s}2'],
      ['EVAL', "redis.call('SET', KEYS[1], 'by a script')", '1', 'script'],
    );
    await following.keepsUp();
    await writers.stop();
    await following.caughtUp();
    assert.ok((await sameAs(plain)) > 500);
    assert.equal(following.count('follow-gap'), 0, 'no other comparison was needed');
    await following.stop();
    const { moved, behind, resumable } = following.stopped ?? {};
    assert.deepEqual([behind, resumable], [{ keys: 0, ms: 0 }, 'same-call']);
    assert.ok((moved?.keys ?? 0) >= 500);
  });

  it('continues a copy that was stopped: overwrites and deletes what differs, once that is allowed', async () => {
    await fill(plain, 300);
    const first = new Following(plain);
    await first.begun();
    await first.stop();
    assert.deepEqual(first.stopped?.next, [{ do: 'retry', options: { replace: true } }]);
    await write(plain, ['SET', 'k:1', 'later'], ['DEL', 'k:2'], ['SET', 'more', 'x']);
    const refused = await failureOf(followKeys(seedOf(target), seedOf(plain)));
    assert.deepEqual(
      [refused.code, refused.next?.[0]],
      ['KEY_CONFLICT', { do: 'retry', options: { replace: true } }],
    );
    // What is advised is done.
    const second = new Following(plain, { replace: true });
    await second.begun();
    await second.caughtUp();
    await sameAs(plain);
    await second.stop();
  });

  it('compares all keys after FLUSHALL', async () => {
    await fill(plain, 300);
    const following = new Following(plain);
    await following.begun();
    await ask(at(plain, 0), 'FLUSHALL');
    await fill(plain, 50, 'later');
    await eventually('it has noticed', async () => following.count('follow-gap') > 0);
    await following.caughtUp();
    const keys = await sameAs(plain);
    assert.ok(keys > 50 && keys < 300, `${keys}`);
    await following.stop();
  });

  it('goes on by partial resync after a cut', async () => {
    await fill(plain, 200);
    const following = new Following(plain);
    await following.begun();
    const writers = new Writers(plain);
    const connection = await connectTo(at(plain, 0));
    await connection.command(['CLIENT', 'KILL', 'TYPE', 'replica']);
    await connection.close();
    await following.keepsUp();
    await writers.stop();
    await following.caughtUp();
    assert.equal(following.count('follow-gap'), 0);
    await sameAs(plain);
    await following.stop();
  });

  it('follows slots that move, and masters that fail over', async () => {
    await fill(pairs, 500);
    const following = new Following(pairs);
    await following.begun();
    const writers = new Writers(pairs);
    const [first, second] = [at(pairs, 0).address, at(pairs, 1).address];
    await migrateSlots(first, second, [[0, 400]], { method: 'migrate' });
    await failover(at(pairs, 5).address);
    await following.keepsUp();
    await at(pairs, 0).kill();
    await eventually('a replica has taken over', async () =>
      /cluster_state:ok/.test(String(await ask(at(pairs, 1), 'CLUSTER', 'INFO'))),
    );
    await at(pairs, 0).restart();
    await settled(pairs);
    await following.keepsUp();
    await writers.stop();
    await following.caughtUp();
    assert.ok((await sameAs([at(pairs, 1)])) > 500);
    await following.stop();
  });

  it('cuts over while the source is written, and loses nothing', async (context) => {
    if (!canPause) return context.skip('it cannot pause writes');
    await fill(plain, 500);
    const writers = new Writers(plain);
    const result = (await followKeys(seedOf(target), seedOf(plain), {
      cutover: true,
      cutoverTimeout: 20_000,
    })) as FollowResult;
    const { cutover } = result;
    assert.ok(cutover);
    assert.deepEqual([...cutover.nodes].sort(), plain.map(({ address }) => address).sort());
    assert.ok(cutover.pausedMs < 5000 && cutover.pauseLeftMs > 10_000, JSON.stringify(cutover));
    const keys = await sameAs(plain);
    assert.ok(keys >= 500);
    for (const node of plain) await ask(node, 'CLIENT', 'UNPAUSE');
    await writers.stop();
  });

  it('resumes writes when a cut-over fails, and when it is stopped', async (context) => {
    if (!canPause) return context.skip('it cannot pause writes');
    await fill(plain, 100);
    const stop = new AbortController();
    const reason = new Error('enough');
    const events: ClusterEvent[] = [];
    await abortOf(
      followKeys(seedOf(target), seedOf(plain), {
        cutover: true,
        signal: stop.signal,
        onEvent: (event) => {
          events.push(event);
          if (event.type === 'writes-paused') stop.abort(reason);
        },
      }),
      reason,
    );
    assert.ok(events.some(({ type }) => type === 'writes-resumed'));
    // At once, and not when the pause ends.
    const started = performance.now();
    await write(plain, ['SET', 'k:1', 'written'], ['SET', 'k:2', 'written']);
    assert.ok(performance.now() - started < 10_000);
  });

  it('follows and goes over to the other engine', async () => {
    const name = bed.server.kind === 'redis' ? 'valkey-9.1' : 'redis-8.6';
    assert.ok(serverNames.includes(name));
    await using other = await openBed({ server: name });
    const there = await startMasters(other, 2);
    await fill(plain, 300);
    const writers = new Writers(plain);
    if (canPause) {
      const { cutover } = await followKeys(seedOf(there), seedOf(plain), { cutover: true });
      assert.ok(cutover);
      const { equal, differences } = await compareKeys(seedOf(plain), seedOf(there), { rounds: 1 });
      assert.deepEqual([equal, differences], [true, []]);
      for (const node of plain) await ask(node, 'CLIENT', 'UNPAUSE');
      await writers.stop();
      return;
    }
    const following = new Following(plain, {}, there);
    await following.begun();
    await writers.stop();
    await following.caughtUp();
    const { equal, differences } = await compareKeys(seedOf(plain), seedOf(there), { rounds: 6 });
    assert.deepEqual([equal, differences], [true, []]);
    await following.stop();
  });

  it('needs no more of the source than docs/acl.md says', async () => {
    await fill(plain, 50);
    const isOld = bed.server.kind === 'redis' && bed.server.major === 6;
    const rules = [
      ...[
        '+ping',
        '+client|setname',
        '+info',
        '+cluster|nodes',
        '+cluster|info',
        '+select',
        '+scan',
        '+memory|usage',
      ],
      ...['+pttl', '+dump', '+command', '+psync', '+replconf', '+time', '+exists', '+config|get'],
      ...(isOld ? [] : ['+pexpiretime', '+function|list', '+client|pause', '+client|unpause']),
    ];
    for (const node of plain) await ask(node, 'ACL', 'SETUSER', 'follower', 'on', '>secret', '~*', ...rules);
    const source = { username: 'follower', password: 'secret' };
    if (canPause) {
      const { cutover } = await followKeys(seedOf(target), seedOf(plain), { source, cutover: true });
      assert.equal(cutover?.nodes.length, 2);
      for (const node of plain) await ask(node, 'CLIENT', 'UNPAUSE');
    }
    const following = new Following(plain, { source, replace: true });
    await following.begun();
    await write(plain, ['SET', 'k:1', 'later'], ['DEL', 'k:2']);
    await following.caughtUp();
    await sameAs(plain);
    assert.equal(following.count('warning'), 0);
    await following.stop();
    for (const node of plain) await ask(node, 'ACL', 'DELUSER', 'follower');
  });

  it('compares over and over where streams are refused', async () => {
    await fill(plain, 200);
    const rules = ['+@all', '-psync', '-sync', '-replconf'];
    for (const node of plain)
      await ask(node, 'ACL', 'SETUSER', 'managed', 'on', '>secret', '~*', '&*', ...rules).catch(() =>
        ask(node, 'ACL', 'SETUSER', 'managed', 'on', '>secret', '~*', ...rules),
      );
    const following = new Following(plain, { source: { username: 'managed', password: 'secret' } });
    await following.begun();
    assert.equal(following.count('warning'), 1);
    await write(plain, ['SET', 'k:1', 'later'], ['DEL', 'k:2'], ['SET', 'more', 'x']);
    await eventually('the change has arrived', async () => {
      const { equal } = await compareKeys(seedOf(plain), seedOf(target), { rounds: 1 });
      return equal;
    });
    await following.stop();
    for (const node of plain) await ask(node, 'ACL', 'DELUSER', 'managed');
  });

  it('is import --follow and --cutover on the command line', async () => {
    await fill(plain, 100);
    const words = ['import', seedOf(target), '--from-cluster', seedOf(plain), '--cutover'];
    const dry = await runMain([...words, '--dry-run']);
    if (!canPause) {
      assert.deepEqual([dry.code, /cannot pause writes/.test(dry.stderr)], [1, true]);
      return;
    }
    assert.equal(dry.code, 0);
    assert.match(dry.stdout, /Nothing was changed/);
    const { code, stdout, stderr } = await runMain([...words, '--yes', '--json']);
    assert.deepEqual([code, stderr], [0, '']);
    const { cutover, keys, ok } = JSON.parse(stdout);
    assert.deepEqual([ok, keys, cutover.nodes.length], [true, 100, 2]);
    await sameAs(plain);
    for (const node of plain) await ask(node, 'CLIENT', 'UNPAUSE');
  });
});
