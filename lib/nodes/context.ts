import { ClusterError, type ClusterErrorDetails } from '../errors.ts';
import type { ClusterEvent } from '../events.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { OperationOptions } from '../options.ts';
import type { Settings } from '../settings.ts';
import { eitherSignal } from './abort.ts';
import type { Account } from './account.ts';
import type { Connections } from './connections.ts';

/** What every step needs while it runs. */
export interface Context {
  readonly connections: Connections;
  /** The options that have a default, filled in. */
  readonly settings: Settings;
  /** The options that have none. */
  readonly options: Pick<OperationOptions, 'username' | 'password' | 'family' | 'approve' | 'restartServer'>;
  readonly emit: (event: ClusterEvent) => void;
  /** The only signal that stops this work. */
  readonly signal: AbortSignal | undefined;
  readonly account: Account;
}

/** A context for work that also stops when this signal aborts: moves in parallel stop together. */
export function stoppedBy(context: Context, stop: AbortSignal): Context {
  return { ...context, signal: eitherSignal(context.signal, stop) };
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
