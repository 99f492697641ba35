import type { ConnectionOptions, ImportOptions, ImportResult } from '../../index.ts';
import { formatBytes } from '../../model/bytes.ts';
import { confirmKeys } from '../approve.ts';
import type { Command } from '../command.ts';
import { count, seconds } from '../figures.ts';
import { changeFlags, connectionOptions, type FlagValues, listFlag } from '../flags.ts';
import { type Io, UsageError } from '../io.ts';
import type { Outcome } from '../outcome.ts';

/** Options that say how the source is reached: those for the cluster with `from-` before. */
const SOURCE_FLAGS = ['user', 'pass-file', 'askpass', 'tls', 'cacert', 'cert', 'key', 'sni', 'insecure'];

export const importCommand: Command = {
  name: 'import',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Copy the keys of a standalone server into the cluster',
  details:
    'A key that the cluster has with another value is kept there and told of. Run again, it goes on where it was interrupted.\n' +
    "The source's password is read from REDISCLI_FROM_AUTH.",
  example: '127.0.0.1:7000 --from 127.0.0.1:6379',
  flags: {
    'dry-run': changeFlags['dry-run'],
    'agree-timeout': changeFlags['agree-timeout'],
    yes: changeFlags.yes,
    from: { type: 'string', value: 'HOST:PORT', help: 'The standalone server' },
    db: {
      type: 'string',
      multiple: true,
      value: 'N',
      help: 'Database of the source, repeatable; else all with keys',
    },
    move: { type: 'boolean', help: 'Delete each key on the source once the cluster has it' },
    replace: { type: 'boolean', help: 'Overwrite keys that the cluster has with another value' },
    'from-user': { type: 'string', value: 'NAME', help: 'ACL user of the source' },
    'from-pass-file': { type: 'string', value: 'FILE', help: "Read the source's password from a file" },
    'from-askpass': { type: 'boolean', help: "Ask for the source's password" },
    'from-tls': { type: 'boolean', help: 'Connect to the source by TLS' },
    'from-cacert': { type: 'string', value: 'FILE', help: 'Certificates to trust for the source, PEM' },
    'from-cert': { type: 'string', value: 'FILE', help: 'Client certificate for the source, PEM' },
    'from-key': { type: 'string', value: 'FILE', help: 'Key of that certificate, PEM' },
    'from-sni': { type: 'string', value: 'NAME', help: 'Server name of the source for TLS' },
    'from-insecure': { type: 'boolean', help: "Do not verify the source's certificate" },
  } as NonNullable<Command['flags']>,
  run: async ({ positionals: [cluster = ''], options, values, io }) => {
    const from = values.from;
    if (typeof from !== 'string')
      throw new UsageError('import needs --from HOST:PORT: the standalone server');
    const wanted: ImportOptions = {
      ...options,
      source: await sourceOptions(values, io),
      move: values.move === true,
      replace: values.replace === true,
      ...databasesOf(values),
    };
    const { importKeys } = await import('../../operations/import-keys.ts');
    await confirmKeys('import', values, io, async () =>
      describe(await importKeys(cluster, from, { ...wanted, dryRun: true }), cluster, wanted),
    );
    return imported(await importKeys(cluster, from, wanted), cluster, wanted);
  },
};

function databasesOf(values: FlagValues): Pick<ImportOptions, 'databases'> {
  const databases = listFlag(values, 'db').map((text) => {
    if (/^\d{1,5}$/.test(text)) return Number(text);
    throw new UsageError(`Not a database: "${text}" (expected a number from 0 up)`);
  });
  return databases.length > 0 ? { databases } : {};
}

async function sourceOptions(values: FlagValues, io: Io): Promise<ConnectionOptions> {
  const own = Object.fromEntries(SOURCE_FLAGS.map((name) => [name, values[`from-${name}`]]));
  const timeouts = {
    'connect-timeout': values['connect-timeout'],
    'command-timeout': values['command-timeout'],
  };
  try {
    return await connectionOptions(
      { ...own, ...timeouts },
      { ...io, env: { REDISCLI_AUTH: io.env.REDISCLI_FROM_AUTH } },
    );
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const said = error.message
      .replaceAll(/--(?=[a-z])/g, '--from-')
      .replace('REDISCLI_AUTH', 'REDISCLI_FROM_AUTH');
    throw new UsageError(said);
  }
}

function describe({ source, databases }: ImportResult, cluster: string, wanted: ImportOptions): string {
  if (databases.every(({ keys }) => keys === 0)) return `${source} holds no key to import`;
  const how = wanted.move ? 'Move' : 'Copy';
  const lines = databases.map(
    ({ db, keys, to }) =>
      `  ${how} ${count(keys, 'key')} of database ${db} of ${source} to database ${to} of ${cluster}`,
  );
  return ['To do:', ...lines, ...(wanted.replace ? ['  Keys of the cluster are overwritten'] : [])].join(
    '\n',
  );
}

function imported(result: ImportResult, cluster: string, wanted: ImportOptions): Outcome {
  const { applied, source, keys, same, deleted, bytes, elapsedMs } = result;
  const data = { ...result, elapsedMs: Math.round(elapsedMs) };
  if (!applied) return { ok: true, data, text: `${describe(result, cluster, wanted)}\nNothing was changed` };
  const already = same > 0 ? `, ${same} were there already` : '';
  const gone = wanted.move ? `, ${deleted} deleted there` : '';
  const text = `Imported ${count(keys, 'key')} (${formatBytes(bytes)}) from ${source}${already}${gone} (${seconds(elapsedMs)})`;
  return { ok: true, data, text };
}
