import { conditionOf } from '../model/condition.ts';
import { bytesBehind, isLinked, type NodeDetails } from '../model/details.ts';
import { type Metric, type MetricSample, upMetric } from '../model/metric.ts';
import { countSlots, type NodeRecord } from '../model/node.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import { type ClusterView, nodeById, replicasOf } from '../model/view.ts';
import { type Finding, type FindingKind, namesOf } from './finding.ts';
import { uncoveredSlots } from './findings.ts';

/** What a look at a cluster has found. */
interface Look {
  readonly view: ClusterView;
  readonly findings: readonly Finding[];
  readonly details: ReadonlyMap<string, NodeDetails | Error>;
  readonly elapsedMs: number;
}

/** A node that one of these findings names disagrees with others. */
const DISAGREEING: readonly FindingKind[] = [
  'nodes-disagree',
  'slots-contested',
  'node-moved',
  'node-in-handshake',
  'node-no-address',
  'node-bad-address',
  'duplicate-id',
  'epoch-collision',
  'link-down',
];
const SEVERITIES = ['error', 'warning', 'info'] as const;

/**
 * The state of a cluster as gauges: agreement, coverage, placement and findings, which cannot be seen by asking a single node.
 * Figures of single nodes are left to an exporter on each.
 */
export function metricsOf({ view, findings, details, elapsedMs }: Look): Metric[] {
  const nameOf = namesOf(view);
  const node = ({ id }: NodeRecord): string => nameOf(id);
  const masters = view.nodes.filter(({ role }) => role === 'master');
  const unserved = uncoveredSlots(view).length;
  const disagreeing = new Set(
    findings.filter(({ kind }) => DISAGREEING.includes(kind)).flatMap(({ nodes }) => nodes),
  );
  return [
    upMetric(true),
    gauge('healthy', '1 if no finding is an error', [[{}, hasError(findings) ? 0 : 1]]),
    gauge(
      'problems',
      'Findings by severity',
      SEVERITIES.map((severity) => [
        { severity },
        findings.filter((finding) => finding.severity === severity).length,
      ]),
    ),
    gauge('findings', 'Findings by kind, of the kinds that there are', byKind(findings)),
    gauge('slots', 'Slots by whether a node serves them', [
      [{ state: 'served' }, SLOT_COUNT - unserved],
      [{ state: 'unserved' }, unserved],
    ]),
    gauge('open_slots', 'Slots that a node has open, by direction', openSlots(view, nameOf)),
    gauge('nodes', 'Nodes by role and condition', conditions(view)),
    gauge(
      'node_up',
      '1 if the node answers',
      view.nodes.map((one) => [{ node: node(one), role: one.role }, view.reports.has(one.id) ? 1 : 0]),
    ),
    gauge(
      'node_agrees',
      '1 unless the node and others report different things about members, addresses or slots',
      view.nodes.map((one) => [{ node: node(one) }, disagreeing.has(node(one)) ? 0 : 1]),
    ),
    gauge(
      'master_slots',
      'Slots of each master',
      masters.map((one) => [{ node: node(one) }, countSlots(one)]),
    ),
    gauge(
      'master_replicas',
      'Replicas of each master that are linked to it',
      masters.map((one) => [
        { node: node(one) },
        replicasOf(view, one.id).filter(({ id }) => isLinked(details.get(id))).length,
      ]),
    ),
    gauge('replication_lag_bytes', 'Bytes that a replica is behind its master', lags(view, details, nameOf)),
    gauge(
      'config_epoch',
      'Config epoch of each master',
      masters.map((one) => [{ node: node(one) }, one.configEpoch]),
    ),
    gauge('current_epoch', 'Highest epoch that any node has seen', [
      [{}, Math.max(0, ...[...view.reports.values()].map(({ info }) => info.currentEpoch))],
    ]),
    gauge('look_duration_seconds', 'How long it took to ask all nodes', [[{}, elapsedMs / 1000]]),
  ];
}

type Samples = readonly (readonly [MetricSample['labels'], number])[];

function gauge(name: string, help: string, samples: Samples): Metric {
  return {
    name: `redis_trib_${name}`,
    help,
    samples: samples.map(([labels, value]) => ({ labels, value })),
  };
}

function hasError(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === 'error');
}

function byKind(findings: readonly Finding[]): Samples {
  return counted(findings.map(({ kind, severity }) => ({ kind, severity })));
}

function conditions(view: ClusterView): Samples {
  return counted(view.nodes.map(({ id, role }) => ({ role, condition: conditionOf(view, id).kind })));
}

function openSlots(view: ClusterView, nameOf: (id: string) => string): Samples {
  return counted(
    [...view.reports.values()].flatMap(({ myself }) =>
      myself.openSlots.map(({ direction }) => ({ node: nameOf(myself.id), direction })),
    ),
  );
}

/** How often each of these combinations of labels occurs. */
function counted(all: readonly MetricSample['labels'][]): Samples {
  const counts = new Map<string, [MetricSample['labels'], number]>();
  for (const labels of all) {
    const key = JSON.stringify(labels);
    counts.set(key, [labels, (counts.get(key)?.[1] ?? 0) + 1]);
  }
  return [...counts.values()];
}

function lags(view: ClusterView, details: Look['details'], nameOf: (id: string) => string): Samples {
  return view.nodes.flatMap(({ id, role, masterId }) => {
    const master = role === 'replica' ? nodeById(view, masterId ?? '') : undefined;
    const bytes = master && bytesBehind(details.get(id), details.get(master.id));
    if (!master || bytes === undefined) return [];
    return [[{ master: nameOf(master.id), replica: nameOf(id) }, bytes] as const];
  });
}
