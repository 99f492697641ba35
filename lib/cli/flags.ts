import { messageOf } from '../errors.ts';
import { mapAddress, parseAddress } from '../model/address.ts';
import type { ConnectionOptions } from '../options.ts';
import { type Io, UsageError } from './io.ts';

/** An option as `parseArgs` of node:util takes it, with what help says of it. */
export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** May be given several times. */
  readonly multiple?: true;
  /** What stands for the value in help. */
  readonly value?: string;
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
    help: 'Password; others can see it: prefer REDISCLI_AUTH',
  },
  'pass-file': { type: 'string', value: 'FILE', help: 'Read the password from the first line of a file' },
  askpass: { type: 'boolean', help: 'Ask for the password' },
  tls: { type: 'boolean', help: 'Connect by TLS' },
  cacert: { type: 'string', value: 'FILE', help: 'Certificates to trust, PEM' },
  cert: { type: 'string', value: 'FILE', help: 'Client certificate, PEM' },
  key: { type: 'string', value: 'FILE', help: 'Key of the client certificate, PEM' },
  sni: { type: 'string', value: 'NAME', help: 'Server name for TLS' },
  insecure: { type: 'boolean', help: 'Do not verify certificates' },
  map: {
    type: 'string',
    multiple: true,
    value: 'FROM=TO',
    help: 'Where a node is reached that announces FROM: host:port or host, repeatable',
  },
  'connect-timeout': { type: 'string', value: 'MS', help: 'Time for connecting to a node (5000)' },
  'command-timeout': { type: 'string', value: 'MS', help: 'Time for a node to answer (10000)' },
};

export const outputFlags: Flags = {
  json: { type: 'boolean', help: 'Print one JSON document' },
  'json-stream': { type: 'boolean', help: 'Print a JSON line for each event, then the document' },
  help: { type: 'boolean', short: 'h', help: 'Show this help' },
};

export const changeFlags: Flags = {
  'dry-run': { type: 'boolean', help: 'Show what would be done, change nothing' },
  plan: { type: 'string', value: 'FILE', help: 'Save the plan as JSON before it is carried out' },
  'agree-timeout': {
    type: 'string',
    value: 'MS',
    help: 'Time for the nodes to agree with what was done (60000)',
  },
  force: { type: 'boolean', help: 'Go on where another operator is at work, or memory is short' },
  yes: { type: 'boolean', short: 'y', help: 'Never ask' },
};

export const moveFlags: Flags = {
  method: { type: 'string', value: 'NAME', help: 'How slots move: auto, atomic or migrate (auto)' },
  'max-stall': {
    type: 'string',
    value: 'MS|off',
    help: 'Time one MIGRATE should hold up its source at most (5)',
  },
  concurrency: { type: 'string', value: 'N', help: 'Moves at one time, each from a source of its own (8)' },
  'max-keys-per-second': { type: 'string', value: 'N', help: 'Most keys moved in a second, over all nodes' },
  'max-bytes-per-second': {
    type: 'string',
    value: 'SIZE',
    help: 'Most bytes moved in a second, such as 500000 or 10mb',
  },
  'big-keys': {
    type: 'string',
    value: 'SIZE|off',
    help: 'Size from which on a key is looked for first and moved alone (8mb)',
  },
  timeout: {
    type: 'string',
    value: 'MS',
    help: 'Time a MIGRATE may be without progress (2000, more for big keys)',
  },
  'atomic-timeout': {
    type: 'string',
    value: 'MS',
    help: 'Time an atomic migration may be without progress (60000)',
  },
};

/** Reads a whole number. Throws a UsageError for anything else. */
export function numberFlag(values: FlagValues, name: string, least = 1): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  if (
    typeof value === 'string' &&
    /^\d+$/.test(value) &&
    Number(value) >= least &&
    Number(value) <= 0x7fffffff
  ) {
    return Number(value);
  }
  throw new UsageError(`Not a number from ${least} up for --${name}: "${value}"`);
}

/** Every value of an option that may be given several times. */
export function listFlag(values: FlagValues, name: string): readonly string[] {
  const value = values[name];
  return Array.isArray(value) ? value : [];
}

/** How to reach the nodes, from options and the environment. A password never comes into an error. */
export async function connectionOptions(values: FlagValues, io: Io): Promise<ConnectionOptions> {
  const password = await findPassword(values, io);
  const username = text(values, 'user');
  if (username !== undefined && password === undefined) {
    throw new UsageError('--user needs a password: set REDISCLI_AUTH, or use --pass-file or --askpass');
  }
  const tls = await tlsOptions(values);
  const addressMap = addressMapOf(values);
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

function addressMapOf(values: FlagValues): Readonly<Record<string, string>> | undefined {
  const entries = listFlag(values, 'map').map((text) => {
    const [from, to, ...more] = text.split('=');
    if (!from || !to || more.length > 0) {
      throw new UsageError(`Not an entry for --map: "${text}" (expected FROM=TO, each host:port or host)`);
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
        `Not an entry for --map: "${from}=${to}" (expected FROM=TO, each host:port or host)`,
      );
    }
  }
  return map;
}

async function findPassword(values: FlagValues, io: Io): Promise<string | undefined> {
  if (values.askpass) return io.askSecret('Password: ');
  const file = text(values, 'pass-file');
  if (file !== undefined) return (await readText(file, 'pass-file')).split(/\r?\n/, 1)[0] ?? '';
  return text(values, 'pass') ?? (io.env.REDISCLI_AUTH || undefined);
}

async function tlsOptions(values: FlagValues): Promise<ConnectionOptions['tls']> {
  const [ca, cert, key, servername] = ['cacert', 'cert', 'key', 'sni'].map((name) => text(values, name));
  if (!values.tls) {
    const stray = ['cacert', 'cert', 'key', 'sni', 'insecure'].find((name) => values[name] !== undefined);
    if (stray) throw new UsageError(`--${stray} needs --tls`);
    return undefined;
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError('--cert and --key go together');
  }
  const files = {
    ...(ca === undefined ? {} : { ca: await readText(ca, 'cacert') }),
    ...(cert === undefined ? {} : { cert: await readText(cert, 'cert') }),
    ...(key === undefined ? {} : { key: await readText(key, 'key') }),
  };
  await requireUsable(files);
  return {
    ...files,
    ...(servername === undefined ? {} : { servername }),
    ...(values.insecure ? { rejectUnauthorized: false } : {}),
  };
}

async function requireUsable(files: Readonly<Partial<Record<'ca' | 'cert' | 'key', string>>>): Promise<void> {
  const { createSecureContext } = await import('node:tls');
  try {
    if (files.ca !== undefined && !files.ca.includes('-----BEGIN ')) throw new Error('no certificate in it');
    createSecureContext(files);
  } catch (error) {
    throw new UsageError(`Cannot use the files of --cacert, --cert and --key: ${messageOf(error)}`);
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
    throw new UsageError(`Cannot read the file of --${flag}: ${messageOf(error)}`);
  }
}
