import { wordsOnCondition } from '../findings/condition-words.ts';
import { formatAddress } from '../model/address.ts';
import { isServing } from '../model/condition.ts';
import type { Advice, Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { inRanges, toRanges } from '../model/slot.ts';
import {
  type ClusterView,
  nodeById,
  nodeName,
  type OpenSlotOfNode,
  openSlotsOf,
  recordSeenBy,
  slotOwners,
  standIn,
} from '../model/view.ts';
import { nodeRef, type Step, type StrayAnswer } from './plan.ts';
import type { Undecided } from './undecided.ts';

type CloseStep = Extract<Step, { type: 'close-slots' }>;
/** Steps that repair slots. */
export type SlotStep = Extract<Step, { type: 'move-slots' | 'close-slots' | 'take-slots' }>;
type Decision = { readonly steps: readonly SlotStep[] } | (Advice & { readonly reason: string });

/** What is known about keys on nodes that do not own their slot, as far as open slots are concerned. */
export interface MarkEvidence {
  /** By slot: ids of the masters that hold keys of it but do not own it. */
  readonly holders: ReadonlyMap<number, readonly string[]>;
  /** `holder owner` by id, of the pairs that `pairsToCompare` names: those that have a key in common in any of these slots. */
  readonly sharesWithOwner?: ReadonlySet<string>;
  /** Slots of which these masters hold one key in all. */
  readonly withOneKey?: ReadonlySet<number>;
  /** By id of a dead target: the master that has taken its place. */
  readonly heirs?: ReadonlyMap<string, string>;
}

/** How open slots are decided on. */
export interface MarkRules {
  /** Slots that no node serves are left out: `planUncovered` decides on those. */
  readonly leavesUnowned?: boolean;
  /**
   * Keys on nodes that do not own their slot are settled with the owner. Otherwise slots with such keys are left undecided, but for the copy
   * by which a move had proven its target when it was cut off (rule 33 in docs/moving-slots.md): the owner has not opened the slot yet.
   */
  readonly settlesKeys?: boolean;
  readonly strayKeys?: StrayAnswer | undefined;
  /** As redis-cli: a slot that only one end has open is closed where it is. Otherwise it is moved, if no key is on the wrong side. */
  readonly closesOneSided?: boolean;
}

/** A mark of a move, from the owner of a slot to another master. */
interface MarkedMove {
  readonly owner: NodeRecord;
  readonly target: NodeRecord;
  /** True if both ends have it open against each other. */
  readonly isMutual: boolean;
  /** The end that has it open alone names a node that its present peer has replaced in a failover. */
  readonly hasFailedOver: boolean;
  readonly isBegun: boolean;
}

/**
 * Closes every open slot. The owner decides, that is the master that claims the slot with the highest config epoch; the
 * number of keys on each side never does. A move is finished if both ends have it open against each other, or one end
 * does and no key is on the side that does not own the slot. Any other open slot is closed, and keys are settled with the
 * owner: a server that restarts with keys of slots that it does not own marks them as importing on its own
 * (verifyClusterConfigWithData). A slot that its owner already gave away goes to the node that is still importing it.
 *
 * Either end may have failed over since. Redis does not replicate open slots, so then only the other end still shows the
 * move, and the peer it names is a replica now. That replica's master was promoted and has the keys, so it stands in. A
 * target that still imports from a failed-over owner may also have marked the slot itself at a restart: then it has copies
 * of keys that the owner still has, which MIGRATE does not leave behind.
 */
export function planOpenSlots(
  view: ClusterView,
  rules: MarkRules,
  evidence: MarkEvidence = { holders: new Map() },
): { readonly steps: readonly SlotStep[]; readonly undecided: readonly Undecided[] } {
  const owners = slotOwners(view);
  const steps: SlotStep[] = [];
  const undecided: Undecided[] = [];
  for (const [slot, items] of openSlotsOf(view)) {
    const decision = decide(view, slot, owners[slot], items, rules, evidence);
    // Slots that no node serves are decided on together.
    const owner = owners[slot];
    const isUnowned = owner === undefined || !isServing(view, owner);
    if (rules.leavesUnowned && isUnowned && 'reason' in decision) continue;
    if ('reason' in decision) undecided.push({ slot, ...decision });
    else steps.push(...decision.steps);
  }
  return { steps, undecided };
}

/** Pairs of masters whose keys tell whether a slot that only the importing one has open was moving when its owner failed over. */
export function pairsToCompare(
  view: ClusterView,
  holders: MarkEvidence['holders'],
): { readonly slot: number; readonly holder: string; readonly owner: string }[] {
  const owners = slotOwners(view);
  return [...openSlotsOf(view)].flatMap(([slot, items]) => {
    const owner = nodeById(view, owners[slot] ?? '');
    const move = owner && view.reports.has(owner.id) ? markedMove(view, owner, items) : undefined;
    if (!move || move.isMutual || move.isBegun || !move.hasFailedOver) return [];
    if (!view.reports.has(move.target.id) || !holders.get(slot)?.includes(move.target.id)) return [];
    return [{ slot, holder: move.target.id, owner: move.owner.id }];
  });
}

function markedMove(
  view: ClusterView,
  owner: NodeRecord,
  items: readonly OpenSlotOfNode[],
  heirs: MarkEvidence['heirs'] = new Map(),
): MarkedMove | undefined {
  const begun = items.find(({ nodeId, direction }) => nodeId === owner.id && direction === 'migrating');
  const importers = items.filter(
    ({ nodeId, direction, peer }) =>
      nodeId !== owner.id && direction === 'importing' && standIn(view, peer)?.id === owner.id,
  );
  const targetId = begun ? begun.peer : importers.length === 1 ? importers[0]?.nodeId : undefined;
  const target = targetId === undefined ? undefined : standIn(view, heirs.get(targetId) ?? targetId);
  if (target?.role !== 'master' || target.id === owner.id) return undefined;
  const importer = importers.find(({ nodeId }) => nodeId === target.id);
  const hasFailedOver = begun ? begun.peer !== target.id : importer?.peer !== owner.id;
  const isMutual =
    begun !== undefined && (importer !== undefined || wasImporting(view, target, owner, begun.slot));
  return { owner, target, isMutual, hasFailedOver, isBegun: begun !== undefined };
}

// A Valkey renames the target of a move when that fails over (clusterUpdateSlotsConfigWith), and the former target keeps its mark as a
// replica. The new one has none if it was not online yet when the slot was opened.
function wasImporting(view: ClusterView, target: NodeRecord, owner: NodeRecord, slot: number): boolean {
  return [...view.reports.values()].some(
    ({ myself }) =>
      myself.role === 'replica' &&
      myself.masterId === target.id &&
      myself.openSlots.some(
        (item) =>
          item.slot === slot && item.direction === 'importing' && standIn(view, item.peer)?.id === owner.id,
      ),
  );
}

/** True if an operator has begun a move, and finishing it brings back no key that the owner does not have. */
function isMove(
  { owner, target, isMutual, hasFailedOver, isBegun }: MarkedMove,
  slot: number,
  { holders, sharesWithOwner }: MarkEvidence,
  { closesOneSided }: MarkRules,
): boolean {
  if (isMutual) return true;
  const hasKeys = holders.get(slot)?.includes(target.id) ?? false;
  if (!hasKeys) return hasFailedOver || !closesOneSided;
  // No server marks a slot as migrating on its own.
  return hasFailedOver && (isBegun || !sharesWithOwner?.has(`${target.id} ${owner.id}`));
}

function decide(
  view: ClusterView,
  slot: number,
  ownerId: string | undefined,
  items: readonly OpenSlotOfNode[],
  rules: MarkRules,
  evidence: MarkEvidence,
): Decision {
  const owner = ownerId === undefined ? undefined : nodeById(view, ownerId);
  if (!owner) return givenAway(view, slot, items) ?? ownedByNobody(view);
  if (!view.reports.has(owner.id)) return silentEnd(view, 'owner', owner);

  const steps: SlotStep[] = [];
  const marked = markedMove(view, owner, items, evidence.heirs);
  if (marked && !view.reports.has(marked.target.id))
    return silentEnd(view, 'target', marked.target, wayTo(view, slot, marked, evidence));
  const target = marked && isMove(marked, slot, evidence, rules) ? marked.target : undefined;
  const importers = items.filter(({ direction }) => direction === 'importing').map(({ nodeId }) => nodeId);
  for (const id of new Set([...importers, target?.id ?? ''])) {
    const node = nodeById(view, id);
    if (node && !sees(view, id, owner, slot)) steps.push({ ...closing(node, owner, slot), stayOpen: true });
  }
  const learning = steps.length;
  if (target) {
    steps.push({
      type: 'move-slots',
      source: nodeRef(owner),
      target: nodeRef(target),
      slots: [[slot, slot]],
      ...(rules.strayKeys === 'drop' ? { overwrites: true } : {}),
    });
  } else if (items.some(({ nodeId, direction }) => nodeId === owner.id && direction === 'migrating')) {
    steps.push(closing(owner, owner, slot));
  }
  const finalOwner = target ?? owner;
  const holding = (evidence.holders.get(slot) ?? []).filter((id) => id !== finalOwner.id);
  const isProof =
    marked?.isBegun === false && evidence.withOneKey?.has(slot) && holding[0] === marked.target.id;
  if (!rules.settlesKeys && holding.length > 0 && !isProof) return notAMove(view, owner, holding);
  const isClosed = steps.length > learning ? finalOwner.id : '';
  for (const id of new Set([...items.map(({ nodeId }) => nodeId), ...holding])) {
    const node = nodeById(view, id);
    if (!node || id === isClosed) continue;
    if (id === owner.id && !items.some(({ nodeId, direction }) => nodeId === id && direction === 'importing'))
      continue;
    steps.push(closing(node, finalOwner, slot, rules.strayKeys));
  }
  return { steps };
}

// A node that imports a slot does not always follow a failover of its source: it takes the former one for the owner, and if that is
// dead, it reports cluster_state:fail and takes no key of any slot. So it has to learn the owner before anything moves.
function sees(view: ClusterView, observer: string, owner: NodeRecord, slot: number): boolean {
  if (observer === owner.id) return true;
  return inRanges(slot, recordSeenBy(view, observer, owner.id)?.slots ?? []);
}

// By their keys, a repair decides on such slots.
function ownedByNobody(view: ClusterView): Decision {
  return {
    reason: 'no master owns them',
    next: [{ do: 'fix', cluster: formatAddress(view.seed) }, ONCE_DONE],
  };
}

function silentEnd(
  view: ClusterView,
  end: 'owner' | 'target',
  { id }: NodeRecord,
  ways: readonly Next[] = [],
): Decision {
  const { says, hint, next = [] } = wordsOnCondition(view, id);
  return { reason: `their ${end} ${nodeName(view, id)} ${says}`, hint, next: [...ways, ...next, ONCE_DONE] };
}

// Another master that holds keys of the slot may have been its replica: it alone has what arrived.
function wayTo(
  view: ClusterView,
  slot: number,
  { owner, target }: MarkedMove,
  { holders }: MarkEvidence,
): Next[] {
  const [heir, ...others] = holders.get(slot) ?? [];
  if (heir === undefined || others.length > 0) return [];
  const open = view.reports.get(owner.id)?.myself.openSlots ?? [];
  const marked = open.filter(({ direction, peer }) => direction === 'migrating' && peer === target.id);
  return [
    {
      do: 'migrate-slots',
      node: nodeName(view, owner.id),
      target: nodeName(view, heir),
      slots: toRanges(marked.map((one) => one.slot)),
      options: { resume: true },
      when: 'took-its-place',
    },
  ];
}

const ONCE_DONE: Next = { do: 'retry', when: 'repaired' };

function notAMove(view: ClusterView, owner: NodeRecord, holding: readonly string[]): Decision {
  const [names, name] = [holding.map((id) => nodeName(view, id)).join(' and '), nodeName(view, owner.id)];
  return {
    reason: `${names} ${holding.length === 1 ? 'has' : 'have'} keys of them, ${name} owns them, and no move of both is under way`,
    hint: 'Such keys may be old copies, of a restart with an old dump for example',
    next: [{ do: 'fix', cluster: name }],
  };
}

// The end of a move that sent SETSLOT NODE to the source first, as the predecessor did. A source gives a slot away only when
// it holds no key of it, so the target has all of them.
function givenAway(view: ClusterView, slot: number, items: readonly OpenSlotOfNode[]): Decision | undefined {
  const [item] = items;
  if (!item || items.length > 1 || item.direction !== 'importing') return undefined;
  const [target, source] = [nodeById(view, item.nodeId), standIn(view, item.peer)];
  const seen = view.reports.get(source?.id ?? '')?.records.find(({ slots }) => inRanges(slot, slots));
  if (target?.role !== 'master' || !source || seen?.id !== target.id) return undefined;
  return {
    steps: [
      {
        type: 'take-slots',
        node: nodeRef(target),
        from: [nodeRef(source)],
        slots: [[slot, slot]],
        isBegun: true,
      },
    ],
  };
}

/** The step that closes a slot on a node, which may be the owner or not. */
export function closing(
  node: NodeRecord,
  owner: NodeRecord,
  slot: number,
  strayKeys?: StrayAnswer,
): CloseStep {
  const step: CloseStep = {
    type: 'close-slots',
    node: nodeRef(node),
    owner: nodeRef(owner),
    slots: [[slot, slot]],
  };
  return strayKeys === undefined || node.id === owner.id ? step : { ...step, strayKeys };
}
