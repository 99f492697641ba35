import type { Advice, Next, NextAct, NextWhen } from '../model/next.ts';
import { formatRanges } from '../model/slot.ts';
import type { SecondSide } from './command.ts';

/** The command line that was typed, as far as advice depends on it. */
export interface Typed {
  /** A second server or cluster, which is reached by options of its own. */
  readonly second?: SecondSide | undefined;
  readonly dialect: 'native' | 'cluster';
  /** Values of its options: those that say how nodes are reached go with every command that is advised. */
  readonly values: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  /** Words of the same command in the native dialect, for what `--cluster` has no option for. */
  readonly native?: () => readonly string[];
}

type Options = NonNullable<Next['options']>;

/** Acts that are a command of ours, with what it does. */
const COMMANDS: Readonly<Partial<Record<NextAct, string>>> = {
  check: 'Look at the cluster',
  list: 'List the nodes',
  fix: 'Repair the slots',
  failover: 'Let the replica take over',
  rescue: 'Give the slots to a new node, without their keys',
  rejoin: 'Introduce the nodes to one another again',
  replicate: 'Add a replica',
  join: 'Add a master',
  'join-no-load': 'Add a master without slots',
  quit: 'Take the node out',
  'del-node': 'Take the node out',
  shutdown: 'End the cluster',
  start: 'Start a cluster',
  'migrate-slots': 'Move slots',
  reshard: 'Move slots to it',
  rebalance: 'Move slots away',
  spread: 'Spread masters and replicas',
  execute: 'Set it on every node',
};

const CLAUSES: Readonly<Record<NextWhen, string>> = {
  'after-that': 'After that',
  alone: 'If it is the only node of its cluster',
  answers: 'When the node answers',
  anyway: 'To proceed anyway',
  'declared-failed': 'When the cluster has declared it failed',
  'earlier-move': 'If an earlier run began this move',
  elected: 'When the replica has been elected',
  forgotten: 'If the others have forgotten a living node',
  'gone-for-good': 'If it is gone for good',
  'gone-with-its-keys': 'If it is gone for good, and its keys with it',
  'has-replica': 'If it has a living replica',
  healthy: 'When the nodes are healthy',
  'keys-unwanted': 'If none of these copies is wanted',
  'keys-wanted': 'If those that the owner does not have are wanted',
  'master-silent': 'If the master does not answer',
  moved: 'If it runs at another address',
  'moves-done': 'When no other slots are moving',
  'never-declared-failed': 'If too few masters are alive to declare it failed',
  'no-other-operator': 'If no other operator is active',
  'no-owner': 'If no node owns these slots',
  'not-moving': 'Unless a move is under way',
  'not-needed': 'If it is not needed',
  'other-operator-done': 'When the other operator is done',
  otherwise: 'Otherwise',
  repaired: 'When that is repaired',
  'same-cluster': 'If both are masters of one cluster',
  settled: 'When it is done',
  stays: 'If it stays',
  'took-its-place': 'If the other has taken its place',
  'too-few-masters-to-vote': 'If too few masters are alive to vote',
};

/** Options of the library that the command line calls by another name; all others are spelt with dashes. */
const FLAGS: Readonly<Record<string, string>> = { databases: 'db', mastersOnly: 'master-only' };
/** Options of the library that are an option of their own on the command line, which takes the place of another with its value. */
const INSTEAD: Readonly<Record<string, string>> = { fromCluster: 'from' };
/** Options of the library that `--cluster` has, too. */
const CLUSTER_FLAGS: Readonly<Record<string, string>> = {
  from: '--cluster-from',
  mastersOnly: '--cluster-only-masters',
  replace: '--cluster-replace',
  slots: '--cluster-slots',
  useEmptyMasters: '--cluster-use-empty-masters',
  withUnreachableMasters: '--cluster-fix-with-unreachable-masters',
};

/** Options by which nodes are reached, those of redis-cli first. No secret is among them. */
const REACHING = ['user', 'askpass', 'tls', 'sni', 'cacert', 'cert', 'key', 'insecure'];
const REACHING_NATIVE = [...REACHING, 'pass-file', 'map'];

/** What to do next in words, a line each for what may be done. */
export function adviceLines({ hint, next = [] }: Advice, typed: Typed): string[] {
  const lines = next.map((one) => sentenceOf(one, typed));
  if (typed.dialect === 'cluster' && next[0] && isNative(next[0], typed))
    return [hint ?? 'Use a native command', ...lines];
  const [first, ...more] = lines;
  const head = [hint, first].filter((text) => text).join('. ');
  return head === '' ? more : [head, ...more];
}

// Set apart, so that its options are not taken for those of the dialect that was typed.
function isNative(next: Next, typed: Typed): boolean {
  if (next.do in COMMANDS) return clusterWords(next) === undefined;
  return AGAIN.includes(next.do) && typeof againWith(next, typed) !== 'string';
}

const AGAIN: readonly NextAct[] = ['retry', 'resume', 'retry-rest'];

/** The same below something else. */
export function adviceBelow(next: readonly Next[], typed: Typed): string {
  return `Next: ${adviceLines({ next }, typed).join('\n      ')}\n`;
}

/** The same as one text. */
export function adviceText(advice: Advice, typed: Typed): string | undefined {
  return adviceLines(advice, typed).join('\n') || undefined;
}

function sentenceOf(next: Next, typed: Typed): string {
  const { when, node } = next;
  const subject = next.do === 'replicate' ? next.target : node;
  const clause = when === 'answers' && subject ? `When ${subject} answers` : when ? CLAUSES[when] : '';
  const command = (words: readonly string[], intro: string): string =>
    `${clause || intro}: ${words.map(quoted).join(' ')}`;
  const sentence = (text: string): string =>
    clause ? `${clause}, ${text}` : `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  switch (next.do) {
    case 'retry':
    case 'resume':
    case 'retry-rest': {
      const again = againWith(next, typed);
      return typeof again === 'string' ? sentence(again) : command(again, 'Run');
    }
    case 'plan':
      return sentence(
        typed.dialect === 'native'
          ? 'make the plan again with --dry-run --plan FILE'
          : 'run the same command again',
      );
    case 'wait':
      // Without its first word.
      return `Wait until${clause.slice(clause.indexOf(' '))}`;
    case 'start-node':
      return sentence(node ? `start ${node} again` : 'start the node that is down');
    case 'restart-node':
      return sentence(`restart ${node ?? 'the node'}`);
    case 'configure':
      return command(
        redisCli(
          node,
          (next.settings ?? []).flatMap((name) => ['CONFIG', 'SET', name, 'VALUE']),
          typed,
        ),
        `Change ${(next.settings ?? []).join(', ')}`,
      );
    case 'command':
      return command(redisCli(node, next.command ?? [], typed), 'Run');
    default:
      return command(wordsOf(next, typed), introOf(next));
  }
}

function introOf({ do: act, target, options = {} }: Next): string {
  if (act === 'replicate' && target) return 'Make it follow that master';
  if (options.mastersOnly === true) return 'Set it on every master';
  if (options.useEmptyMasters === true) return 'Give it slots';
  return COMMANDS[act] ?? '';
}

/** A sentence without its first capital, or the words of another command where the dialect has no option for it. */
function againWith(next: Next, { dialect, native, ...typed }: Typed): string | readonly string[] {
  const options: Options = {
    ...(next.do === 'resume' ? { resume: true } : {}),
    ...(next.do === 'retry-rest' && typeof next.slots === 'number' ? { slots: next.slots } : {}),
    ...next.options,
  };
  const same = 'run the same command again';
  if (Object.keys(options).length === 0) return same;
  const [other] = Object.keys(options).filter((name) => name in INSTEAD);
  if (other !== undefined) {
    const [old, flag] = [`--${INSTEAD[other]}`, dashed(other)];
    if (dialect === 'native') return `${same} with ${flag} in place of ${old}`;
    const words = (native?.() ?? []).map((word) => (word === old ? flag : word));
    return ['redis-trib', ...words, ...reachingWords(REACHING_NATIVE, typed.values)];
  }
  if (dialect === 'native') return `${same} with ${flagWords(options).map(quoted).join(' ')}`;
  const known = clusterFlags(options);
  if (known) return `${same} with ${known.map(quoted).join(' ')}`;
  const [name = 'COMMAND', ...words] = native?.() ?? [];
  return [
    'redis-trib',
    name,
    ...reachingWords(REACHING_NATIVE, typed.values),
    ...words,
    ...flagWords(options),
  ];
}

/** The words of a command that is advised. */
function wordsOf(next: Next, { dialect, values }: Typed): readonly string[] {
  const inCluster = dialect === 'cluster' ? clusterWords(next) : undefined;
  const [name = '', ...words] = inCluster ?? nativeWords(next);
  // Zones that were given for a look are those to spread over.
  const given = next.do === 'spread' ? ['zone'] : [];
  const reaching = reachingWords(inCluster ? REACHING : [...REACHING_NATIVE, ...given], values);
  return inCluster
    ? ['redis-trib', '--cluster', name, ...words, ...reaching]
    : ['redis-trib', name, ...reaching, ...words];
}

function nativeWords(next: Next): readonly string[] {
  const { cluster = 'CLUSTER', node, target, slots, options = {}, command = [], when } = next;
  const flags = flagWords(options);
  switch (next.do) {
    case 'failover':
      return ['failover', node ?? 'REPLICA', ...flags];
    case 'replicate':
      return ['replicate', node ?? 'MASTER', target ?? 'REPLICA', ...flags];
    case 'rejoin':
      return [
        'rejoin',
        ...(next.nodes ?? []),
        ...(next.nodes && when !== 'moved' && when !== 'forgotten' ? [] : ['ADDRESS']),
        ...flags,
      ];
    case 'rescue':
    case 'join':
    case 'join-no-load':
      return [underscored(next.do), cluster, node ?? 'NEW', ...flags];
    case 'del-node':
      return ['del_node', cluster, node ?? 'NODE', ...flags];
    case 'quit':
    case 'shutdown':
    case 'start':
      return [next.do, node ?? 'NODE', ...flags];
    case 'migrate-slots': {
      const which = typeof slots === 'object' ? formatRanges(slots).split(' ') : ['SLOT'];
      return ['migrate_slots', node ?? 'SOURCE', target ?? 'TARGET', ...which, ...flags];
    }
    case 'reshard':
      return ['reshard', cluster, '--from', 'all', '--to', target ?? 'NODE', '--slots', `${slots ?? 'N'}`];
    case 'execute':
      return ['execute', ...flags, cluster, ...command];
    default:
      return [underscored(next.do), cluster, ...flags];
  }
}

/** Undefined for what `--cluster` does not have. */
function clusterWords(next: Next): readonly string[] | undefined {
  const { cluster = 'CLUSTER', node = 'NODE', options = {}, command = [] } = next;
  const flags = clusterFlags(options);
  if (!flags) return undefined;
  switch (next.do) {
    case 'check':
    case 'fix':
    case 'rebalance':
      return [next.do, cluster, ...flags];
    case 'join-no-load':
      return ['add-node', node, cluster];
    case 'del-node':
      return /^[0-9a-f]{40}$/.test(node) ? ['del-node', cluster, node] : undefined;
    case 'execute':
      return ['call', ...flags, cluster, ...command];
    default:
      return undefined;
  }
}

function redisCli(node = '', command: readonly string[], { values }: Typed): readonly string[] {
  const [, host = 'HOST', port = 'PORT'] = /^\[?(.+?)\]?:(\d+)$/.exec(node) ?? [];
  return ['redis-cli', '-h', host, '-p', port, ...reachingWords(REACHING, values), ...command];
}

function underscored(act: NextAct): string {
  return act.replaceAll('-', '_');
}

function flagWords(options: Options): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    const flag = dashed(FLAGS[name] ?? name);
    return value === true ? [flag] : [flag, `${value}`];
  });
}

function dashed(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function clusterFlags(options: Options): string[] | undefined {
  const found = Object.entries(options).map(([name, value]) => {
    const flag = CLUSTER_FLAGS[name];
    if (flag === undefined) return undefined;
    return value === true ? [flag] : [flag, `${value}`];
  });
  return found.includes(undefined) ? undefined : found.flatMap((words) => words ?? []);
}

function reachingWords(names: readonly string[], values: Typed['values']): string[] {
  return names.flatMap((name) => {
    const value = values[name];
    if (value === undefined || value === false) return [];
    if (value === true) return [`--${name}`];
    return [value].flat().flatMap((one) => [`--${name}`, one]);
  });
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
