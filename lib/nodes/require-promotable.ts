import { formatAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import {
  followersBelow,
  followersOf,
  promotionBar,
  promotionLoss,
  type ReplicaProgress,
  slotsOfOthers,
} from '../model/promotion.ts';
import { formatSlots } from '../model/slot.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import type { FailoverMode } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';
import { type Hindrance, hindrancesOf, versionWarnings } from './followers.ts';
import { detailsOf } from './inspect.ts';
import { look } from './look.ts';
import { askInfo } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { LINK_MS } from './replication.ts';
import { growingPause, type Wait, waitUntil } from './wait-until.ts';

/**
 * Throws if a replica has nothing to take over: ClusterError `NOT_A_MASTER` if the node that it follows is a replica itself, and
 * `SLOTS_NOT_HELD` if that owns no slots. The first holds old keys, and a takeover would set them against those of the owner;
 * servers elect no replica of the second (clusterHandleSlaveFailover). A takeover needs no election: where a master has lost its slots
 * and is down, its replica may hold the only copy of their keys.
 */
export function requireTakeable(
  view: ClusterView,
  replica: NodeRecord,
  master: NodeRecord,
  mode: FailoverMode,
): void {
  const bar = promotionBar(view, master.id);
  if (!bar || (bar.kind === 'no-slots' && mode === 'takeover' && !view.reports.has(master.id))) return;
  const [node, name] = [nodeName(view, replica.id), nodeName(view, master.id)];
  const cannot = `Cannot fail over to ${node}: its master ${name}`;
  if (bar.kind === 'no-slots') {
    throw nodeError('SLOTS_NOT_HELD', name, `${cannot} owns no slots, so there is nothing to take over`, {
      hint: `${name} serves no keys: it can be restarted or removed without a failover`,
      next: view.reports.has(master.id) ? [] : [{ do: 'replicate', target: node }],
    });
  }
  const top = bar.top && nodeName(view, bar.top.id);
  throw nodeError('NOT_A_MASTER', name, `${cannot} is itself a replica${top ? ` of ${top}` : ''}`, {
    next: [{ do: 'replicate', ...(top ? { node: top } : {}), target: node }],
  });
}

/** Members that answer and are to follow a replica once it has replaced its master: that, and all others that follow it now, also by a chain. */
export function followersAfter(view: ClusterView, replica: NodeRecord, master: NodeRecord): NodeRecord[] {
  return [master, ...followersBelow(view, master.id)].filter(
    ({ id }) => id !== replica.id && view.reports.has(id),
  );
}

/**
 * Rejects with ClusterError `NO_REPLICA` if a node could not follow the new master: that would be left without a copy. Warns
 * instead if the former master is down, as somebody has to serve its slots, and if forced. Only warns about versions: a cluster is
 * upgraded by failing over to newer nodes, and the older ones then follow once they are upgraded too.
 */
export async function requireFollowers(
  context: Context,
  view: ClusterView,
  followers: readonly NodeRecord[],
  replica: NodeRecord,
  mayRefuse = true,
): Promise<void> {
  const [hindrances, warnings] = await Promise.all([
    lastingHindrances(context, view, followers, replica, mayRefuse),
    versionWarnings(context, followers, replica),
  ]);
  for (const warning of warnings) context.emit({ type: 'warning', ...warning });
  const [first] = hindrances;
  if (!first) return;
  const name = formatAddress(replica.address);
  const says = hindrances.map((one) => `${one.node} ${one.says}`).join('; ');
  if (!mayRefuse || context.settings.force) {
    context.emit({ type: 'warning', node: first.node, message: says });
    return;
  }
  const next: Next[] = [
    ...hindrances.flatMap((one) => one.next),
    { do: 'retry', when: 'repaired' },
    { do: 'retry', options: { force: true }, when: 'anyway' },
  ];
  throw nodeError('NO_REPLICA', first.node, `Cannot fail over to ${name}: ${says}`, {
    hint: 'Nothing was changed. It would be left without a replica',
    next,
  });
}

/** Those that are left after a moment: nodes link again within a second after one of them was started. */
async function lastingHindrances(
  context: Context,
  view: ClusterView,
  followers: readonly NodeRecord[],
  replica: NodeRecord,
  mayWait: boolean,
): Promise<Hindrance[]> {
  const { connections, settings, signal, emit } = context;
  const timeoutMs = mayWait && !settings.dryRun ? Math.min(LINK_MS, settings.agreeTimeout) : 0;
  const wait: Wait = { what: 'nodes to be linked', timeoutMs, pauseMs: growingPause(50, 500), signal, emit };
  let seen = view;
  return waitUntil<Hindrance[]>(wait, async () => {
    const found = await hindrancesOf(context, seen, followers, replica);
    if (!found.some(({ isPassing }) => isPassing)) return { done: found };
    return {
      missing: found.map(({ node, says }) => `${node} ${says}`),
      giveUp: () => ({ done: found }),
      nudge: async () => {
        seen = await look(connections, view.seed, signal);
      },
    };
  });
}

/**
 * Rejects with ClusterError `KEYS_IN_DOUBT` if a replica that replaces a master without its consent has copied nothing, or less
 * than another replica that answers. If forced, warns.
 */
export async function requireForemost(
  context: Context,
  view: ClusterView,
  replica: NodeRecord,
  master: NodeRecord,
): Promise<void> {
  const siblings = followersOf(view, master.id).filter(({ id }) => id !== replica.id && view.reports.has(id));
  const progress = await inParallel([replica, ...siblings], (one) =>
    progressOf(context, one).catch(() => undefined),
  );
  const [own, ...others] = progress;
  const loss =
    own &&
    promotionLoss(
      own,
      others.filter((one) => one !== undefined),
    );
  if (!loss) return;
  const [node, name] = [nodeName(view, replica.id), nodeName(view, master.id)];
  const ahead = loss === 'empty' ? undefined : nodeName(view, loss.ahead.id);
  const says = !ahead
    ? `${node} holds no keys and has had no link to its master ${name}`
    : loss !== 'empty' && loss.bytes > 0
      ? `${node} is ${loss.bytes} bytes behind ${ahead}, another replica of ${name}`
      : `${node} holds no keys, but ${ahead}, another replica of ${name}, does`;
  if (context.settings.force) {
    context.emit({ type: 'warning', node, message: says });
    return;
  }
  const hint = ahead
    ? 'Nothing was changed. What only the other has would be lost'
    : `Nothing was changed. What ${name} has would be lost: it would copy the empty node when it comes back`;
  const next: Next[] = [
    ...(ahead
      ? [{ do: 'failover' as const, node: ahead, options: { mode: 'force' } }]
      : [{ do: 'start-node' as const, node: name }]),
    { do: 'retry', options: { force: true }, when: ahead ? 'anyway' : 'gone-with-its-keys' },
  ];
  throw nodeError('KEYS_IN_DOUBT', node, `Cannot fail over to ${node}: ${says}`, { hint, next });
}

/**
 * Rejects with ClusterError `KEYS_IN_DOUBT` if a replica that replaces a master without its consent would take slots that others serve
 * by now: it has not heard of a failover or a move yet. If forced, warns.
 */
export function requireOwnSlots(
  { emit, settings }: Context,
  view: ClusterView,
  replica: NodeRecord,
  master: NodeRecord,
): void {
  const taken = [...slotsOfOthers(view, replica.id, master.id)];
  const [first] = taken;
  if (!first) return;
  const [node, name, owner] = [
    nodeName(view, replica.id),
    nodeName(view, master.id),
    nodeName(view, first[0]),
  ];
  const whose = taken.map(
    ([id, slots]) => `${formatSlots(slots, 4)}, which ${nodeName(view, id)} owns by now`,
  );
  const says = `${node} would take slots ${whose.join(', and ')}`;
  if (settings.force) {
    emit({ type: 'warning', node, message: says });
    return;
  }
  throw nodeError('KEYS_IN_DOUBT', node, `Cannot fail over to ${node}: ${says}`, {
    hint: `Nothing was changed. ${node} still considers ${name} their owner. What was written to the others would be lost`,
    next: [
      { do: 'check', cluster: owner },
      { do: 'retry', options: { force: true }, when: 'anyway' },
    ],
  });
}

async function progressOf({ connections }: Context, { id, address }: NodeRecord): Promise<ReplicaProgress> {
  const info = await askInfo(connections, address, ['replication', 'keyspace']);
  const { keys, offset, replicationId = formatAddress(address), link } = detailsOf(info);
  return {
    id,
    keys,
    offset,
    replicationId,
    wasLinked: !link || link.status === 'up' || link.downSeconds !== undefined,
  };
}
