import type { Command } from './command.ts';
import { connectionFlags, type Flag, type Flags, outputFlags } from './flags.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What a shell completes. */
export interface Completable {
  readonly commands: readonly Command[];
  /** Words that `help` takes beside the names of commands. */
  readonly topics: readonly string[];
  /** What may follow a topic: names of its sections. */
  readonly sections: Readonly<Record<string, readonly string[]>>;
  /** redis-cli's commands, after `--cluster`, and its options. */
  readonly cluster: { readonly commands: readonly string[]; readonly options: readonly string[] };
}

interface Word {
  readonly name: string;
  readonly help: string;
  readonly choices?: readonly string[];
  /** True if its value is a node. */
  readonly takesNode?: boolean;
}

/**
 * A script that makes a shell complete commands, options, some of their values, nodes of the cluster that was named last, topics of help, and
 * redis-cli's dialect.
 */
export function completionScript(shell: Shell, { commands, topics, sections, cluster }: Completable): string {
  const script = { bash, zsh, fish }[shell];
  const options = new Map(
    commands.map(({ name, flags }) => [name, optionsOf({ ...flags, ...outputFlags, ...connectionFlags })]),
  );
  const helped = [...commands.map(({ name }) => name), ...topics];
  return script({
    words: commands.map(({ name, summary }) => ({ name, help: summary })),
    options,
    following: [
      ...followingOptions(options),
      { command: 'completion', word: 'completion', offered: SHELLS },
      { command: 'help', word: 'help', offered: helped },
      ...Object.entries(sections).map(([word, offered]) => ({ command: 'help', word, offered })),
    ],
    takingNodes: commands.flatMap(({ name, usage }) => (/^(FILE|SHELL|)$/.test(usage) ? [] : [name])),
    cluster,
  });
}

/** Words that are offered after another. */
interface Following {
  readonly command: string;
  readonly word: string;
  readonly offered: readonly string[];
}

interface Offers {
  readonly words: readonly Word[];
  readonly options: ReadonlyMap<string, readonly Word[]>;
  readonly following: readonly Following[];
  /** Commands whose arguments are nodes. */
  readonly takingNodes: readonly string[];
  readonly cluster: Completable['cluster'];
}

function optionsOf(flags: Flags): Word[] {
  return Object.entries<Flag>(flags).map(([name, { help, choices, value = '' }]) => ({
    name: `--${name}`,
    help,
    takesNode: /^(NODE|MASTER)\b/.test(value),
    ...(choices ? { choices } : {}),
  }));
}

const dashed = (name: string): string => name.replaceAll('_', '-');

/** The values of options. */
function followingOptions(options: Offers['options']): Following[] {
  return [...options].flatMap(([command, some]) =>
    some.flatMap(({ name, choices }) => (choices ? [{ command, word: name, offered: choices }] : [])),
  );
}

/** For awk: the first word of the last line that may name a cluster. */
const NAMED = `awk '/redis-trib/ { for (i = 2; i <= NF; i++) if ($i ~ /^(@.+|[^=]+:[0-9]+)$/) { named = $i; break } } END { print named }'`;
/** Somebody waits who types. */
const LIST = 'redis-trib list --connect-timeout 500 --command-timeout 500';
const LISTED = `</dev/null 2>/dev/null | awk '$2 ~ /:[0-9]+$/ { print $2 }'`;

/** For bash and zsh: prints the nodes of the cluster that a line names or, failing that, an earlier one. */
const NODES = [
  '_redis_trib_nodes() {',
  `  local named=$({ fc -ln -200 2>/dev/null; printf '%s\\n' "$1"; } | ${NAMED})`,
  `  ${LIST} \${named:+"$named"} ${LISTED}`,
  '}',
];

/** For the case of bash and zsh where the word before is an option whose value is a node, or none. */
function beforeNodes({ options, takingNodes }: Offers): string {
  const valued = [...options].flatMap(([command, some]) =>
    some.flatMap(({ name, takesNode }) => (takesNode ? [`${command}:${name}`] : [])),
  );
  return [...valued, ...takingNodes.map((name) => `${name}:[!-]*`)].join('|');
}

function bash(offers: Offers): string {
  const { words, options, following, cluster } = offers;
  const names = words.map(({ name }) => name).join(' ');
  return [
    ...NODES,
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
    ...following.map(
      ({ command, word, offered }) =>
        `      ${command}:${word}) COMPREPLY=($(compgen -W '${offered.join(' ')}' -- "$word")); return ;;`,
    ),
    '    esac',
    '    case "$command" in',
    '      help) return ;;',
    ...[...options].map(
      ([name, some]) => `      ${name}) words='${some.map((option) => option.name).join(' ')}' ;;`,
    ),
    '    esac',
    '    case "$word" in -*) ;; *)',
    '      case "$command:$before" in',
    `        ${beforeNodes(offers)})`,
    // To most, a colon separates words: what stands before it is not part of the answer.
    `          local line="\${COMP_LINE:0:COMP_POINT}"; local typed="\${line##* }"`,
    `          COMPREPLY=($(compgen -W "$(_redis_trib_nodes "\${line% *}")" -- "$typed"))`,
    `          case "$COMP_WORDBREAKS" in *:*) COMPREPLY=("\${COMPREPLY[@]#"\${typed%"\${typed##*:}"}"}") ;; esac ;;`,
    '      esac',
    '      return ;;',
    '    esac',
    '  fi',
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    '}',
    'complete -o default -F _redis_trib redis-trib',
  ].join('\n');
}

function zsh(offers: Offers): string {
  const { words, options, following, cluster } = offers;
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const item = ({ name, help }: Word): string => quoted(`${name}:${help}`);
  return [
    '#compdef redis-trib',
    ...NODES,
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
    ...following.map(
      ({ command, word, offered }) => `    ${command}:${word}) compadd -- ${offered.join(' ')}; return ;;`,
    ),
    '    help:*) return ;;',
    '  esac',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
    '  case ${words[2]//-/_} in',
    ...[...options].map(([name, some]) => `    ${name}) words_here=(${some.map(item).join(' ')}) ;;`),
    '  esac',
    '  if [[ $PREFIX == -* ]]; then',
    "    _describe -o 'option' words_here",
    '    return',
    '  fi',
    `  case \${words[2]//-/_}:\${words[CURRENT-1]} in`,
    `    ${beforeNodes(offers)}) compadd -- \${(f)"$(_redis_trib_nodes "\${words[1,CURRENT-1]}")"} && return ;;`,
    '  esac',
    '  _files',
    '}',
    'compdef _redis_trib redis-trib',
  ].join('\n');
}

function fish({ words, options, following, takingNodes, cluster }: Offers): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const both = (name: string): string[] => [...new Set([name, dashed(name)])];
  const names = words.flatMap(({ name }) => both(name)).join(' ');
  const first = `-n 'not __fish_seen_subcommand_from ${names} help; and not __fish_contains_opt cluster'`;
  const after = (command: string, word: string): string =>
    `-n 'string match -q -- ${command}:${word} (commandline -opc)[2]:(commandline -opc)[-1]'`;
  const nodes = "-a '(__redis_trib_nodes)'";
  return [
    'function __redis_trib_nodes',
    `  set -l named (begin; history search --reverse --max 200 redis-trib; commandline -opc | string join ' '; end | ${NAMED})`,
    `  ${LIST} $named ${LISTED}`,
    'end',
    ...words.flatMap(({ name, help }) =>
      both(name).map((spelt) => `complete -c redis-trib -f ${first} -a ${spelt} -d ${quoted(help)}`),
    ),
    `complete -c redis-trib -f ${first} -a help -d 'Show help'`,
    ...following
      .filter(({ word }) => !word.startsWith('-'))
      .map(
        ({ command, word, offered }) =>
          `complete -c redis-trib -f ${after(command, word)} -a '${offered.join(' ')}'`,
      ),
    `complete -c redis-trib -n '__fish_seen_subcommand_from ${takingNodes.flatMap(both).join(' ')}' ${nodes}`,
    `complete -c redis-trib -x ${first} -l cluster -a '${cluster.commands.join(' ')}' -d 'The dialect of redis-cli'`,
    ...cluster.options
      .filter((name) => name.startsWith('--'))
      .map((name) => `complete -c redis-trib -n '__fish_contains_opt cluster' -l ${name.slice(2)}`),
    ...[...options].flatMap(([command, some]) =>
      some.map(({ name, help, choices, takesNode }) => {
        const values = choices ? ` -x -a '${choices.join(' ')}'` : takesNode ? ` -x ${nodes}` : '';
        const seen = `-n '__fish_seen_subcommand_from ${both(command).join(' ')}'`;
        return `complete -c redis-trib ${seen} -l ${name.slice(2)}${values} -d ${quoted(help)}`;
      }),
    ),
  ].join('\n');
}
