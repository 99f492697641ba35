import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { type Address, parseAddress } from '../../model/address.ts';
import type { NodeRecord } from '../../model/node.ts';
import type { NodeReport } from '../../model/view.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { migrateAuth } from '../connections.ts';
import { type Context, nodeError } from '../context.ts';
import { askNode } from '../look.ts';

/** The two ends of a move and what they say of each other. */
export interface Link {
  readonly context: Context;
  readonly source: NodeRef;
  readonly target: NodeRef;
  readonly sourceAddress: Address;
  readonly targetAddress: Address;
  /** The target as the source sees it: where MIGRATE has to connect to. */
  readonly migrateTo: Address;
  /** `AUTH password` or `AUTH2 user password`, as MIGRATE takes it. */
  readonly auth: readonly string[];
  /** Milliseconds: MIGRATE's own timeout argument. */
  readonly timeoutMs: number;
  readonly sourceReport: NodeReport;
  readonly targetReport: NodeReport;
}

const DEFAULT_MIGRATE_TIMEOUT_MS = 10_000;

/** Looks at both ends. Rejects with ClusterError where one is not what the plan took it for. */
export async function openLink(context: Context, source: NodeRef, target: NodeRef): Promise<Link> {
  const [sourceAddress, targetAddress] = [parseAddress(source.address), parseAddress(target.address)];
  const [sourceReport, targetReport] = await Promise.all([
    askNode(context.connections, sourceAddress),
    askNode(context.connections, targetAddress),
  ]);
  requireIdentity(source, sourceReport);
  requireIdentity(target, targetReport);
  const seen = requireKnown(sourceReport, target, source);
  requireKnown(targetReport, source, target);
  if (targetReport.myself.role !== 'master') {
    throw nodeError(
      'NOT_A_MASTER',
      target.address,
      `Cannot move slots to ${target.address}: it is a replica`,
      {
        hint: 'Name its master as the target',
      },
    );
  }
  if (targetReport.info.state !== 'ok') {
    throw nodeError(
      'NOT_REACHED',
      target.address,
      `Cannot move slots to ${target.address}: it says cluster_state:fail`,
      {
        hint: 'See what is wrong with: redis-trib check',
        resumable: true,
      },
    );
  }
  return {
    context,
    source,
    target,
    sourceAddress,
    targetAddress,
    migrateTo: { host: seen.address.host || targetAddress.host, port: seen.address.port },
    auth: migrateAuth(context.options),
    timeoutMs: context.options.migrateTimeout ?? DEFAULT_MIGRATE_TIMEOUT_MS,
    sourceReport,
    targetReport,
  };
}

function requireIdentity(expected: NodeRef, { myself }: NodeReport): void {
  if (myself.id === expected.id) return;
  throw nodeError(
    'NODES_DISAGREE',
    expected.address,
    `Node ${expected.address} is ${myself.id}, not ${expected.id}`,
    {
      hint: 'The cluster has changed since the plan was made: plan again',
    },
  );
}

function requireKnown({ records }: NodeReport, node: NodeRef, by: NodeRef): NodeRecord {
  const record = records.find(({ id }) => id === node.id);
  if (record) return record;
  throw nodeError(
    'NOT_SAME_CLUSTER',
    by.address,
    `Two nodes are not in the same cluster: ${by.address} does not know ${node.address}`,
  );
}

/** Slots that either end had open when the link was made: another run has begun with them. */
export function openAtEitherEnd({ sourceReport, targetReport }: Link): ReadonlySet<number> {
  return new Set(
    [...sourceReport.myself.openSlots, ...targetReport.myself.openSlots].map(({ slot }) => slot),
  );
}

/** Asks the source. Error replies are values. */
export function askSource(link: Link, commands: readonly Command[]): Promise<Reply[]> {
  return link.context.connections.askAll(link.sourceAddress, commands);
}

/** Asks the target. Error replies are values. */
export function askTarget(link: Link, commands: readonly Command[]): Promise<Reply[]> {
  return link.context.connections.askAll(link.targetAddress, commands);
}

/** How many keys the source or the target holds in each of these slots. */
export async function countKeys(
  link: Link,
  end: 'source' | 'target',
  slots: readonly number[],
): Promise<number[]> {
  const replies = await (end === 'source' ? askSource : askTarget)(
    link,
    slots.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', slot]),
  );
  return replies.map((reply) => {
    if (typeof reply === 'number') return reply;
    throw reply instanceof Error
      ? reply
      : new ClusterError('MIGRATE_FAILED', 'COUNTKEYSINSLOT gave no number');
  });
}

/** First error among replies, with the slot it is about, unless `tolerate` says that it means success. */
export function firstRefusal(
  slots: readonly number[],
  replies: readonly Reply[],
  tolerate: (error: ReplyError) => boolean = () => false,
): { slot: number; error: ReplyError } | undefined {
  for (const [index, reply] of replies.entries()) {
    if (reply instanceof ReplyError && !tolerate(reply)) return { slot: slots[index] ?? -1, error: reply };
  }
  return undefined;
}
