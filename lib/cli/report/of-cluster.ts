import { formatBytes } from '../../model/bytes.ts';
import { conditionOf } from '../../model/condition.ts';
import type { NodeDetails } from '../../model/details.ts';
import { countSlots, type NodeRecord } from '../../model/node.ts';
import { expandSlots, formatSlots, SLOT_COUNT } from '../../model/slot.ts';
import { type ClusterView, hostOf, nodeName, replicasOf, slotOwners } from '../../model/view.ts';
import { zonesById } from '../../model/zones.ts';
import type { CheckResult } from '../../operations/check.ts';
import type { SlotFill } from '../../operations/slot-fill.ts';
import { count } from '../figures.ts';
import { ownerOf } from '../slot-map.ts';
import type { Report, ReportedFinding, ReportTable } from './report.ts';

/** The state of a cluster, as `check` found it. `findings` are its findings with what to do next in words. */
export function reportOfCluster(
  { ok, view, details }: Pick<CheckResult, 'ok' | 'view' | 'details'>,
  findings: readonly ReportedFinding[],
  about: {
    readonly at: string;
    readonly by: string;
    readonly zones: Readonly<Record<string, string>>;
    readonly fill?: SlotFill | undefined;
  },
): Report {
  const masters = view.nodes.filter(({ role }) => role === 'master');
  const zones = zonesById(view.nodes, about.zones, details);
  const known = masters.flatMap(({ id }) => knownOf(details, id) ?? []);
  const sum = (of: (own: NodeDetails) => number): number => known.reduce((total, own) => total + of(own), 0);
  const covered = slotOwners(view).filter((owner) => owner !== undefined).length;
  const versions = new Set(view.nodes.flatMap(({ id }) => knownOf(details, id)?.version ?? []));
  return {
    title: `Cluster at ${nodeName(view, view.seedId)}`,
    ok,
    verdict: verdictOn(findings),
    facts: [
      ['Looked at', about.at.replace(/T(\d\d:\d\d).*/, ' $1 UTC')],
      [
        'Nodes',
        `${count(masters.length, 'master')}, ${count(view.nodes.length - masters.length, 'replica')}`,
      ],
      ['Slots', `${covered} of ${SLOT_COUNT} covered`],
      ['Keys', `${sum(({ keys }) => keys)}`],
      ['Memory of masters', formatBytes(sum(({ memory }) => memory.used))],
      ['Servers', [...versions].sort().join(', ') || 'unknown'],
      ['Written by', about.by],
    ],
    findings,
    maps: [
      {
        title: 'Slots',
        owners: masters.map(({ id, slots }) =>
          ownerOf({ id, address: nodeName(view, id), slots }, about.fill),
        ),
        keys: about.fill?.keys,
      },
    ],
    tables: [shardsTable(view, details, zones), ...placesTables(view, zones)],
    steps: [],
  };
}

function verdictOn(findings: readonly ReportedFinding[]): string {
  const counted = (['error', 'warning', 'info'] as const).flatMap((severity) => {
    const many = findings.filter((finding) => finding.severity === severity).length;
    const word = severity === 'info' ? 'remark' : severity;
    return many === 0 ? [] : [count(many, word)];
  });
  return counted.length === 0 ? 'Nothing is wrong' : counted.join(', ');
}

function knownOf(details: CheckResult['details'], id: string): NodeDetails | undefined {
  const own = details.get(id);
  return own instanceof Error ? undefined : own;
}

function shardsTable(
  view: ClusterView,
  details: CheckResult['details'],
  zones: ReadonlyMap<string, string>,
): ReportTable {
  const isMaster = ({ role }: NodeRecord): boolean => role === 'master';
  const ids = new Set(view.nodes.filter(isMaster).map(({ id }) => id));
  const strays = view.nodes.filter((node) => !isMaster(node) && !ids.has(node.masterId ?? ''));
  const ordered = view.nodes.filter(isMaster).flatMap((node) => [node, ...replicasOf(view, node.id)]);
  const rows = [...ordered, ...strays].map((node) => {
    const own = knownOf(details, node.id);
    const isOwner = isMaster(node);
    return [
      `${isOwner ? '' : '↳ '}${nodeName(view, node.id)}`,
      isOwner ? `${countSlots(node)}` : '',
      isOwner ? formatSlots(expandSlots(node.slots)) : '',
      own ? `${own.keys}` : '',
      own ? formatBytes(own.memory.used) : '',
      own?.version ?? '',
      zones.get(node.id) ?? '',
      stateOf(view, node, own),
    ];
  });
  return {
    title: 'Shards',
    head: ['Node', 'Slots', 'Which', 'Keys', 'Memory', 'Server', 'Zone', 'State'],
    numeric: [1, 3, 4],
    rows,
  };
}

function stateOf(view: ClusterView, node: NodeRecord, own: NodeDetails | undefined): string {
  const { kind } = conditionOf(view, node.id);
  if (kind !== 'healthy') return kind;
  return own?.link && own.link.status !== 'up' ? `link to its master: ${own.link.status}` : kind;
}

/** Masters, replicas and slots of each host, and of each zone if there are any. */
function placesTables(view: ClusterView, zones: ReadonlyMap<string, string>): ReportTable[] {
  const hosts = tableOfPlaces('Host', view, (node) => hostOf(view, node) || 'unknown');
  if (zones.size === 0) return [hosts];
  return [hosts, tableOfPlaces('Zone', view, ({ id }) => zones.get(id) ?? 'unknown')];
}

function tableOfPlaces(
  word: string,
  { nodes }: ClusterView,
  placeOf: (node: NodeRecord) => string,
): ReportTable {
  const places = new Map<string, NodeRecord[]>();
  for (const node of nodes) {
    const place = placeOf(node);
    places.set(place, [...(places.get(place) ?? []), node]);
  }
  return {
    title: `${word}s`,
    head: [word, 'Masters', 'Replicas', 'Slots'],
    numeric: [1, 2, 3],
    rows: [...places]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([place, there]) => {
        const masters = there.filter(({ role }) => role === 'master');
        const slots = masters.reduce((sum, node) => sum + countSlots(node), 0);
        return [place, `${masters.length}`, `${there.length - masters.length}`, `${slots}`];
      }),
  };
}
