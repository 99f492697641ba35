import { unlessAborted } from '../apply/abort.ts';
import { Connections } from '../apply/connections.ts';
import type { Context } from '../apply/context.ts';
import { look } from '../apply/look.ts';
import type { Address, AddressLike } from '../model/address.ts';
import { parseAddress } from '../model/address.ts';
import type { ClusterView } from '../model/view.ts';
import type { ConnectionOptions, OperationOptions } from '../options.ts';

/** A cluster with connections that stay open from one operation to the next. */
export class Cluster implements AsyncDisposable {
  /** The node that is asked first. */
  readonly address: Address;
  readonly connections: Connections;
  readonly options: ConnectionOptions;

  constructor(address: Address, options: ConnectionOptions) {
    this.address = address;
    this.options = options;
    this.connections = new Connections(options);
  }

  /** The cluster as each of its nodes sees it now. */
  view(): Promise<ClusterView> {
    return look(this.connections, this.address);
  }

  /** Ends every connection once the replies under way are there. */
  close(): Promise<void> {
    return this.connections.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Where an operation takes a cluster: the address of any of its nodes, or an open one. */
export type ClusterLike = AddressLike | Cluster;

/**
 * Opens a cluster by the address of one of its nodes. Close it after use, or declare it with `await using`.
 * Rejects with ConnectionError, ReplyError or ClusterError where that node cannot be used.
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

/** The address a cluster is asked at. */
export function seedOf(target: ClusterLike): Address {
  return target instanceof Cluster ? target.address : parseAddress(target);
}

/** Runs an operation on an open cluster, or on one opened for it alone and closed after. */
export async function withContext<Result>(
  target: ClusterLike,
  options: OperationOptions,
  work: (context: Context) => Promise<Result>,
): Promise<Result> {
  options.signal?.throwIfAborted();
  const shared = target instanceof Cluster ? target : undefined;
  const connections = shared?.connections ?? new Connections(options);
  const context: Context = {
    connections,
    options: shared ? { ...options, ...shared.options } : options,
    emit: (event) => options.onEvent?.(event),
    signal: options.signal,
  };
  try {
    return await work(context);
  } finally {
    await (shared ? connections.withdraw(context, options.signal) : connections.close());
  }
}

/** The same for an operation that leaves nothing half done: it ends as soon as the signal aborts, whoever keeps silent. */
export function withReading<Result>(
  target: ClusterLike,
  options: OperationOptions,
  work: (context: Context) => Promise<Result>,
): Promise<Result> {
  return withContext(target, options, async (context) => {
    try {
      return await unlessAborted(work(context), options.signal);
    } catch (error) {
      if (options.signal?.aborted && !(target instanceof Cluster)) context.connections.destroy();
      throw error;
    }
  });
}
