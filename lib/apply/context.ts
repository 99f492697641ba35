import { ClusterError, type ClusterErrorDetails } from '../errors.ts';
import type { ClusterEvent } from '../events.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { OperationOptions } from '../options.ts';
import type { Connections } from './connections.ts';

/** What every step needs while it runs. */
export interface Context {
  readonly connections: Connections;
  readonly options: OperationOptions;
  readonly emit: (event: ClusterEvent) => void;
  readonly signal: AbortSignal | undefined;
}

/** Milliseconds to wait until the nodes agree. */
export function agreeTimeout({ options }: Context): number {
  return options.agreeTimeout ?? 60_000;
}

/** A ClusterError about one node. */
export function nodeError(
  code: ClusterError['code'],
  address: Address | string,
  message: string,
  details: ClusterErrorDetails = {},
): ClusterError {
  const shown = typeof address === 'string' ? address : formatAddress(address);
  return new ClusterError(code, message, { address: shown, ...details });
}
