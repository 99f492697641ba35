import type { ConnectionOptions } from '../options.ts';
import { connectionOptions, type Flags, type FlagValues, listFlag } from './flags.ts';
import { type Io, UsageError } from './io.ts';

/** Names of the options for reaching a second server or cluster, without their prefix. A password comes only from a URL. */
const NAMES = [
  'user',
  'pass',
  'pass-file',
  'askpass',
  'tls',
  'cacert',
  'cert',
  'key',
  'sni',
  'insecure',
  'map',
];

/** Options for reaching a second server or cluster: those for the first with a prefix. `whose` names it in help. */
export function sideFlags(prefix: string, whose: string): Flags {
  const text = (value: string, help: string) => ({ type: 'string' as const, value, help });
  const flags: Flags = {
    user: text('NAME', `ACL user of the ${whose}`),
    'pass-file': text('FILE', `Read the ${whose}'s password from a file`),
    askpass: { type: 'boolean', help: `Ask for the ${whose}'s password` },
    tls: { type: 'boolean', help: `Use TLS for the ${whose}` },
    cacert: text('FILE', `Certificates to trust for the ${whose}, PEM`),
    cert: text('FILE', `Client certificate for the ${whose}, PEM`),
    key: text('FILE', 'Key of that certificate, PEM'),
    sni: text('NAME', `Server name of the ${whose} for TLS`),
    insecure: { type: 'boolean', help: `Do not verify the ${whose}'s certificate` },
    map: {
      ...text('FROM=TO', `Where to reach a node of the ${whose} that announces FROM, repeatable`),
      multiple: true,
    },
  };
  return Object.fromEntries(Object.entries(flags).map(([name, flag]) => [`${prefix}-${name}`, flag]));
}

/** The same as options of the library. */
export function sideOptions(prefix: string, values: FlagValues, io: Io): Promise<ConnectionOptions> {
  const own = Object.fromEntries(
    NAMES.map((name) => [name, values[`${prefix}-${name}`]]).filter(([, value]) => value !== undefined),
  );
  const shared = ['connect-timeout', 'command-timeout'].map((name) => [name, values[name]] as const);
  return connectionOptions({ ...own, ...Object.fromEntries(shared) }, io, spellingOf(prefix));
}

/** How they are spelt where they are read. */
function spellingOf(prefix: string) {
  return {
    prefix: `--${prefix}-`,
    variable: `REDISCLI_${prefix.toUpperCase()}_AUTH`,
    ways: ['pass-file', 'askpass'],
  };
}

/** The option of the library for databases. */
export function databaseOptions(values: FlagValues): { readonly databases?: readonly number[] } {
  const databases = listFlag(values, 'db').map((text) => {
    if (/^\d{1,5}$/.test(text)) return Number(text);
    throw new UsageError(`Not a database: "${text}" (expected a number from 0 up)`);
  });
  return databases.length > 0 ? { databases } : {};
}
