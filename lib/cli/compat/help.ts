import { wrap } from '../markdown.ts';
import { compatArity, compatOptions } from './options.ts';

/** A command: what follows its name, and its options with what follows them. Synonyms of valkey-cli stand beside those of redis-cli. */
interface Entry {
  readonly usage: string;
  readonly options?: readonly string[];
}

const NODE = 'HOST:PORT or HOST PORT';
const MANY_OWNERS = '--cluster-search-multiple-owners';

/** In redis-cli's order, each with its options. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  create: { usage: 'HOST1:PORT1 ... HOSTN:PORTN', options: ['--cluster-replicas N'] },
  check: { usage: NODE, options: [MANY_OWNERS] },
  info: { usage: NODE },
  fix: {
    usage: NODE,
    options: [
      MANY_OWNERS,
      '--cluster-fix-with-unreachable-masters,',
      '--cluster-fix-with-unreachable-primaries',
    ],
  },
  reshard: {
    usage: NODE,
    options: [
      '--cluster-from ID,...|all',
      '--cluster-to ID',
      '--cluster-slots N',
      '--cluster-yes',
      '--cluster-timeout MS',
      '--cluster-pipeline N',
      '--cluster-replace',
      '--cluster-use-atomic-slot-migration',
    ],
  },
  rebalance: {
    usage: NODE,
    options: [
      '--cluster-weight NODE1=W1 ... NODEN=WN',
      '--cluster-use-empty-masters, --cluster-use-empty-primaries',
      '--cluster-timeout MS',
      '--cluster-simulate',
      '--cluster-pipeline N',
      '--cluster-threshold PERCENT',
      '--cluster-replace',
      '--cluster-use-atomic-slot-migration',
    ],
  },
  'add-node': {
    usage: 'NEW_HOST:NEW_PORT HOST:PORT',
    options: ['--cluster-slave, --cluster-replica', '--cluster-master-id, --cluster-primary-id ID'],
  },
  'del-node': { usage: 'HOST:PORT ID' },
  call: {
    usage: 'HOST:PORT COMMAND ARG ... ARG',
    options: ['--cluster-only-masters, --cluster-only-primaries', '--cluster-only-replicas'],
  },
  'set-timeout': { usage: 'HOST:PORT MS' },
  import: {
    usage: 'HOST:PORT',
    options: [
      '--cluster-from HOST:PORT',
      '--cluster-from-user NAME',
      '--cluster-from-pass PASSWORD',
      '--cluster-from-askpass',
      '--cluster-copy',
      '--cluster-replace',
    ],
  },
  backup: { usage: 'HOST:PORT DIRECTORY' },
  help: { usage: '' },
};

/** Columns of the names of commands. */
const WIDTH = 15;
const WIDEST = 80;

/** What `redis-trib --cluster help` prints: grouped as redis-cli groups it, each command with its options. */
export function compatHelp(): string {
  const connecting = Object.keys(compatOptions).filter((name) => !name.startsWith('--cluster-'));
  return [
    'Usage: redis-trib --cluster COMMAND ARGUMENT... [OPTION...]',
    '',
    ...wrap(
      'Accepts what redis-cli --cluster and valkey-cli --cluster accept, and prints what they print. Options may come before or after.',
      WIDEST,
    ),
    '',
    'Cluster Manager Commands:',
    ...Object.keys(compatArity).flatMap((name) => {
      const { usage, options = [] } = COMMANDS[name] ?? { usage: NODE };
      return [
        `  ${name.padEnd(WIDTH)}${usage}`.trimEnd(),
        ...options.map((option) => `  ${' '.repeat(WIDTH)}${option}`),
      ];
    }),
    '',
    ...wrap(
      'For check, fix, reshard, del-node, set-timeout, info, rebalance, call, import and backup name any node of the cluster.',
      WIDEST,
    ),
    '',
    'Cluster Manager Options:',
    '  --cluster-yes  Never ask. REDISCLI_CLUSTER_YES=1 is the same',
    '',
    'Connection options:',
    ...wrap(connecting.join(' '), WIDEST - 2).map((line) => `  ${line}`),
    '',
    'Give the password in the environment variable REDISCLI_AUTH.',
    'What each option does: redis-trib help redis-cli',
  ].join('\n');
}
