import type { Command } from './command.ts';
import { connectionFlags, type Flag, type Flags, outputFlags } from './flags.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What a shell completes. */
export interface Completable {
  readonly commands: readonly Command[];
  /** Words that `help` takes beside the names of commands. */
  readonly topics: readonly string[];
  /** redis-cli's commands, after `--cluster`, and its options. */
  readonly cluster: { readonly commands: readonly string[]; readonly options: readonly string[] };
}

interface Word {
  readonly name: string;
  readonly help: string;
  readonly choices?: readonly string[];
}

/** A script that makes a shell complete commands, options, some of their values, topics of help, and redis-cli's dialect. */
export function completionScript(shell: Shell, { commands, topics, cluster }: Completable): string {
  const script = { bash, zsh, fish }[shell];
  return script({
    words: commands.map(({ name, summary }) => ({ name, help: summary })),
    options: new Map(
      commands.map(({ name, flags }) => [name, optionsOf({ ...flags, ...outputFlags, ...connectionFlags })]),
    ),
    topics,
    cluster,
  });
}

interface Offers {
  readonly words: readonly Word[];
  readonly options: ReadonlyMap<string, readonly Word[]>;
  readonly topics: readonly string[];
  readonly cluster: Completable['cluster'];
}

function optionsOf(flags: Flags): Word[] {
  return Object.entries<Flag>(flags).map(([name, { help, choices }]) => ({
    name: `--${name}`,
    help,
    ...(choices ? { choices } : {}),
  }));
}

const dashed = (name: string): string => name.replaceAll('_', '-');

/** What each command offers as the value of an option: [command, option, values]. */
function choicesOf(options: Offers['options']): [command: string, option: string, choices: string][] {
  return [...options].flatMap(([command, some]) =>
    some.flatMap(({ name, choices }): [string, string, string][] =>
      choices ? [[command, name, choices.join(' ')]] : [],
    ),
  );
}

function bash({ words, options, topics, cluster }: Offers): string {
  const names = words.map(({ name }) => name).join(' ');
  return [
    '_redis_trib() {',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[1]//-/_}" words',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '  case " ${COMP_WORDS[*]:1:COMP_CWORD-1} " in',
    '    *" --cluster "*)',
    `      words='${cluster.options.join(' ')}'`,
    `      if [ "$before" = --cluster ]; then words='${cluster.commands.join(' ')}'`,
    '      else case "$word" in -*) ;; *) return ;; esac; fi',
    '      COMPREPLY=($(compgen -W "$words" -- "$word"))',
    '      return ;;',
    '  esac',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    // Both spellings are understood: the one that was begun is offered.
    `    words='${names} help --cluster'`,
    `    case "$word" in [!-]*-*) words='${dashed(names)}' ;; esac`,
    '  else',
    '    case "$command:$before" in',
    ...choicesOf(options).map(
      ([name, option, choices]) =>
        `      ${name}:${option}) COMPREPLY=($(compgen -W '${choices}' -- "$word")); return ;;`,
    ),
    '    esac',
    '    case "$command" in',
    `      help) COMPREPLY=($(compgen -W '${[names, ...topics].join(' ')}' -- "$word")); return ;;`,
    ...[...options].map(
      ([name, some]) => `      ${name}) words='${some.map((option) => option.name).join(' ')}' ;;`,
    ),
    '    esac',
    '    case "$word" in -*) ;; *) return ;; esac',
    '  fi',
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    '}',
    'complete -o default -F _redis_trib redis-trib',
  ].join('\n');
}

function zsh({ words, options, topics, cluster }: Offers): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const item = ({ name, help }: Word): string => quoted(`${name}:${help}`);
  const names = words.map(({ name }) => name);
  return [
    '#compdef redis-trib',
    '_redis_trib() {',
    '  local -a words_here',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '  if (( CURRENT > 2 )) && (( ${words[(I)--cluster]} )) && (( ${words[(I)--cluster]} < CURRENT )); then',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '    if [[ ${words[CURRENT-1]} == --cluster ]]; then',
    `      compadd -- ${cluster.commands.join(' ')}`,
    '    elif [[ $PREFIX == -* ]]; then',
    `      compadd -- ${cluster.options.join(' ')}`,
    '    else _files; fi',
    '    return',
    '  fi',
    '  if (( CURRENT == 2 )); then',
    '    if [[ $PREFIX == ?*-* && $PREFIX != -* ]]; then',
    `      words_here=(${words.map((word) => item({ ...word, name: dashed(word.name) })).join(' ')})`,
    '    else',
    `      words_here=(${[...words.map(item), "'help:Show help'", "'--cluster:The dialect of redis-cli'"].join(' ')})`,
    '    fi',
    "    _describe 'command' words_here",
    '    return',
    '  fi',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '  case ${words[2]//-/_}:${words[CURRENT-1]} in',
    ...choicesOf(options).map(
      ([name, option, choices]) => `    ${name}:${option}) compadd -- ${choices}; return ;;`,
    ),
    '  esac',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '  case ${words[2]//-/_} in',
    `    help) compadd -- ${[...names, ...topics].join(' ')}; return ;;`,
    ...[...options].map(([name, some]) => `    ${name}) words_here=(${some.map(item).join(' ')}) ;;`),
    '  esac',
    '  if [[ $PREFIX == -* ]]; then',
    "    _describe -o 'option' words_here",
    '  else',
    '    _files',
    '  fi',
    '}',
    'compdef _redis_trib redis-trib',
  ].join('\n');
}

function fish({ words, options, topics, cluster }: Offers): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const both = (name: string): string[] => [...new Set([name, dashed(name)])];
  const names = words.flatMap(({ name }) => both(name)).join(' ');
  const first = `-n 'not __fish_seen_subcommand_from ${names} help; and not __fish_contains_opt cluster'`;
  return [
    ...words.flatMap(({ name, help }) =>
      both(name).map((spelt) => `complete -c redis-trib -f ${first} -a ${spelt} -d ${quoted(help)}`),
    ),
    `complete -c redis-trib -f ${first} -a help -d 'Show help'`,
    `complete -c redis-trib -f -n '__fish_seen_subcommand_from help' -a '${[names, ...topics].join(' ')}'`,
    `complete -c redis-trib -x ${first} -l cluster -a '${cluster.commands.join(' ')}' -d 'The dialect of redis-cli'`,
    ...cluster.options
      .filter((name) => name.startsWith('--'))
      .map((name) => `complete -c redis-trib -n '__fish_contains_opt cluster' -l ${name.slice(2)}`),
    ...[...options].flatMap(([command, some]) =>
      some.map(({ name, help, choices }) => {
        const values = choices ? ` -x -a '${choices.join(' ')}'` : '';
        const seen = `-n '__fish_seen_subcommand_from ${both(command).join(' ')}'`;
        return `complete -c redis-trib ${seen} -l ${name.slice(2)}${values} -d ${quoted(help)}`;
      }),
    ),
  ].join('\n');
}
