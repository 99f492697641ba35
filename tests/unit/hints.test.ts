import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseArgs } from 'node:util';
import { findCommand } from '../../lib/cli/commands.ts';
import { readArguments } from '../../lib/cli/compat/arguments.ts';
import { nativeWords } from '../../lib/cli/compat/native.ts';
import { compatOptions } from '../../lib/cli/compat/options.ts';
import { changeFlags, connectionFlags, outputFlags } from '../../lib/cli/flags.ts';
import { adviceLines, adviceText, type Typed } from '../../lib/cli/hints.ts';
import type { Next, NextAct, NextWhen } from '../../lib/model/next.ts';

const A = '127.0.0.1:7000';
const B = '127.0.0.1:7003';
const ID = 'a'.repeat(40);

const native: Typed = { dialect: 'native', values: {} };

function inCluster(...words: string[]): Typed {
  const read = readArguments(['--cluster', ...words]);
  return { dialect: 'cluster', values: {}, native: () => nativeWords(read) };
}

const cluster = inCluster('reshard', A, '--cluster-from', 'all', '--cluster-slots', '10');

const retries = [
  { options: { force: true } },
  { options: { drain: true } },
  { options: { moveSlots: true } },
  { options: { ignoreFailed: true } },
  { options: { replace: true } },
  { options: { method: 'auto' } },
  { options: { databases: 3 } },
  { options: { from: 'all' } },
] as const;

/** Each act as it is advised: with all that is known, and with as little as can be. */
const ACTS: Readonly<Record<NextAct, readonly Omit<Next, 'do'>[]>> = {
  retry: [{}, { when: 'healthy' }, ...retries],
  resume: [{}, { when: 'repaired' }],
  'retry-rest': [{ slots: 599 }],
  check: [{ cluster: A }, {}],
  list: [{ cluster: A }, {}],
  fix: [
    { cluster: A },
    {},
    { cluster: A, options: { withUnreachableMasters: true } },
    { cluster: A, options: { withUnreachableMasters: true, force: true } },
  ],
  failover: [{ node: A, options: { mode: 'force' } }, { options: { mode: 'takeover' } }],
  rescue: [{ cluster: A }, {}],
  rejoin: [{ nodes: [A, B] }, { nodes: [A], when: 'moved' }, {}],
  replicate: [{ node: A }, {}],
  join: [{ cluster: A }, { node: B }, {}],
  'join-no-load': [{ cluster: A, node: B }, {}],
  quit: [{ node: A }, {}],
  'del-node': [{ cluster: A, node: ID }, { cluster: A, node: B }, {}],
  shutdown: [{ node: A }, {}],
  start: [{ node: A }, {}],
  'migrate-slots': [
    {
      node: A,
      target: B,
      slots: [
        [5, 5],
        [7, 9],
      ],
      options: { resume: true },
    },
    {},
  ],
  reshard: [{ cluster: A, target: B, slots: 100 }, {}],
  rebalance: [{ cluster: A }, { cluster: A, options: { useEmptyMasters: true } }, {}],
  spread: [{ cluster: A }, {}],
  plan: [{}],
  wait: [{ when: 'declared-failed' }],
  'start-node': [{ node: A }, {}],
  'restart-node': [{ node: A }, {}],
  configure: [{ node: A, settings: ['maxmemory'] }],
  command: [{ node: A, command: ['ACL', 'SETUSER', 'me', '+cluster|forget'] }, { command: ['FLUSHALL'] }],
  execute: [
    { cluster: A, command: ['CONFIG', 'SET', 'maxmemory-policy', 'POLICY'] },
    { cluster: A, options: { mastersOnly: true }, command: ['FUNCTION', 'LOAD', 'REPLACE', 'CODE'] },
  ],
};

/** Every condition: a new one does not compile without being here. */
const WHEN: Readonly<Record<NextWhen, true>> = {
  ...{ 'after-that': true, alone: true, answers: true, anyway: true, 'declared-failed': true },
  ...{ 'earlier-move': true, elected: true, 'gone-for-good': true, 'has-replica': true, healthy: true },
  ...{
    'keys-unwanted': true,
    'keys-wanted': true,
    'master-silent': true,
    'moves-done': true,
    'never-declared-failed': true,
    'no-other-operator': true,
  },
  ...{ 'no-owner': true, 'not-moving': true, 'not-needed': true, 'other-operator-done': true },
  ...{ otherwise: true, repaired: true, settled: true, stays: true, 'took-its-place': true },
  'too-few-masters-to-vote': true,
  ...{ forgotten: true, 'gone-with-its-keys': true, moved: true, 'same-cluster': true },
};

/** Words as a shell reads them. */
function shellWords(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
}

/** Throws unless the line is one that we take. Capitals stand for a value. */
function takes(line: string): void {
  const [program, ...words] = shellWords(line);
  if (program === 'redis-cli') {
    assert.match(line, /^redis-cli -h \S+ -p \S+ [A-Z]/);
    return;
  }
  assert.equal(program, 'redis-trib');
  if (words[0] === '--cluster') {
    readArguments(words);
    return;
  }
  const command = findCommand(words[0] ?? '');
  assert.ok(command, `no command ${words[0]}`);
  const options = { ...connectionFlags, ...outputFlags, yes: changeFlags.yes, ...command.flags } as Record<
    string,
    { type: 'string' | 'boolean' }
  >;
  const args = command.takesCommand
    ? words.slice(1).filter((word) => !word.startsWith('--'))
    : words.slice(1);
  const { positionals } = parseArgs({ args, options, allowPositionals: true, strict: true });
  const [least, most] = command.arity;
  assert.ok(positionals.length >= least && positionals.length <= most, `arguments: ${positionals}`);
}

/** The command line in a line of advice, if there is one. */
function commandIn(line: string): string | undefined {
  return /: ((?:redis-trib|redis-cli) .*)$/.exec(line)?.[1];
}

const advised = (Object.keys(ACTS) as NextAct[]).flatMap((act) =>
  ACTS[act].map((fields): Next => ({ do: act, ...fields })),
);

/** Nothing that `--cluster` does takes these options in the library. */
function isAdvisedInCluster({ do: act, options = {} }: Next): boolean {
  const others = ['moveSlots', 'ignoreFailed', 'databases'];
  return act !== 'resume' && !(act === 'retry' && others.some((name) => name in options));
}

describe('advice', () => {
  for (const typed of [native, cluster]) {
    describe(`in the ${typed.dialect} dialect`, () => {
      for (const next of advised) {
        if (typed === cluster && !isAdvisedInCluster(next)) continue;
        test(`is a command that can be typed, or a sentence: ${JSON.stringify(next)}`, () => {
          const own = typed === cluster && next.options?.drain ? inCluster('del-node', A, ID) : typed;
          const lines = adviceLines({ next: [next] }, own);
          const line = lines.at(-1) ?? '';
          assert.deepEqual(lines.slice(0, -1), lines.length > 1 ? ['Use a native command'] : []);
          if (typed === cluster) {
            const options = [...(lines[0] ?? '').matchAll(/(?<=\s)--[a-z-]+/g)].map(([option]) => option);
            assert.deepEqual(
              options.filter((option) => option !== '--cluster' && !(option in compatOptions)),
              [],
            );
          }
          assert.match(line, /^[A-Z]/);
          assert.doesNotMatch(line, /undefined|\. |\.$|\s$/);
          const command = commandIn(line);
          if (command) takes(command);
          else assert.doesNotMatch(line, /redis-trib|redis-cli/);
        });
      }

      for (const when of Object.keys(WHEN) as NextWhen[]) {
        test(`says the condition ${when} before a command, before a sentence and of waiting`, () => {
          const [before, again, wait] = adviceLines(
            {
              next: [
                { do: 'fix', when },
                { do: 'retry', when },
                { do: 'wait', when },
              ],
            },
            typed,
          );
          assert.match(before ?? '', /^(If|When|Unless|After|To|Otherwise)\b[\w, ]*: redis-trib /);
          assert.match(
            again ?? '',
            /^(If|When|Unless|After|To|Otherwise)\b[\w, ]*, run the same command again$/,
          );
          if (when !== 'otherwise') assert.match(wait ?? '', /^Wait until [\w, ]+$/);
        });
      }
    });
  }

  test('goes with the options of the same command in the native dialect, which all exist', () => {
    const said = retries.map((next) => adviceText({ next: [{ do: 'retry', ...next }] }, native));
    assert.deepEqual(said, [
      'Run the same command again with --force',
      'Run the same command again with --drain',
      'Run the same command again with --move-slots',
      'Run the same command again with --ignore-failed',
      'Run the same command again with --replace',
      'Run the same command again with --method auto',
      'Run the same command again with --db 3',
      'Run the same command again with --from all',
    ]);
    assert.equal(
      adviceText({ next: [{ do: 'resume' }] }, native),
      'Run the same command again with --resume',
    );
    const rest = adviceText({ next: [{ do: 'retry-rest', slots: 599 }] }, native);
    assert.equal(rest, 'Run the same command again with --slots 599');
    const flags = new Set(
      ['join', 'del_node', 'drain', 'shutdown', 'import', 'reshard', 'migrate_slots'].flatMap((name) =>
        Object.keys(findCommand(name)?.flags ?? {}),
      ),
    );
    for (const [, flag = ''] of [...said, rest, '--resume'].join(' ').matchAll(/--([a-z-]+)/g))
      assert.ok(flags.has(flag), flag);
  });

  test('names the native command in full where --cluster has no such option, and its own where it has', () => {
    const of = (next: Next) => adviceText({ next: [next] }, cluster);
    assert.equal(
      of({ do: 'retry', options: { force: true }, when: 'no-other-operator' }),
      `Use a native command\nIf no other operator is active: redis-trib reshard ${A} --from all --to NODE --slots 10 --force`,
    );
    assert.equal(of({ do: 'retry-rest', slots: 5 }), 'Run the same command again with --cluster-slots 5');
    assert.equal(of({ do: 'fix', cluster: A }), `Repair the slots: redis-trib --cluster fix ${A}`);
    assert.equal(
      of({ do: 'rescue', cluster: A, when: 'gone-for-good' }),
      `Use a native command\nIf it is gone for good: redis-trib rescue ${A} NEW`,
    );
  });

  test('takes along how nodes are reached, and no secret', () => {
    const values = { user: 'me', pass: 'S3CRET', tls: true, cacert: "/it's/ca.crt", map: ['a=b', 'c=d'] };
    const next: readonly Next[] = [
      { do: 'fix', cluster: A },
      { do: 'command', node: '[::1]:7000', command: ['FLUSHALL'] },
    ];
    const lines = (dialect: Typed['dialect']) => adviceLines({ next }, { dialect, values });
    const reached = "--user me --tls --cacert '/it'\\''s/ca.crt'";
    assert.deepEqual(lines('native'), [
      `Repair the slots: redis-trib fix ${reached} --map a=b --map c=d ${A}`,
      `Run: redis-cli -h ::1 -p 7000 ${reached} FLUSHALL`,
    ]);
    assert.equal(lines('cluster')[0], `Repair the slots: redis-trib --cluster fix ${A} ${reached}`);
  });

  test('puts the sentence first, and each further way on a line of its own', () => {
    const next: readonly Next[] = [
      { do: 'start-node', node: A },
      { do: 'del-node', cluster: B, node: ID, when: 'gone-for-good' },
    ];
    assert.deepEqual(adviceLines({ hint: 'Nothing was changed', next }, native), [
      `Nothing was changed. Start ${A} again`,
      `If it is gone for good: redis-trib del_node ${B} ${ID}`,
    ]);
    assert.equal(adviceText({ hint: 'Only so' }, native), 'Only so');
    assert.equal(adviceText({}, native), undefined);
  });

  for (const line of [
    ['create', A, B, '--cluster-replicas', '1'],
    ['add-node', B, A, '--cluster-slave', '--cluster-master-id', ID],
    ['del-node', A, ID],
    ['reshard', '127.0.0.1', '7000'],
    [
      'rebalance',
      A,
      '--cluster-weight',
      `${ID}=2`,
      '--cluster-use-empty-masters',
      '--cluster-threshold',
      '1.5',
    ],
    ['fix', A, '--cluster-fix-with-unreachable-masters'],
    ['import', A, '--cluster-from', B, '--cluster-copy', '--cluster-replace'],
    ['backup', A, '/tmp/x'],
    ['set-timeout', A, '5000'],
    ['check', A],
    ['info', A],
  ]) {
    test(`--cluster ${line.join(' ')} has a native spelling that is taken`, () => {
      takes(`redis-trib ${nativeWords(readArguments(['--cluster', ...line])).join(' ')}`);
    });
  }
});
