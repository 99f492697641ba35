import { messageOf } from '../../errors.ts';
import { ownerByReports } from '../../model/holders.ts';
import { slotsOf } from '../../model/node.ts';
import { nameSlots } from '../../model/slot.ts';
import type { NodeReport } from '../../model/view.ts';
import { nodeError } from '../../nodes/context.ts';
import { askNode } from '../../nodes/look.ts';
import { DONE, growingPause, type Wait, waitUntil } from '../../nodes/wait-until.ts';
import type { Ends } from '../ends.ts';
import type { End } from './task.ts';
import { whenAnswers, within } from './watch.ts';

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 250;
/** A node that takes longer to report what it owns counts as not answering. */
const ANSWER_MS = 5000;

/** Who owns slots, according to both ends. */
export interface Owned {
  /** The target claims them: settled once both ends report so. */
  readonly byTarget: readonly number[];
  readonly bySource: readonly number[];
}

/**
 * Asks both ends who owns these slots. Rejects with ClusterError `NODE_UNREACHABLE` if an end does not answer, and
 * `NODES_DISAGREE` if a third node owns slots. Rule 30 (docs/moving-slots.md).
 */
export async function askOwners(ends: Ends, slots: readonly number[], why = ''): Promise<Owned> {
  const [source, target] = await Promise.all([report(ends, 'source', why), report(ends, 'target', why)]);
  const [atSource, atTarget] = [ownedBy(ends.source.id, source), ownedBy(ends.target.id, target)];
  const lost = slots.filter((slot) => !atSource.has(slot) && !atTarget.has(slot));
  if (lost.length > 0) {
    const owner = ownerByReports([source, target], lost);
    throw nodeError(
      'NODES_DISAGREE',
      ends.source.address,
      `Cannot move ${nameSlots(lost)} from ${ends.source.address} to ${ends.target.address}: neither owns them any more${because(why)}`,
      {
        hint: `A failover may have taken place${owner === undefined ? '' : `: ${owner} owns them now`}`,
        next: [
          { do: 'list', cluster: ends.source.address },
          { do: 'retry', when: 'after-that' },
        ],
        resumable: 'same-call',
      },
    );
  }
  return {
    byTarget: slots.filter((slot) => atTarget.has(slot)),
    bySource: slots.filter((slot) => !atTarget.has(slot)),
  };
}

async function report(ends: Ends, end: End, why: string): Promise<NodeReport> {
  const address = end === 'source' ? ends.sourceAddress : ends.targetAddress;
  let failure: unknown;
  const answer = await within(
    askNode(ends.context.connections, address).catch((error: unknown) => {
      failure = error;
      return undefined;
    }),
    ANSWER_MS,
  );
  if (answer) return answer;
  throw nodeError(
    'NODE_UNREACHABLE',
    ends[end].address,
    `Cannot move slots from ${ends.source.address} to ${ends.target.address}: ` +
      `${ends[end].address} ${failure ? messageOf(failure) : `does not answer within ${ANSWER_MS} ms`}${because(why)}`,
    {
      hint: 'No slot is open',
      next: [whenAnswers(ends[end].address)],
      resumable: 'same-call',
      cause: failure,
    },
  );
}

const because = (why: string): string => (why === '' ? '' : ` (${why})`);

/**
 * Waits until both ends report that the target owns these slots: a server's "success" is not proof. Rejects with ClusterError
 * `NOT_REACHED`, which names the node and the slots, after `agreeTimeout`. Rule 30 (docs/moving-slots.md).
 */
export async function waitUntilOwned(ends: Ends, slots: readonly number[]): Promise<void> {
  const { context, source, target } = ends;
  const wait: Wait = {
    what: `${source.address} and ${target.address} to agree who owns the slots`,
    timeoutMs: context.settings.agreeTimeout,
    pauseMs: growingPause(FIRST_PAUSE_MS, LONGEST_PAUSE_MS),
    wakeSignal: context.signal,
    emit: context.emit,
  };
  await waitUntil(wait, async () => {
    const differences = await Promise.all([
      difference(ends, 'source', slots),
      difference(ends, 'target', slots),
    ]);
    const missing = differences.filter((text) => text !== undefined);
    if (missing.length === 0) return DONE;
    // Nothing is open, and all that is left is to wait.
    context.signal?.throwIfAborted();
    const at = differences[1] === undefined ? source : target;
    return {
      missing,
      giveUp: (elapsedMs) =>
        nodeError(
          'NOT_REACHED',
          at.address,
          `Waited ${Math.round(elapsedMs / 1000)} s for ${target.address} to own the slots that the servers report as moved: ${missing.join('; ')}`,
          { next: [{ do: 'retry', when: 'healthy' }], resumable: 'same-call' },
        ),
    };
  });
}

async function difference(ends: Ends, end: End, slots: readonly number[]): Promise<string | undefined> {
  const name = ends[end].address;
  try {
    const address = end === 'source' ? ends.sourceAddress : ends.targetAddress;
    const owned = ownedBy(ends.target.id, await askNode(ends.context.connections, address));
    const missing = slots.filter((slot) => !owned.has(slot));
    if (missing.length === 0) return undefined;
    return `${name} does not list ${nameSlots(missing)} as owned by ${ends.target.address}`;
  } catch (error) {
    return `${name} does not answer: ${messageOf(error)}`;
  }
}

/** The slots that a node lists for the master with this id. */
function ownedBy(id: string, { records }: NodeReport): ReadonlySet<number> {
  return new Set(records.filter((record) => record.id === id).flatMap(slotsOf));
}
