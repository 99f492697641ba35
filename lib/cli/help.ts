import type { Command } from './command.ts';
import { commands, findCommand } from './commands.ts';
import { changeFlags, connectionFlags, type Flags, moveFlags, outputFlags } from './flags.ts';
import { UsageError } from './io.ts';
import { renderMarkdown } from './markdown.ts';
import { readTopic } from './read-topic.ts';
import { findTopic, helpWords, pages, sectionOf, topics } from './topics.ts';

// For a word that is no command: a chunk of its own for topics would cost every start a file.
export { findTopic };

const EXIT_CODES = 'Exit codes: 0 done and verified, 1 failed or unhealthy, 2 wrong usage, 130 interrupted.';

const ADDRESSES = [
  'Give the password in the environment variable REDISCLI_AUTH: other users can see what is on a command line.',
].join('\n');

/** Wide enough for the longest option. */
const OPTION_WIDTH = 32;
const TOPIC_WIDTH = 14;

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
export function helpText([word, section]: readonly string[], columns: number): string {
  if (word === undefined) return generalHelp();
  if (section === undefined && word === 'connection') return connectionHelp();
  if (section === undefined && word === 'moving') return movingHelp();
  const command = section === undefined ? findCommand(word) : undefined;
  const topic = findTopic(word);
  if (topic === undefined) {
    if (command) return commandHelp(command);
    const names = [...commands.map(({ name }) => name), ...helpWords];
    throw new UsageError(`Unknown command or topic: "${word}"`, undefined, { word, names });
  }
  const document = readTopic(topic);
  const wanted = section === undefined ? document : sectionOf(document, topic, section);
  const shown = renderMarkdown(wanted, Math.min(columns, WIDEST));
  // "fix" is both.
  return command ? `${commandHelp(command)}\n\n${shown}` : shown;
}

/** What `redis-trib --help` prints. */
export function generalHelp(): string {
  const width = Math.max(...commands.map(({ name, usage }) => name.length + 1 + usage.length));
  return [
    'Usage: redis-trib COMMAND [OPTION...] ARGUMENT...',
    '',
    'Create, grow, shrink, rebalance, check and repair Redis and Valkey clusters.',
    'NODE, CLUSTER, NEW, SOURCE, TARGET: host:port; CLUSTER is any node of it. IPv6: [::1]:7000.',
    'Dashes and underscores are interchangeable in command names.',
    ...grouped().flatMap(([title, some]) => [
      '',
      `${title}:`,
      ...some.map(({ name, usage, summary }) => `  ${`${name} ${usage}`.padEnd(width)}  ${summary}`),
    ]),
    '',
    'Options of every command:',
    ...flagLines(outputFlags),
    `  ${'    --version'.padEnd(OPTION_WIDTH)} Show the version`,
    '',
    'Topics:',
    ...Object.entries({ ...pages, ...topics }).map(
      ([name, summary]) => `  ${name.padEnd(TOPIC_WIDTH)} ${summary}`,
    ),
    '',
    'Help on a command or topic: redis-trib help NAME',
    'What an error means: redis-trib help errors CODE; a finding of check: redis-trib help findings KIND',
    "With redis-cli's commands and options: redis-trib --cluster COMMAND ...; see: redis-trib --cluster help",
    'Give the password in the environment variable REDISCLI_AUTH.',
    EXIT_CODES,
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
export function commandHelp(command: Command): string {
  const own = Object.entries(command.flags ?? {}).filter(([name, flag]) => flag !== moveFlags[name]);
  const shared = own.filter(([name, flag]) => flag === changeFlags[name]);
  const special = own.filter(([name, flag]) => flag !== changeFlags[name]);
  const moves = Object.entries(command.flags ?? {}).some(([name, flag]) => flag === moveFlags[name]);
  return [
    `Usage: redis-trib ${command.name} [OPTION...] ${command.usage}`.trimEnd(),
    '',
    `${command.summary}.`,
    ...(command.details ? [command.details] : []),
    '',
    'Example:',
    `  redis-trib ${command.name} ${command.example}`,
    '',
    'Options:',
    ...flagLines({ ...Object.fromEntries([...special, ...shared]), ...outputFlags }),
    '',
    ...(moves ? pointer('How slots move', 'moving', moveFlags) : []),
    ...(command.isLocal ? [] : [...pointer('How nodes are reached', 'connection', connectionFlags), '']),
    EXIT_CODES,
  ].join('\n');
}

// The names are here, so that a search through the help of a command finds them.
function pointer(what: string, page: string, flags: Flags): string[] {
  const lines = [`${what}: redis-trib help ${page}`];
  let line = ' ';
  for (const word of Object.keys(flags).map((name) => `--${name}`)) {
    if (line.length + 1 + word.length > WIDEST) {
      lines.push(line);
      line = ' ';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

function connectionHelp(): string {
  return [
    'How nodes are reached: options of every command.',
    '',
    ...flagLines(connectionFlags),
    '',
    ADDRESSES,
  ].join('\n');
}

function movingHelp(): string {
  const have = commands
    .filter(({ flags = {} }) => Object.entries(flags).some(([name, flag]) => flag === moveFlags[name]))
    .map(({ name }) => name);
  return [
    `How slots move: options of ${have.slice(0, -1).join(', ')} and ${have.at(-1)}.`,
    '',
    ...flagLines(moveFlags),
    '',
    'How slots move, and why no key is lost: redis-trib help moving-slots',
  ].join('\n');
}

function flagLines(flags: Flags): string[] {
  return Object.entries(flags).map(([name, { short, value, help }]) => {
    const words = `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`;
    return `  ${words.padEnd(OPTION_WIDTH)} ${help}`;
  });
}
