import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterError } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { type Answers, type Expectation, type Member, type Unmet, unmet } from '../model/expectation.ts';
import { NodeLines } from '../model/node-lines.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import { type NodeReport, parseClusterInfo } from '../model/view.ts';
import { agreeTimeout, type Context } from './context.ts';
import { askNode } from './look.ts';
import { inParallel } from './parallel.ts';

const FIRST_PAUSE_MS = 20;
/** Between two looks of a wait that has only begun, and of one that goes on for long. */
const [LONGEST_PAUSE_MS, LONGEST_PAUSE_LATER_MS] = [50, 250];
const LATER_MS = 10_000;
/** Looking at many nodes keeps them from what they are waited for: it may take a fifth of the time. */
const PAUSE_PER_COST = 4;
const LONGEST_PAUSE_FOR_COST_MS = 500;
/** Where many are not well so few of them are asked, and all when these are well, or after a while. */
const SAMPLE = 12;
const ASK_ALL_MS = 1000;
const REPORT_EVERY_MS = 500;
const REPORTED = 20;

/** Called with what is missing, and with the last answer of each member, as long as something is. */
export type Nudge = (missing: readonly Unmet[], answers: Answers) => Promise<void>;

/**
 * Waits until every member says what is expected of it. Rejects with ClusterError `NOT_REACHED`, which names the nodes
 * and what they say instead, when `agreeTimeout` has passed.
 * `nudge` is to help where time alone will not: to introduce nodes again, for example.
 */
export async function waitForAgreement(
  context: Context,
  expectation: Expectation,
  what: string,
  nudge?: Nudge,
): Promise<void> {
  const { members } = expectation;
  const started = performance.now();
  const answers = new Map<string, NodeReport | Error>();
  // Members that are well already are asked again when all others are too, and then all of them at one time.
  let asked = members;
  let isFull = true;
  let askAllAt = 0;
  let pause = FIRST_PAUSE_MS;
  let reported = 0;
  for (;;) {
    context.signal?.throwIfAborted();
    const lookedAt = performance.now();
    for (const [id, answer] of await askMembers(context, expectation, asked, isFull ? undefined : answers)) {
      answers.set(id, answer);
    }
    const missing = unmet(expectation, answers, asked);
    const now = performance.now();
    const elapsedMs = now - started;
    if (missing.length === 0 && isFull) {
      context.emit({ type: 'agreed', elapsedMs });
      return;
    }
    const costMs = now - lookedAt;
    if (isFull) askAllAt = now + Math.max(ASK_ALL_MS, PAUSE_PER_COST * costMs);
    isFull = missing.length === 0 || now >= askAllAt;
    asked = isFull ? members : sampleOf(asked, missing);
    if (missing.length === 0) continue;
    if (elapsedMs >= agreeTimeout(context)) throw notReached(what, elapsedMs, missing);
    if (elapsedMs - reported >= REPORT_EVERY_MS) {
      reported = elapsedMs;
      context.emit({ type: 'waiting', what, elapsedMs, missing: textsOf(missing, REPORTED) });
    }
    await nudge?.(missing, answers);
    const pauseMs = Math.max(pause, Math.min(PAUSE_PER_COST * costMs, LONGEST_PAUSE_FOR_COST_MS));
    await sleep(pauseMs, undefined, context.signal ? { signal: context.signal } : {}).catch(() => undefined);
    pause = Math.min(pause * 1.5, elapsedMs < LATER_MS ? LONGEST_PAUSE_MS : LONGEST_PAUSE_LATER_MS);
  }
}

/** Some of those that are not well, from all over the cluster. */
function sampleOf(asked: readonly Member[], missing: readonly Unmet[]): readonly Member[] {
  const nodes = new Set(missing.map(({ node }) => node));
  const unwell = asked.filter(({ address }) => nodes.has(address));
  const every = Math.ceil(unwell.length / SAMPLE);
  return unwell.filter((_, index) => index % every === 0);
}

/** True of a node that cannot be well yet, by CLUSTER INFO alone, and cannot be helped by what CLUSTER NODES would tell. */
function lags({ info }: NodeReport, { members, stateOk = true }: Expectation): boolean {
  const { knownNodes, state, slotsAssigned } = info;
  return knownNodes < members.length || (stateOk && state !== 'ok' && slotsAssigned === SLOT_COUNT);
}

/**
 * Asks members. One that lagged by its answer before is asked for CLUSTER INFO first, and only where it does not any more for more:
 * CLUSTER NODES takes a Redis 6.0 a millisecond for some twenty nodes, as it looks at every slot for each.
 * What one node says of another most say alike, so it is read once a round.
 */
async function askMembers(
  { connections, signal }: Context,
  expectation: Expectation,
  asked: readonly Member[],
  before?: Answers,
): Promise<[string, NodeReport | Error][]> {
  const lines = new NodeLines();
  return inParallel(asked, async (member): Promise<[string, NodeReport | Error]> => {
    try {
      const address = parseAddress(member.address);
      const last = before?.get(member.id);
      if (last && !(last instanceof Error) && lags(last, expectation)) {
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
  const shown = missing.slice(0, most).map(({ text }) => text);
  if (missing.length > most) shown.push(`and ${missing.length - most} more differences`);
  return shown;
}

function notReached(what: string, elapsedMs: number, missing: readonly Unmet[]): ClusterError {
  return new ClusterError(
    'NOT_REACHED',
    `Waited ${Math.round(elapsedMs / 1000)} s for ${what}: ${textsOf(missing, 5).join('; ')}`,
    {
      ...(missing[0] ? { address: missing[0].node } : {}),
      hint: missing.some(({ unknown }) => unknown)
        ? 'Nodes must reach one another on the client port and on the cluster bus port (client port + 10000 by default); then run the same command again'
        : 'Run the same command again when the nodes named are well',
      resumable: true,
    },
  );
}
