import type { ImportOptions, ImportResult } from '../../index.ts';
import { formatBytes } from '../../model/bytes.ts';
import { confirmKeys } from '../approve.ts';
import type { Command } from '../command.ts';
import { count, seconds } from '../figures.ts';
import { changeFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import type { Outcome } from '../outcome.ts';
import { outlookLines } from '../outlook-view.ts';
import { databaseOptions, sideFlags, sideOptions } from '../side-flags.ts';

export const importCommand: Command = {
  name: 'import',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Copy the keys of a standalone server or another cluster into the cluster',
  details:
    'A key that the cluster has with another value is kept and reported. Run it again to continue after an interruption.\n' +
    "The source's password is read from REDISCLI_FROM_AUTH.",
  example: '127.0.0.1:7000 --from 127.0.0.1:6379',
  flags: {
    'dry-run': changeFlags['dry-run'],
    'agree-timeout': changeFlags['agree-timeout'],
    wait: changeFlags.wait,
    force: { type: 'boolean', help: 'Proceed even if another operator is active or slots are open' },
    yes: changeFlags.yes,
    from: { type: 'string', value: 'HOST:PORT', help: 'The standalone server' },
    'from-cluster': {
      type: 'string',
      value: 'HOST:PORT',
      help: 'Instead of that, any node of another cluster',
    },
    'from-replicas': { type: 'boolean', help: 'Read a replica of each of its masters' },
    db: {
      type: 'string',
      multiple: true,
      value: 'N',
      help: 'Database of the source, repeatable (all that have keys)',
    },
    move: { type: 'boolean', help: 'Delete each key on the source once the cluster has it' },
    replace: { type: 'boolean', help: 'Overwrite keys that the cluster has with another value' },
    ...sideFlags('from', 'source'),
  } as NonNullable<Command['flags']>,
  second: (_, values) => ({ address: String(values.from ?? values['from-cluster']), prefix: 'from' }),
  run: async ({ positionals: [cluster = ''], options, values, io }) => {
    const { from = values['from-cluster'] } = values;
    if (typeof from !== 'string')
      throw new UsageError('import needs --from HOST:PORT or --from-cluster HOST:PORT: where the keys are');
    if (values.from !== undefined && values['from-cluster'] !== undefined)
      throw new UsageError('--from and --from-cluster exclude each other');
    const wanted: ImportOptions = {
      ...options,
      source: await sideOptions('from', values, io),
      fromCluster: values['from-cluster'] !== undefined,
      fromReplicas: values['from-replicas'] === true,
      move: values.move === true,
      replace: values.replace === true,
      ...databaseOptions(values),
    };
    const { importKeys } = await import('../../operations/import-keys.ts');
    await confirmKeys('import', values, io, async () =>
      describe(await importKeys(cluster, from, { ...wanted, dryRun: true }), cluster, wanted),
    );
    return imported(await importKeys(cluster, from, wanted), cluster, wanted);
  },
};

function describe(result: ImportResult, cluster: string, wanted: ImportOptions): string {
  const { databases } = result;
  const source = sourceWords(result, wanted);
  if (databases.every(({ keys }) => keys === 0)) return `There is no key to import on ${source}`;
  const how = wanted.move ? 'Move' : 'Copy';
  const lines = databases.map(
    ({ db, keys, to }) =>
      `  ${how} ${count(keys, 'key')} of database ${db} of ${source} to database ${to} of ${cluster}`,
  );
  return [
    'To do:',
    ...lines,
    ...outlookLines(result),
    ...(wanted.replace ? ['  Keys of the cluster are overwritten'] : []),
  ].join('\n');
}

function sourceWords({ source, nodes }: ImportResult, { fromCluster, fromReplicas }: ImportOptions): string {
  if (!fromCluster) return source;
  return `the cluster of ${source} (${count(nodes.length, fromReplicas ? 'replica' : 'master')})`;
}

function imported(result: ImportResult, cluster: string, wanted: ImportOptions): Outcome {
  const { applied, keys, same, converted, deleted, bytes, elapsedMs } = result;
  const data = { ...result, elapsedMs: Math.round(elapsedMs) };
  if (!applied) return { ok: true, data, text: `${describe(result, cluster, wanted)}\nNothing was changed` };
  const already = same > 0 ? `, ${same} were there already` : '';
  const gone = wanted.move ? `, ${deleted} deleted there` : '';
  const changed = converted > 0 ? `, ${converted} of them converted` : '';
  const text = `Imported ${count(keys, 'key')} (${formatBytes(bytes)}) from ${sourceWords(result, wanted)}${changed}${already}${gone} (${seconds(elapsedMs)})`;
  return { ok: true, data, text };
}
