import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { connectionFlags, type Flags, outputFlags } from './flags.ts';

const EXIT_CODES = 'Exit codes: 0 done and verified, 1 failed or not well, 2 wrong usage, 130 interrupted.';

/** The longest option fits. */
const OPTION_WIDTH = 32;

/** What `redis-trib --help` prints. */
export function generalHelp(): string {
  const width = Math.max(...commands.map(({ name, usage }) => name.length + 1 + usage.length));
  return [
    'Usage: redis-trib COMMAND [OPTION...] ARGUMENT...',
    '',
    'Create, grow, shrink, rebalance, check and repair Redis and Valkey clusters.',
    'NODE, CLUSTER, NEW, SOURCE, TARGET: host:port; CLUSTER is any node of it. IPv6: [::1]:7000.',
    '',
    'Commands (dashes or underscores):',
    ...commands.map(({ name, usage, summary }) => {
      return `  ${`${name} ${usage}`.padEnd(width)}  ${summary}`;
    }),
    '',
    'Connection options:',
    ...flagLines(connectionFlags),
    '',
    'Other options:',
    ...flagLines(outputFlags),
    `  ${'    --version'.padEnd(OPTION_WIDTH)} Show the version`,
    '',
    'In the spelling of redis-cli: redis-trib --cluster COMMAND ...; see: redis-trib --cluster help',
    'The password is best given in the environment variable REDISCLI_AUTH.',
    'Help of one command: redis-trib COMMAND --help',
    EXIT_CODES,
  ].join('\n');
}

/** What `redis-trib COMMAND --help` prints. */
export function commandHelp(command: Command): string {
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
    ...flagLines({ ...command.flags, ...outputFlags }),
    '',
    'Connection options:',
    ...flagLines(connectionFlags),
    '',
    EXIT_CODES,
  ].join('\n');
}

function flagLines(flags: Flags): string[] {
  return Object.entries(flags).map(([name, { short, value, help }]) => {
    const words = `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`;
    return `  ${words.padEnd(OPTION_WIDTH)} ${help}`;
  });
}
