import { ConnectionError, ReplyError } from '../../resp/index.ts';
import { ClusterError, messageOf } from '../errors.ts';
import { disagreements } from '../findings/findings.ts';
import { type Address, formatAddress, sameAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, reachableMasters, replicasOf } from '../model/view.ts';
import { Account } from '../nodes/account.ts';
import { Connections } from '../nodes/connections.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import { askInfo, databases, type NodeInfo, numberOf } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import { hasStreamOf, isCopy } from '../nodes/replication.ts';
import { requireClosed, requireServing } from '../nodes/requirements.ts';
import { DONE, notReached, waitUntil } from '../nodes/wait-until.ts';
import type { ConnectionOptions } from '../options.ts';
import { settingsOf } from '../settings.ts';

const PAUSE_MS = 100;

/** A standalone server or a cluster that keys are read from. It has connections of its own. */
export interface KeySource {
  readonly address: Address;
  /** `host:port`. */
  readonly name: string;
  readonly context: Context;
  /** The cluster when it was first looked at; undefined for a standalone server. */
  readonly view: ClusterView | undefined;
  /** Reads from replicas. */
  readonly fromReplicas: boolean;
}

/** A node that keys are read from. */
export interface SourceNode {
  readonly address: Address;
  /** The master whose slots it has; undefined for a standalone server. */
  readonly master: NodeRecord | undefined;
  readonly isReplica: boolean;
}

/** The context of work on another cluster or server than that of `parent`, with connections that the caller must close. */
export function contextBeside(parent: Context, options: ConnectionOptions): Context {
  const { agreeTimeout } = parent.settings;
  return {
    ...parent,
    connections: new Connections(options),
    settings: settingsOf({ ...options, agreeTimeout }),
    options,
    account: new Account(),
  };
}

/** Looks at a cluster to read its keys. Rejects unless it is served whole, with no slot open. */
export async function lookAtSource(context: Context, address: Address, what: string): Promise<ClusterView> {
  const view = await lookSettled(context, address);
  requireServing(view, what);
  requireClosed(view, what);
  return view;
}

/**
 * The same once keys were read: waits until it is served whole again, and asks another member if the first does not answer.
 * Rejects with what is wrong if that takes too long.
 */
export async function lookAgain(
  { context, address }: KeySource,
  last: ClusterView,
  what: string,
): Promise<ClusterView> {
  const { connections, settings, signal, emit } = context;
  const members = reachableMasters(last).map((master) => master.address);
  let seeds = [address, ...members.filter((member) => !sameAddress(member, address))];
  const wait = { what: 'the source to be served', timeoutMs: settings.agreeTimeout, pauseMs: PAUSE_MS };
  return waitUntil({ ...wait, signal, emit }, async () => {
    const [seed = address, ...others] = seeds;
    try {
      const view = await look(connections, seed, signal);
      requireServing(view, what);
      requireClosed(view, what);
      const [first] = disagreements(view);
      if (!first) return { done: view };
      return {
        missing: [first.message],
        giveUp: () =>
          new ClusterError('NODES_DISAGREE', first.message, { next: first.next, resumable: 'same-call' }),
      };
    } catch (error) {
      if (signal?.aborted || !(error instanceof ClusterError || isPassing(error))) throw error;
      if (error instanceof ConnectionError || error instanceof ReplyError) seeds = [...others, seed];
      return { missing: [messageOf(error)], giveUp: () => error };
    }
  });
}

function isPassing(error: unknown): error is Error {
  return error instanceof ConnectionError || (error instanceof ReplyError && error.code === 'LOADING');
}

/**
 * The nodes to read: every master with slots, or with `fromReplicas` a replica of each that has all that its master had a moment
 * ago. Rejects with ClusterError `NO_REPLICA` if a master has none.
 */
export async function nodesToRead(source: KeySource, view: ClusterView | undefined): Promise<SourceNode[]> {
  if (!view) return [{ address: source.address, master: undefined, isReplica: false }];
  const masters = reachableMasters(view).filter(({ slots }) => slots.length > 0);
  return inParallel(masters, async (master): Promise<SourceNode> => {
    if (!source.fromReplicas) return { address: master.address, master, isReplica: false };
    return { address: await replicaInSync(source.context, view, master), master, isReplica: true };
  });
}

/** A replica that has all that its master had a moment ago. Rejects with ClusterError `NO_REPLICA` or `NOT_REACHED` if there is none. */
export async function replicaInSync(
  context: Context,
  view: ClusterView,
  master: NodeRecord,
): Promise<Address> {
  const { connections, settings, signal } = context;
  const own = await askInfo(connections, master.address, ['replication']);
  const wanted = numberOf(own, 'master_repl_offset');
  const candidates = replicasOf(view, master.id).filter(({ id }) => view.reports.has(id));
  for (const replica of candidates) {
    const info = await replicationOf(context, replica.address);
    if (!info || !hasStreamOf(info, own) || !(await isCopy(context, view, info, replica, master))) continue;
    const name = formatAddress(replica.address);
    const what = `${name} to have what its master has`;
    await waitUntil({ what, timeoutMs: settings.agreeTimeout, pauseMs: PAUSE_MS, signal }, async () => {
      const offset = numberOf(
        (await replicationOf(context, replica.address)) ?? new Map(),
        'slave_repl_offset',
      );
      if (offset >= wanted) return DONE;
      const missing = [`${wanted - offset} bytes`];
      return { missing, giveUp: (elapsedMs) => notReached(what, elapsedMs, missing, { address: name }) };
    });
    return replica.address;
  }
  const name = formatAddress(master.address);
  throw nodeError('NO_REPLICA', name, `Cannot read from a replica of ${name}: none is in sync with it`, {
    hint: 'Wait until one is, or read from the masters',
    resumable: 'same-call',
  });
}

/** False if a node that was read is a replica that has since been pointed at another master, or may have been: it has shown the keys of that. */
export async function hasKeptMaster(
  context: Context,
  { address, master, isReplica }: SourceNode,
): Promise<boolean> {
  if (!master || !isReplica) return true;
  const [info, own] = await inParallel([address, master.address], (one) => replicationOf(context, one));
  return info !== undefined && own !== undefined && hasStreamOf(info, own);
}

async function replicationOf({ connections }: Context, address: Address): Promise<NodeInfo | undefined> {
  return askInfo(connections, address, ['replication']).catch((error: unknown) => {
    if (isPassing(error)) return undefined;
    throw error;
  });
}

/** The databases of all these nodes that have keys, with how many. */
export async function databasesOf(
  { connections }: Context,
  nodes: readonly SourceNode[],
): Promise<{ readonly db: number; readonly keys: number }[]> {
  const infos = await inParallel(nodes, ({ address }) => askInfo(connections, address, ['keyspace']));
  const sums = new Map<number, number>();
  for (const { db, keys } of infos.flatMap(databases)) sums.set(db, (sums.get(db) ?? 0) + keys);
  return [...sums].sort(([a], [b]) => a - b).map(([db, keys]) => ({ db, keys }));
}
