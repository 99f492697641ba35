import { messageOf } from '../../errors.ts';
import { LARGEST_INT } from '../../model/numbers.ts';
import type { ConnectionOptions, OperationOptions } from '../../options.ts';
import { connectionOptions } from '../flags.ts';
import { type Io, UsageError } from '../io.ts';
import { type CompatArguments, textOf, wholeOf } from './arguments.ts';

/** Library options for a command line in redis-cli's syntax. Errors never contain a password. */
export async function compatOptionsOf(read: CompatArguments, io: Io): Promise<OperationOptions> {
  const { values } = read;
  const timeout = wholeOf(read, 'timeout', 1);
  // Options without effect here must still be numbers.
  wholeOf(read, 'ignored-number', 1);
  const inherited = io.env.VALKEYCLI_AUTH || io.env.REDISCLI_AUTH;
  const hasPassword = Boolean(values.pass ?? values.askpass ?? inherited);
  const connection = await connectionOptions(
    {
      // A user without a password changes nothing (cliAuth).
      ...pick(values, hasPassword ? ['user'] : []),
      ...pick(values, ['pass', 'askpass', 'tls', 'sni', 'cacert', 'cert', 'key', 'insecure']),
      ...connectTimeout(read),
    },
    { ...io, env: { REDISCLI_AUTH: inherited } },
    { prefix: '--', variable: 'REDISCLI_AUTH', ways: ['askpass'] },
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

/** The IP version for host names. With both options, or neither, it is either version. */
export function familyOf({ values }: CompatArguments): Pick<ConnectionOptions, 'family'> {
  if (values.ipv4 === values.ipv6) return {};
  return { family: values.ipv4 ? 4 : 6 };
}

/** True if an option or the environment says not to ask. */
export function isYes({ values }: CompatArguments, { env }: Io): boolean {
  return values.yes === true || env.REDISCLI_CLUSTER_YES === '1' || env.VALKEYCLI_CLUSTER_YES === '1';
}

function connectTimeout(read: CompatArguments): Record<string, string> {
  const text = textOf(read, 'connect-seconds');
  if (text === undefined) return {};
  const ms = Math.round(Number(text) * 1000);
  if (!(ms >= 1 && ms <= LARGEST_INT)) throw new UsageError(`Not a number of seconds for -t: "${text}"`);
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
