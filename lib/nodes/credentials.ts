import type { Command, Reply } from '../../resp/index.ts';
import { type AclUser, type Credentials, DEFAULT_USER } from '../model/login.ts';
import type { Login } from './connections.ts';
import { pairsIn, textsIn } from './pairs.ts';

/** What to ask a node to learn its credentials. Servers before 7.0 accept only one pattern in CONFIG GET. */
export const CREDENTIAL_QUESTIONS: readonly Command[] = [
  ['CONFIG', 'GET', 'requirepass'],
  ['CONFIG', 'GET', 'master*'],
  ['CONFIG', 'GET', 'tls-auth-clients*'],
  ['ACL', 'LIST'],
];

/** The credentials of nodes, from the replies of each to the questions above. */
export async function readCredentials(answers: readonly (readonly Reply[])[]): Promise<Credentials[]> {
  const raw = answers.map(readRaw);
  const secrets = await Secrets.of(raw);
  return raw.map((one) => credentialsOf(one, secrets));
}

/** What a node logs in to its master with, from its replies, to be tried. Undefined if it does not show it. */
export function loginIn(replies: readonly Reply[]): Login | undefined {
  const { config } = readRaw(replies);
  const [password, username] = [config?.get('masterauth'), config?.get('masteruser')];
  if (password === undefined) return undefined;
  if (password === '') return {};
  return { password: utf8Of(password), ...(username ? { username: utf8Of(username) } : {}) };
}

// Replies are binary strings, credentials are text.
function utf8Of(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

interface Raw {
  readonly config: ReadonlyMap<string, string> | undefined;
  readonly users: readonly RawUser[] | undefined;
}

interface RawUser {
  readonly name: string;
  readonly words: readonly string[];
  readonly hashes: readonly string[];
}

function readRaw(replies: readonly Reply[]): Raw {
  const [requirepass, master, tls, acl] = replies;
  return { config: pairsIn([requirepass, master, tls]), users: textsIn(acl)?.flatMap(readUser) };
}

// user NAME on #HASH ~KEYS &CHANNELS +@all
function readUser(line: string): RawUser[] {
  const [word, name, ...words] = line.split(' ');
  if (word !== 'user' || name === undefined) return [];
  const hashes = words.filter((word) => word.startsWith('#')).map((word) => word.slice(1));
  return [{ name, words: words.filter((word) => !word.startsWith('#')), hashes }];
}

/** Gives equal secrets equal numbers, whether they are known as such or by their SHA-256. */
class Secrets {
  readonly #numbers = new Map<string, number>();
  readonly #hashOf: (secret: string) => string;

  private constructor(hashOf: (secret: string) => string) {
    this.#hashOf = hashOf;
  }

  // Loading node:crypto takes longer than looking at a cluster. If all passwords of replication are that of the default user,
  // there is no need to: the server names its hash beside it.
  static async of(nodes: readonly Raw[]): Promise<Secrets> {
    const hashes = new Map<string, string>();
    for (const { config, users } of nodes) {
      const own = users?.find(({ name }) => name === DEFAULT_USER)?.hashes ?? [];
      const password = config?.get('requirepass');
      if (password && own.length === 1) hashes.set(password, own[0] ?? '');
    }
    const isKnown = ({ config, users }: Raw): boolean => {
      const [password, user] = [config?.get('masterauth'), config?.get('masteruser')];
      return !password || !users || (!user && hashes.has(password));
    };
    if (nodes.every(isKnown)) return new Secrets((secret) => hashes.get(secret) ?? `plain ${secret}`);
    const { createHash } = await import('node:crypto');
    // Replies are binary strings: one character a byte.
    return new Secrets((secret) => createHash('sha256').update(secret, 'latin1').digest('hex'));
  }

  ofText(secret: string): number | undefined {
    return secret === '' ? undefined : this.ofHash(this.#hashOf(secret));
  }

  ofHash(hash: string): number {
    const known = this.#numbers.get(hash) ?? this.#numbers.size;
    this.#numbers.set(hash, known);
    return known;
  }
}

function credentialsOf({ config, users }: Raw, secrets: Secrets): Credentials {
  const user = ({ words, hashes }: RawUser): AclUser => ({
    isOn: words.includes('on'),
    needsNoPassword: words.includes('nopass'),
    secrets: hashes.map((hash) => secrets.ofHash(hash)).sort((a, b) => a - b),
    rules: words.join(' '),
  });
  const [password, required] = [config?.get('masterauth'), config?.get('requirepass')];
  return {
    ...(password === undefined
      ? {}
      : { login: { user: config?.get('masteruser') ?? '', secret: secrets.ofText(password) } }),
    ...(required === undefined ? {} : { requires: { secret: secrets.ofText(required) } }),
    ...(users ? { users: new Map(users.map((one) => [one.name, user(one)])) } : {}),
    trustsCertificates: !['off', ''].includes(config?.get('tls-auth-clients-user') ?? ''),
  };
}
