import type { Address, AddressLike } from '../model/address.ts';
import { parseAddress } from '../model/address.ts';
import type { ClusterView } from '../model/view.ts';
import { unlessAborted } from '../nodes/abort.ts';
import { Account } from '../nodes/account.ts';
import { type Between, Connections } from '../nodes/connections.ts';
import type { Context } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import type { ConnectionOptions, OperationOptions } from '../options.ts';
import { settingsOf } from '../settings.ts';

/** A cluster with connections that stay open between operations. */
export class Cluster implements AsyncDisposable {
  /** The node asked first. */
  readonly address: Address;
  /** @internal */
  readonly connections: Connections;

  constructor(address: Address, options: ConnectionOptions);
  /** @internal */
  constructor(address: Address, options: ConnectionOptions, between: Between | undefined);
  constructor(address: Address, options: ConnectionOptions, between?: Between) {
    this.address = address;
    this.connections = new Connections(options, between);
  }

  /** Looks at the cluster as each of its nodes reports it now. */
  view(): Promise<ClusterView> {
    return look(this.connections, this.address);
  }

  /** Closes every connection once the replies due have arrived. */
  close(): Promise<void> {
    return this.connections.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A cluster as operations accept it: the address of any of its nodes, or an open cluster. */
export type ClusterLike = AddressLike | Cluster;

/**
 * Opens a cluster by the address of one of its nodes. Close it after use, or declare it with `await using`.
 * Rejects with a ConnectionError, ReplyError or ClusterError if that node cannot be used.
 */
export async function openCluster(address: AddressLike, options: ConnectionOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(parseAddress(address), options);
  try {
    await cluster.connections.get(cluster.address);
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

/** The address of the node asked first. */
export function seedOf(target: ClusterLike): Address {
  return target instanceof Cluster ? target.address : parseAddress(target);
}

/** Runs an operation on an open cluster, or on one opened for it and closed afterwards. */
export async function withContext<Result>(
  target: ClusterLike,
  options: OperationOptions,
  work: (context: Context) => Promise<Result>,
): Promise<Result> {
  options.signal?.throwIfAborted();
  const shared = target instanceof Cluster ? target : undefined;
  // How an open cluster is reached was settled when it was opened.
  const all = shared ? shared.connections.reaching(options) : options;
  const settings = settingsOf(all);
  const connections = shared?.connections ?? new Connections(options);
  const context: Context = {
    connections,
    settings,
    options: all,
    emit: (event) => options.onEvent?.(event),
    signal: options.signal,
    account: new Account(),
  };
  const { account, signal } = context;
  const noteAbort = (): void => {
    account.abortedAt = performance.now();
  };
  signal?.addEventListener('abort', noteAbort, { once: true });
  try {
    return await work(context);
  } catch (error) {
    if (!account.view && !account.hasBegun)
      throw account.isAfterAbort(error, signal) ? signal?.reason : error;
    // Loaded only by operations that end early.
    const { reportStop } = await import('../nodes/stopping.ts');
    throw await reportStop(context, error);
  } finally {
    signal?.removeEventListener('abort', noteAbort);
    await (shared ? connections.withdraw(context, context.signal) : connections.close());
  }
}

/** The same for an operation that may stop anywhere: it rejects as soon as the signal aborts, even if nodes do not answer. */
export function withReading<Result>(
  target: ClusterLike,
  options: OperationOptions,
  work: (context: Context) => Promise<Result>,
): Promise<Result> {
  return withContext(target, options, async (context) => {
    context.account.onlyLooks = true;
    try {
      return await unlessAborted(work(context), context.signal);
    } catch (error) {
      if (context.signal?.aborted && !(target instanceof Cluster)) context.connections.destroy();
      throw error;
    }
  });
}
