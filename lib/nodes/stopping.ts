import { badReply, ClusterError, type MovedSoFar, messageOf, type Resumable, retold } from '../errors.ts';
import type { Stopped } from '../events.ts';
import { type Address, formatAddress, parseAddress } from '../model/address.ts';
import type { Next, NextAct } from '../model/next.ts';
import { countSlots, type NodeRecord, slotsOf } from '../model/node.ts';
import { parseClusterNodes } from '../model/node-lines.ts';
import { slotsAre } from '../model/slot.ts';
import { reachableMasters, replicasOf } from '../model/view.ts';
import type { NodeRef, Step } from '../plan/plan.ts';
import type { Account } from './account.ts';
import type { Context } from './context.ts';
import { inParallel } from './parallel.ts';

/** A lost node must not delay someone who wants to stop. */
const TIMEOUT_MS = 1000;

/**
 * Reports what an operation that ends early has moved, which slots are open and what continues it: in an event, and in the failure to
 * throw, to which it resolves. That is a ClusterError `ABORTED` for the reason of the signal, unless the operation only looks. What failed
 * before the signal aborted stays the failure. What failed after that is told in the words of `ABORTED`: the caller has ended the operation.
 */
export async function reportStop(context: Context, failed: unknown): Promise<unknown> {
  const { account, settings, signal, emit } = context;
  const isAborted =
    signal?.aborted === true && (failed === signal.reason || account.isAfterAbort(failed, signal));
  const failure = isAborted ? signal.reason : failed;
  if (settings.dryRun || !(account.hasBegun || (isAborted && account.view))) return failure;
  const known = failed instanceof ClusterError ? failed : undefined;
  const { moved, open, silent, left } = await lookAtWhatIsDone(context);
  const openSlots = sorted([...open, ...(known?.openSlots ?? [])]);
  const way = wayOn(context, moved, left);
  // Every step is safe to repeat, so another plan can finish this one.
  const isLeft = moved.slots < moved.planned || known?.resumable !== 'no';
  const resumable = isLeft ? way.resumable : 'no';
  const next = (known?.next ?? []).flatMap((one) => [
    isAgain(one) ? { ...one, ...way.next } : one,
    ...restAfter(one, way.next),
  ]);
  if (isLeft && !(known?.next ?? []).some(isAgain)) next.push(way.next);
  const failovers = [...account.promotions];
  const pending = failovers.length > 0 ? { failovers } : {};
  const behind = account.behind ? { behind: account.behind() } : {};
  const end = { moved, openSlots, silent, resumable, next, ...pending, ...behind };
  emit({ type: 'stopped', ...end });
  if (known && failure === failed) return retold(known, end);
  if (!isAborted || account.onlyLooks) return failure;
  if (failed === failure)
    return new ClusterError('ABORTED', abortWords(account, end), { ...end, cause: failure });
  const words = `${abortWords(account, end)}; ${messageOf(failed)}`;
  const { address, hint, keys } = known ?? {};
  return new ClusterError('ABORTED', words, { ...end, address, hint, keys: keys ?? [], cause: failure });
}

/** Also says what a ClusterError has no field for. */
function abortWords(
  account: Account,
  { moved, openSlots, silent, failovers = [] }: Omit<Stopped, 'type'>,
): string {
  const texts = [
    doneWords(account, moved),
    ...(openSlots.length > 0 ? [`${slotsAre(openSlots)} open`] : []),
    ...(silent.length > 0 ? [`${silent.join(', ')} did not answer`] : []),
    ...(failovers.length > 0 ? [`failover to ${failovers.join(', ')} may still happen`] : []),
  ];
  return `Aborted: ${texts.join('; ')}`;
}

function doneWords({ plan, done }: Account, { slots, planned, keys }: MovedSoFar): string {
  const some = keys === 1 ? '1 key' : `${keys} keys`;
  if (planned > 0) return `${slots} of ${planned} slots moved, with ${some}`;
  if (keys > 0) return `${some} copied`;
  if (!plan) return 'nothing moved';
  return `${plan.steps.filter((step) => done.has(step)).length} of ${plan.steps.length} steps done`;
}

const AGAIN: ReadonlySet<NextAct> = new Set(['retry', 'resume', 'retry-rest']);

function isAgain(next: Next): boolean {
  return AGAIN.has(next.do);
}

// A slot of the plan that moves in another way is one less to retry.
function restAfter({ do: act, slots }: Next, again: Next): Next[] {
  if (act !== 'migrate-slots' || again.do !== 'retry-rest' || typeof slots !== 'object') return [];
  const left = Number(again.slots) - countSlots({ slots });
  return left > 0 ? [{ ...again, slots: left, when: 'after-that' }] : [];
}

function wayOn(
  { account: { again, onceMoved, movedBefore, view } }: Context,
  { slots, planned }: MovedSoFar,
  left: number,
): { readonly resumable: Resumable; readonly next: Next } {
  if (onceMoved === 'with-resume' && movedBefore + slots > 0)
    return { resumable: onceMoved, next: { do: 'resume' } };
  if (onceMoved === 'rest' && left < planned) {
    if (left > 0) return { resumable: onceMoved, next: { do: 'retry-rest', slots: left } };
    // Only open slots are left.
    return {
      resumable: onceMoved,
      next: { do: 'fix', ...(view ? { cluster: formatAddress(view.seed) } : {}) },
    };
  }
  return { resumable: 'same-call', next: again ?? { do: 'retry' } };
}

interface Done {
  readonly moved: MovedSoFar;
  /** Slots that it opened and could not close, and those that it found open. */
  readonly open: readonly number[];
  /** Addresses of nodes that did not answer: slots may be open there. */
  readonly silent: readonly string[];
  /** How many slots of the plan have not moved, not counting open ones: the next operation finishes those first. */
  readonly left: number;
}

// Ask the nodes: a command whose answer was lost may have succeeded.
async function lookAtWhatIsDone(context: Context): Promise<Done> {
  const { plan, moved, targets } = context.account;
  const { records, silent, open } = await askForSlots(context);
  if (!plan) return { moved: { ...moved, planned: 0 }, open, silent, left: 0 };
  const owned = new Map(records.map((record) => [record.id, new Set(slotsOf(record))]));
  const isOpen = new Set(open);
  const there = [...targets].filter(([slot, id]) => owned.get(id)?.has(slot)).map(([slot]) => slot);
  const slots = Math.max(moved.slots, there.length);
  const halfway = [...targets.keys()].filter((slot) => isOpen.has(slot) && !there.includes(slot)).length;
  return {
    moved: { ...moved, slots, planned: targets.size },
    open,
    silent,
    left: Math.max(0, targets.size - slots - halfway),
  };
}

interface Slots {
  readonly records: readonly NodeRecord[];
  /** Addresses of the nodes that were asked in vain, except for those that did not answer before either. */
  readonly silent: readonly string[];
  /** Of the nodes that answer as they are now, of the others as they were last seen. */
  readonly open: readonly number[];
}

// Replicas are asked only if their master may not be one any more: only masters have slots to close (`openSlotsOf`).
async function askForSlots(context: Context): Promise<Slots> {
  const { view, plans } = context.account;
  const touched = plans.flatMap(({ steps }) => steps.flatMap(nodesOf)).map(({ address }) => address);
  const masters = view ? reachableMasters(view) : [];
  const first = await askEach(context, [...masters.map(({ address }) => formatAddress(address)), ...touched]);
  const isMaster = new Set([...first.values()].flatMap((one) => (one?.role === 'master' ? [one.id] : [])));
  const successors = view
    ? masters.filter(({ id }) => !isMaster.has(id)).flatMap(({ id }) => replicasOf(view, id))
    : [];
  const later = successors.map(({ address }) => formatAddress(address)).filter((name) => !first.has(name));
  const answers = new Map([...first, ...(await askEach(context, later))]);
  const records = [...answers.values()].filter((record) => record !== undefined);
  const known = new Set(records.map(({ id }) => id));
  const before = view ? [...view.reports.values()].filter(({ myself }) => !known.has(myself.id)) : [];
  const missed = before.filter(({ myself }) => myself.role === 'master');
  const names = new Set([...missed.map(({ address }) => formatAddress(address)), ...touched]);
  return {
    records,
    silent: [...names].filter((name) => answers.has(name) && !answers.get(name)),
    open: [...records, ...missed.map(({ myself }) => myself)]
      .filter(({ role }) => role === 'master')
      .flatMap(({ openSlots }) => openSlots.map(({ slot }) => slot)),
  };
}

async function askEach(
  context: Context,
  names: readonly string[],
): Promise<Map<string, NodeRecord | undefined>> {
  return new Map(
    await inParallel(
      [...new Set(names)],
      async (name): Promise<[string, NodeRecord | undefined]> => [
        name,
        await askMyself(context, parseAddress(name)).catch(() => undefined),
      ],
    ),
  );
}

async function askMyself({ connections }: Context, address: Address): Promise<NodeRecord> {
  const reply = await connections.askSoon(address, ['CLUSTER', 'NODES'], TIMEOUT_MS);
  const myself = parseClusterNodes(String(reply)).find(({ flags }) => flags.includes('myself'));
  if (!myself) throw badReply(`${formatAddress(address)} does not list itself`);
  return myself;
}

// No other step opens or closes a slot.
function nodesOf(step: Step): readonly NodeRef[] {
  switch (step.type) {
    case 'move-slots':
      return [step.source, step.target];
    case 'close-slots':
      return [step.node, step.owner];
    case 'take-slots':
      return [step.node];
    default:
      return [];
  }
}

function sorted(slots: readonly number[]): number[] {
  return [...new Set(slots)].sort((a, b) => a - b);
}
