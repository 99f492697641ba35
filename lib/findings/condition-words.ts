import { formatAddress } from '../model/address.ts';
import { type Condition, canJudge, conditionOf, misledAbout } from '../model/condition.ts';
import type { NodeDetails } from '../model/details.ts';
import type { Advice, Next } from '../model/next.ts';
import { type ClusterView, type LoadingProgress, nodeById, nodeName, replicasOf } from '../model/view.ts';
import { type Finding, listNames } from './finding.ts';

/** What a node is, as the rest of a sentence that begins with its name, and what to do about it. */
export interface ConditionWords extends Advice {
  readonly says: string;
}

/** What a node that does not answer as itself is in words, and what to do about it. */
export function wordsOnCondition(view: ClusterView, id: string): ConditionWords {
  const condition = conditionOf(view, id);
  return { says: sayOf(condition, view.unreachable.get(id)), ...adviceOn(view, id, condition) };
}

function sayOf(condition: Condition, error: Error | undefined): string {
  const why = error ? `: ${error.message}` : '';
  switch (condition.kind) {
    case 'healthy':
      return 'answers';
    case 'moved':
      return `answers at ${condition.address}, which ${listNames(condition.misled)} ${condition.misled.length === 1 ? 'does' : 'do'} not know`;
    case 'loading':
      return sayLoading(condition);
    case 'refuses-us':
      return `runs, but refuses what it is asked${why}`;
    case 'unreachable-from-here':
      return `cannot be reached from here, but ${condition.linked} of ${condition.masters} masters have a link to it${why}`;
    case 'silent':
      return `does not answer, and no majority of the masters calls it failed${why}`;
    case 'stranger-at-its-address':
      return `does not answer: node ${condition.by} answers at its address ${condition.address}`;
    case 'wiped':
      return condition.address === undefined
        ? 'is gone: most masters met a node with another id at its address'
        : `is gone: the empty node ${condition.by} answers at its address ${condition.address}`;
    case 'dead':
      return `has failed${why}`;
  }
}

function sayLoading({ percent, etaSeconds }: Partial<LoadingProgress>): string {
  const progress = percent === undefined ? '' : `: ${percent} % done, about ${etaSeconds} s left`;
  return `is loading its data from disk${progress}`;
}

function onLoading(node: string): Advice {
  return {
    hint: 'It serves when it has read all its data. A restart would begin from the start',
    next: [{ do: 'wait', node, when: 'answers' }],
  };
}

/** Masters that are loading and yet answer what they are asked about the cluster, as Valkey does. */
export function loadingFindings(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
): Finding[] {
  return [...details].flatMap(([id, one]): Finding[] => {
    if (one instanceof Error || !one.loading || nodeById(view, id)?.role !== 'master') return [];
    const node = nodeName(view, id);
    return [
      {
        severity: 'error',
        kind: 'node-loading',
        message: `${node} ${sayLoading(one.loading)}`,
        nodes: [node],
        ...onLoading(node),
      },
    ];
  });
}

function adviceOn(view: ClusterView, id: string, condition: Condition): Advice {
  const node = nodeName(view, id);
  const cluster = formatAddress(view.seed);
  switch (condition.kind) {
    case 'healthy':
      return {};
    case 'moved':
      return introductions(view, condition.address);
    case 'loading':
      return onLoading(condition.address);
    case 'refuses-us':
      return {
        hint: cureOf(condition.code, view.unreachable.get(id)),
        next: [{ do: 'retry', when: 'repaired' }],
      };
    case 'unreachable-from-here':
      return {
        hint: 'Make it reachable from here. If it has just stopped, the others notice within the node timeout',
        next: [
          { do: 'retry', when: 'repaired' },
          { do: 'wait', when: 'declared-failed' },
        ],
      };
    case 'silent':
      return {
        hint: 'It may only be slow',
        next: [
          { do: 'start-node', node },
          { do: 'rejoin', nodes: [cluster], when: 'moved' },
          ...(mayBeDeclared(view)
            ? [{ do: 'wait' as const, when: 'declared-failed' as const }]
            : unjudged(view, id)),
        ],
      };
    case 'stranger-at-its-address':
      return {
        hint: 'If it does not run, start it at a port of its own',
        next: [{ do: 'rejoin', nodes: [cluster], when: 'moved' }],
      };
    case 'wiped':
      return { next: givingUp(view, id, cluster) };
    case 'dead':
      return {
        next: [
          { do: 'start-node', node },
          { do: 'rejoin', nodes: [cluster], when: 'moved' },
          ...givingUp(view, id, cluster),
        ],
      };
  }
}

// A single master declares a node failed only at the moment at which it begins to suspect it (clusterCron), which may be over.
function mayBeDeclared(view: ClusterView): boolean {
  const owners = view.nodes.filter(({ role, slots }) => role === 'master' && slots.length > 0);
  return canJudge(view) && owners.length !== 1;
}

// Nobody is left to declare the node failed: waiting for that would never end.
function unjudged(view: ClusterView, id: string): Next[] {
  const cluster = formatAddress(view.seed);
  if (!ownsSlots(view, id))
    return [{ do: 'del-node', cluster, node: id, options: { force: true }, when: 'gone-for-good' }];
  const replica = replicasOf(view, id).find((one) => view.reports.has(one.id));
  if (replica) return takeovers(view, replica.id, id);
  return [
    {
      do: 'fix',
      cluster,
      options: { withUnreachableMasters: true, force: true },
      when: 'gone-with-its-keys',
    },
  ];
}

function introductions(view: ClusterView, address: string): Advice {
  return {
    hint: 'Clients that ask these members are sent to the wrong place',
    next: [rejoining(view, [address])],
  };
}

/** Introducing these nodes again, as far as they answer, and all others that some members do not find, in one call. */
export function rejoining(view: ClusterView, nodes: readonly string[]): Next {
  const misled = misledAbout(view);
  const named = [...view.reports].flatMap(([id, report]) => {
    const address = formatAddress(report.address);
    return misled.has(id) || nodes.includes(address) ? [address] : [];
  });
  return { do: 'rejoin', nodes: [...new Set([formatAddress(view.seed), ...named])] };
}

/** What is known of a master that its cluster has forgotten, as part of a sentence. */
export const UNLISTED =
  'a node that no member lists sends packets to the members: it may be a master that they have forgotten, and serve these slots';

/** Introducing a node that all others have forgotten, if there is one: only an operator can name it. */
export function introducing(cluster: string): Next {
  return { do: 'rejoin', nodes: [cluster], when: 'forgotten' };
}

/** What to do about nodes that settle something by what they hear from one another, if they do not. */
export function ifUnsettled(view: ClusterView, nodes: readonly string[]): Next[] {
  return [{ ...rejoining(view, nodes), when: 'stays' }];
}

function cureOf(code: string, error: Error | undefined): string {
  switch (code) {
    case 'NOAUTH':
      return 'It asks for a password: give one that every node accepts';
    case 'WRONGPASS':
      return 'It does not know this user, or has another password for it: give every node the same users and passwords';
    case 'NOPERM':
      return 'Give the user the same rights on this node as on the others';
    case 'TLS':
      return 'On this port it does not speak what the others do: use TLS on all nodes, or on none';
    case 'NOT_CLUSTER_ENABLED':
      return 'If it is the node, restart it with "cluster-enabled yes": it has its slots and keys. If it is another server, give that one a port of its own, and start the node again';
    default:
      return error?.message.includes('max number of clients')
        ? 'It has no room for more connections: close some, or raise its maxclients'
        : 'Resolve what it reports';
  }
}

/** What to do about a node that is gone, by what it leaves behind. */
function givingUp(view: ClusterView, id: string, cluster: string): Next[] {
  if (!ownsSlots(view, id)) return [{ do: 'del-node', cluster, node: id, when: 'gone-for-good' }];
  const replica = replicasOf(view, id).find((one) => view.reports.has(one.id));
  if (replica) return takeovers(view, replica.id, id);
  return [
    { do: 'rescue', cluster, when: 'gone-with-its-keys' },
    { do: 'fix', cluster, options: { withUnreachableMasters: true }, when: 'gone-with-its-keys' },
  ];
}

function ownsSlots({ reports }: ClusterView, id: string): boolean {
  return [...reports.values()].some(({ records }) =>
    records.some((record) => record.id === id && record.slots.length > 0),
  );
}

/** How a replica takes its master's slots: by a vote, which masters give only to replicas of a master that they know. */
export function takeovers(view: ClusterView, replicaId: string, masterId: string): Next[] {
  const node = nodeName(view, replicaId);
  const slots = nodeById(view, masterId)?.slots.length ?? 0;
  const voters = [...view.reports.values()].filter(
    ({ myself }) => myself.role === 'master' && myself.slots.length > 0,
  );
  const knowing = voters.filter(({ records }) =>
    records.some((one) => one.id === masterId && one.slots.length > 0),
  );
  if (slots === 0 || 2 * knowing.length <= voters.length)
    return [{ do: 'failover', node, options: { mode: 'takeover' } }];
  return [
    { do: 'failover', node, options: { mode: 'force' } },
    { do: 'failover', node, options: { mode: 'takeover' }, when: 'too-few-masters-to-vote' },
  ];
}
