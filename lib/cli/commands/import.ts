import type { FollowOptions, FollowResult, ImportOptions, ImportResult } from '../../index.ts';
import { formatBytes } from '../../model/bytes.ts';
import { confirmKeys } from '../approve.ts';
import type { Command } from '../command.ts';
import { count, seconds } from '../figures.ts';
import { changeFlags, type FlagValues, numberFlag } from '../flags.ts';
import { type Io, UsageError } from '../io.ts';
import type { Outcome } from '../outcome.ts';
import { outlookLines } from '../outlook-view.ts';
import { databaseOptions, sideFlags, sideOptions } from '../side-flags.ts';

export const importCommand: Command<'import'> = {
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
    follow: { type: 'boolean', help: 'Then copy what changes, until it is interrupted' },
    cutover: { type: 'boolean', help: 'The same, but pause writes once all is copied, compare, and end' },
    'cutover-timeout': { type: 'string', value: 'MS', help: 'Pause writes for at most that long (30000)' },
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
    if (values.follow === true || values.cutover === true)
      return runFollow(cluster, from, followOptions(values, wanted), values, io);
    if (values['cutover-timeout'] !== undefined) throw new UsageError('--cutover-timeout needs --cutover');
    const { importKeys } = await import('../../operations/import-keys.ts');
    await confirmKeys('import', values, io, async () =>
      describe(await importKeys(cluster, from, { ...wanted, dryRun: true }), cluster, wanted),
    );
    return imported(await importKeys(cluster, from, wanted), cluster, wanted);
  },
};

function followOptions(
  values: FlagValues,
  { fromCluster, fromReplicas, move, ...wanted }: ImportOptions,
): FollowOptions {
  const name = values.cutover === true ? '--cutover' : '--follow';
  if (!fromCluster) throw new UsageError(`${name} needs --from-cluster: only a cluster can be followed`);
  if (move) throw new UsageError(`${name} and --move exclude each other`);
  if (fromReplicas)
    throw new UsageError(`${name} and --from-replicas exclude each other: changes come from masters`);
  const cutoverTimeout = numberFlag(values, 'cutover-timeout', 1000);
  if (cutoverTimeout !== undefined && values.cutover !== true)
    throw new UsageError('--cutover-timeout needs --cutover');
  return {
    ...wanted,
    cutover: values.cutover === true,
    ...(cutoverTimeout === undefined ? {} : { cutoverTimeout }),
  };
}

async function runFollow(
  cluster: string,
  from: string,
  wanted: FollowOptions,
  values: FlagValues,
  io: Io,
): Promise<Outcome<FollowResult>> {
  const { followKeys } = await import('../../operations/follow-keys.ts');
  const lines = (result: FollowResult): string =>
    `${describe(withoutDeleted(result), cluster, { ...wanted, fromCluster: true })}\n${laterWords(wanted, cluster)}`;
  await confirmKeys('import', values, io, async () =>
    lines(await followKeys(cluster, from, { ...wanted, dryRun: true })),
  );
  return followed(await followKeys(cluster, from, wanted), cluster, wanted, lines);
}

function withoutDeleted(result: FollowResult): ImportResult {
  return { ...result, deleted: 0 };
}

function laterWords({ cutover = false, replace = false }: FollowOptions, cluster: string): string {
  const end = cutover ? 'until writes on the source are paused' : 'until it is interrupted';
  return [
    `  Copy what changes after that, ${end}`,
    ...(replace ? [`  Keys of ${cluster} that the source does not have are deleted`] : []),
  ].join('\n');
}

/** Outcome of `import --cutover`. */
export function followed(
  result: FollowResult,
  cluster: string,
  wanted: FollowOptions,
  planned: (result: FollowResult) => string,
): Outcome<FollowResult> {
  const { cutover, keys, deleted, bytes, elapsedMs } = result;
  const data = {
    ...result,
    cutover: cutover && {
      ...cutover,
      pausedMs: Math.round(cutover.pausedMs),
      pauseLeftMs: Math.round(cutover.pauseLeftMs),
    },
    elapsedMs: Math.round(elapsedMs),
  };
  if (!cutover) return { ok: true, data, text: `${planned(result)}\nNothing was changed` };
  const from = sourceWords(withoutDeleted(result), { ...wanted, fromCluster: true });
  const gone = deleted > 0 ? `, ${deleted} deleted since` : '';
  const text = [
    `Copied ${count(keys, 'key')} (${formatBytes(bytes)}) from ${from}${gone} (${seconds(elapsedMs)})`,
    `Writes on the source are paused. After ${Math.round(cutover.pausedMs)} ms nothing was left to copy; ${count(cutover.compared, 'key')} that changed last compared`,
    `Switch the clients to ${cluster} within ${seconds(cutover.pauseLeftMs)}: then the source takes writes again. To resume them earlier, send CLIENT UNPAUSE to ${cutover.nodes.join(', ')}`,
  ];
  return { ok: true, data, text: text.join('\n') };
}

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

/** Outcome of `import`. */
export function imported(
  result: ImportResult,
  cluster: string,
  wanted: ImportOptions,
): Outcome<ImportResult> {
  const { applied, keys, same, converted, deleted, bytes, elapsedMs } = result;
  const data = { ...result, elapsedMs: Math.round(elapsedMs) };
  if (!applied) return { ok: true, data, text: `${describe(result, cluster, wanted)}\nNothing was changed` };
  const already = same > 0 ? `, ${same} were there already` : '';
  const gone = wanted.move ? `, ${deleted} deleted there` : '';
  const changed = converted > 0 ? `, ${converted} of them converted` : '';
  const text = `Imported ${count(keys, 'key')} (${formatBytes(bytes)}) from ${sourceWords(result, wanted)}${changed}${already}${gone} (${seconds(elapsedMs)})`;
  return { ok: true, data, text };
}
