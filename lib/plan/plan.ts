import { formatAddress, hasDefaultBusPort } from '../model/address.ts';
import { formatBytes } from '../model/bytes.ts';
import type { Expectation } from '../model/expectation.ts';
import type { NodeRecord } from '../model/node.ts';
import { formatRanges, type SlotRange } from '../model/slot.ts';

/** A node as a plan names it. The id is its identity; the address says where to reach it. */
export interface NodeRef {
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  /** Cluster bus port, where it is not the client port + 10000. */
  readonly busPort?: number;
}

/** One thing to do. Each is safe to repeat and safe to die in the middle of. */
export type Step =
  /** ADDSLOTS on a node that knows nobody yet, and its config epoch. */
  | {
      readonly type: 'assign-slots';
      readonly node: NodeRef;
      readonly slots: readonly SlotRange[];
      readonly configEpoch: number;
      /** Most slots in one ADDSLOTS. */
      readonly maxSlots: number;
    }
  /** Make every one of `nodes` known to every one of `to`, and wait until they agree and, if `serving`, say cluster_state:ok. */
  | {
      readonly type: 'meet';
      readonly nodes: readonly NodeRef[];
      readonly to: readonly NodeRef[];
      readonly serving: boolean;
    }
  /** A node that is to be a master gets the libraries of functions that it lacks, from another master. */
  | {
      readonly type: 'load-functions';
      readonly node: NodeRef;
      readonly from: NodeRef;
      readonly libraries: readonly string[];
    }
  | { readonly type: 'replicate'; readonly replica: NodeRef; readonly master: NodeRef }
  | MoveStep
  /**
   * Close slots that are open on `node`; keys of them that lie there go to `owner`. With `stayOpen` the node is only told
   * the owner, and takes part in a move after.
   */
  | {
      readonly type: 'close-slots';
      readonly node: NodeRef;
      readonly slots: readonly SlotRange[];
      readonly owner: NodeRef;
      readonly stayOpen?: true;
    }
  /** A node takes slots whose owner has failed, the keys being lost, or has given them to it already. */
  | {
      readonly type: 'take-slots';
      readonly node: NodeRef;
      readonly slots: readonly SlotRange[];
      readonly from: readonly NodeRef[];
      /** True where `from` is alive and has given them away: the end of a move that was begun. */
      readonly isBegun?: true;
    }
  /** A replica takes the place of its master. */
  | {
      readonly type: 'failover';
      readonly replica: NodeRef;
      readonly master: NodeRef;
      readonly mode: FailoverMode;
    }
  /** Every one of `by` forgets the node, which may give no answer any more. */
  | {
      readonly type: 'forget';
      readonly node: NodeRef;
      readonly by: readonly NodeRef[];
      readonly isDead?: true;
    }
  /** The node forgets everything and takes a new id. */
  | { readonly type: 'reset'; readonly node: NodeRef };

/**
 * How a replica takes over: `graceful` with the master's consent, and no write lost; `force` without it, by vote of the other
 * masters; `takeover` by its own decision.
 */
export type FailoverMode = 'graceful' | 'force' | 'takeover';

/** The steps of one type. */
export type StepOf<Type extends Step['type']> = Extract<Step, { type: Type }>;

export interface MoveStep {
  readonly type: 'move-slots';
  readonly source: NodeRef;
  readonly target: NodeRef;
  readonly slots: readonly SlotRange[];
  /** True where an earlier move may have brought part of the keys already: what the target holds is kept then. */
  readonly isResumed?: boolean;
  /** What was found in these slots when the plan was made. */
  readonly content?: MoveContent;
}

/** What is in the slots of a move. */
export interface MoveContent {
  readonly keys: number;
  /** The node's data shared out among its keys, unless every key was looked at: then the sum of MEMORY USAGE. */
  readonly bytes: number;
  /** Keys that hold up both nodes for long: they are moved alone. Largest first. */
  readonly bigKeys: readonly BigKey[];
}

export interface BigKey {
  /** Bytes as latin1: one character a byte. */
  readonly key: string;
  readonly slot: number;
  /** Bytes by MEMORY USAGE. */
  readonly bytes: number;
  /** Database, where it is not 0. */
  readonly db?: number;
}

/** What an operation is going to do, as plain data. */
export interface Plan extends Draft {
  /** The form of the plan; raised when a field changes its meaning or goes. */
  readonly version: 1;
  /** The nodes as they were when the plan was made, those that are to join among them. */
  readonly before: readonly PlannedNode[];
}

/** What a planner makes of a request, before it is bound to the cluster it was made for. */
export interface Draft {
  /** The command it was made by. */
  readonly operation: string;
  readonly steps: readonly Step[];
  /** Masters that are told of new slot owners. */
  readonly masters: readonly NodeRef[];
  /** What every member says once the plan is applied; without it nothing is waited for. */
  readonly expect?: Expectation;
  /** Where slots were chosen by their load: what each node carries. */
  readonly loads?: PlannedLoads;
  /** Why nodes give slots or get them. */
  readonly reasons?: readonly NodeReason[];
}

/** Why a plan takes slots from a node, or gives it some. */
export interface NodeReason {
  readonly id: string;
  /** For people, on one line. */
  readonly text: string;
}

/** What masters carry before a plan is applied and after, as it was counted when the plan was made. */
export interface PlannedLoads {
  readonly by: 'keys' | 'memory' | 'cpu' | 'network';
  readonly nodes: readonly { readonly id: string; readonly before: number; readonly after: number }[];
}

/** A node as it was when a plan was made. */
export interface PlannedNode extends NodeRef {
  readonly role: 'master' | 'replica';
  /** The master's node id, of a replica. */
  readonly masterId?: string;
  readonly configEpoch: number;
  readonly slots: readonly SlotRange[];
}

/** Binds a draft to the nodes it was made for. */
export function toPlan(draft: Draft, nodes: readonly NodeRecord[]): Plan {
  return { version: 1, ...draft, before: nodes.map(plannedNode) };
}

function plannedNode(node: NodeRecord): PlannedNode {
  const { role, masterId, configEpoch, slots } = node;
  return { ...nodeRef(node), role, ...(masterId === null ? {} : { masterId }), configEpoch, slots };
}

/** The reference a plan uses for a node. */
export function nodeRef(node: Pick<NodeRecord, 'id' | 'address'>): NodeRef {
  const { address, id } = node;
  const ref = { id, address: formatAddress(address) };
  return address.busPort === undefined || hasDefaultBusPort(address)
    ? ref
    : { ...ref, busPort: address.busPort };
}

/** A step as a sentence, for a dry run. */
export function describeStep(step: Step): string {
  switch (step.type) {
    case 'assign-slots':
      return `Assign slots ${formatRanges(step.slots)} to ${step.node.address} (config epoch ${step.configEpoch})`;
    case 'meet':
      return `Introduce ${list(step.nodes)} to ${list(step.to) || 'one another'}`;
    case 'load-functions':
      return `Load the functions of ${step.from.address} into ${step.node.address}: ${step.libraries.join(', ')}`;
    case 'replicate':
      return `Make ${step.replica.address} a replica of ${step.master.address}`;
    case 'move-slots':
      return `Move ${count(step.slots)} slots from ${step.source.address} to ${step.target.address}: ${formatRanges(step.slots)}${describeContent(step.content)}`;
    case 'close-slots':
      if (step.stayOpen)
        return `Tell ${step.node.address} that ${step.owner.address} owns slots ${formatRanges(step.slots)}`;
      return `Close slots ${formatRanges(step.slots)} on ${step.node.address}: ${step.owner.address} owns them${step.node.id === step.owner.id ? '' : ', and is given their keys'}`;
    case 'take-slots':
      return `Give slots ${formatRanges(step.slots)} of ${list(step.from) || 'nobody'} to ${step.node.address}${describeLoss(step)}`;
    case 'failover':
      return `Let ${step.replica.address} take the place of its master ${step.master.address} (${step.mode})`;
    case 'forget':
      return `Forget ${step.node.address} on ${list(step.by)}`;
    case 'reset':
      return `Reset ${step.node.address}`;
  }
}

function describeLoss({ from, isBegun }: StepOf<'take-slots'>): string {
  return from.length === 0 || isBegun ? '' : `: their keys on ${list(from)} are lost`;
}

function describeContent(content: MoveContent | undefined): string {
  if (!content) return '';
  const { keys, bytes } = content;
  return ` (${keys} key${keys === 1 ? '' : 's'}, ${formatBytes(bytes)})`;
}

function list(nodes: readonly NodeRef[]): string {
  const shown = nodes.slice(0, 6).map((node) => node.address);
  if (nodes.length > shown.length) shown.push(`${nodes.length - shown.length} more`);
  return shown.join(', ');
}

function count(slots: readonly SlotRange[]): number {
  return slots.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}
