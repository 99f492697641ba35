import { ClusterError, invalidArgument } from '../errors.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import type { ClusterView } from '../model/view.ts';
import { unlessAborted } from '../nodes/abort.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { askClusterDatabases, askInfo, numberOf } from '../nodes/node-info.ts';
import { notAMaster } from '../nodes/requirements.ts';
import { databasesOf, type KeySource, lookAtSource, type SourceNode } from './key-source.ts';

/** Which source to import from. */
export interface SourceOptions {
  readonly move?: boolean;
  readonly fromCluster?: boolean;
  readonly fromReplicas?: boolean;
}

/** A database of the source with its keys, and the database of the cluster that they go to. */
export interface Target {
  readonly db: number;
  readonly keys: number;
  readonly to: number;
}

/**
 * Connects to the source of an import. Rejects with ClusterError `NOT_STANDALONE`, `NOT_A_MASTER` or `INVALID_ARGUMENT`, and for a cluster
 * as `lookAtSource()` does.
 */
export async function openSource(
  context: Context,
  given: AddressLike,
  options: SourceOptions,
): Promise<KeySource> {
  const { move = false, fromCluster = false, fromReplicas = false } = options;
  if (fromReplicas && move)
    throw invalidArgument('Keys cannot be moved from replicas: only masters delete keys');
  if (fromReplicas && !fromCluster) throw invalidArgument('Only a cluster has replicas to import from');
  const address = parseAddress(given);
  const name = formatAddress(address);
  const { connections, signal } = context;
  await unlessAborted(connections.get(address), signal);
  if (fromCluster) {
    const view = await lookAtSource(context, address, importFrom(name));
    return { address, name, context, view, fromReplicas };
  }
  const info = await askInfo(connections, address, ['cluster', 'replication']);
  if (numberOf(info, 'cluster_enabled') === 1) {
    throw nodeError('NOT_STANDALONE', name, `Cannot import from ${name}: it is a node of a cluster`, {
      hint: 'Name a standalone server, or import from its whole cluster',
      next: [
        { do: 'retry', options: { fromCluster: true } },
        { do: 'migrate-slots', node: name, when: 'same-cluster' },
      ],
    });
  }
  if (move && info.get('role') === 'slave') {
    const hint = 'Name its master, or leave the keys where they are';
    throw notAMaster(name, `Cannot move keys from ${name}`, hint);
  }
  return { address, name, context, view: undefined, fromReplicas };
}

/** What a source is read for, as it reads after "Cannot". */
export function importFrom(name: string): string {
  return `import from ${name}`;
}

/** Throws ClusterError `SAME_CLUSTER` if the source is a part of the target. */
export function requireOther({ name, view: source }: KeySource, view: ClusterView): void {
  const ids = new Set(view.nodes.map(({ id }) => id));
  if (!source?.nodes.some(({ id }) => ids.has(id))) return;
  throw nodeError('SAME_CLUSTER', name, `Cannot import from ${name}: it is a node of the same cluster`, {
    hint: 'Nothing was changed. Name a node of another cluster',
  });
}

/** Maps each database of the source to a database of the cluster. Rejects with ClusterError `DATABASES_DIFFER` if it has too few. */
export async function matchDatabases(
  { connections }: Context,
  view: ClusterView,
  from: KeySource,
  nodes: readonly SourceNode[],
  wanted: readonly number[] | undefined,
): Promise<Target[]> {
  const held = await databasesOf(from.context, nodes);
  const chosen = wanted
    ? [...new Set(wanted)].map((db) => held.find((one) => one.db === db) ?? { db, keys: 0 })
    : held;
  const there = (await askClusterDatabases(connections, view.seed)) ?? 1;
  if (chosen.every(({ db }) => db < there)) return chosen.map((one) => ({ ...one, to: one.db }));
  const [only, ...more] = chosen;
  if (only && more.length === 0) return [{ ...only, to: 0 }];
  const list = chosen.map(({ db }) => db).join(', ');
  throw new ClusterError(
    'DATABASES_DIFFER',
    `Cannot import databases ${list} of ${from.name}: the cluster has ${there === 1 ? 'one database' : `${there} databases`}`,
    {
      hint: 'Nothing was changed. Import them one by one: each goes to database 0',
      next: [{ do: 'retry', options: { databases: only?.db ?? 0 } }],
    },
  );
}
