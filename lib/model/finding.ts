import { formatAddress } from './address.ts';
import type { SlotRange } from './slot.ts';
import type { ClusterView } from './view.ts';

/** Something about a cluster that is not as it should be. */
export interface Finding {
  /**
   * `error`: slots are not served, or nodes do not agree. `warning`: it works, but not as safely as it should. `info`: worth
   * knowing, and may pass by itself.
   */
  readonly severity: 'error' | 'warning' | 'info';
  /** Stable: match on this, not on the message. */
  readonly kind: FindingKind;
  readonly message: string;
  /** Addresses, or ids where no address is known. */
  readonly nodes: readonly string[];
  readonly slots?: readonly SlotRange[];
  /** What to do next. */
  readonly hint: string;
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
  | 'node-silent'
  | 'node-no-address'
  | 'node-in-handshake'
  | 'link-down'
  | 'epoch-collision'
  | 'master-without-replica'
  | 'replica-link-down'
  | 'replica-copying'
  | 'replica-lagging'
  | 'replica-mark'
  | 'same-host'
  | 'same-zone'
  | 'memory-high'
  | 'memory-policy-differs'
  | 'version-differs'
  | 'save-failing';

/** Names of the nodes of a view for people: addresses, or ids where no address is known. */
export function namesOf(view: ClusterView): (id: string) => string {
  const names = new Map(
    view.nodes.map(({ id, address }) => [id, address.host === '' ? id : formatAddress(address)]),
  );
  return (id) => names.get(id) ?? id;
}

const SHOWN = 5;

/** `a, b and c`; long lists are cut. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN);
  const rest = names.length - shown.length;
  if (rest > 0) return `${shown.join(', ')} and ${rest} more`;
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}` : (shown[0] ?? '');
}
