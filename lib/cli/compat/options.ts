/** What follows an option: nothing, one word, or any number of NAME=VALUE words. */
export type OptionForm = 'flag' | 'word' | 'pairs';

/** An option of `redis-cli --cluster`. */
export interface CompatOption {
  readonly form: OptionForm;
  /** Name under which the value is stored. Synonyms share one. */
  readonly as: string;
}

const flag = (as: string): CompatOption => ({ form: 'flag', as });
const word = (as: string): CompatOption => ({ form: 'word', as });

/** Every option that the cluster commands of redis-cli and valkey-cli know. Those stored as `ignored` have no effect here. */
export const compatOptions: Readonly<Record<string, CompatOption>> = {
  '--cluster-yes': flag('yes'),
  '--cluster-replicas': word('replicas'),
  '--cluster-from': word('from'),
  '--cluster-to': word('to'),
  '--cluster-slots': word('slots'),
  '--cluster-timeout': word('timeout'),
  '--cluster-pipeline': word('ignored-number'),
  '--cluster-replace': flag('replace'),
  '--cluster-weight': { form: 'pairs', as: 'weight' },
  '--cluster-use-empty-masters': flag('use-empty-masters'),
  '--cluster-use-empty-primaries': flag('use-empty-masters'),
  '--cluster-simulate': flag('simulate'),
  '--cluster-threshold': word('threshold'),
  '--cluster-slave': flag('replica'),
  '--cluster-replica': flag('replica'),
  '--cluster-master-id': word('master-id'),
  '--cluster-primary-id': word('master-id'),
  '--cluster-only-masters': flag('only-masters'),
  '--cluster-only-primaries': flag('only-masters'),
  '--cluster-only-replicas': flag('only-replicas'),
  '--cluster-search-multiple-owners': flag('search-multiple-owners'),
  '--cluster-fix-with-unreachable-masters': flag('with-unreachable'),
  '--cluster-fix-with-unreachable-primaries': flag('with-unreachable'),
  '--cluster-use-atomic-slot-migration': flag('atomic'),
  '--cluster-copy': flag('copy'),
  '--cluster-from-user': word('from-user'),
  '--cluster-from-pass': word('from-pass'),
  '--cluster-from-askpass': flag('from-askpass'),
  '-a': word('pass'),
  '--pass': word('pass'),
  '--user': word('user'),
  '--askpass': flag('askpass'),
  '--tls': flag('tls'),
  '--sni': word('sni'),
  '--cacert': word('cacert'),
  '--cacertdir': word('cacertdir'),
  '--cert': word('cert'),
  '--key': word('key'),
  '--tls-ciphers': word('tls-ciphers'),
  '--tls-ciphersuites': word('tls-ciphersuites'),
  '--insecure': flag('insecure'),
  '-h': word('host'),
  '-p': word('port'),
  '-t': word('connect-seconds'),
  '-4': flag('ipv4'),
  '-6': flag('ipv6'),
  '--no-auth-warning': flag('ignored'),
  '--verbose': flag('verbose'),
};

/** A command of `redis-cli --cluster`: how many words it takes. With `orMore`, that is the least. */
export interface CompatArity {
  readonly words: number;
  readonly orMore?: true;
  /** True if the first word is a node of the cluster: it may also be given as two words, or with -h and -p. */
  readonly takesNode?: true;
}

/** The commands, with the words that redis-cli takes. */
export const compatArity: Readonly<Record<string, CompatArity>> = {
  create: { words: 1, orMore: true },
  check: { words: 1, orMore: true, takesNode: true },
  info: { words: 1, orMore: true, takesNode: true },
  fix: { words: 1, orMore: true, takesNode: true },
  reshard: { words: 1, orMore: true, takesNode: true },
  rebalance: { words: 1, orMore: true, takesNode: true },
  'add-node': { words: 2 },
  'del-node': { words: 2 },
  call: { words: 2, orMore: true },
  'set-timeout': { words: 2 },
  import: { words: 1 },
  backup: { words: 2 },
  help: { words: 0, orMore: true },
};
