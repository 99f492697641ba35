import { createHash } from 'node:crypto';
import {
  changeAnswers,
  isFailure,
  isRefusal,
  type Recorded,
  type Recording,
  type Unanswered,
} from '../model/recording.ts';
import { StandIns } from '../model/stand-ins.ts';

type Texts = readonly Recorded[];

/** Questions whose answers are kept. Of all others, nobody has looked whether they hold a secret. */
const KEPT =
  /^(?:CLUSTER (?:NODES|INFO|MYID|MYSHARDID|SHARDS|LINKS|COUNTKEYSINSLOT)|INFO(?: [a-z]+)?|CONFIG GET [a-z*-]+|ACL LIST|FUNCTION LIST WITHCODE|MULTI|EXEC|SELECT \d+)$/;

/** Paths on the machine of a server. */
const PATHS = /^(?:executable|config_file):.*\r?\n?/gm;

/** Settings that are kept although their name does not begin with `cluster-`. */
const SETTINGS = new Set([
  'maxmemory',
  'appendonly',
  'save',
  'requirepass',
  'masterauth',
  'masteruser',
  'tls-auth-clients',
  'tls-auth-clients-user',
]);

/**
 * The same without passwords, their hashes, the patterns of keys and channels in ACL rules, code of functions, and paths of files. What
 * stands in for them differs exactly where they do, so that comparing gives the same result; nothing leads back to them.
 */
export function withoutSecrets(recording: Recording): Recording {
  const secrets = new StandIns('secret');
  const patterns = new StandIns('pattern');
  const codes = new StandIns('code');
  // A password and its hash are one secret: every password has to be known first.
  const passwords = new Map<string, string>();
  for (const { answers } of recording.nodes.values()) {
    for (const answer of [...answers.values()].flat()) {
      for (const [name, value] of pairsOf(answer)) if (isPassword(name)) passwords.set(sha256(value), value);
    }
  }
  const hashed = (hash: string): string => sha256(secrets.of(passwords.get(hash) ?? `#${hash}`));
  const change = (answer: Recorded | Unanswered, command: string): Recorded | Unanswered | undefined => {
    if (!KEPT.test(command)) return undefined;
    if (isFailure(answer) || isRefusal(answer)) return answer;
    if (command.startsWith('INFO') && typeof answer === 'string') return answer.replaceAll(PATHS, '');
    if (command.startsWith('CONFIG')) {
      return pairsOf(answer)
        .filter(([name]) => isSetting(name))
        .flatMap(([name, value]) => [name, isPassword(name) && value !== '' ? secrets.of(value) : value]);
    }
    if (command === 'ACL LIST')
      return textsOf(answer).map((line) => ruleWithout(String(line), hashed, patterns));
    if (command === 'FUNCTION LIST WITHCODE')
      return textsOf(answer).map((library) => libraryWithout(textsOf(library), codes));
    return answer;
  };
  return changeAnswers(recording, change);
}

function textsOf(answer: Recorded | Unanswered): Texts {
  return Array.isArray(answer) ? answer : [];
}

function pairsOf(answer: Recorded | Unanswered): [string, string][] {
  const texts = textsOf(answer);
  return texts.flatMap((name, at): [string, string][] =>
    at % 2 === 0 && at + 1 < texts.length ? [[String(name), String(texts[at + 1])]] : [],
  );
}

function isPassword(name: string): boolean {
  return name === 'requirepass' || name === 'masterauth';
}

function isSetting(name: string): boolean {
  return SETTINGS.has(name) || (name.startsWith('cluster-') && name !== 'cluster-config-file');
}

// user NAME on #HASH ~KEYS &CHANNELS (selectors: the same in brackets) +@all
function ruleWithout(line: string, hashed: (hash: string) => string, patterns: StandIns): string {
  return line
    .split(' ')
    .map((word, index) => {
      if (index < 2) return word;
      if (word.startsWith('#')) return `#${hashed(word.slice(1))}`;
      if (PLAIN_RULE.test(word)) return word;
      const [, start = '', pattern = word, end = ''] = /^(\(?(?:%[RW]+)?[~&])(.+?)(\)?)$/i.exec(word) ?? [];
      return `${start}${pattern === '*' ? pattern : patterns.of(pattern)}${end}`;
    })
    .join(' ');
}

/** Rules that name no key and no channel. */
const PLAIN_RULE = /^\(?(?:on|off|nopass|[a-z]+-payload|(?:all|reset)[a-z]+|[+-]@?[a-z][\w|.-]*)\)?$/i;

function libraryWithout(library: Texts, codes: StandIns): Recorded[] {
  const fieldOf = (field: string): Recorded => {
    const at = library.indexOf(field);
    return (at < 0 ? undefined : library[at + 1]) ?? null;
  };
  return [
    ...['library_name', fieldOf('library_name')],
    ...['library_code', codes.of(String(fieldOf('library_code')))],
  ];
}

// Replies are binary strings: one character a byte.
function sha256(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}
