import type { Command } from './command.ts';
import { connectionFlags, type FlagValues } from './flags.ts';
import { type Io, UsageError } from './io.ts';
import { type Profile, profilesFile, readProfile } from './profiles.ts';
import { isRedisUrl, parseRedisUrl, type RedisUrl } from './redis-url.ts';

/** The words of a command line, and the values of its options. */
export interface Line {
  readonly positionals: readonly string[];
  readonly values: FlagValues;
}

/** Replaces what stands for addresses and options elsewhere: the cluster from the environment, profiles, and URLs. */
export function settleLine(command: Command, line: Line, { env }: Pick<Io, 'env'>): Line {
  return withoutUrls(withProfile(command, withCluster(command, line, env), env), {
    words: command.takesCommand ? 1 : line.positionals.length + 1,
    source: command.name === 'import',
    other: command.name === 'compare' ? 1 : undefined,
  });
}

/** Puts the cluster in where the line leaves it out: from --profile or REDIS_TRIB_CLUSTER. */
function withCluster({ usage, arity: [least] }: Command, line: Line, env: Io['env']): Line {
  const { positionals, values } = line;
  const cluster = values.profile === undefined ? env.REDIS_TRIB_CLUSTER : `@${values.profile}`;
  const words = usage.split(' ');
  const at = words.indexOf('CLUSTER');
  if (!cluster || at < 0 || positionals.length !== least - 1) return line;
  // Whoever forgets the node of `del_node CLUSTER ID` must not take out the one that was to name the cluster.
  const next = words[at + 1] ?? '';
  if (/^(ID|HOST_OR_NODE)/.test(next) && /:/.test(positionals[at] ?? '')) return line;
  return { positionals: positionals.toSpliced(at, 0, cluster), values };
}

/** Options by which a password is given. */
const PASSWORDS = ['pass', 'pass-file', 'askpass'];

function withProfile({ usage, flags = {}, takesCommand }: Command, line: Line, env: Io['env']): Line {
  const words = usage.split(' ');
  const clusterAt = words.indexOf('CLUSTER');
  const named = line.positionals.slice(0, takesCommand ? 1 : undefined);
  const at = named.findIndex(
    (word, index) => /^@[\w.-]+$/.test(word) && !/^(FILE|SHELL)/.test(words[index] ?? ''),
  );
  if (at >= 0 && at !== clusterAt)
    throw new UsageError(
      `"${named[at]}" is a cluster, and ${words[at] ?? 'this'} is one node: write host:port and --profile`,
    );
  const word = at < 0 ? undefined : named[at]?.slice(1);
  const option = line.values.profile;
  if (word !== undefined && option !== undefined && word !== option)
    throw new UsageError(`Two profiles: "${word}" and "${option}"`);
  const name = word ?? option;
  if (typeof name !== 'string') return line;
  const profile = readProfile(name, profilesFile({ env }));
  return {
    positionals: at < 0 ? line.positionals : line.positionals.with(at, clusterOf(profile, name)),
    values: { ...settingsFor(profile.values, flags, line.values), ...line.values },
  };
}

function clusterOf({ cluster }: Profile, name: string): string {
  if (cluster !== undefined) return cluster;
  throw new UsageError(`The profile "${name}" has no "cluster"`);
}

// The line comes before the profile, and its password before any of the profile.
function settingsFor(settings: FlagValues, flags: Command['flags'] & object, given: FlagValues): FlagValues {
  const hasPassword = PASSWORDS.some((name) => given[name] !== undefined);
  const isWanted = (name: string): boolean =>
    (Object.hasOwn(connectionFlags, name) || Object.hasOwn(flags, name)) &&
    !(hasPassword && PASSWORDS.includes(name));
  return Object.fromEntries(Object.entries(settings).filter(([name]) => isWanted(name)));
}

/** Options whose value is nodes, with commas between. */
const NODES = ['to', 'of'];
/** Those that name the source of an import. */
const SOURCES = ['from', 'from-cluster'];
/** Options whose values are NODE=VALUE. */
const PAIRS = ['weight', 'zone'];

/**
 * The same line with host:port in place of URLs, and with what the URLs say as options. `words` is how many of its words may be
 * nodes; with `source`, --from is another server with a user and a password of its own, and so is the word at `other`. Throws a
 * UsageError if URLs contradict each other or the options.
 */
export function withoutUrls<Values extends FlagValues>(
  { positionals, values }: { readonly positionals: readonly string[]; readonly values: Values },
  {
    words,
    source,
    other,
  }: { readonly words: number; readonly source: boolean; readonly other?: number | undefined },
): { positionals: readonly string[]; values: Values } {
  const [own, others]: [RedisUrl[], RedisUrl[]] = [[], []];
  const address = (urls: RedisUrl[]) => (text: string) => {
    if (!isRedisUrl(text)) return text;
    const url = parseRedisUrl(text);
    urls.push(url);
    return url.address;
  };
  const list = (text: string, urls: RedisUrl[]): string => text.split(',').map(address(urls)).join();
  const replaced = positionals.map((word, index) =>
    index < words ? list(word, index === other ? others : own) : word,
  );
  const changed: Record<string, FlagValues[string]> = {};
  for (const name of [...NODES, ...SOURCES]) {
    const value = values[name];
    const urls = SOURCES.includes(name) && source ? others : own;
    if (typeof value === 'string') changed[name] = list(value, urls);
  }
  for (const name of PAIRS) {
    const pairs = values[name];
    if (!Array.isArray(pairs)) continue;
    changed[name] = pairs.map((pair: string) => {
      const equals = pair.lastIndexOf('=');
      return isRedisUrl(pair) ? `${address(own)(pair.slice(0, equals))}${pair.slice(equals)}` : pair;
    });
  }
  if (Array.isArray(values.map) && values.map.some((pair) => String(pair).includes('://')))
    throw new UsageError('Not an entry for --map: write host:port on either side, not a URL');
  const said = { ...saidBy(own, values, ''), ...saidBy(others, values, source ? 'from-' : 'to-') };
  return { positionals: replaced, values: { ...values, ...changed, ...said } };
}

function saidBy(urls: readonly RedisUrl[], values: FlagValues, prefix: '' | 'from-' | 'to-'): FlagValues {
  const [first] = urls;
  if (!first) return {};
  const user = one(urls, 'user', 'names of users');
  const password = one(urls, 'password', 'passwords');
  if (urls.some(({ tls }) => tls !== first.tls))
    throw new UsageError('URLs with and without TLS: redis:// and rediss:// do not go together');
  const given = values[`${prefix}user`];
  if (user !== undefined && given !== undefined && given !== user)
    throw new UsageError(`The user is given twice: in a URL and by --${prefix}user`);
  const way = PASSWORDS.find((name) => values[prefix + name] !== undefined);
  if (password !== undefined && way)
    throw new UsageError(`The password is given twice: in a URL and by --${prefix}${way}`);
  return {
    ...(user === undefined ? {} : { [`${prefix}user`]: user }),
    ...(password === undefined ? {} : { [`${prefix}pass`]: password }),
    ...(first.tls ? { [`${prefix}tls`]: true } : {}),
  };
}

// All nodes of a cluster are reached in the same way.
function one(urls: readonly RedisUrl[], field: 'user' | 'password', what: string): string | undefined {
  const all = new Set(urls.flatMap((url) => url[field] ?? []));
  if (all.size > 1)
    throw new UsageError(`URLs with different ${what}: the nodes of a cluster are reached in the same way`);
  return [...all][0];
}
