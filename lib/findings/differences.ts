import { formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import type { ClusterView } from '../model/view.ts';
import { type Finding, listNames, namesOf } from './finding.ts';

type Name = (id: string) => string;

interface Field {
  readonly name: string;
  readonly severity: Finding['severity'];
  readonly of: (record: NodeRecord, name: Name) => string;
  /** True if two records differ. Cheaper than comparing the texts of `of`. */
  readonly differs: (a: NodeRecord, b: NodeRecord) => boolean;
}

const FIELDS: readonly Field[] = [
  {
    name: 'role',
    severity: 'error',
    of: ({ role }) => role,
    differs: (a, b) => a.role !== b.role,
  },
  {
    name: 'master',
    severity: 'error',
    of: ({ masterId }, name) => (masterId === null ? 'none' : name(masterId)),
    // If the roles differ, that is reported instead.
    differs: (a, b) => a.role === b.role && a.masterId !== b.masterId,
  },
  {
    name: 'address',
    severity: 'warning',
    of: ({ address }) => formatAddress(address),
    differs: ({ address: a }, { address: b }) => a.port !== b.port || a.host !== b.host,
  },
  {
    name: 'config epoch',
    severity: 'info',
    of: ({ configEpoch }) => String(configEpoch),
    // The config epoch of a master without slots has no effect and does not reach all nodes.
    differs: (a, b) => a.configEpoch !== b.configEpoch && [a, b].every(ownsSlots),
  },
];

function ownsSlots({ role, slots }: NodeRecord): boolean {
  return role === 'master' && slots.length > 0;
}

/** Nodes whose role, master, address or config epoch differs between reports. For slot owners see `disagreements`. */
export function fieldDifferences(view: ClusterView): Finding[] {
  const name = namesOf(view);
  return FIELDS.flatMap((field) =>
    [...differing(view, field)].map((id): Finding => {
      const byValue = new Map<string, string[]>();
      for (const [record, observer] of statements(view, id, field)) {
        const value = field.of(record, name);
        const observers = byValue.get(value);
        if (observers) observers.push(observer);
        else byValue.set(value, [observer]);
      }
      const sides = [...byValue]
        .sort(([, a], [, b]) => b.length - a.length)
        .map(([value, observers]) => `${value} to ${listNames(observers)}`);
      return {
        severity: field.severity,
        kind: 'nodes-disagree',
        message: `The ${field.name} of ${name(id)} is ${sides.join(', ')}`,
        nodes: [name(id), ...[...byValue.values()].slice(1).flat()],
        hint:
          field.name === 'address'
            ? 'Set cluster-announce-ip, or make every node reachable by one address'
            : 'Packets on the cluster bus resolve it within seconds. If it persists, look for links that are down',
      };
    }),
  );
}

// Records of a node in different reports are mostly the same object (`NodeLines`), so each object is compared only once.
function differing(view: ClusterView, { differs, name }: Field): Set<string> {
  const first = new Map<string, NodeRecord>();
  const alike = new Set<NodeRecord>();
  const found = new Set<string>();
  for (const { records } of view.reports.values()) {
    for (const record of records) {
      if (alike.has(record) || isAside(record, name)) continue;
      const reference = first.get(record.id);
      if (reference === undefined) first.set(record.id, record);
      else if (differs(record, reference)) found.add(record.id);
      alike.add(record);
    }
  }
  return found;
}

// A node need not know its own address, and `noaddr` means that the observer knows none.
function isAside({ flags, address }: NodeRecord, field: string): boolean {
  if (field !== 'address') return flags.includes('noaddr');
  return flags.includes('myself') || flags.includes('noaddr') || address.host === '';
}

function statements(view: ClusterView, id: string, field: Field): [NodeRecord, string][] {
  return [...view.reports.values()].flatMap(({ records, address }) =>
    records
      .filter((record) => record.id === id && !isAside(record, field.name))
      .map((record): [NodeRecord, string] => [record, formatAddress(address)]),
  );
}
