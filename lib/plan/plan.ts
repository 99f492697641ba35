import { formatAddress, hasDefaultBusPort } from '../model/address.ts';
import { formatBytes } from '../model/bytes.ts';
import type { Expectation } from '../model/expectation.ts';
import type { NodeRecord } from '../model/node.ts';
import { formatRanges, type SlotRange } from '../model/slot.ts';

/** A node in a plan. The id is its identity; the address says how to reach it. */
export interface NodeRef {
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  /** Cluster bus port, if it is not the client port + 10000. */
  readonly busPort?: number;
}

/** One thing to do. Every step can be interrupted at any point and repeated. */
export type Step =
  /** ADDSLOTS and SET-CONFIG-EPOCH on a node that knows no other node yet. */
  | {
      readonly type: 'assign-slots';
      readonly node: NodeRef;
      readonly slots: readonly SlotRange[];
      readonly configEpoch: number;
      /** Most slots in one ADDSLOTS. */
      readonly maxSlots: number;
    }
  /** Introduce each of `nodes` to each of `to`, and wait until they agree and, if `serving`, report cluster_state:ok. */
  | {
      readonly type: 'meet';
      readonly nodes: readonly NodeRef[];
      readonly to: readonly NodeRef[];
      readonly serving: boolean;
    }
  /**
   * Introduce each of `nodes` again to those of `members` that do not find it, and wait until all find one another and, if `serving`,
   * report cluster_state:ok; with `isFast`, with a node timeout of two seconds meanwhile.
   */
  | {
      readonly type: 'meet-again';
      readonly nodes: readonly NodeRef[];
      readonly members: readonly NodeRef[];
      readonly serving: boolean;
      readonly isFast?: true;
    }
  /** Copy function libraries from a master to a node that will be a master and lacks them. */
  | {
      readonly type: 'load-functions';
      readonly node: NodeRef;
      readonly from: NodeRef;
      readonly libraries: readonly string[];
      /** Libraries of the node that it loses: those of the same name have other code, and the others are deleted. */
      readonly replaces?: readonly string[];
    }
  /**
   * Make a node a replica. With `isAgain` it is one: it is to ask its master, whichever that is by then, at its present address. With
   * `kept` it leaves another master, once `kept`, which that keeps, has all its data.
   */
  | {
      readonly type: 'replicate';
      readonly replica: NodeRef;
      readonly master: NodeRef;
      readonly isAgain?: true;
      readonly kept?: NodeRef;
    }
  | MoveStep
  /**
   * Close open slots on `node` and settle the keys of them there with `owner`: equal copies are dropped, others stay unless
   * `strayKeys` says otherwise. With `stayOpen`, only set the owner on `node`: a move follows.
   */
  | {
      readonly type: 'close-slots';
      readonly node: NodeRef;
      readonly slots: readonly SlotRange[];
      readonly owner: NodeRef;
      readonly stayOpen?: true;
      readonly strayKeys?: StrayAnswer;
    }
  /** A node takes slots whose owner failed, so that their keys are lost, or whose owner gave them away already. */
  | {
      readonly type: 'take-slots';
      readonly node: NodeRef;
      readonly slots: readonly SlotRange[];
      readonly from: readonly NodeRef[];
      /** True if `from` is alive and gave them away: the end of an interrupted move. */
      readonly isBegun?: true;
    }
  /** A replica replaces its master. */
  | {
      readonly type: 'failover';
      readonly replica: NodeRef;
      readonly master: NodeRef;
      readonly mode: FailoverMode;
    }
  /** Each of `by` forgets the node. `isDead` if it no longer answers. */
  | {
      readonly type: 'forget';
      readonly node: NodeRef;
      readonly by: readonly NodeRef[];
      readonly isDead?: true;
    }
  /** The node forgets the cluster and takes a new id. */
  | { readonly type: 'reset'; readonly node: NodeRef }
  /** Servers are restarted, together as far as they may stop together, and have the data of their masters again. */
  | { readonly type: 'restart'; readonly nodes: readonly RunningNode[] };

/** A node whose server is to be restarted. */
export interface RunningNode extends NodeRef {
  /** Of the server when the plan was made. It has another once it is restarted. */
  readonly runId: string;
}

/**
 * How a replica takes over: `graceful` together with its master, so that no write is lost; `force` by a vote of the other
 * masters; `takeover` without a vote.
 */
export type FailoverMode = 'graceful' | 'force' | 'takeover';

/**
 * What happens to keys on a node that does not own their slot: `bring` sends the owner those that it does not have, `drop` deletes
 * all of them.
 */
export type StrayAnswer = 'bring' | 'drop';

/** The steps of one type. */
export type StepOf<Type extends Step['type']> = Extract<Step, { type: Type }>;

export interface MoveStep {
  readonly type: 'move-slots';
  readonly source: NodeRef;
  readonly target: NodeRef;
  readonly slots: readonly SlotRange[];
  /** True if an interrupted move may have copied keys already: keys on the target are then kept. */
  readonly isResumed?: boolean;
  /** The move was begun: values that the target holds of these slots and that differ from the source's are given up. */
  readonly overwrites?: true;
  /** Content of these slots when the plan was made. */
  readonly content?: MoveContent;
}

/** The content of the slots of a move. */
export interface MoveContent {
  readonly keys: number;
  /** The sum of MEMORY USAGE if every key was measured, else an estimate from the node's average key. */
  readonly bytes: number;
  /** Keys that block both nodes for long and are moved alone. Largest first. */
  readonly bigKeys: readonly BigKey[];
}

export interface BigKey {
  /** As latin1: one char per byte. */
  readonly key: string;
  readonly slot: number;
  /** Bytes by MEMORY USAGE. */
  readonly bytes: number;
  /** Database, if not 0. */
  readonly db?: number;
}

/** What an operation is going to do, as JSON data. */
export interface Plan extends Draft {
  /** Format of the plan; raised when a field changes its meaning or is removed. */
  readonly version: 1;
  /** The nodes when the plan was made, including those that will join. */
  readonly before: readonly PlannedNode[];
}

/** A plan without the nodes it was made for. */
export interface Draft {
  /** The command that made it. */
  readonly operation: string;
  readonly steps: readonly Step[];
  /** Masters that new slot owners are sent to. */
  readonly masters: readonly NodeRef[];
  /** What every member must report once the plan is applied. Without it there is nothing to wait for. */
  readonly expect?: Expectation;
  /** If slots were chosen by load: the load of each node. */
  readonly loads?: PlannedLoads;
  /** Why nodes give or get slots. */
  readonly reasons?: readonly NodeReason[];
  /** If masters were spread: the zones of nodes, as far as they are known. */
  readonly zones?: readonly NodeZone[];
}

/** What a node fails together with. */
export interface NodeZone {
  readonly id: string;
  readonly zone: string;
}

/** Why a plan takes slots from a node or gives it some. */
export interface NodeReason {
  readonly id: string;
  /** One line, for display. */
  readonly text: string;
}

/** The load of masters before and after a plan, as measured when the plan was made. */
export interface PlannedLoads {
  readonly by: 'keys' | 'memory' | 'cpu' | 'network';
  readonly nodes: readonly { readonly id: string; readonly before: number; readonly after: number }[];
}

/** A node when a plan was made. */
export interface PlannedNode extends NodeRef {
  readonly role: 'master' | 'replica';
  /** For a replica: the node id of its master. */
  readonly masterId?: string;
  readonly configEpoch: number;
  readonly slots: readonly SlotRange[];
}

/** Adds the nodes that a draft was made for. */
export function toPlan(draft: Draft, nodes: readonly NodeRecord[]): Plan {
  return { version: 1, ...draft, before: nodes.map(plannedNode) };
}

function plannedNode(node: NodeRecord): PlannedNode {
  const { role, masterId, configEpoch, slots } = node;
  return { ...nodeRef(node), role, ...(masterId === null ? {} : { masterId }), configEpoch, slots };
}

/** The node as a plan refers to it. */
export function nodeRef(node: Pick<NodeRecord, 'id' | 'address'>): NodeRef {
  const { address, id } = node;
  const ref = { id, address: formatAddress(address) };
  return address.busPort === undefined || hasDefaultBusPort(address)
    ? ref
    : { ...ref, busPort: address.busPort };
}

/** A step as a sentence, for display. */
export function describeStep(step: Step): string {
  switch (step.type) {
    case 'assign-slots':
      return `Assign slots ${formatRanges(step.slots)} to ${step.node.address} (config epoch ${step.configEpoch})`;
    case 'meet':
      return `Introduce ${list(step.nodes)} to ${list(step.to) || 'each other'}`;
    case 'meet-again':
      return `Introduce ${list(step.nodes)} again to the members that do not find ${step.nodes.length === 1 ? 'it' : 'them'}${step.isFast ? ', with a short node timeout in the meantime' : ''}`;
    case 'load-functions':
      return describeFunctions(step);
    case 'replicate':
      if (step.isAgain)
        return `Make replica ${step.replica.address} ask its master at ${step.master.address}`;
      if (step.kept)
        return `Move replica ${step.replica.address} to master ${step.master.address} (${step.kept.address} stays with its former master)`;
      return `Make ${step.replica.address} a replica of ${step.master.address}`;
    case 'move-slots':
      return `Move ${counted(step.slots)} from ${step.source.address} to ${step.target.address}: ${formatRanges(step.slots)}${describeContent(step.content)}${step.overwrites ? `, and overwrite what differs on ${step.target.address}` : ''}`;
    case 'close-slots':
      if (step.stayOpen)
        return `Tell ${step.node.address} that ${step.owner.address} owns slots ${formatRanges(step.slots)}`;
      return `Close slots ${formatRanges(step.slots)} on ${step.node.address}: ${step.owner.address} owns them${step.node.id === step.owner.id ? '' : STRAY_KEYS[step.strayKeys ?? 'keep']}`;
    case 'take-slots':
      return `Give slots ${formatRanges(step.slots)} of ${list(step.from) || 'no node'} to ${step.node.address}${describeLoss(step)}`;
    case 'failover':
      return `Fail over from master ${step.master.address} to its replica ${step.replica.address} (${step.mode})`;
    case 'forget':
      return `Forget ${step.node.address} on ${list(step.by)}`;
    case 'reset':
      return `Reset ${step.node.address}`;
    case 'restart':
      return `Restart ${list(step.nodes)}`;
  }
}

function describeFunctions({ node, from, libraries, replaces = [] }: StepOf<'load-functions'>): string {
  const loss = replaces.length === 0 ? '' : `; its own are lost: ${replaces.join(', ')}`;
  const names = libraries.length === 0 ? '' : `: ${libraries.join(', ')}`;
  return `Load the functions of ${from.address} into ${node.address}${names}${loss}`;
}
const STRAY_KEYS: Readonly<Record<StrayAnswer | 'keep', string>> = {
  keep: ', and equal copies of its keys are dropped',
  bring: ', and receives the keys that it lacks',
  drop: ', and all keys of theirs on the other are deleted',
};

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

function counted(slots: readonly SlotRange[]): string {
  const count = slots.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  return `${count} slot${count === 1 ? '' : 's'}`;
}
