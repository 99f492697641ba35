import type { Command } from './command.ts';
import { commands, findCommand } from './commands.ts';
import { changeFlags, connectionFlags, type Flags, moveFlags, outputFlags } from './flags.ts';
import { UsageError } from './io.ts';
import { type Row, renderMarkdown, rows, wrap } from './markdown.ts';
import { readTopic } from './read-topic.ts';
import { findTopic, helpWords, pages, sectionOf, sectionsOfTopics, topics } from './topics.ts';

// For a word that is no command: a chunk of its own for topics would cost every start a file.
export { findTopic };

const EXIT_CODES = 'Exit codes: 0 done and verified, 1 failed or unhealthy, 2 wrong usage, 130 interrupted.';

const ADDRESSES =
  'Give the password in the environment variable REDISCLI_AUTH: other users can see what is on a command line.';

/** Wide enough for the longest option. */
const OPTION_WIDTH = 32;
const [TOPIC_WIDTH, TITLE_WIDTH] = [14, 15];
/** In a terminal that is as wide as this, the list of commands has their arguments. */
const WIDE = 115;
/** Lines of a document are hard to read if they are longer. */
const WIDEST = 100;

/** Names of commands by what one wants to do, also of those to come. All others are in the last group. */
const GROUPS: readonly (readonly [title: string, ...names: string[]])[] = [
  ['Build', 'start', 'start_multi', 'create', 'ensure', 'demo'],
  ['Grow and shrink', 'join', 'join_no_load', 'add_node', 'replicate', 'quit', 'del_node', 'shutdown'],
  ['Move slots', 'migrate_slots', 'reshard', 'rebalance'],
  ['Look', 'list', 'check', 'info', 'explain', 'top', 'hot', 'keys', 'report', 'metrics', 'bundle'],
  ['Repair', 'fix', 'rescue', 'prune', 'rejoin'],
  [
    'Maintain',
    ...['drain', 'failover', 'step_down', 'restart', 'replace', 'spread'],
    ...['ok_to_stop', 'is_ready', 'wait', 'set_timeout'],
  ],
  ['Plans', 'apply', 'verify', 'rollback'],
  ['Data', 'import', 'backup', 'restore', 'compare'],
  ['Other'],
];

/** What `redis-trib help WORD...` prints: everything, a command, a document, or one section of it. */
export function helpText([word, section, ...more]: readonly string[], columns: number): string {
  if (word === undefined) return generalHelp(columns);
  const topic = findTopic(word);
  const command = findCommand(word);
  const own = topic ?? command?.name ?? (Object.hasOwn(pages, word) ? word : undefined);
  if (own === undefined) throw unknownPage(word);
  const [excess] = topic === undefined && section !== undefined ? [section] : more;
  if (excess !== undefined) {
    const page = topic === undefined || section === undefined ? own : `${own} ${section}`;
    throw new UsageError(`No word may follow redis-trib help ${page}: "${excess}"`, undefined, {
      ...{ word: excess, names: [], page },
    });
  }
  if (topic === undefined) return command ? commandHelp(command, columns) : sharedHelp(own, columns);
  const document = readTopic(topic);
  const wanted = section === undefined ? document : sectionOf(document, topic, section);
  const shown = renderMarkdown(wanted, Math.min(columns, WIDEST));
  // "fix" is both.
  return command && section === undefined ? `${commandHelp(command, columns)}\n\n${shown}` : shown;
}

function sharedHelp(page: string, columns: number): string {
  return page === 'moving' ? movingHelp(columns) : connectionHelp(columns);
}

function unknownPage(word: string): UsageError {
  const names = [...commands.map(({ name }) => name), ...helpWords];
  // A code or a kind alone.
  const [topic] =
    Object.entries(sectionsOfTopics()).find(([, some]) =>
      some.some((name) => name.toLowerCase() === word.toLowerCase()),
    ) ?? [];
  return new UsageError(`Unknown command or topic: "${word}"`, undefined, {
    ...{ word, names },
    ...(topic === undefined ? {} : { page: `${topic} ${word}` }),
  });
}

const USAGE = [
  'Usage: redis-trib COMMAND [OPTION...] ARGUMENT...',
  '',
  'Create, grow, shrink, rebalance, check and repair Redis and Valkey clusters.',
];

/** What `redis-trib` prints: a terminal of 24 lines shows all of it. */
export function briefHelp(columns: number): string {
  const groups = grouped().map(([title, some]): Row => [title, some.map(({ name }) => name).join(' ')]);
  return [
    ...USAGE.flatMap((text) => wrap(text, columns)),
    '',
    ...rows(groups, TITLE_WIDTH, columns),
    '',
    'To begin with:',
    '  redis-trib demo                    A cluster on this machine to try things on',
    '  redis-trib check 10.0.0.1:7000     What is wrong with yours: any node of it',
    '  redis-trib help COMMAND            An example, and its options',
    '  redis-trib --help                  What each command does; options and topics',
  ].join('\n');
}

/** What `redis-trib --help` prints. */
export function generalHelp(columns: number): string {
  const withUsage = commands.map(({ name, usage }) => `${name} ${usage}`);
  const isWide = columns >= WIDE;
  const width =
    Math.max(...(isWide ? withUsage : commands.map(({ name }) => name)).map((text) => text.length)) + 1;
  const rowOf = ({ name, usage, summary }: Command): Row => [isWide ? `${name} ${usage}` : name, summary];
  return [
    ...[
      ...USAGE,
      'NODE, CLUSTER, NEW, SOURCE, TARGET: host:port; CLUSTER is any node of the cluster. IPv6: [::1]:7000.',
      'Dashes and underscores are interchangeable in command names.',
    ].flatMap((text) => wrap(text, columns)),
    ...grouped().flatMap(([title, some]) => ['', `${title}:`, ...rows(some.map(rowOf), width, columns)]),
    '',
    'Options of every command:',
    ...flagLines(outputFlags, columns),
    ...rows([['    --version', 'Show the version']], OPTION_WIDTH, columns),
    '',
    'Topics:',
    ...rows(Object.entries({ ...pages, ...topics }), TOPIC_WIDTH, columns),
    '',
    ...[
      'Help on a command or topic: redis-trib help NAME',
      'What an error means: redis-trib help errors CODE; a finding of check: redis-trib help findings KIND',
      "With redis-cli's commands and options: redis-trib --cluster COMMAND ...; see: redis-trib --cluster help",
      'Give the password in the environment variable REDISCLI_AUTH.',
      EXIT_CODES,
    ].flatMap((text) => wrap(text, columns)),
  ].join('\n');
}

/** The commands of each group that has any, in the order of help. */
export function grouped(): (readonly [title: string, commands: readonly Command[]])[] {
  const known = new Set(GROUPS.flatMap(([, ...names]) => names));
  const last = GROUPS.at(-1);
  return GROUPS.map((group) => {
    const [title, ...names] = group;
    const named = names.flatMap((name) => commands.find((command) => command.name === name) ?? []);
    const rest = group === last ? commands.filter(({ name }) => !known.has(name)) : [];
    return [title, [...named, ...rest]] as const;
  }).filter(([, some]) => some.length > 0);
}

/** What `redis-trib COMMAND --help` prints: first the options that only this command has, or few others. */
export function commandHelp(command: Command, columns: number): string {
  const own = Object.entries(command.flags ?? {}).filter(([name, flag]) => flag !== moveFlags[name]);
  const shared = own.filter(([name, flag]) => flag === changeFlags[name]);
  const special = own.filter(([name, flag]) => flag !== changeFlags[name]);
  const moves = Object.entries(command.flags ?? {}).some(([name, flag]) => flag === moveFlags[name]);
  return [
    `Usage: redis-trib ${command.name} [OPTION...] ${command.usage}`.trimEnd(),
    '',
    ...`${command.summary}.\n${command.details ?? ''}`
      .trimEnd()
      .split('\n')
      .flatMap((text) => wrap(text, Math.min(columns, WIDEST))),
    '',
    'Example:',
    `  redis-trib ${command.name} ${command.example}`,
    '',
    'Options:',
    ...flagLines({ ...Object.fromEntries([...special, ...shared]), ...outputFlags }, columns),
    '',
    ...(moves ? pointer('How slots move', 'moving', moveFlags, columns) : []),
    ...(command.isLocal
      ? []
      : [...pointer('How nodes are reached', 'connection', connectionFlags, columns), '']),
    ...wrap(EXIT_CODES, columns),
  ].join('\n');
}

// The names are here, so that a search through the help of a command finds them.
function pointer(what: string, page: string, flags: Flags, columns: number): string[] {
  const names = Object.keys(flags).map((name) => `--${name}`);
  const lines = wrap(names.join(' '), Math.min(columns, WIDEST) - 2);
  return [`${what}: redis-trib help ${page}`, ...lines.map((line) => `  ${line}`)];
}

function connectionHelp(columns: number): string {
  return [
    'How nodes are reached: options of every command.',
    '',
    ...flagLines(connectionFlags, columns),
    '',
    ...wrap(ADDRESSES, columns),
  ].join('\n');
}

function movingHelp(columns: number): string {
  const have = commands
    .filter(({ flags = {} }) => Object.entries(flags).some(([name, flag]) => flag === moveFlags[name]))
    .map(({ name }) => name);
  return [
    ...wrap(`How slots move: options of ${have.slice(0, -1).join(', ')} and ${have.at(-1)}.`, columns),
    '',
    ...flagLines(moveFlags, columns),
    '',
    ...wrap('How slots move, and why no key is lost: redis-trib help moving-slots', columns),
  ].join('\n');
}

function flagLines(flags: Flags, columns: number): string[] {
  const all = Object.entries(flags).map(([name, { short, value, help }]): Row => {
    return [`${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`, help];
  });
  return rows(all, OPTION_WIDTH, columns);
}
