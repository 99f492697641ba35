import type { ClusterError } from '../errors.ts';
import { takeovers, wordsOnCondition } from '../findings/condition-words.ts';
import { formatAddress } from '../model/address.ts';
import { conditionOf, goneNodes, isGone } from '../model/condition.ts';
import { capitalised } from '../model/lists.ts';
import type { Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { followersOf, topMaster } from '../model/promotion.ts';
import { slotsAre } from '../model/slot.ts';
import {
  type ClusterView,
  nodeName,
  type OpenSlotOfNode,
  openSlotsOf,
  reachableMasters,
  replicasOf,
  slotOwners,
} from '../model/view.ts';
import { askUnveiled } from '../move/set-slot.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { findMarkEvidence } from '../nodes/key-evidence.ts';
import { isStaleEntry } from './stale-entries.ts';

/** Throws if a node that is to be removed does not answer but may be alive. */
export function requireGone(view: ClusterView, leaver: NodeRecord): void {
  if (view.reports.has(leaver.id) || isStaleEntry(view, leaver) || goneNodes(view).includes(leaver.id))
    return;
  const name = nodeName(view, leaver.id);
  const { says, hint, next } = wordsOnCondition(view, leaver.id);
  const isSilent = conditionOf(view, leaver.id).kind === 'silent';
  throw nodeError('NODE_UNREACHABLE', name, `Cannot take ${name} out: it ${says}`, {
    hint,
    next: isSilent
      ? [
          { do: 'wait', when: 'declared-failed' },
          { do: 'retry', options: { force: true }, when: 'gone-for-good' },
        ]
      : next,
  });
}

/**
 * Throws if members import slots from a node that does not answer: FORGET clears that (clusterDelNode). Keys that have arrived would then
 * lie there, and nothing would say that a move of their slot was begun. If another owns it, as a replica that took over, that move can be
 * finished. So can a move to it if another master has keys that arrived: without a mark, the owner would say that there are none. Any other
 * move to it cannot: a warning names those slots.
 */
export async function requireNoMoveWith(
  context: Context,
  view: ClusterView,
  { id }: NodeRecord,
): Promise<void> {
  if (view.reports.has(id)) return;
  const name = nodeName(view, id);
  const open = [...openSlotsOf(view)].map(([slot, items]) => ({
    slot,
    marks: items.filter(({ peer }) => peer === id),
  }));
  const [importing, migrating] = (['importing', 'migrating'] as const).map((wanted) =>
    open.filter(({ marks }) => marks.some(({ direction }) => direction === wanted)),
  );
  if (migrating && migrating.length > 0) {
    if (!context.settings.force) {
      const { holders } = await findMarkEvidence(context, view, askUnveiled);
      requireSettled(
        view,
        id,
        migrating.filter(({ slot }) => holders.has(slot)),
      );
    }
    const slots = migrating.map(({ slot }) => slot);
    const message = `${capitalised(slotsAre(slots))} moving to ${name}: keys that have arrived there are nowhere else, unless a replica of it had them`;
    context.emit({ type: 'warning', node: name, message });
  }
  const owners = slotOwners(view);
  requireSettled(view, id, importing?.filter(({ slot }) => view.reports.has(owners[slot] ?? '')) ?? []);
}

function requireSettled(
  view: ClusterView,
  id: string,
  open: readonly { readonly slot: number; readonly marks: readonly OpenSlotOfNode[] }[],
): void {
  const [first] = open;
  if (!first) return;
  const other = nodeName(view, first.marks[0]?.nodeId ?? '');
  const slots = open.map(({ slot }) => slot);
  throw nodeError(
    'OPEN_SLOT',
    other,
    `Cannot take ${nodeName(view, id)} out: ${slotsAre(slots)} open between it and ${other}`,
    {
      openSlots: slots,
      hint: 'Nothing was changed',
      next: [
        { do: 'fix', cluster: formatAddress(view.seed) },
        { do: 'retry', when: 'after-that' },
      ],
    },
  );
}

/** The error for a node that is to be removed and owns so many slots. */
export function notEmptied(view: ClusterView, leaver: NodeRecord, slots: number): ClusterError {
  const name = nodeName(view, leaver.id);
  const isAlive = view.reports.has(leaver.id);
  const { says, next: cure = [] } = wordsOnCondition(view, leaver.id);
  const condition = conditionOf(view, leaver.id);
  const isLost = isGone(condition);
  const living = replicasOf(view, leaver.id).find(({ id }) => view.reports.has(id));
  const next: readonly Next[] = isAlive
    ? [{ do: 'retry', options: { drain: true } }]
    : living
      ? takeovers(view, living.id, leaver.id)
      : isLost || condition.kind === 'silent'
        ? [{ do: 'rescue', cluster: formatAddress(view.seed) }]
        : cure;
  return nodeError(
    'NODE_NOT_EMPTY',
    name,
    `Node ${name} is not empty: it ${isAlive ? '' : isLost ? 'has failed and ' : `${says}, and `}owns ${slots} slots`,
    { hint: 'Move its slots away first', next },
  );
}

/** Warns of a node that was not reset: started again, it would be a member in its own eyes, and serve old data to clients that ask it. */
export function warnOfMissingReset({ emit }: Context, view: ClusterView, { id }: NodeRecord): void {
  if (view.reports.has(id) || conditionOf(view, id).kind === 'wiped') return;
  const node = nodeName(view, id);
  if (node === id) return;
  const message = `${node} does not answer and was not reset: if it is started again, it still considers itself a member. Reset it then (CLUSTER RESET HARD), or delete its data and nodes.conf before`;
  emit({ type: 'warning', node, message });
}

/**
 * Warns of nodes that follow one that leaves, and do not answer: they could not be told to follow another. Once back, they may hear of
 * that from the owner of their slots, or ask the node that has left for its data, which has none any more.
 */
export function warnOfUntold(
  { emit }: Context,
  view: ClusterView,
  leaver: NodeRecord,
  to: NodeRecord | undefined = leastFollowed(view, leaver),
): void {
  for (const { id, address } of followersOf(view, leaver.id)) {
    if (view.reports.has(id) || conditionOf(view, id).kind === 'wiped') continue;
    const [name, node, target] = [
      nodeName(view, id),
      to && formatAddress(to.address),
      formatAddress(address),
    ];
    const message = `${name} does not answer, and could not be told that its master ${nodeName(view, leaver.id)} has left`;
    const next: Next[] = node ? [{ do: 'replicate', node, target, when: 'answers' }] : [];
    emit({ type: 'warning', node: name, message, next });
  }
}

function leastFollowed(view: ClusterView, { id }: NodeRecord): NodeRecord | undefined {
  const top = topMaster(view, id);
  if (top && top.id !== id) return top;
  const owners = reachableMasters(view).filter((one) => one.id !== id && one.slots.length > 0);
  return owners.toSorted((a, b) => replicasOf(view, a.id).length - replicasOf(view, b.id).length)[0];
}
