import { messageOf } from '../errors.ts';
import { mapAddress, parseAddress } from '../model/address.ts';
import { LARGEST_INT } from '../model/numbers.ts';
import type { ConnectionOptions, NewcomerOptions } from '../options.ts';
import { type Io, UsageError } from './io.ts';

/** An option for `parseArgs` of node:util, with its help. */
export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** May be given several times. */
  readonly multiple?: true;
  /** Placeholder of the value in help. */
  readonly value?: string;
  /** Its value if it is the last word of a line, and has none. */
  readonly bare?: string;
  /** The values that it takes, if they are few words: for completion. */
  readonly choices?: readonly string[];
  readonly help: string;
}

export type Flags = Readonly<Record<string, Flag>>;
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export const connectionFlags: Flags = {
  user: { type: 'string', value: 'NAME', help: 'ACL user' },
  pass: {
    type: 'string',
    short: 'a',
    value: 'PASSWORD',
    help: 'Password; other users can see it: prefer REDISCLI_AUTH',
  },
  'pass-file': { type: 'string', value: 'FILE', help: 'Read the password from the first line of a file' },
  askpass: { type: 'boolean', help: 'Ask for the password' },
  tls: { type: 'boolean', help: 'Use TLS' },
  cacert: { type: 'string', value: 'FILE', help: 'Certificates to trust, PEM' },
  cert: { type: 'string', value: 'FILE', help: 'Client certificate, PEM' },
  key: { type: 'string', value: 'FILE', help: 'Key of the client certificate, PEM' },
  sni: { type: 'string', value: 'NAME', help: 'Server name for TLS' },
  insecure: { type: 'boolean', help: 'Do not verify certificates' },
  map: {
    type: 'string',
    multiple: true,
    value: 'FROM=TO',
    help: 'Where to reach a node that announces FROM (host:port or host), repeatable',
  },
  profile: { type: 'string', value: 'NAME', help: 'Settings under this name in the file of profiles' },
  'connect-timeout': { type: 'string', value: 'MS', help: 'Time to connect to a node (5000)' },
  'command-timeout': { type: 'string', value: 'MS', help: 'Time for a node to answer (10000)' },
};

export const outputFlags: Flags = {
  json: { type: 'boolean', help: 'Print one JSON document' },
  'json-stream': { type: 'boolean', help: 'Print a JSON line per event, then the document' },
  quiet: { type: 'boolean', short: 'q', help: 'Print only warnings, errors and what is wrong' },
  progress: { type: 'boolean', help: 'Show progress without a terminal, too: a line every 10 seconds' },
  verbose: { type: 'boolean', short: 'v', help: 'Print a line for each step' },
  trace: { type: 'boolean', help: 'Print each command that is sent, with its time; passwords are hidden' },
  help: { type: 'boolean', short: 'h', help: 'Show this help' },
};

/** For commands that show the nodes of a cluster. */
export const slotMapFlag: Flag = {
  type: 'boolean',
  help: 'Draw who owns which slots, and how full they are',
};

/** For commands that read a bundle. */
export const fromFlag: Flag = {
  type: 'string',
  value: 'FILE',
  help: 'Read what "bundle" has written, in place of CLUSTER',
};

export const changeFlags: Flags = {
  'dry-run': { type: 'boolean', help: 'Show the plan, change nothing' },
  'slot-map': { type: 'boolean', help: 'Draw who owns which slots, and how full they are, before and after' },
  plan: { type: 'string', value: 'FILE', help: 'Save the plan as JSON before carrying it out' },
  'agree-timeout': {
    type: 'string',
    value: 'MS',
    help: 'Time for the nodes to agree on the change (60000)',
  },
  wait: {
    type: 'string',
    value: 'MS',
    help: 'Time to wait for another operator to finish (2000)',
  },
  force: {
    type: 'boolean',
    help: 'Proceed even if another operator is active or the target is short of memory',
  },
  yes: { type: 'boolean', short: 'y', help: 'Never ask' },
};

/** For commands that add a node. */
export const newcomerFlags: Flags = {
  functions: {
    type: 'string',
    value: 'replace',
    choices: ['replace', 'refuse'],
    help: "Replace functions of the node by the cluster's, instead of refusing it",
  },
};

/** The option of the library for them. Throws a UsageError for any other value. */
export function newcomerOptions({ functions }: FlagValues): Pick<NewcomerOptions, 'functions'> {
  if (functions === undefined) return {};
  if (functions === 'replace' || functions === 'refuse') return { functions };
  throw new UsageError(`Not a value for --functions: "${functions}" (expected replace or refuse)`);
}

/** For commands that restart servers. */
export const execFlags: Flags = {
  exec: {
    type: 'string',
    value: 'COMMAND',
    help: 'Restart a server by this, run without a shell; {host}, {port} and {id} are filled in',
  },
  verbose: { type: 'boolean', help: 'Show the output of COMMAND even if it succeeds' },
};

export const moveFlags: Flags = {
  method: {
    type: 'string',
    value: 'NAME',
    choices: ['auto', 'atomic', 'migrate'],
    help: 'How slots move: auto, atomic or migrate (auto)',
  },
  'max-stall': {
    type: 'string',
    value: 'MS|off',
    help: 'Longest time that one MIGRATE should block its source (5)',
  },
  concurrency: { type: 'string', value: 'N', help: 'Moves at once, each from a source of its own (8)' },
  'max-keys-per-second': {
    type: 'string',
    value: 'N',
    help: 'Keys to move per second at most, over all nodes',
  },
  'max-bytes-per-second': {
    type: 'string',
    value: 'SIZE',
    help: 'Bytes to move per second at most, such as 500000 or 10mb',
  },
  'big-keys': {
    type: 'string',
    value: 'SIZE|off',
    help: 'Find keys of at least this size first and move each alone (8mb)',
  },
  timeout: {
    type: 'string',
    value: 'MS',
    help: 'Time that a MIGRATE may take without progress (2000, more for big keys)',
  },
  'atomic-timeout': {
    type: 'string',
    value: 'MS',
    help: 'Time that an atomic migration may take without progress (60000)',
  },
  top: { type: 'boolean', help: 'Show the cluster while slots move; keys pause the move and limit its pace' },
};

/** The value of --stray-keys. Throws a UsageError if it is none of the three. */
export function strayAnswer({ 'stray-keys': value }: FlagValues): 'keep' | 'bring' | 'drop' | undefined {
  if (value === undefined || value === 'keep' || value === 'bring' || value === 'drop') return value;
  throw new UsageError(`Not an answer for --stray-keys: "${value}" (expected keep, bring or drop)`);
}

/** Parses a whole number. Throws a UsageError for anything else. */
export function numberFlag(values: FlagValues, name: string, least = 1): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  if (
    typeof value === 'string' &&
    /^\d+$/.test(value) &&
    Number(value) >= least &&
    Number(value) <= LARGEST_INT
  ) {
    return Number(value);
  }
  throw new UsageError(`Not a whole number from ${least} to ${LARGEST_INT} for --${name}: "${value}"`);
}

/** Every value of an option that may be given several times. */
export function listFlag(values: FlagValues, name: string): readonly string[] {
  const value = values[name];
  return Array.isArray(value) ? value : [];
}

/** How options that say how nodes are reached are spelt where they are read. */
export interface Spelling {
  /** What stands before the name of an option. */
  readonly prefix: string;
  /** The variable of the environment that holds the password. */
  readonly variable: string;
  /** Ways to give the password beside that. */
  readonly ways: readonly string[];
}

const SPELLING: Spelling = { prefix: '--', variable: 'REDISCLI_AUTH', ways: ['pass-file', 'askpass'] };

/** How to reach the nodes, from options and the environment. Errors never contain a password. */
export async function connectionOptions(
  values: FlagValues,
  io: Io,
  spelling: Spelling = SPELLING,
): Promise<ConnectionOptions> {
  const { prefix, variable, ways } = spelling;
  const password = await findPassword(values, io, spelling);
  const username = text(values, 'user');
  if (username !== undefined && password === undefined) {
    const others = ways.map((name) => `${prefix}${name}`).join(' or ');
    throw new UsageError(`${prefix}user needs a password: set ${variable}, or use ${others}`);
  }
  const tls = await tlsOptions(values, spelling);
  const addressMap = addressMapOf(values, prefix);
  const connectTimeout = numberFlag(values, 'connect-timeout');
  const commandTimeout = numberFlag(values, 'command-timeout');
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    ...(addressMap === undefined ? {} : { addressMap }),
    ...(connectTimeout === undefined ? {} : { connectTimeout }),
    ...(commandTimeout === undefined ? {} : { commandTimeout }),
  };
}

function addressMapOf(values: FlagValues, prefix: string): Readonly<Record<string, string>> | undefined {
  const entries = listFlag(values, 'map').map((text) => {
    const [from, to, ...more] = text.split('=');
    if (!from || !to || more.length > 0) {
      throw new UsageError(
        `Not an entry for ${prefix}map: "${text}" (expected FROM=TO, each host:port or host)`,
      );
    }
    return [from, to] as const;
  });
  if (entries.length === 0) return undefined;
  const map = Object.fromEntries(entries);
  for (const [from, to] of entries) {
    try {
      mapAddress(map, /:\d+$/.test(from) ? parseAddress(from) : { host: from, port: 1 });
    } catch {
      throw new UsageError(
        `Not an entry for ${prefix}map: "${from}=${to}" (expected FROM=TO, each host:port or host)`,
      );
    }
  }
  return map;
}

async function findPassword(
  values: FlagValues,
  io: Io,
  { prefix, variable }: Spelling,
): Promise<string | undefined> {
  if (values.askpass) return io.askSecret('Password: ');
  const file = text(values, 'pass-file');
  if (file !== undefined) return (await readText(file, `${prefix}pass-file`)).split(/\r?\n/, 1)[0] ?? '';
  return text(values, 'pass') ?? (io.env[variable] || undefined);
}

async function tlsOptions(values: FlagValues, { prefix }: Spelling): Promise<ConnectionOptions['tls']> {
  const [ca, cert, key, servername] = ['cacert', 'cert', 'key', 'sni'].map((name) => text(values, name));
  if (!values.tls) {
    const stray = ['cacert', 'cert', 'key', 'sni', 'insecure'].find((name) => values[name] !== undefined);
    if (stray) throw new UsageError(`${prefix}${stray} needs ${prefix}tls`);
    return undefined;
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError(`${prefix}cert and ${prefix}key go together`);
  }
  const files = {
    ...(ca === undefined ? {} : { ca: await readText(ca, `${prefix}cacert`) }),
    ...(cert === undefined ? {} : { cert: await readText(cert, `${prefix}cert`) }),
    ...(key === undefined ? {} : { key: await readText(key, `${prefix}key`) }),
  };
  await requireUsable(files, prefix);
  return {
    ...files,
    ...(servername === undefined ? {} : { servername }),
    ...(values.insecure ? { rejectUnauthorized: false } : {}),
  };
}

async function requireUsable(
  files: Readonly<Partial<Record<'ca' | 'cert' | 'key', string>>>,
  prefix: string,
): Promise<void> {
  const { createSecureContext } = await import('node:tls');
  try {
    if (files.ca !== undefined && !files.ca.includes('-----BEGIN ')) throw new Error('no certificate in it');
    createSecureContext(files);
  } catch (error) {
    const flags = `${prefix}cacert, ${prefix}cert and ${prefix}key`;
    throw new UsageError(`Cannot use the files of ${flags}: ${messageOf(error)}`);
  }
}

function text(values: FlagValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

async function readText(path: string, flag: string): Promise<string> {
  const { readFileSync } = await import('node:fs');
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read the file of ${flag}: ${messageOf(error)}`);
  }
}
