import { estranged } from '../model/acquaintance.ts';
import { expandSlots, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeById, slotOwners } from '../model/view.ts';
import type { NodeRef, Plan, RunningNode, Step, StepOf } from './plan.ts';
import { type Difference, differencesOf } from './plan-differences.ts';
import type { PlanView } from './plan-view.ts';
import { type Trace, traceOf } from './trace.ts';

/** How far a plan has come. */
export interface Standing {
  readonly differences: readonly Difference[];
  /** The part of each step that is not done. */
  readonly left: readonly Step[];
  /** The part of each step that is done. */
  readonly done: readonly Step[];
}

/** Compares a plan with the cluster: what is done, what is left, and what fits neither. Pure. */
export function standingOf(plan: Plan, seen: PlanView): Standing {
  const trace = traceOf(plan);
  const owners = slotOwners(seen.view);
  // How many steps are done, by the first owner of a slot on its way who is its owner now; undefined if it has another.
  const at = trace.stops.map((stops, slot) => stops.find(({ owner }) => owner === owners[slot])?.after);
  const leaving = leavingNow(plan, seen, trace);
  const [left, done]: [Step[], Step[]] = [[], []];
  for (const [index, step] of plan.steps.entries()) {
    const parts =
      step.type === 'failover'
        ? failedOver(plan, index, step, { at, seen, trace })
        : step.type === 'replicate'
          ? follows(plan, index, step, { at, seen, trace })
          : split(step, index, at, seen, trace, leaving);
    if (parts.left) left.push(parts.left);
    if (parts.done) done.push(parts.done);
  }
  return {
    differences: differencesOf(plan, seen, trace, at),
    left,
    done,
  };
}

interface Parts {
  readonly left?: Step;
  readonly done?: Step;
}

function split(
  step: Exclude<Step, StepOf<'failover' | 'replicate'>>,
  index: number,
  at: readonly (number | undefined)[],
  seen: PlanView,
  { stops, newcomers }: Trace,
  leaving: ReadonlySet<string>,
): Parts {
  const { view, otherIds } = seen;
  const whole = (isDone: boolean, isBegun = isDone): Parts => ({
    ...(isDone ? {} : { left: step }),
    ...(isBegun ? { done: step } : {}),
  });
  const knows = (observer: NodeRef, id: string): boolean => isKnownTo(view, observer, id);
  switch (step.type) {
    case 'assign-slots':
    case 'take-slots':
    case 'move-slots': {
      const slots = expandSlots(step.slots);
      // The step does not change the other slots.
      const changed = slots.filter((slot) => stops[slot]?.some(({ after }) => after === index + 1));
      const isDone = (slot: number) => (at[slot] ?? 0) > index;
      const [gone, here] = [changed.filter(isDone), changed.filter((slot) => !isDone(slot))];
      return {
        ...(here.length > 0 ? { left: partOf(step, here) } : {}),
        ...(gone.length > 0 ? { done: partOf(step, gone) } : {}),
      };
    }
    case 'meet': {
      const all = [...step.to, ...step.nodes].filter(({ id }) => !leaving.has(id));
      const pairs = step.nodes.flatMap((node) =>
        all.filter(({ id }) => id !== node.id).map((other) => [knows(other, node.id), knows(node, other.id)]),
      );
      return whole(pairs.flat().every(Boolean), pairs.flat().some(Boolean));
    }
    case 'meet-again': {
      const isFound = step.members.every((member) => {
        const report = view.reports.get(member.id);
        return report && step.nodes.every(({ id }) => id === member.id || !estranged(report, id));
      });
      return whole(isFound);
    }
    case 'load-functions': {
      const present = seen.libraries?.get(step.node.id);
      const all = step.libraries.every((name) => present?.has(name));
      // By name, one that is to be replaced looks like its replacement: it is loaded again until the node is a member.
      const isMember = (view.reports.get(step.node.id)?.records.length ?? 0) > 1;
      return whole(all && (step.replaces === undefined || isMember));
    }
    case 'close-slots': {
      const open = new Set(view.reports.get(step.node.id)?.myself.openSlots.map(({ slot }) => slot));
      return whole(!expandSlots(step.slots).some((slot) => open.has(slot)));
    }
    case 'forget': {
      const isBegun = step.by.length === 0 || isForgotten(step, seen, newcomers);
      return whole(isBegun && !step.by.some((other) => knows(other, step.node.id)), isBegun);
    }
    case 'reset':
      return whole(otherIds.has(step.node.id));
    case 'restart': {
      const nodes = step.nodes.filter((node) => !isRestarted(node, seen));
      const done = step.nodes.filter((node) => isRestarted(node, seen));
      return {
        ...(nodes.length > 0 ? { left: { ...step, nodes } } : {}),
        ...(done.length > 0 ? { done: { ...step, nodes: done } } : {}),
      };
    }
  }
}

/** A step for some of its slots. What was counted in all of them is not what these contain. */
function partOf(step: StepOf<'assign-slots' | 'take-slots' | 'move-slots'>, some: readonly number[]): Step {
  const slots = toRanges(some);
  if (step.type !== 'move-slots' || some.length === expandSlots(step.slots).length) return { ...step, slots };
  const { content: _, ...part } = step;
  return { ...part, slots };
}

function isRestarted({ id, runId }: RunningNode, { runIds }: PlanView): boolean {
  const now = runIds?.get(id);
  return now !== undefined && now !== runId;
}

function isKnownTo(view: ClusterView, observer: NodeRef, id: string): boolean {
  return view.reports.get(observer.id)?.records.some((record) => record.id === id) ?? false;
}

/** True if some node has forgotten another, as a step says. A newcomer without slots may not have met it yet. */
function isForgotten(
  { node, by }: StepOf<'forget'>,
  { view }: PlanView,
  newcomers: ReadonlySet<string>,
): boolean {
  const isJudge = ({ id }: NodeRef): boolean =>
    !newcomers.has(id) || (view.reports.get(id)?.myself.slots.length ?? 0) > 0;
  return by.some((other) => isJudge(other) && !isKnownTo(view, other, node.id));
}

/** Ids of nodes that have begun to leave: newcomers need not know them any more. */
function leavingNow({ steps }: Plan, seen: PlanView, { leavers, newcomers }: Trace): Set<string> {
  const forgotten = steps.flatMap((step) =>
    step.type === 'forget' && isForgotten(step, seen, newcomers) ? [step.node.id] : [],
  );
  return new Set([...forgotten, ...[...leavers].filter((id) => seen.otherIds.has(id))]);
}

interface Findings {
  readonly at: readonly (number | undefined)[];
  readonly seen: PlanView;
  readonly trace: Trace;
}

// A plan that restarts a master lets a replica take its place before, and may bring it back after that: what the roles are does not
// say which of the two has been done. What was restarted does.
function failedOver(
  { before, steps }: Plan,
  index: number,
  step: StepOf<'failover'>,
  { at, seen, trace: { stops } }: Findings,
): Parts {
  const isLater = (place: number): boolean => place > index;
  const restarts = steps.flatMap((one, place) =>
    one.type === 'restart' ? one.nodes.map((node) => ({ node, place })) : [],
  );
  const isOver = restarts.some(
    ({ node, place }) => isLater(place) && node.id === step.master.id && isRestarted(node, seen),
  );
  const isDue = restarts.every(
    ({ node, place }) => isLater(place) || node.id !== step.replica.id || isRestarted(node, seen),
  );
  // One that was a master before, of other slots or of none, says nothing by being one: whose slots these are does.
  const wasMaster = before.some(({ id, role }) => id === step.replica.id && role === 'master');
  const isTaken =
    !wasMaster ||
    restarts.length > 0 ||
    stops.every((all, slot) => !all.some(({ after }) => after === index + 1) || (at[slot] ?? 0) > index);
  const isDone = isOver || (isDue && isTaken && nodeById(seen.view, step.replica.id)?.role === 'master');
  return isDone ? { done: step } : { left: step };
}

// Later steps may let another replica take over from its master, or the node itself, or give the node another master.
function follows(plan: Plan, index: number, step: StepOf<'replicate'>, found: Findings): Parts {
  const { view, copying } = found.seen;
  const now = nodeById(view, step.replica.id);
  const isCopying = copying.has(step.replica.id);
  // It may have taken the place of its master.
  if (step.isAgain) return isCopying ? { left: step } : { done: step };
  const masters = new Set([step.master.id]);
  for (const [place, later] of plan.steps.entries()) {
    if (place <= index) continue;
    if (later.type === 'replicate' && later.replica.id === step.replica.id) {
      if (!masters.has(later.master.id) && later.master.id === now?.masterId) return { done: step };
    }
    if (later.type !== 'failover' || !masters.has(later.master.id)) continue;
    masters.add(later.replica.id);
    if (later.replica.id === step.replica.id && failedOver(plan, place, later, found).done)
      return { done: step };
  }
  const isSet = now?.role === 'replica' && masters.has(now.masterId ?? '');
  // It is barred from taking over until it has copied its new master.
  const wasReplica = plan.before.some(({ id, role }) => id === step.replica.id && role === 'replica');
  const isBarred = wasReplica && now?.flags.includes('nofailover') === true;
  return { ...(isSet && !isCopying && !isBarred ? {} : { left: step }), ...(isSet ? { done: step } : {}) };
}
