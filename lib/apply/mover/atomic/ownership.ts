import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../errors.ts';
import { slotsOf } from '../../../model/node.ts';
import { formatSlots } from '../../../model/slot.ts';
import type { NodeReport } from '../../../model/view.ts';
import { agreeTimeout, nodeError } from '../../context.ts';
import { askNode } from '../../look.ts';
import type { Link } from '../link.ts';
import type { End } from './task.ts';
import { within } from './watch.ts';

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 250;
const REPORT_EVERY_MS = 500;
/** A node that takes longer to say what it owns gives no answer. */
const ANSWER_MS = 5000;

/** Who owns slots, by what both ends say. */
export interface Owned {
  /** The target takes them for its own: no longer in dispute once both say so. */
  readonly byTarget: readonly number[];
  readonly bySource: readonly number[];
}

/**
 * Asks both ends who owns these slots. Rejects with ClusterError `NODE_UNREACHABLE` for an end that gives no answer, and
 * `NODES_DISAGREE` where slots belong to a third node.
 */
export async function askOwners(link: Link, slots: readonly number[], why = ''): Promise<Owned> {
  const [source, target] = await Promise.all([report(link, 'source', why), report(link, 'target', why)]);
  const [atSource, atTarget] = [ownedBy(link.source.id, source), ownedBy(link.target.id, target)];
  const lost = slots.filter((slot) => !atSource.has(slot) && !atTarget.has(slot));
  if (lost.length > 0) {
    throw nodeError(
      'NODES_DISAGREE',
      link.source.address,
      `Cannot move slots ${formatSlots(lost)} from ${link.source.address} to ${link.target.address}: neither of them owns them any more${because(why)}`,
      { hint: 'A failover may have taken place: look at the cluster with redis-trib list, then plan again' },
    );
  }
  return {
    byTarget: slots.filter((slot) => atTarget.has(slot)),
    bySource: slots.filter((slot) => !atTarget.has(slot)),
  };
}

async function report(link: Link, end: End, why: string): Promise<NodeReport> {
  const address = end === 'source' ? link.sourceAddress : link.targetAddress;
  let failure: unknown;
  const answer = await within(
    askNode(link.context.connections, address).catch((error: unknown) => {
      failure = error;
      return undefined;
    }),
    ANSWER_MS,
  );
  if (answer) return answer;
  throw nodeError(
    'NODE_UNREACHABLE',
    link[end].address,
    `Cannot move slots from ${link.source.address} to ${link.target.address}: ` +
      `${link[end].address} ${failure ? messageOf(failure) : `gives no answer within ${ANSWER_MS} ms`}${because(why)}`,
    {
      hint: 'No slot is open. Run the same command again when the node is well, or its replica has taken over',
      resumable: true,
      cause: failure,
    },
  );
}

const because = (why: string): string => (why === '' ? '' : ` (${why})`);

/**
 * Waits until both ends say that the target owns these slots: a server's "success" is not taken as proof.
 * Rejects with ClusterError `NOT_REACHED`, which names the node and the slots, when `agreeTimeout` has passed.
 */
export async function waitUntilOwned(link: Link, slots: readonly number[]): Promise<void> {
  const { context, source, target } = link;
  const started = performance.now();
  let reported = 0;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(1.5 * pauseMs, LONGEST_PAUSE_MS)) {
    const differences = await Promise.all([
      difference(link, 'source', slots),
      difference(link, 'target', slots),
    ]);
    const missing = differences.filter((text) => text !== undefined);
    if (missing.length === 0) return;
    const elapsedMs = performance.now() - started;
    if (elapsedMs >= agreeTimeout(context)) {
      const at = differences[1] === undefined ? source : target;
      throw nodeError(
        'NOT_REACHED',
        at.address,
        `Waited ${Math.round(elapsedMs / 1000)} s until ${target.address} owns the slots that the servers say they have moved: ${missing.join('; ')}`,
        { hint: 'Run the same command again when the nodes named are well', resumable: true },
      );
    }
    if (elapsedMs - reported >= REPORT_EVERY_MS) {
      reported = elapsedMs;
      const what = `${source.address} and ${target.address} to agree who owns the slots`;
      context.emit({ type: 'waiting', what, elapsedMs, missing });
    }
    // Nothing is open, and nothing to be done but to wait.
    context.signal?.throwIfAborted();
    await sleep(pauseMs);
  }
}

async function difference(link: Link, end: End, slots: readonly number[]): Promise<string | undefined> {
  const name = link[end].address;
  try {
    const address = end === 'source' ? link.sourceAddress : link.targetAddress;
    const owned = ownedBy(link.target.id, await askNode(link.context.connections, address));
    const missing = slots.filter((slot) => !owned.has(slot));
    if (missing.length === 0) return undefined;
    return `${name} does not give slots ${formatSlots(missing)} to ${link.target.address}`;
  } catch (error) {
    return `${name} gives no answer: ${messageOf(error)}`;
  }
}

/** The slots that a node gives to the master of this id. */
function ownedBy(id: string, { records }: NodeReport): ReadonlySet<number> {
  return new Set(records.filter((record) => record.id === id).flatMap(slotsOf));
}
