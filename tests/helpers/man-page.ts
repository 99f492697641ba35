import { readFileSync } from 'node:fs';
import { changeFlags, connectionFlags, type Flags, moveFlags, outputFlags } from '../../lib/cli/flags.ts';
import { grouped } from '../../lib/cli/help.ts';
import { pages, topics } from '../../lib/cli/topics.ts';

/** Flags that are described once, and not with each command that has them. */
const SHARED: readonly Flags[] = [outputFlags, changeFlags, moveFlags, connectionFlags];

const ENVIRONMENT: Readonly<Record<string, string>> = {
  REDISCLI_AUTH: 'The password. Other users can see what is on a command line.',
  REDIS_TRIB_CLUSTER:
    'The cluster that is meant if none is named: addresses, or @ and the name of a profile.',
  REDIS_TRIB_CONFIG: 'The file of profiles, instead of ~/.config/redis-trib.json.',
  NO_COLOR: 'If it is set, no colour.',
};

const STATUS: Readonly<Record<string, string>> = {
  '0': 'Done and verified.',
  '1': 'Failed, or unhealthy.',
  '2': 'Wrong usage: nothing was sent to any node.',
  '130': 'Interrupted at a safe point.',
};

/**
 * The manual page redis-trib(1), from the table of commands, in the macros that groff and mandoc know. It leaves out what help says of a command
 * beyond its summary, which would be a third of its weight.
 */
export function manPage(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const lines = [
    `.TH REDIS\\-TRIB 1 "" "redis\\-trib ${version}"`,
    '.SH NAME',
    'redis\\-trib \\- create, grow, shrink, rebalance, check and repair Redis and Valkey clusters',
    '.SH SYNOPSIS',
    '.B redis\\-trib',
    '.I COMMAND',
    '.RI [ OPTION \\|.\\|.\\|.]',
    '.IR ARGUMENT \\|.\\|.\\|.',
    '.br',
    '.B redis\\-trib help',
    '.RI [ COMMAND | TOPIC ]',
    '.br',
    '.B redis\\-trib \\-\\-cluster',
    '.IR COMMAND \\|.\\|.\\|.',
    '.SH DESCRIPTION',
    text('NODE, CLUSTER, NEW, SOURCE and TARGET are addresses, host:port or [::1]:7000.'),
    text(
      'CLUSTER is any node of the cluster. Dashes and underscores are interchangeable in the names of commands.',
    ),
    text('With --cluster, it takes the commands and options of redis-cli.'),
    text('More about each command, with an example: redis-trib help COMMAND.'),
    '.SH COMMANDS',
    ...grouped().flatMap(([title, some]) => [
      `.SS ${quoted(title)}`,
      ...some.flatMap(({ name, usage, summary, flags = {} }) => [
        ...item(`${name} ${usage}`.trimEnd()),
        text(`${summary}.`),
        ...sharedLine(flags),
        ...indented(ownFlags(flags)),
      ]),
    ]),
    '.SH OPTIONS',
    ...section('Output, of every command', outputFlags),
    ...section('Of commands that change a cluster', changeFlags),
    ...section('Of commands that move slots', moveFlags),
    ...section('How nodes are reached, of every command', connectionFlags),
    '.SH TOPICS',
    'Of redis\\-trib help:',
    ...defined({ ...pages, ...topics }),
    '.SH EXIT STATUS',
    ...defined(STATUS),
    '.SH ENVIRONMENT',
    ...defined(ENVIRONMENT),
    '.SH SEE ALSO',
    '.BR redis\\-cli (1),',
    '.BR valkey\\-cli (1)',
  ];
  return `${lines.join('\n')}\n`;
}

function ownFlags(flags: Flags): Flags {
  const isShared = (name: string): boolean => SHARED.some((some) => some[name] === flags[name]);
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !isShared(name)));
}

function sharedLine(flags: Flags): string[] {
  const has = (some: Flags): boolean => Object.entries(flags).some(([name, flag]) => flag === some[name]);
  const kinds = [
    ...(has(changeFlags) ? ['changes a cluster'] : []),
    ...(has(moveFlags) ? ['moves slots'] : []),
  ];
  return kinds.length > 0 ? [`It ${kinds.join(' and ')}: see OPTIONS.`] : [];
}

function section(title: string, flags: Flags): string[] {
  return [`.SS ${quoted(title)}`, ...flagItems(flags)];
}

function indented(flags: Flags): string[] {
  const items = flagItems(flags);
  return items.length > 0 ? ['.RS', ...items, '.RE'] : [];
}

function flagItems(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([name, { short, value, help }]) => [
    ...item(`${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`),
    text(help),
  ]);
}

function defined(words: Readonly<Record<string, string>>): string[] {
  return Object.entries(words).flatMap(([word, meaning]) => [...item(word), text(meaning)]);
}

function item(words: string): string[] {
  return ['.TP', `.B ${escaped(words).replaceAll('-', '\\-')}`];
}

function quoted(title: string): string {
  return title.includes(' ') ? `"${escaped(title)}"` : escaped(title);
}

/** A line of text: one that begins with a dot or a quote would be a request. */
function text(words: string): string {
  return escaped(words)
    .replace(/^(?=[.'])/, '\\&')
    .replaceAll('--', '\\-\\-');
}

function escaped(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('"', '\\(dq')
    .replace(
      /[^\0-\x7f]/gu,
      (char) => `\\[u${char.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`,
    );
}
