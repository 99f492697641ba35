import type { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import {
  type Answers,
  failedReplicas,
  type Member,
  type RoleExpectation,
  type Unmet,
  unmet,
} from '../model/expectation.ts';
import { shorten } from '../model/lists.ts';
import { NodeLines } from '../model/node-lines.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import { type NodeReport, parseClusterInfo } from '../model/view.ts';
import type { Context } from './context.ts';
import { askNode } from './look.ts';
import { inParallel } from './parallel.ts';
import { DONE, notReached, waitUntil } from './wait-until.ts';

const FIRST_PAUSE_MS = 20;
/** The longest pause between two looks, at first and after a long wait. */
const [LONGEST_PAUSE_MS, LONGEST_PAUSE_LATER_MS] = [50, 250];
const LATER_MS = 10_000;
/** Looking at many nodes delays what they are working on: it may take a fifth of the time. */
const PAUSE_PER_COST = 4;
const LONGEST_PAUSE_FOR_COST_MS = 500;
/** If many members are behind, ask only this many of them, and all once these are settled or some time has passed. */
const SAMPLE = 12;
const ASK_ALL_MS = 1000;
const REPORTED = 20;
/** How long replicas are waited for that agree on all but whom they hear. With a shorter time for all, half of that. */
const DOUBT_MS = 10_000;

/** One that did not answer, or hung, a moment ago is not given the time that any command may take. */
const HUNG_MS = 1000;

/** Called with what is missing, and with the last answer of each member, while something is missing. */
export type Nudge = (missing: readonly Unmet[], answers: Answers) => Promise<void>;

/**
 * Waits until every member reports what is expected. Rejects with ClusterError `NOT_REACHED`, which names the nodes and what they
 * report instead, after `agreeTimeout`. Where replicas may doubt others, those that do are only warned about; so are replicas that have
 * failed since (`failedReplicas`). `nudge` helps if waiting alone does not: it may introduce nodes again, for example.
 */
export async function waitForAgreement(
  context: Context,
  expectation: RoleExpectation,
  what: string,
  nudge?: Nudge,
): Promise<void> {
  const { members, replicasMayDoubt } = expectation;
  const { agreeTimeout } = context.settings;
  const doubtMs = replicasMayDoubt ? Math.min(DOUBT_MS, agreeTimeout / 2) : Number.POSITIVE_INFINITY;
  const started = performance.now();
  const answers = new Map<string, NodeReport | Error>();
  // Members that are already settled are asked again once all others are too, and then all at once.
  let asked = members;
  let isFull = true;
  let askAllAt = 0;
  let pause = FIRST_PAUSE_MS;
  let costMs = 0;
  let doubtedSince: number | undefined;
  const pauseMs = (elapsedMs: number): number => {
    const next = Math.max(pause, Math.min(PAUSE_PER_COST * costMs, LONGEST_PAUSE_FOR_COST_MS));
    pause = Math.min(pause * 1.5, elapsedMs < LATER_MS ? LONGEST_PAUSE_MS : LONGEST_PAUSE_LATER_MS);
    return next;
  };
  const wait = {
    what,
    timeoutMs: agreeTimeout,
    pauseMs,
    signal: context.signal,
    emit: context.emit,
  };
  await waitUntil(wait, async () => {
    const lookedAt = performance.now();
    for (const [id, answer] of await askMembers(context, expectation, asked, { answers, isFull })) {
      answers.set(id, answer);
    }
    const failed = failedReplicas(expectation, answers);
    const stays = (member: Member): boolean => !failed.includes(member);
    const missing = unmet({ ...expectation, members: members.filter(stays) }, answers, asked.filter(stays));
    const now = performance.now();
    doubtedSince = missing.every(({ isDoubt }) => isDoubt) ? (doubtedSince ?? now) : undefined;
    const isDone = missing.length === 0 || (doubtedSince !== undefined && now - doubtedSince >= doubtMs);
    if (isDone && isFull) {
      for (const node of new Set(missing.map((one) => one.node)))
        context.emit({ type: 'warning', node, message: doubtOf(node, missing) });
      for (const { address: node } of failed)
        context.emit({ type: 'warning', node, message: `${node} ${FAILED}` });
      context.emit({ type: 'agreed', elapsedMs: now - started });
      return DONE;
    }
    costMs = now - lookedAt;
    if (isFull) askAllAt = now + Math.max(ASK_ALL_MS, PAUSE_PER_COST * costMs);
    // The others say whether those that do not answer have failed.
    const areSilent = asked.every(({ id }) => answers.get(id) instanceof Error);
    isFull = missing.length === 0 || areSilent || now >= askAllAt;
    asked = isFull ? members : sampleOf(asked, missing);
    if (missing.length === 0) return 'again';
    return {
      missing: textsOf(missing, REPORTED),
      giveUp: (elapsedMs) => doNotAgree(what, elapsedMs, missing),
      nudge: () => nudge?.(missing, answers),
    };
  });
}

/** Some of those that are not settled, from all over the cluster. */
function sampleOf(asked: readonly Member[], missing: readonly Unmet[]): readonly Member[] {
  const nodes = new Set(missing.map(({ node }) => node));
  const unwell = asked.filter(({ address }) => nodes.has(address));
  const every = Math.ceil(unwell.length / SAMPLE);
  return unwell.filter((_, index) => index % every === 0);
}

/** True of a node that CLUSTER INFO alone shows to be unsettled, and that CLUSTER NODES would not help. */
function lags(
  { myself, info }: NodeReport,
  { members, stateOk = true, replicasMayDoubt }: RoleExpectation,
): boolean {
  const { knownNodes, state, slotsAssigned } = info;
  if (knownNodes < members.length) return true;
  if (replicasMayDoubt && myself.role === 'replica') return false;
  return stateOk && state !== 'ok' && slotsAssigned === SLOT_COUNT;
}

/**
 * Asks members. One that lagged in its last answer is asked for CLUSTER INFO first, and for more only once that is as expected:
 * CLUSTER NODES takes a Redis 6.0 a millisecond for some twenty nodes, as it looks at every slot for each.
 * Most nodes report the same about a node, so each distinct line is read once a round.
 */
async function askMembers(
  { connections, signal, account }: Context,
  expectation: RoleExpectation,
  asked: readonly Member[],
  { answers, isFull }: { readonly answers: Answers; readonly isFull: boolean },
): Promise<[string, NodeReport | Error][]> {
  const lines = new NodeLines();
  return inParallel(asked, async (member): Promise<[string, NodeReport | Error]> => {
    try {
      const address = parseAddress(member.address);
      const last = answers.get(member.id);
      if (last instanceof Error || account.hung.has(member.id))
        await connections.askSoon(address, ['PING'], HUNG_MS);
      else if (!isFull && last && lags(last, expectation)) {
        const info = String(await connections.ask(address, ['CLUSTER', 'INFO'], { signal }));
        const now = { ...last, info: parseClusterInfo(info) };
        if (lags(now, expectation)) return [member.id, now];
      }
      return [member.id, await askNode(connections, address, signal, lines)];
    } catch (error) {
      signal?.throwIfAborted();
      return [member.id, error as Error];
    }
  });
}

function textsOf(missing: readonly Unmet[], most: number): string[] {
  return shorten(
    missing.map(({ text }) => text),
    most,
    'difference',
  );
}

function doubtOf(node: string, missing: readonly Unmet[]): string {
  const own = missing.filter((one) => one.node === node);
  return `All members agree, but a replica does not hear the others: ${textsOf(own, 5).join('; ')}`;
}

const FAILED = 'does not answer, and all others consider it failed: it was not waited for';

const REACHABLE =
  'Nodes must reach one another on the client port and on the cluster bus port (client port + 10000 by default)';

function doNotAgree(what: string, elapsedMs: number, missing: readonly Unmet[]): ClusterError {
  const [first] = missing;
  return notReached(what, elapsedMs, textsOf(missing, 5), {
    ...(first ? { address: first.node } : {}),
    ...(missing.some(({ unknown }) => unknown) ? { hint: REACHABLE } : {}),
    // It finds out why, as where nodes announce an address at which they are not reached.
    next: [
      ...(first ? [{ do: 'check', cluster: first.node } as const] : []),
      { do: 'retry', when: 'healthy' },
    ],
  });
}
