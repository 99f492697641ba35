import { messageOf } from '../../errors.ts';
import type { ConnectionOptions, OperationOptions } from '../../options.ts';
import { connectionOptions } from '../flags.ts';
import { type Io, UsageError } from '../io.ts';
import { type CompatArguments, textOf, wholeOf } from './arguments.ts';

/** Options of the library for a command line in the spelling of redis-cli. A password never comes into an error. */
export async function compatOptionsOf(read: CompatArguments, io: Io): Promise<OperationOptions> {
  const { values } = read;
  const timeout = wholeOf(read, 'timeout', 1);
  // What is given and means nothing here has to be a number all the same.
  wholeOf(read, 'ignored-number', 1);
  const connection = await connectionOptions(
    {
      ...pick(values, ['pass', 'user', 'askpass', 'tls', 'sni', 'cacert', 'cert', 'key', 'insecure']),
      ...connectTimeout(read),
    },
    { ...io, env: { REDISCLI_AUTH: io.env.VALKEYCLI_AUTH || io.env.REDISCLI_AUTH } },
  );
  return {
    ...connection,
    ...familyOf(read),
    ...(await withTlsOptions(connection, read)),
    ...(timeout === undefined ? {} : { migrateTimeout: timeout }),
    ...(values.atomic ? { method: 'atomic' as const } : {}),
    signal: io.signal,
  };
}

/** The version of IP that host names are looked up for: with both options, as without any, either. */
export function familyOf({ values }: CompatArguments): Pick<ConnectionOptions, 'family'> {
  if (values.ipv4 === values.ipv6) return {};
  return { family: values.ipv4 ? 4 : 6 };
}

/** True if nothing is to be asked: by option, or by the environment. */
export function isYes({ values }: CompatArguments, { env }: Io): boolean {
  return values.yes === true || env.REDISCLI_CLUSTER_YES === '1' || env.VALKEYCLI_CLUSTER_YES === '1';
}

function connectTimeout(read: CompatArguments): Record<string, string> {
  const text = textOf(read, 'connect-seconds');
  if (text === undefined) return {};
  const ms = Math.round(Number(text) * 1000);
  if (!(ms >= 1 && ms <= 0x7fffffff)) throw new UsageError(`Not a number of seconds for -t: "${text}"`);
  return { 'connect-timeout': String(ms) };
}

async function withTlsOptions(
  { tls }: ConnectionOptions,
  read: CompatArguments,
): Promise<Pick<ConnectionOptions, 'tls'>> {
  const dir = textOf(read, 'cacertdir');
  const ciphers = [textOf(read, 'tls-ciphersuites'), textOf(read, 'tls-ciphers')].filter((one) => one);
  if (dir === undefined && ciphers.length === 0) return {};
  if (!tls) throw new UsageError('--cacertdir, --tls-ciphers and --tls-ciphersuites need --tls');
  return {
    tls: {
      ...(tls === true ? {} : tls),
      ...(dir === undefined ? {} : { ca: await certificatesIn(dir) }),
      ...(ciphers.length === 0 ? {} : { ciphers: ciphers.join(':') }),
    },
  };
}

async function certificatesIn(dir: string): Promise<string[]> {
  const [{ readdirSync, readFileSync }, { join }] = await Promise.all([
    import('node:fs'),
    import('node:path'),
  ]);
  try {
    const files = readdirSync(dir, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
    const found = files.map(({ name }) => readFileSync(join(dir, name), 'utf8'));
    const certificates = found.filter((text) => text.includes('-----BEGIN CERTIFICATE'));
    if (certificates.length === 0) throw new Error('no certificate in it');
    return certificates;
  } catch (error) {
    throw new UsageError(`Cannot read the directory of --cacertdir: ${messageOf(error)}`);
  }
}

type Picked = Record<string, string | true | readonly string[]>;

function pick(values: Readonly<Picked>, names: readonly string[]): Picked {
  return Object.fromEntries(
    names.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]])),
  );
}
