import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { commands as allCommands } from '../../lib/cli/commands.ts';
import { check } from '../../lib/index.ts';
import { NodeLines } from '../../lib/model/node-lines.ts';
import { type Ran, runMain } from '../helpers/made-up-io.ts';
import { type Answer, bulk, startMadeUp } from '../helpers/made-up-server.ts';

/** The words of a command that asks nodes, on a cluster and a new node. */
function argvOf(name: string, cluster: string, other: string): string[] {
  const rest: Record<string, string[]> = {
    start: [],
    start_multi: [other],
    create: [other, '--yes'],
    quit: [],
    shutdown: [],
    failover: [],
    migrate_slots: [other, '5'],
    reshard: ['--from', 'all', '--to', other, '--slots', '5', '--yes'],
    rebalance: ['--yes'],
    execute: ['PING'],
    call: ['PING'],
    set_timeout: ['5000'],
    list: [],
    check: [],
    metrics: [],
    report: [],
    bundle: ['--output', join(dir, `bundle-${++folders}.json`)],
    explain: ['key'],
    hot: ['--for', '100ms', '--enable-stats', '--monitor', '10'],
    keys: ['--timeout', '1000'],
    is_ready: [],
    wait: ['--timeout', '300'],
    step_down: ['--within', '300'],
    ensure: [other, '--masters', '1', '--replicas', '1'],
    prune: [],
    replace: [`abcdef=${other}`, '--yes'],
    spread: [],
    restart: ['--exec', 'true', '--timeout', '300'],
    info: [],
    top: ['--interval', '100', '--count', '1'],
    fix: [],
    apply: ['--yes'],
    rollback: ['--yes'],
    verify: [],
    import: ['--from', other, '--yes'],
    restore: ['--yes', '--dir', backupFolder],
    backup: ['--dir', join(dir, `backup-${++folders}`), '--idle-timeout', '300'],
  };
  const waits = LOOKING.includes(name) ? [] : ['--agree-timeout', '300'];
  return [
    name,
    PLANNED.includes(name) ? planFileOf(cluster, other) : cluster,
    '--connect-timeout',
    '300',
    '--command-timeout',
    '300',
    ...waits,
    ...(rest[name] ?? [other]),
  ];
}

const PLANNED = ['apply', 'verify', 'rollback'];
const dir = mkdtempSync(join(tmpdir(), 'redis-trib-hostile-'));
after(() => rmSync(dir, { recursive: true }));
// A backup with nothing but a library of functions.
const backupFolder = join(dir, 'a-backup');
mkdirSync(backupFolder);
const content = 'REDIS0010\xf5\x0e#!lua name=lib\xff\0\0\0\0\0\0\0\0';
const sha256 = createHash('sha256').update(content, 'latin1').digest('hex');
writeFileSync(join(backupFolder, 'a.rdb'), content, 'latin1');
writeFileSync(
  join(backupFolder, 'manifest.json'),
  JSON.stringify({
    ...{ version: 1, date: '', problems: [] },
    masters: [{ id: '', address: '', slots: '', server: '', file: 'a.rdb', bytes: content.length, sha256 }],
  }),
);
let plans = 0;
let folders = 0;

/** The file of a plan in which the other node joins the cluster and gets a slot. */
function planFileOf(cluster: string, other: string): string {
  const [old, joining] = [
    { id: id(1), address: cluster },
    { id: id(5), address: other },
  ];
  const steps = [
    { type: 'meet', nodes: [joining], to: [old], serving: true },
    { type: 'move-slots', source: old, target: joining, slots: [[5, 5]] },
  ];
  const before = [
    { ...old, role: 'master', configEpoch: 1, slots: [[0, 16383]] },
    { ...joining, role: 'master', configEpoch: 0, slots: [] },
  ];
  const path = join(dir, `plan-${++plans}.json`);
  const expect = { members: [old, joining] };
  writeFileSync(
    path,
    JSON.stringify({ version: 1, operation: 'join', steps, masters: [old], expect, before }),
  );
  return path;
}

const LOOKING = [
  'verify',
  'list',
  'check',
  'metrics',
  'report',
  'bundle',
  'explain',
  'hot',
  'keys',
  'info',
  'top',
  'ok_to_stop',
  'is_ready',
  'wait',
  'execute',
  'call',
  'set_timeout',
];
const commands = allCommands.filter((command) => !command.isLocal).map(({ name }) => name);
const id = (digit: number): string => `${digit}`.repeat(40).slice(0, 40);
const ok = '+OK\r\n';
const info = bulk(
  'cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:1\r\ncluster_current_epoch:1\r\n',
);
const serverInfo = bulk(
  '# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\nmaxmemory:0\r\nused_memory:1\r\n',
);

/** A server that is the only node of a cluster, except where `odd` answers. */
function answering(odd: (words: readonly string[], port: number) => Answer | undefined) {
  return (words: readonly string[], port: number): Answer => {
    const strange = odd(words, port);
    if (strange !== undefined) return strange;
    const [command = '', sub = ''] = words.map((word) => word.toUpperCase());
    if (command === 'CLUSTER' && sub === 'NODES')
      return bulk(`${id(1)} 127.0.0.1:${port}@${port} myself,master - 0 0 1 connected 0-16383\n`);
    if (command === 'CLUSTER' && sub === 'INFO') return info;
    if (command === 'INFO') return serverInfo;
    if (command === 'CLUSTER' && sub.startsWith('COUNT')) return ':0\r\n';
    if (command === 'CLUSTER' && sub === 'GETKEYSINSLOT') return '*0\r\n';
    if (command === 'CLIENT' && sub === 'LIST') return bulk('id=1 addr=127.0.0.1:1 name= cmd=client\n');
    if (command === 'CLIENT' && sub === 'ID') return ':1\r\n';
    if (command === 'PING') return '+PONG\r\n';
    return ok;
  };
}

const nodesReply = (text: (port: number) => string) => (words: readonly string[], port: number) =>
  words[1] === 'NODES' ? bulk(text(port)) : undefined;
const line = (
  port: number,
  more: Partial<Record<'id' | 'at' | 'flags' | 'master' | 'epoch' | 'link' | 'slots', string>> = {},
): string => {
  const {
    id: own = id(1),
    at = `127.0.0.1:${port}@${port}`,
    flags = 'myself,master',
    master = '-',
    epoch = '1',
    link = 'connected',
    slots = '0-16383',
  } = more;
  return `${own} ${at} ${flags} ${master} 0 0 ${epoch} ${link} ${slots}\n`;
};
const other = (port: number, more: Parameters<typeof line>[1] = {}): string =>
  line(port, { id: id(2), at: '127.0.0.1:1@1', flags: 'master', slots: '', ...more });

const ESC = '\u001b[31m\u001b]0;title\u0007\u009b2J\r\b\u007f';

const hostile: readonly (readonly [name: string, odd: Parameters<typeof answering>[0]])[] = [
  ...(
    [
      '+OK\r\n',
      ':1\r\n',
      '$-1\r\n',
      '*1\r\n$1\r\na\r\n',
      '-MOVED 1 127.0.0.1:1\r\n',
      '-LOADING Redis is loading\r\n',
      '-MASTERDOWN Link with MASTER is down\r\n',
      '-CLUSTERDOWN Hash slot not served\r\n',
      '-TRYAGAIN Multiple keys\r\n',
      '-\r\n',
      '$0\r\n\r\n',
    ] as const
  ).flatMap((reply) => [
    [
      `${JSON.stringify(reply)} to CLUSTER NODES`,
      (words: readonly string[]) => (words[1] === 'NODES' ? reply : undefined),
    ] as const,
    [
      `${JSON.stringify(reply)} to CLUSTER INFO`,
      (words: readonly string[]) => (words[0] === 'CLUSTER' && words[1] === 'INFO' ? reply : undefined),
    ] as const,
    [
      `${JSON.stringify(reply)} to INFO`,
      (words: readonly string[]) => (words[0] === 'INFO' ? reply : undefined),
    ] as const,
    [
      `${JSON.stringify(reply)} to commands that change something`,
      (words: readonly string[]) =>
        /^(ADDSLOTS|MEET|SETSLOT|FORGET|RESET|REPLICATE|FAILOVER|BUMPEPOCH|SET|REWRITE)$/.test(
          words[1] ?? '',
        ) || words[0] === 'EXEC'
          ? reply
          : undefined,
    ] as const,
    [
      `${JSON.stringify(reply)} to all but PING and CLIENT`,
      (words: readonly string[]) => (words[0] === 'CLIENT' || words[0] === 'PING' ? undefined : reply),
    ] as const,
    [`${JSON.stringify(reply)} to everything`, () => reply] as const,
  ]),
  ['bytes that are not text', nodesReply(() => '\x00\xff\xfe\x80'.repeat(50))],
  ['text that is not a table', nodesReply(() => 'hello world, this is not CLUSTER NODES at all\n')],
  ['a line cut short', nodesReply((port) => line(port).slice(0, 60))],
  ['an id that is not hex', nodesReply((port) => line(port, { id: 'not-an-id' }))],
  ['an id that is a path', nodesReply((port) => line(port) + other(port, { id: '../../etc/passwd' }))],
  ['an address without port', nodesReply((port) => line(port) + other(port, { at: '127.0.0.1' }))],
  ['an address of a colon', nodesReply((port) => line(port) + other(port, { at: ':' }))],
  ['an address of an at', nodesReply((port) => line(port) + other(port, { at: '@' }))],
  ['port 0', nodesReply((port) => line(port) + other(port, { at: ':0@0' }))],
  ['port 99999', nodesReply((port) => line(port) + other(port, { at: '127.0.0.1:99999@1' }))],
  [
    'a port of a thousand digits',
    nodesReply((port) => line(port) + other(port, { at: `127.0.0.1:${'9'.repeat(1000)}@1` })),
  ],
  ['port 0 of its own', nodesReply((port) => line(port, { at: ':0@0' }))],
  ['a host of control characters', nodesReply((port) => line(port) + other(port, { at: `${ESC}:1@1` }))],
  [
    'a host name of control characters',
    nodesReply((port) => line(port) + other(port, { at: `127.0.0.1:1@1,${ESC}` })),
  ],
  [
    'flags of control characters',
    nodesReply(
      (port) => line(port, { flags: `myself,master,${ESC}` }) + other(port, { flags: `master,${ESC}` }),
    ),
  ],
  [
    'an id of control characters',
    nodesReply((port) => line(port, { id: ESC }) + other(port, { id: `${ESC}2` })),
  ],
  ['slots of control characters', nodesReply((port) => line(port, { slots: ESC }))],
  ['a link state of control characters', nodesReply((port) => line(port) + other(port, { link: ESC }))],
  [
    'a master of control characters',
    nodesReply((port) => line(port) + other(port, { flags: 'slave', master: ESC })),
  ],
  ['slot 16384', nodesReply((port) => line(port, { slots: '0-16384' }))],
  ['slots out of order', nodesReply((port) => line(port, { slots: '5-2' }))],
  ['slots with a minus', nodesReply((port) => line(port, { slots: '-5' }))],
  ['overlapping slots', nodesReply((port) => line(port) + other(port, { slots: '0-16383 0-5 5-10' }))],
  [
    'an open slot with an unknown node',
    nodesReply((port) => line(port, { slots: `0-16383 [5->-${id(9)}]` })),
  ],
  [
    'an open slot with itself',
    nodesReply((port) => line(port, { slots: `0-16383 [5->-${id(1)}] [5-<-${id(1)}]` })),
  ],
  ['an open slot out of range', nodesReply((port) => line(port, { slots: `0-16383 [99999->-${id(9)}]` }))],
  ['an open slot of nonsense', nodesReply((port) => line(port, { slots: `0-16383 [5->-${ESC}]` }))],
  ['two nodes with one id', nodesReply((port) => line(port) + other(port, { id: id(1) }))],
  ['two lines of itself', nodesReply((port) => line(port) + line(port, { id: id(3), slots: '' }))],
  ['no line of itself', nodesReply((port) => other(port, { slots: '0-16383' }))],
  ['a thousand lines of itself', nodesReply((port) => line(port).repeat(1000))],
  [
    'replicas in a circle',
    nodesReply(
      (port) =>
        line(port, { flags: 'myself,slave', master: id(2), slots: '' }) +
        other(port, { flags: 'slave', master: id(1) }),
    ),
  ],
  [
    'a replica of itself',
    nodesReply((port) => line(port, { flags: 'myself,slave', master: id(1), slots: '' })),
  ],
  [
    'a replica of an unknown node',
    nodesReply((port) => line(port, { flags: 'myself,slave', master: id(7), slots: '' })),
  ],
  [
    'a replica without a master',
    nodesReply((port) => line(port, { flags: 'myself,slave', master: '-', slots: '' })),
  ],
  ['no role', nodesReply((port) => line(port, { flags: 'myself' }))],
  [
    'a replica with slots',
    nodesReply((port) => line(port, { flags: 'myself,slave', master: id(2) }) + other(port)),
  ],
  ['an epoch that is not a number', nodesReply((port) => line(port, { epoch: 'NaN' }))],
  ['an epoch past 2^64', nodesReply((port) => line(port, { epoch: '9'.repeat(400) }))],
  [
    'a host that does not resolve',
    nodesReply((port) => line(port) + other(port, { at: 'no-such-host.invalid:6379@16379' })),
  ],
  [
    'names of JavaScript',
    nodesReply(
      (port) =>
        line(port) +
        other(port, {
          id: '__proto__',
          at: 'constructor:1@1',
          flags: 'master,toString',
          master: '__proto__',
        }),
    ),
  ],
  [
    'itself under another port',
    nodesReply((port) => line(port) + other(port, { at: `127.0.0.1:${port}@1`, slots: '' })),
  ],
  [
    'an error of control characters',
    (words) => (words[1] === 'NODES' ? `-ERR ${ESC.replaceAll('\r', '')} no\r\n` : undefined),
  ],
  [
    'an error of control characters to commands that change something',
    (words) =>
      words[0] === 'CLUSTER' && !['NODES', 'INFO'].includes(words[1] ?? '')
        ? `-ERR ${ESC.replaceAll('\r', '')} no\r\n`
        : undefined,
  ],
  [
    'an INFO of control characters',
    (words) =>
      words[0] === 'INFO'
        ? bulk(
            `redis_version:${ESC}\r\nrun_id:${ESC}\r\nrole:${ESC}\r\nmaxmemory:${ESC}\r\ndb0:keys=${ESC}\r\nmaster_host:${ESC}\r\nslave0:ip=${ESC},port=1,state=${ESC}\r\n`,
          )
        : undefined,
  ],
  [
    'a PONG of control characters',
    (words) => (words[0] === 'PING' && words.length === 1 ? bulk(ESC) : undefined),
  ],
  [
    'other operators of control characters',
    (words) =>
      words[0] === 'CLIENT' && words[1] === 'LIST'
        ? bulk(`id=1 addr=${ESC} name=redis-trib:change:${ESC} age=x cmd=x\n`)
        : undefined,
  ],
  ['the end of the connection', (words) => (words[1] === 'NODES' ? (socket) => socket.destroy() : undefined)],
  ['silence', (words) => (words[1] === 'NODES' ? () => undefined : undefined)],
  [
    'silence to what changes',
    (words) =>
      words[0] === 'CLUSTER' && !['NODES', 'INFO'].includes(words[1] ?? '') ? () => undefined : undefined,
  ],
  ['half a reply', (words) => (words[1] === 'NODES' ? '$500\r\nabc' : undefined)],
  ['RESP3', (words) => (words[1] === 'NODES' ? '%1\r\n+a\r\n+b\r\n' : undefined)],
  ['HTTP', () => 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ['two replies', (words) => (words[1] === 'NODES' ? '+OK\r\n+OK\r\n+OK\r\n+OK\r\n' : undefined)],
];

/** Anything longer is endless: deadlines here are a second at most, and the rest is for a busy machine. */
const ENDLESS_MS = 60_000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

function wrongOf({ code, stdout, stderr }: Ran, argv: readonly string[], elapsedMs: number): string[] {
  const shown = JSON.stringify(`${stdout}${stderr}`).slice(0, 700);
  return [
    ...(elapsedMs > ENDLESS_MS ? [`it took ${Math.round(elapsedMs)} ms`] : []),
    ...(code !== 0 && code !== 1 ? [`exit code ${code}: ${shown}`] : []),
    ...(/^\s+at /m.test(stderr) || stderr.includes('Unexpected error') ? [`a stack trace: ${shown}`] : []),
    ...(code === 1 && stdout + stderr === '' ? ['exit code 1 without a word'] : []),
    ...(CONTROL.test(stdout) ? [`control characters on stdout: ${shown}`] : []),
    ...(CONTROL.test(stderr) ? [`control characters on stderr: ${shown}`] : []),
    ...(argv.includes('--json') && !isDocument(stdout) ? [`no document: ${shown}`] : []),
  ];
}

function isDocument(text: string): boolean {
  try {
    return typeof JSON.parse(text).ok === 'boolean';
  } catch {
    return false;
  }
}

describe('Every command ends in time with a message, whatever nodes answer:', { concurrency: 8 }, () => {
  for (const [row, [name, odd]] of hostile.entries()) {
    test(name, async () => {
      const problems: string[] = [];
      await Promise.all(
        commands.map(async (command, index) => {
          await using cluster = await startMadeUp(answering(odd));
          await using fresh = await startMadeUp(
            answering((words, port) => {
              if (words[1] === 'NODES')
                return bulk(line(port, { id: id(5), slots: '', at: `:${port}@${port}` }));
              if (words[0] === 'CLUSTER' && words[1] === 'INFO')
                return bulk('cluster_state:fail\r\ncluster_slots_assigned:0\r\n');
              return undefined;
            }),
          );
          const argv = argvOf(command, cluster.address, fresh.address);
          // Half of the commands as text and half as JSON, and the other way round for the next reply.
          if ((index + row) % 2 === 0) argv.splice(1, 0, '--json');
          const started = performance.now();
          const ran = await runMain(argv).catch(
            (error: unknown): Ran => ({ code: -1, stdout: '', stderr: `threw ${(error as Error).stack}` }),
          );
          for (const wrong of wrongOf(ran, argv, performance.now() - started))
            problems.push(`${argv.join(' ')}: ${wrong}`);
        }),
      );
      assert.deepEqual(problems, []);
    });
  }
});

describe('A cluster that one node makes up', () => {
  const listing =
    (count: number, at: (index: number) => string) => (words: readonly string[], port: number) =>
      words[1] === 'NODES'
        ? bulk(
            line(port) +
              Array.from({ length: count }, (_, index) =>
                other(port, { id: index.toString(16).padStart(40, '0'), at: at(index) }),
              ).join(''),
          )
        : undefined;

  test('of more nodes than possible is refused in time', async () => {
    await using server = await startMadeUp(answering(listing(70_000, () => '127.0.0.1:1@1')));
    const { code, stderr } = await runMain(['check', server.address]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^Error: Cannot read what \S+ answers to CLUSTER NODES: It lists more than 65536 nodes\nNext: /,
    );
  });

  test('of nodes with similar ids is read in linear time', () => {
    const read = (count: number): number => {
      const ids = Array.from({ length: count }, (_, index) => `abcd${`${index}`.padStart(32, '0')}abcd`);
      const text = Buffer.from(ids.map((own) => other(1, { id: own })).join(''));
      const started = performance.now();
      assert.equal(new NodeLines().parse(text).length, count);
      return performance.now() - started;
    };
    read(2000);
    const [few, many] = [Math.min(read(2000), read(2000)), read(20_000)];
    // With a linear search, ten times as many would take a hundred times as long.
    assert.ok(many < 40 * few + 50, `${few} ms for 2000, ${many} ms for 20000`);
  });

  test('of many silent nodes is given up when the signal aborts', async () => {
    await using silent = await startMadeUp(() => () => undefined);
    await using server = await startMadeUp(answering(listing(500, () => `${silent.address}@1`)));
    const reason = new Error('enough');
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(reason), 200);
    const started = performance.now();
    const options = { connectTimeout: 400, signal: controller.signal };
    await assert.rejects(check(server.address, options), reason);
    clearTimeout(timer);
    // The nodes that are being asked at that time are still waited for.
    assert.ok(performance.now() - started < 2000, `${performance.now() - started} ms`);
  });

  test('whose reply has no end, in elements or in bytes, ends in an error', async () => {
    for (const [head, more] of [
      ['*99999999\r\n', ':1\r\n'.repeat(10_000)],
      ['$400000000\r\n', 'x'.repeat(60_000)],
      ['*16000000\r\n', '*0\r\n'.repeat(10_000)],
    ] as const) {
      await using server = await startMadeUp(
        answering((words) =>
          words[1] === 'NODES'
            ? (socket) => {
                socket.write(head);
                const timer = setInterval(() => socket.write(more), 1);
                socket.once('close', () => clearInterval(timer));
              }
            : undefined,
        ),
      );
      const started = performance.now();
      const { code, stderr } = await runMain(['list', server.address, '--command-timeout', '500']);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^Error: Cannot complete CLUSTER NODES on \S+: (no reply within 500 ms|a reply of 99999999 elements exceeds the limit)/,
      );
      assert.ok(performance.now() - started < 3000);
    }
  });
});
