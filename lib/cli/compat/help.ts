import { compatArity, compatOptions } from './options.ts';

const USAGE: Readonly<Record<string, string>> = {
  create: 'NODE...',
  'add-node': 'NEW CLUSTER',
  'del-node': 'CLUSTER ID',
  call: 'CLUSTER COMMAND [ARG...]',
  'set-timeout': 'CLUSTER MS',
  import: 'CLUSTER',
  backup: 'CLUSTER DIRECTORY',
  help: '',
};

/** What `redis-trib --cluster help` prints. */
export function compatHelp(): string {
  const options = Object.keys(compatOptions);
  const of = (isCluster: boolean) => options.filter((name) => name.startsWith('--cluster-') === isCluster);
  return [
    'Usage: redis-trib --cluster COMMAND ARGUMENT... [OPTION...]',
    '',
    'Takes what redis-cli --cluster and valkey-cli --cluster take, and prints what they print.',
    'CLUSTER, NODE, NEW: host:port, or host port. Options stand before or after.',
    '',
    'Commands:',
    ...Object.keys(compatArity).map((name) => `  ${name.padEnd(13)}${USAGE[name] ?? 'CLUSTER'}`.trimEnd()),
    '',
    'Options of commands:',
    ...columns(of(true)),
    '',
    'Options for connecting:',
    ...columns(of(false)),
    '',
    'The password is best given in the environment variable REDISCLI_AUTH.',
    'REDISCLI_CLUSTER_YES=1 is the same as --cluster-yes. What becomes of each option: docs/redis-cli.md',
  ].join('\n');
}

function columns(names: readonly string[]): string[] {
  return names.map((name) => `  ${name}`);
}
