import type { Command } from './command.ts';
import { connectionFlags, type Flags, outputFlags } from './flags.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface Word {
  readonly name: string;
  readonly help: string;
}

/** The script by which a shell completes the names of commands and options. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  const words = commands.map(({ name, summary }) => ({ name, help: summary }));
  const options = new Map(
    commands.map(({ name, flags }) => [name, optionsOf({ ...flags, ...outputFlags, ...connectionFlags })]),
  );
  return { bash, zsh, fish }[shell](words, options);
}

function optionsOf(flags: Flags): Word[] {
  return Object.entries(flags).map(([name, { help }]) => ({ name: `--${name}`, help }));
}

function bash(words: readonly Word[], options: ReadonlyMap<string, readonly Word[]>): string {
  return [
    '_redis_trib() {',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '  local word="${COMP_WORDS[COMP_CWORD]}" command="${COMP_WORDS[1]//-/_}" words',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    words='${words.map(({ name }) => name).join(' ')}'`,
    '  else',
    '    case "$command" in',
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

function zsh(words: readonly Word[], options: ReadonlyMap<string, readonly Word[]>): string {
  const item = ({ name, help }: Word): string => `'${`${name}:${help}`.replaceAll("'", "'\\''")}'`;
  return [
    '#compdef redis-trib',
    '_redis_trib() {',
    '  local -a words_here',
    '  if (( CURRENT == 2 )); then',
    `    words_here=(${words.map(item).join(' ')})`,
    "    _describe 'command' words_here",
    '    return',
    '  fi',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '  case ${words[2]//-/_} in',
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

function fish(words: readonly Word[], options: ReadonlyMap<string, readonly Word[]>): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const names = words.map(({ name }) => name).join(' ');
  return [
    ...words.map(
      ({ name, help }) =>
        `complete -c redis-trib -f -n 'not __fish_seen_subcommand_from ${names}' -a ${name} -d ${quoted(help)}`,
    ),
    ...[...options].flatMap(([name, some]) =>
      some.map(
        (option) =>
          `complete -c redis-trib -n '__fish_seen_subcommand_from ${name}' -l ${option.name.slice(2)} -d ${quoted(option.help)}`,
      ),
    ),
  ].join('\n');
}
