import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { countSlots } from '../../lib/model/node.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode, type StartOptions } from '../bed/index.ts';
import {
  assertSoon,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  quick,
  recordsOf,
  settled,
  snapshot,
  tell,
} from '../helpers/clusters.ts';
import { CommandLine, type Finished, type Running, terminal } from '../helpers/command-line.ts';
import { runMain } from '../helpers/made-up-io.ts';

/** Goes to the start of the line and erases it. */
const ERASE = '\r\u001b[K';
const SECRET = 'hunter2 "and" \\more';
const noTerminal = terminal() === undefined && 'there is neither python3 nor script';

const trib = new CommandLine();
let bed: Bed;
before(async () => {
  [bed] = await Promise.all([openBed(), trib.build()]);
});
after(async () => {
  trib.remove();
  await bed.close();
});

function addressesOf(nodes: readonly ServerNode[]): string[] {
  return nodes.map(({ address }) => address);
}

// A handle that is left open keeps a process for ever; a machine with too much to do holds it up for seconds.
const LONGEST_EXIT_MS = 10_000;

// So does it a MIGRATE, which is told and tried again.
const HELD_UP = /^Warning: \S+ slot \d+: IOERR .*; trying again\n/gm;

/** Succeeded: code 0, nothing on stderr, and no handle that kept it from ending. */
function assertWell(ran: Finished): void {
  assert.deepEqual([ran.code, ran.stderr.replaceAll(HELD_UP, '')], [0, ''], ran.stdout);
  assert.ok(ran.lingeredMs < LONGEST_EXIT_MS, `it lingered for ${ran.lingeredMs} ms`);
}

/** Failed: code 1, nothing on stdout, a line that says why and perhaps one that says what to do next. */
function assertFailed(ran: Finished, why: RegExp): void {
  assert.deepEqual([ran.code, ran.stdout], [1, ''], ran.stderr);
  assert.match(ran.stderr, /^Error: .+\n(Slots left open: .+\n)?(Next: .+\n)?$/);
  assert.match(ran.stderr, why);
  assert.ok(ran.lingeredMs < LONGEST_EXIT_MS, `it lingered for ${ran.lingeredMs} ms`);
}

function assertSecret({ stdout, stderr }: Finished): void {
  for (const text of [SECRET, JSON.stringify(SECRET).slice(1, -1), 'hunter2']) {
    assert.ok(!(stdout + stderr).includes(text), stdout + stderr);
  }
}

interface Json {
  readonly version: number;
  readonly command: string;
  readonly ok: boolean;
  readonly [field: string]: unknown;
}

/** The one document that stdout has to be. */
function documentOf({ stdout }: Finished, command: string): Json {
  assert.ok(stdout.endsWith('}\n') && stdout.indexOf('\n') === stdout.length - 1, stdout);
  const document = JSON.parse(stdout) as Json;
  assert.deepEqual([document.version, document.command], [1, command]);
  return document;
}

/** Sets so many small keys, each on the one of these masters that owns its slot. */
async function load(nodes: readonly ServerNode[], count: number): Promise<void> {
  const keys = Array.from({ length: count }, (_, number) => ['SET', `key:${number}`, 'value']);
  const loaded = await Promise.all(
    nodes.map(async (node) => {
      const connection = await connectTo(node);
      const replies = await connection.pipeline(keys);
      connection.destroy();
      return replies.filter((reply) => reply === 'OK').length;
    }),
  );
  assert.equal(
    loaded.reduce((sum, number) => sum + number, 0),
    count,
  );
}

async function keysOn(nodes: readonly ServerNode[]): Promise<number> {
  const sizes = await Promise.all(nodes.map((node) => ask(node, 'DBSIZE')));
  return sizes.reduce<number>((sum, size) => sum + Number(size), 0);
}

/** What each node says of the cluster, once gossip has told all of them the same. */
async function calm(nodes: readonly ServerNode[]): Promise<string[]> {
  let texts: string[] = [];
  await eventually('gossip comes to rest', async () => {
    texts = await snapshot(nodes);
    const said = new Map<string, Set<string>>();
    for (const line of texts.flatMap((text) => text.split('\n'))) {
      const [id = '', , flags = '', , , , , , ...slots] = line.split(' ');
      const own = slots.filter((slot) => !slot.startsWith('['));
      said.set(id, (said.get(id) ?? new Set()).add([flags.replace('myself,', ''), ...own].join(' ')));
    }
    return [...said.values()].every(({ size }) => size === 1);
  });
  return texts;
}

/** Runs a command line in this process, which is done sooner: how processes end is shown by those that change something. */
async function runHere(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  return { ...(await runMain(args, { env })), lingeredMs: 0 };
}

/** Runs a command that changes something: first dry, which has to change nothing, then for good. */
type Change = (nodes: readonly ServerNode[], args: readonly string[], done: RegExp) => Promise<Finished>;

const changeAsText: Change = async (nodes, args, done) => {
  const earlier = await calm(nodes);
  const dry = await runHere([...args, '--dry-run']);
  assertWell(dry);
  assert.match(
    dry.stdout,
    /^(Would do, in this order:\n( {2}\d+\. .+\n)+(Slots before and after:\n( {2}.+\n)+)?Nothing was changed|Nothing to do)\n$/,
  );
  assert.deepEqual(await snapshot(nodes), earlier, `${args[0]} --dry-run has changed something`);
  const ran = await trib.run(args);
  assertWell(ran);
  assert.match(ran.stdout, done);
  assert.match(ran.stdout, / \(\d+\.\d+ s\)\n$/);
  assert.equal(ran.stdout.split('\n').length, 2, 'one line');
  return ran;
};

/** The same with --json, on nodes that ask for a password. */
const changeAsJson: Change = async (nodes, args) => {
  const [name = '', ...rest] = args;
  const env = { REDISCLI_AUTH: SECRET };
  const earlier = await calm(nodes);
  const dry = await runHere([name, '--json', '--dry-run', ...rest], env);
  assertWell(dry);
  assertSecret(dry);
  const planned = documentOf(dry, name);
  assert.deepEqual([planned.ok, planned.applied, planned.slots, planned.keys], [true, false, 0, 0]);
  assert.deepEqual(await snapshot(nodes), earlier, `${name} --dry-run has changed something`);
  const ran = await runHere([name, '--json', ...rest], env);
  assertWell(ran);
  assertSecret(ran);
  const { version, command, ok, applied, plan, ...figures } = documentOf(ran, name);
  assert.deepEqual([ok, applied], [true, true]);
  const { slots, keys, bytes, keysPerSecond, longestStallMs, elapsedMs, ...others } = figures;
  assert.deepEqual(others, {});
  for (const number of [slots, keys, bytes, keysPerSecond, elapsedMs]) {
    assert.ok(Number.isInteger(number), `${number}`);
  }
  assert.ok(typeof longestStallMs === 'number' && longestStallMs >= 0);
  assert.deepEqual(stepsOf(plan), stepsOf(planned.plan), `${name} --dry-run told another plan`);
  return ran;
};

// How much data a node has differs from one moment to the next.
function stepsOf(plan: unknown): unknown[] {
  return ((plan as Json).steps as { content?: object }[]).map(({ content, ...step }) =>
    content ? { ...step, content: { ...content, bytes: 0 } } : step,
  );
}

/** Every command that changes something, in the form the README has it, from nothing to nothing. */
async function liveOneLife(nodes: readonly ServerNode[], change: Change): Promise<void> {
  const [a, b, c, d, e, f] = [
    at(nodes, 0),
    at(nodes, 1),
    at(nodes, 2),
    at(nodes, 3),
    at(nodes, 4),
    at(nodes, 5),
  ];
  const [alone, multi] = [at(nodes, 6), at(nodes, 7)];
  await change(nodes, ['start', alone.address], /^Started a cluster of 1 master \(/);
  await change(nodes, ['start_multi', d.address, multi.address], /^Started a cluster of 2 masters \(/);
  await change(
    nodes,
    ['create', a.address, b.address, c.address, '--yes'],
    /^Created a cluster of 3 masters \(/,
  );
  await change(
    nodes,
    ['shutdown', alone.address],
    new RegExp(`^The cluster of ${alone.address} has ended \\(`),
  );
  await change(
    nodes,
    ['quit', d.address],
    new RegExp(`^${d.address} has left the cluster: 8192 slots with 0 keys moved \\(`),
  );

  await load([a, b, c], 2000);
  const joined = new RegExp(
    `^Joined ${d.address} to the cluster: 4096 slots with \\d+ keys.* moved at \\S+ keys/s.* \\(`,
  );
  await change(nodes, ['join', a.address, d.address], joined);
  await change(
    nodes,
    ['replicate', a.address, e.address],
    new RegExp(`^${e.address} is a replica of ${a.address} \\(`),
  );
  await change(
    nodes,
    ['join_no_load', b.address, f.address],
    new RegExp(`^Joined ${f.address} to the cluster, without slots \\(`),
  );
  const slots = ['16380', '16382', '16000-16009'];
  const moved = new RegExp(`^${f.address} holds the slots: 12 slots with \\d+ keys?.* moved.* \\(`);
  await change(nodes, ['migrate_slots', c.address, f.address, ...slots], moved);
  const again = ['migrate-slots', '--resume', c.address, f.address, ...slots];
  if (change === changeAsText) await change(nodes, again, new RegExp(`^${f.address} holds the slots \\(`));

  await tell(b, ['CLUSTER', 'SETSLOT', '8000', 'MIGRATING', await idOfNode(c)]);
  await change(nodes, ['fix', a.address], /^Every slot is served and closed/);
  await change(nodes, ['fix', a.address], /^Nothing to mend \(/);

  assert.equal(await keysOn([a, b, c, d, f]), 2000);
  await change(
    nodes,
    ['quit', d.address],
    new RegExp(
      `^${d.address} has left the cluster: 4\\d\\d\\d slots with \\d+ keys.* moved at \\S+ keys/s.* \\(`,
    ),
  );
  assert.equal(await keysOn([a, b, c, f]), 2000);

  await change(nodes, ['rescue', a.address, alone.address], /^No slot is missing \(/);
  await f.kill();
  const living = [a, b, c, e];
  await eventually('the dead master is declared failed', async () => {
    const texts = await Promise.all(living.map((node) => ask(node, 'CLUSTER', 'NODES')));
    return texts.every((text) => / master,fail - /.test(String(text)));
  });
  const rest = [...living, alone];
  await change(
    rest,
    ['rescue', a.address, alone.address],
    new RegExp(`^${alone.address} has taken the lost slots \\(`),
  );
}

describe('redis-trib', { concurrency: 3 }, () => {
  test('runs every command that changes something as the README has it, and --dry-run of it changes nothing', async () => {
    const nodes = await bed.start(8, quick);
    await liveOneLife(nodes, changeAsText);
    const [a, b, c, , e, , alone] = nodes;
    assert.ok(a && b && c && e && alone);

    // One master is dead, the rest serve
    const list = await trib.run(['list', a.address]);
    assertWell(list);
    const lines = list.stdout.trimEnd().split('\n');
    assert.equal(lines[0], 'Total 6 nodes, 5 masters, 1 fail');
    assert.match(
      list.stdout,
      new RegExp(`^M {2}${a.address} myself,master \\d+\n S ${e.address} slave ${a.address}$`, 'm'),
    );
    for (const node of [b, c, alone])
      assert.match(list.stdout, new RegExp(`^M {2}${node.address} master \\d+$`, 'm'));
    assert.match(list.stdout, /^M {2}\S+ master,fail 0$/m);
    const counts = lines.map((line) => Number(/^M .* (\d+)$/.exec(line)?.[1] ?? 0));
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      16384,
    );
  });

  test('does all of it with --json as one document each, and with a password that no output shows', async () => {
    const nodes = await bed.start(8, { ...quick, password: SECRET });
    await liveOneLife(nodes, changeAsJson);
    const [first] = nodes;
    assert.ok(first);
    const options = { env: { REDISCLI_AUTH: SECRET } };

    const list = await trib.run(['list', first.address, '--json'], options);
    assertWell(list);
    const listed = documentOf(list, 'list');
    const own = (listed.nodes as Json[]).find(({ nodeId }) => nodeId === listed.myself);
    assert.deepEqual([listed.ok, own?.address, own?.role], [true, first.address, 'master']);

    // A failed node is told; what is served is well
    await assertSoon(async () => {
      const check = await trib.run(['check', first.address, '--json'], options);
      const checked = documentOf(check, 'check');
      assertSecret(check);
      assert.deepEqual([check.code, check.stderr, checked.ok], [0, '', true]);
      assert.deepEqual(
        (checked.findings as Json[])
          .map(({ severity, kind }) => [severity, kind])
          .filter(([, kind]) => kind !== 'master-without-replica'),
        [['warning', 'node-failed']],
      );
    });

    const ping = await trib.run(['execute', '--json', '--slave-only', first.address, 'PING'], options);
    assertWell(ping);
    const [result, ...more] = documentOf(ping, 'execute').results as Json[];
    assert.deepEqual([result?.role, result?.result, more.length], ['slave', 'PONG', 0]);
    for (const ran of [list, ping]) assertSecret(ran);
  });

  test('looks at a cluster, and refuses what cannot be done with nothing changed', async () => {
    const nodes = await bed.start(6, quick);
    const [a, b, c, replica, spare, other] = nodes;
    const [standalone] = await bed.start(1, { cluster: false });
    assert.ok(a && b && c && replica && spare && other && standalone);
    await Promise.all([
      runHere(['create', '--yes', ...addressesOf([a, b, c])]).then(assertWell),
      runHere(['start', other.address]).then(assertWell),
    ]);
    assertWell(await runHere(['replicate', a.address, replica.address]));
    await settled([a, b, c, replica]);

    const list = await runHere(['list', b.address]);
    assertWell(list);
    assert.deepEqual(list.stdout.trimEnd().split('\n').sort(), [
      ` S ${replica.address} slave ${a.address}`,
      `M  ${a.address} master 5461`,
      `M  ${b.address} myself,master 5462`,
      `M  ${c.address} master 5461`,
      'Total 4 nodes, 3 masters, 0 fail',
    ]);

    await assertSoon(async () => {
      const check = await runHere(['check', replica.address]);
      assertWell(check);
      assert.deepEqual(check.stdout.match(/^\[.*/gm), [
        '[OK] All nodes agree about slots configuration.',
        '[OK] No slot is open.',
        '[OK] All 16384 slots covered.',
        `[WARNING] ${b.address} has no living replica, other masters have`,
        `[WARNING] ${c.address} has no living replica, other masters have`,
      ]);
      assert.equal(
        check.stdout.match(/^M: [0-9a-f]{40} \S+ slots:\[\d+-\d+\] \(546[12] slots\)$/gm)?.length,
        3,
      );
      assert.match(
        check.stdout,
        new RegExp(`^S: [0-9a-f]{40} ${replica.address} replicates [0-9a-f]{40}$`, 'm'),
      );
    });

    const ping = await runHere(['execute', a.address, 'PING']);
    assertWell(ping);
    const pongs = addressesOf([a, b, c, replica])
      .sort()
      .map((address) => `${address} +PONG\n`);
    assert.equal(ping.stdout, pongs.join(''));
    const masters = await runHere([
      'execute',
      '--master-only',
      replica.address,
      'CONFIG',
      'GET',
      'maxmemory',
    ]);
    assertWell(masters);
    assert.equal(masters.stdout.match(/^\S+ \+\["maxmemory","0"\]$/gm)?.length, 3);
    const dashes = await runHere(['execute', '--slave-only', a.address, 'ECHO', '--json']);
    assertWell(dashes);
    assert.equal(dashes.stdout, `${replica.address} +--json\n`);
    const set = await runHere(['execute', '--master-only', a.address, 'SET', 'key', '-1']);
    assert.deepEqual([set.code, set.stderr], [1, '']);
    assert.equal(set.stdout.match(/^\S+ -MOVED 12539 /gm)?.length, 2);
    assert.match(set.stdout, new RegExp(`^${c.address} \\+OK$`, 'm'));

    const before = await calm(nodes);
    const refusals: [string[], RegExp, string][] = [
      [['start', a.address], /is already in a cluster/, 'ALREADY_IN_CLUSTER'],
      [['create', '--yes', spare.address, b.address], /is already in a cluster/, 'ALREADY_IN_CLUSTER'],
      [['start', standalone.address], /cluster/, 'NOT_CLUSTER_ENABLED'],
      [['join', a.address, standalone.address], /cluster/, 'NOT_CLUSTER_ENABLED'],
      [['join', a.address, other.address], /is already in a cluster/, 'ALREADY_IN_CLUSTER'],
      [['join', a.address, b.address], /is already in a cluster/, 'ALREADY_IN_CLUSTER'],
      [['join', a.address, a.address], /^Error: Same node/, 'SAME_NODE'],
      [['join', spare.address, other.address], /is not in a cluster/, 'NOT_IN_CLUSTER'],
      [['join_no_load', a.address, b.address], /is already in a cluster/, 'ALREADY_IN_CLUSTER'],
      [['replicate', a.address, other.address], /is already in a cluster/, 'ALREADY_IN_CLUSTER'],
      [['quit', a.address], /The master still has slaves/, 'HAS_REPLICAS'],
      [['quit', other.address], /This is the last node/, 'LAST_NODE'],
      [['quit', spare.address], /is not in a cluster/, 'NOT_IN_CLUSTER'],
      [['shutdown', a.address], /More than 1 nodes in cluster/, 'MORE_NODES'],
      [['migrate_slots', a.address, b.address, '16383'], /Not all slot held by/, 'SLOTS_NOT_HELD'],
      [
        ['migrate_slots', a.address, other.address, '0'],
        /Two nodes are not in the same cluster/,
        'NOT_SAME_CLUSTER',
      ],
      [['migrate_slots', b.address, replica.address, '6000'], /it is a replica/, 'NOT_A_MASTER'],
      [['migrate_slots', a.address, a.address, '0'], /^Error: Same node/, 'SAME_NODE'],
      [['check', standalone.address], /cluster/, 'NOT_CLUSTER_ENABLED'],
      [['list', '127.0.0.1:1'], /Cannot connect to 127\.0\.0\.1:1: /, 'ECONNREFUSED'],
      [['join', a.address, '127.0.0.1:1'], /Cannot connect to 127\.0\.0\.1:1: /, 'ECONNREFUSED'],
    ];
    for (const [args, why, code] of refusals) {
      const [text, json] = await Promise.all([runHere(args), runHere([...args, '--json'])]);
      assertFailed(text, why);
      assert.equal(json.code, 1);
      const { ok, error } = documentOf(json, args[0] ?? '');
      assert.deepEqual([ok, (error as Json).code, json.stderr], [false, code, text.stderr]);
    }
    const swapped = await runHere(['add_node', a.address, spare.address]);
    assertFailed(swapped, /is not in a cluster\nNext: Node \S+ is in one: name the two the other way round/);
    assert.deepEqual(await snapshot(nodes), before);

    // Not well: an open slot, then a slot that nobody serves
    await tell(a, ['CLUSTER', 'SETSLOT', '7', 'MIGRATING', await idOfNode(b)]);
    const open = await runHere(['check', b.address]);
    assert.deepEqual([open.code, open.stderr], [1, '']);
    assert.match(open.stdout, /^\[ERR\] Slot 7 is open: /m);
    assert.doesNotMatch(open.stdout, /No slot is open/);
    await tell(a, ['CLUSTER', 'SETSLOT', '7', 'STABLE']);
    await tell(b, ['CLUSTER', 'DELSLOTS', '6000']);
    const uncovered = await runHere(['check', b.address, '--json']);
    assert.deepEqual([uncovered.code, uncovered.stderr, documentOf(uncovered, 'check').ok], [1, '', false]);
  });

  test('is quiet, ends at once and does not crash in a poor environment', async () => {
    const [node] = await bed.start(1, quick);
    assert.ok(node);
    assertWell(await trib.run(['start', node.address]));
    assert.equal((await trib.run([])).code, 2);

    const closed = `; echo "code $?" >&2; } `;
    const cut = await trib.shell(`{ $TRIB execute ${node.address} COMMAND${closed}| head -c 1`);
    assert.deepEqual([cut.stdout, cut.stderr], [node.address.slice(0, 1), 'code 0\n']);
    const head = await trib.shell(`$TRIB list ${node.address} | head -1`);
    assertWell(head);
    assert.equal(head.stdout, 'Total 1 nodes, 1 masters, 0 fail\n');
    const list = `Total 1 nodes, 1 masters, 0 fail\nM  ${node.address} myself,master 16384\n`;
    for (const ending of ['<&-', '</dev/null', '2>&-']) {
      const ran = await trib.shell(`$TRIB list ${node.address} ${ending}`);
      assertWell(ran);
      assert.equal(ran.stdout, list);
    }
    const nowhere = await trib.shell(`$TRIB list ${node.address} >&-`);
    assert.deepEqual([nowhere.code, nowhere.stderr], [0, '']);
    const unheard = await trib.shell(`{ $TRIB list 127.0.0.1:1 2>&1 >/dev/null${closed}| true`);
    assert.equal(unheard.stderr, 'code 1\n');
    for (const env of [
      { HOME: '/nonexistent' },
      { TERM: 'dumb' },
      { LANG: 'C', LC_ALL: 'C' },
      { NO_COLOR: '1', COLUMNS: '5' },
    ]) {
      const ran = await trib.run(['list', node.address], { env });
      assertWell(ran);
      assert.equal(ran.stdout, list);
    }
    const usage = await trib.run(['list', node.address, '--frob']);
    assert.deepEqual([usage.code, usage.stdout], [2, '']);
  });

  test('takes the password from the environment, a file, an argument or the terminal, and shows it nowhere', async () => {
    const nodes = await bed.start(2, { ...quick, password: SECRET });
    const [a, b] = nodes;
    const [open] = await bed.start(1, quick);
    assert.ok(a && b && open);
    const file = trib.file('password', `${SECRET}\n`);
    const ways: [string[], Record<string, string>][] = [
      [[], { REDISCLI_AUTH: SECRET }],
      [['--pass-file', file], {}],
      [['-a', SECRET], {}],
      [[`--pass=${SECRET}`], { REDISCLI_AUTH: 'another' }],
      [['--user', 'default', '--pass-file', file], {}],
    ];
    assertWell(await trib.run(['create', '--yes', a.address, b.address, '--pass-file', file]));
    for (const [words, env] of ways) {
      const ran = await trib.run(['check', ...words, a.address], { env });
      assertWell(ran);
      assertSecret(ran);
    }

    // An ACL user of another name, with rights to do all, who moves keys: MIGRATE has to name it too
    for (const node of nodes)
      await tell(node, ['ACL', 'SETUSER', 'operator', 'on', `>${SECRET}-2`, 'allkeys', '+@all']);
    await tell(a, ...keysOfSlot(5, 50).map((key) => ['SET', key, 'value']));
    const asOperator = { env: { REDISCLI_AUTH: `${SECRET}-2` } };
    const moved = await trib.run(
      ['migrate_slots', '--user', 'operator', a.address, b.address, '5'],
      asOperator,
    );
    assertWell(moved);
    assert.match(moved.stdout, /: 1 slot with 50 keys .*moved /);
    const limited = ['ACL', 'SETUSER', 'limited', 'on', `>${SECRET}`, 'allkeys', '+@all', '-cluster'];
    await tell(a, limited);

    const rejected: [string[], Record<string, string>, RegExp][] = [
      [[a.address], {}, /^Error: \S+ answers: NOAUTH .*\nNext: Give the password in .*REDISCLI_AUTH/],
      [[a.address], { REDISCLI_AUTH: `wrong ${SECRET}` }, /^Error: \S+ answers: WRONGPASS .*\nNext: Check /],
      [
        [a.address, '--user', 'nobody', '-a', SECRET],
        {},
        /^Error: \S+ answers: WRONGPASS .*\nNext: Check --user/,
      ],
      [
        [a.address, '--user', 'limited', '-a', SECRET],
        {},
        /^Error: \S+ answers: NOPERM .*\nNext: Give the (ACL )?user /,
      ],
      [
        [open.address, '-a', SECRET],
        {},
        /^Error: \S+ answers: ERR .*without any password.*\nNext: .*asks for no password/,
      ],
      [['127.0.0.1:1', '-a', SECRET], {}, /^Error: Cannot connect/],
      [
        [a.address, '--tls', '--connect-timeout=500', '-a', SECRET],
        {},
        /^Error: Cannot connect .* TLS\)?\nNext: Leave out --tls/,
      ],
    ];
    for (const [words, env, why] of rejected) {
      const [text, json] = await Promise.all([
        trib.run(['check', ...words], { env }),
        trib.run(['check', '--json', ...words], { env }),
      ]);
      assertFailed(text, why);
      assert.ok(text.stderr.includes(words[0] ?? ''), 'the node is named');
      assert.equal(documentOf(json, 'check').ok, false);
      assertSecret(text);
      assertSecret(json);
    }
    const none = await trib.run(['check', a.address, '--askpass']);
    assert.deepEqual(
      [none.code, none.stderr.split('\n')[0]],
      [2, 'Cannot ask for the password: there is no terminal'],
    );
  });

  test('hides the password where a server repeats the arguments of MIGRATE', async () => {
    const config = { ...quick.config, 'rename-command': 'MIGRATE ""' };
    const nodes = await bed.start(2, { password: SECRET, config });
    const [a, b] = nodes;
    assert.ok(a && b);
    const options = { env: { REDISCLI_AUTH: SECRET } };
    assertWell(await trib.run(['create', '--yes', a.address, b.address], options));
    await tell(a, ...keysOfSlot(5, 3).map((key) => ['SET', key, 'value']));
    for (const extra of [[], ['--json']]) {
      const args = ['migrate_slots', a.address, b.address, '5', '--method', 'migrate', ...extra];
      const ran = await trib.run(args, options);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /unknown command/);
      assertSecret(ran);
    }
  });

  test('says that the server does not have a command that is needed', async () => {
    const node = at(await bed.start(1, { config: { ...quick.config, 'rename-command': 'INFO ""' } }), 0);
    const ran = await trib.run(['start', node.address]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /unknown command [`']INFO.*\nNext: .*renamed or turned off.*docs\/acl\.md\n$/);
  });

  test('asks for the password on a terminal, unseen', { skip: noTerminal }, async () => {
    const [node] = await bed.start(1, { ...quick, password: 'hunter2' });
    assert.ok(node);
    const asked = async (typed: string): Promise<Finished> => {
      const running = trib.startOnTerminal(['start', '--askpass', '--dry-run', node.address], 80);
      await running.shows(/Password: $/);
      running.type(typed);
      const ran = await running.finished;
      assertSecret(ran);
      return ran;
    };
    const [right, wrong, cut, ended] = await Promise.all([
      asked('hunter2\r'),
      asked('hunter3\r'),
      asked('hunt\x03'),
      asked('\x04'),
    ]);
    assert.match(right.stdout, /^Password: \r\nWould do, in this order:\r\n[\s\S]*Nothing was changed\r\n$/);
    assert.equal(right.code, 0);
    assert.match(wrong.stdout, /^Password: \r\nError: \S+ answers: WRONGPASS [\s\S]*\r\nNext: Check /);
    assert.equal(wrong.code, 1);
    assert.match(cut.stdout, /^Password: \r\nInterrupted: /);
    assert.equal(cut.code, 130);
    assert.match(ended.stdout, /^Password: \r\nNo password was given\r\nSee: redis-trib start --help\r\n$/);
    assert.equal(ended.code, 2);
    for (const ran of [right, wrong, cut, ended])
      assert.ok(ran.lingeredMs < LONGEST_EXIT_MS, `${ran.lingeredMs} ms`);
  });

  test('speaks TLS with --cacert, --cert and --key, and says so where only one side does', async () => {
    const config = { ...quick.config, 'tls-auth-clients': 'yes' };
    const [[a, b], [plain]] = await Promise.all([bed.start(2, { tls: true, config }), bed.start(1, quick)]);
    assert.ok(a?.tls && b && plain);
    const [ca, cert, key] = [
      trib.file('ca.pem', a.tls.ca),
      trib.file('cert.pem', a.tls.cert),
      trib.file('key.pem', a.tls.key),
    ];
    const pair = ['--cert', cert, '--key', key];
    // Each node has its own authority, so both are trusted
    const both = trib.file('both.pem', `${a.tls.ca}\n${b.tls?.ca}`);
    assertFailed(
      await trib.run(['list', a.address, '--tls']),
      /^Error: Cannot connect to .*\nNext: .*--cacert/,
    );
    assertFailed(
      await trib.run(['list', a.address]),
      /^Error: Cannot connect to .*may expect TLS.*\nNext: Add --tls /,
    );
    assertFailed(
      await trib.run(['list', plain.address, '--tls', '--cacert', ca, '--connect-timeout=500']),
      /(does not answer in TLS|may not speak TLS\))\nNext: Leave out --tls/,
    );
    const bare = await trib.run(['list', a.address, '--tls', '--cacert', ca]);
    assertFailed(
      bare,
      /^Error: Cannot connect to \S+: [^:]*certificate required\nNext: Give a client certificate /,
    );
    for (const trust of [['--cacert', ca], ['--insecure'], ['--cacert', ca, '--sni', 'localhost']]) {
      assertWell(await trib.run(['list', a.address, '--tls', ...pair, ...trust]));
    }
    const strange = await trib.run([
      'list',
      a.address,
      '--tls',
      ...pair,
      '--cacert',
      both,
      '--sni',
      'elsewhere',
    ]);
    assertFailed(strange, /^Error: Cannot connect to .*altnames[\s\S]*Next: .*--sni/);
    assertWell(await trib.run(['start', a.address, '--tls', ...pair, '--cacert', both]));
    const check = await trib.run(['check', '--tls', '--cacert', both, a.address, ...pair, '--json']);
    assertWell(check);
    assert.equal(documentOf(check, 'check').ok, true);
  });

  test('takes and shows IPv6 addresses in brackets', async () => {
    const [a, b] = await bed.start(2, { ...quick, host: '::1' });
    assert.ok(a && b);
    assert.match(a.address, /^\[::1\]:/);
    assertWell(await trib.run(['start', a.address]));
    await tell(a, ...keysOfSlot(16383, 5).map((key) => ['SET', key, 'value']));
    const joined = await trib.run(['join', a.address, b.address]);
    assertWell(joined);
    assert.ok(
      joined.stdout.startsWith(`Joined ${b.address} to the cluster: 8192 slots with `),
      joined.stdout,
    );
    const list = await trib.run(['list', b.address]);
    assertWell(list);
    for (const { address } of [a, b]) assert.ok(list.stdout.includes(` ${address} `), list.stdout);
    const moved = await trib.run(['migrate_slots', a.address, b.address, '16383']);
    assertWell(moved);
    assert.match(moved.stdout, /: 1 slot with 5 keys .*moved/);
    assertWell(await trib.run(['quit', b.address]));
  });
});

describe('redis-trib in the middle of a long move', () => {
  const KEYS = 250_000;
  let nodes: ServerNode[];
  let joining: string[];
  let a: ServerNode;
  let target: ServerNode;

  before(async () => {
    const config: StartOptions = { config: { 'cluster-node-timeout': '3000' } };
    nodes = await bed.start(3, config);
    [a, target] = [at(nodes, 0), at(nodes, 2)];
    joining = ['join', '--method', 'migrate', '--concurrency', '1', a.address, target.address];
    assertWell(await trib.run(['create', '--yes', ...addressesOf(nodes.slice(0, 2))]));
    await load(nodes.slice(0, 2), KEYS);
  });

  /** Resolves when keys have come to the node, or have begun to leave it. */
  async function hasBegun(
    running: Running,
    node: ServerNode,
    moves: (keys: number) => boolean,
  ): Promise<void> {
    await eventually('keys are on their way', async () => {
      assert.equal(running.child.exitCode, null);
      return moves(Number(await ask(node, 'DBSIZE')));
    });
  }

  function assertInterrupted({ code, stdout, stderr, lingeredMs }: Finished): void {
    assert.deepEqual([code, stdout], [130, ''], stderr);
    assert.match(
      stderr,
      /^\nStopping at a safe point; once more to stop at once\n(Warning: .*\n)*Interrupted: .* it left no slot open\. (\d+ of 5461 slots have moved\. )?Run the same command again to go on\.\n$/,
    );
    assert.ok(lingeredMs < LONGEST_EXIT_MS);
  }

  test('stops at SIGINT with no slot open, and the same command goes on', async () => {
    const running = trib.start(joining);
    await hasBegun(running, target, (keys) => keys > 0);
    running.child.kill('SIGINT');
    const stopped = await running.finished;
    assertInterrupted(stopped);
    assert.match(stopped.stderr, / \d+ of 5461 slots have moved\. /);
    assert.deepEqual(await openSlotsAt(nodes), []);
    assert.equal(await keysOn(nodes), KEYS);
    const part = Number(await ask(target, 'DBSIZE'));
    assert.ok(part > 0 && part < KEYS / 4, `${part} keys have moved`);

    const json = trib.start([...joining, '--json']);
    await hasBegun(json, target, (keys) => keys > part);
    json.child.kill('SIGINT');
    const ran = await json.finished;
    const { ok, error } = documentOf(ran, 'join');
    assert.deepEqual(
      [ran.code, ok, (error as Json).code, (error as Json).openSlots],
      [130, false, 'INTERRUPTED', []],
    );
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  test('stops at once at the second signal, and the same command goes on', async () => {
    const running = trib.start(joining);
    const before = Number(await ask(target, 'DBSIZE'));
    await hasBegun(running, target, (keys) => keys > before);
    await target.freeze();
    try {
      running.child.kill('SIGTERM');
      await running.shows(/once more to stop at once/);
      const asked = performance.now();
      running.child.kill('SIGINT');
      const { code, stdout, stderr } = await running.finished;
      assert.deepEqual([code, stdout], [130, '']);
      assert.match(stderr, /\nStopped at once: slots may be left open\..* redis-trib fix\n$/);
      assert.ok(performance.now() - asked < LONGEST_EXIT_MS);
    } finally {
      await target.thaw();
    }
  });

  test('shows on a terminal how far it is, and takes the line away at the end', {
    skip: noTerminal,
  }, async () => {
    const running = trib.startOnTerminal(joining, 80);
    const { code, stdout, lingeredMs } = await running.finished;
    assert.equal(code, 0, stdout);
    const lines = stdout.split(ERASE);
    const last = lines.pop();
    assert.match(
      last ?? '',
      /^Joined \S+ to the cluster: \d+ slots with \d+ keys.* moved at \S+ keys\/s.* \(\d+\.\d+ s\)\r\n$/,
    );
    assert.equal(lines.at(-1)?.includes('\n'), false);
    const moves = lines.filter((line) =>
      /^\d+\/\d+ slots {2}\S+\/\S+ keys {2}\S+ keys\/s {2}(…|\d+:\d\d) left {2}/.test(line),
    );
    assert.ok(moves.length > 2, stdout);
    assert.ok(
      moves.some((line) => / \d+:\d\d left /.test(line)),
      moves.join('\n'),
    );
    for (const line of lines) assert.ok(line.length < 80 || line.includes('Warning'), line);
    assert.ok(lingeredMs < LONGEST_EXIT_MS);
    assert.deepEqual(await openSlotsAt(nodes), []);
    assert.equal(await keysOn(nodes), KEYS);
  });

  test('stops at SIGTERM, and at Ctrl-C on a terminal that was not told its size', {
    skip: noTerminal,
  }, async () => {
    const before = Number(await ask(target, 'DBSIZE'));
    const running = trib.start(['quit', target.address]);
    await hasBegun(running, target, (keys) => keys < before);
    running.child.kill('SIGTERM');
    assertInterrupted(await running.finished);
    assert.deepEqual(await openSlotsAt(nodes), []);

    const typed = trib.startOnTerminal(['quit', target.address], 0);
    await typed.shows(/keys\/s {2}\d+:\d\d left/);
    typed.type('\x03');
    const { code, stdout } = await typed.finished;
    assert.equal(code, 130, stdout);
    assert.match(stdout, /Stopping at a safe point; once more to stop at once\r\n[\s\S]*Interrupted: /);
    assert.deepEqual(await openSlotsAt(nodes), []);

    const last = await trib.run(['quit', target.address]);
    assertWell(last);
    assert.equal(await keysOn(nodes), KEYS);
    assertWell(await trib.run(['check', a.address]));
  });

  test('says how many slots have moved, and what goes on from there', async () => {
    const [, b] = nodes as [ServerNode, ServerNode];
    const stop = async (args: readonly string[]): Promise<string> => {
      const running = trib.start([...args, '--method', 'migrate', '--max-keys-per-second', '2000']);
      const before = Number(await ask(b, 'DBSIZE'));
      await hasBegun(running, b, (keys) => Math.abs(keys - before) > 4500);
      running.child.kill('SIGINT');
      const { code, stderr } = await running.finished;
      assert.equal(code, 130, stderr);
      assert.deepEqual(await openSlotsAt(nodes), []);
      return stderr;
    };
    const slotsOfB = async (): Promise<number> => {
      const record = (await recordsOf(b)).find(({ address }) => address.port === b.port);
      assert.ok(record);
      return countSlots(record);
    };
    const atFirst = await slotsOfB();
    const move = ['migrate_slots', a.address, b.address, '0-999'];
    const moved =
      /open\. (\d+) of 1000 slots have moved\. Run the same command again with --resume to go on\.\n$/.exec(
        await stop(move),
      );
    assert.ok(moved);
    assert.equal(await slotsOfB(), atFirst + Number(moved[1]));
    assertWell(await trib.run([...move, '--resume']));
    assert.equal(await slotsOfB(), atFirst + 1000);

    const some = (slots: number): string[] => [
      'reshard',
      '--yes',
      a.address,
      '--from',
      b.address,
      '--to',
      a.address,
      '--slots',
      `${slots}`,
    ];
    const back =
      /open\. (\d+) of 1000 slots have moved\. Run the same command again with the number of slots that are left to go on\.\n$/.exec(
        await stop(some(1000)),
      );
    assert.ok(back);
    assertWell(await trib.run(some(1000 - Number(back[1]))));
    assert.equal(await slotsOfB(), atFirst);
    assert.equal(await keysOn(nodes), KEYS);
  });
});
