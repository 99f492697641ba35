import { formatAddress } from '../model/address.ts';
import { andMore } from '../model/lists.ts';
import type { Advice } from '../model/next.ts';
import type { SlotRange } from '../model/slot.ts';
import type { ClusterView } from '../model/view.ts';

/** A problem found in a cluster. */
export interface Finding extends Advice {
  /**
   * `error`: slots are not served, or nodes disagree. `warning`: the cluster works but is at risk. `info`: worth knowing, and
   * may resolve on its own.
   */
  readonly severity: 'error' | 'warning' | 'info';
  /** Stable: match on this, not on the message. */
  readonly kind: FindingKind;
  readonly message: string;
  /** Addresses, or node ids if the address is unknown. */
  readonly nodes: readonly string[];
  readonly slots?: readonly SlotRange[];
}

export type FindingKind =
  | 'slots-uncovered'
  | 'slot-open'
  | 'slots-contested'
  | 'keys-stray'
  | 'keys-uncounted'
  | 'duplicate-id'
  | 'node-unreachable'
  | 'nodes-disagree'
  | 'state-fail'
  | 'node-failed'
  | 'node-loading'
  | 'node-refuses'
  | 'node-moved'
  | 'node-stranger'
  | 'node-wiped'
  | 'node-silent'
  | 'node-no-address'
  | 'node-bad-address'
  | 'node-in-handshake'
  | 'link-down'
  | 'epoch-collision'
  | 'master-without-replica'
  | 'replica-link-down'
  | 'replica-copying'
  | 'replica-lagging'
  | 'replica-barred'
  | 'replica-mark'
  | 'replica-misdirected'
  | 'replica-of-replica'
  | 'shard-shared'
  | 'same-host'
  | 'same-zone'
  | 'masters-same-host'
  | 'masters-same-zone'
  | 'replicas-same-host'
  | 'replicas-same-zone'
  | 'replicas-uneven'
  | 'master-without-slots'
  | 'cannot-follow'
  | 'settings-differ'
  | 'users-differ'
  | 'functions-differ'
  | 'shards-differ'
  | 'memory-high'
  | 'memory-policy-differs'
  | 'version-differs'
  | 'save-failing'
  | 'writes-refused';

/** Returns a function that names nodes of a view: by address, or by id if the address is unknown. */
export function namesOf(view: ClusterView): (id: string) => string {
  const names = new Map(
    view.nodes.map(({ id, address }) => [id, address.host === '' ? id : formatAddress(address)]),
  );
  return (id) => names.get(id) ?? id;
}

const SHOWN = 5;

/** `a, b and c`, or `a, b, c, d, e and 3 more`. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN);
  const rest = names.length - shown.length;
  if (rest > 0) return `${shown.join(', ')} ${andMore(rest)}`;
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}` : (shown[0] ?? '');
}
