import { formatAddress } from './address.ts';
import { formatBytes } from './bytes.ts';
import type { NodeDetails, SharedId } from './details.ts';
import { type Finding, listNames, namesOf } from './finding.ts';
import { formatSlots, toRanges } from './slot.ts';
import type { ClusterView } from './view.ts';

const MEMORY_HIGH = 0.9;

type Details = ReadonlyMap<string, NodeDetails | Error>;

function told(details: Details): [string, NodeDetails][] {
  return [...details].filter((entry): entry is [string, NodeDetails] => !(entry[1] instanceof Error));
}

/** Nodes that answer CLUSTER NODES, and nothing about themselves. */
export function silent(view: ClusterView, details: Details): Finding[] {
  const nameOf = namesOf(view);
  return [...details].flatMap(([id, error]): Finding[] => {
    if (!(error instanceof Error)) return [];
    const message = `${nameOf(id)} does not tell about its replication and memory: ${error.message}`;
    const hint = 'Give the ACL user the right to run INFO';
    return [{ severity: 'warning', kind: 'node-silent', message, nodes: [nameOf(id)], hint }];
  });
}

/** Node ids that more than one server answers with. */
export function sharedIdFindings(sharedIds: readonly SharedId[]): Finding[] {
  return sharedIds.map(({ id, addresses }) => ({
    severity: 'error',
    kind: 'duplicate-id',
    message: `${listNames(addresses)} answer with one node id, ${id}`,
    nodes: addresses,
    hint: 'They were started with copies of one nodes.conf: stop one of them, delete its nodes.conf, and add it as a new node',
  }));
}

/** Memory near its limit, and limits that work in different ways. */
export function memoryFindings(view: ClusterView, details: Details): Finding[] {
  const nameOf = namesOf(view);
  const high = told(details).flatMap(([id, { memory }]): Finding[] => {
    const { counted, max, policy } = memory;
    if (max === 0 || counted < MEMORY_HIGH * max) return [];
    const harm = policy === 'noeviction' ? 'it will refuse writes' : `keys are evicted (${policy})`;
    const percent = Math.floor((100 * counted) / max);
    const message = `${nameOf(id)} uses ${formatBytes(counted)} of maxmemory ${formatBytes(max)} (${percent} %): when it is full ${harm}`;
    const hint = `Raise maxmemory, or add a master: redis-trib join ${formatAddress(view.seed)} NEW`;
    return [{ severity: 'warning', kind: 'memory-high', message, nodes: [nameOf(id)], hint }];
  });
  return [
    ...high,
    ...differing(view, details, {
      kind: 'memory-policy-differs',
      what: 'maxmemory-policy',
      of: ({ memory }) => memory.policy,
      hint: 'Set one for all: redis-trib execute NODE CONFIG SET maxmemory-policy POLICY',
    }),
  ];
}

/** Servers of different versions. */
export function versionFindings(view: ClusterView, details: Details): Finding[] {
  return differing(view, details, {
    kind: 'version-differs',
    what: 'Server version',
    of: ({ version }) => version,
    hint: 'Bring all nodes to one version, replicas first: a replica of an older version cannot read a newer master',
  });
}

/** Servers whose last save failed: by default they refuse writes until one succeeds. */
export function saveFindings(view: ClusterView, details: Details): Finding[] {
  const nameOf = namesOf(view);
  return told(details)
    .filter(([, { isSaveFailing }]) => isSaveFailing)
    .map(([id]) => ({
      severity: 'warning',
      kind: 'save-failing',
      message: `${nameOf(id)} could not save its data to disk`,
      nodes: [nameOf(id)],
      hint: 'Look into its log, at the free space and at the rights of its folder',
    }));
}

interface Difference {
  readonly kind: Finding['kind'];
  readonly what: string;
  readonly of: (details: NodeDetails) => string;
  readonly hint: string;
}

function differing(view: ClusterView, details: Details, { kind, what, of, hint }: Difference): Finding[] {
  const nameOf = namesOf(view);
  const byValue = new Map<string, string[]>();
  for (const [id, node] of told(details)) {
    const nodes = byValue.get(of(node));
    if (nodes) nodes.push(nameOf(id));
    else byValue.set(of(node), [nameOf(id)]);
  }
  if (byValue.size < 2) return [];
  const sides = [...byValue].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1));
  const message = `${what} differs: ${sides.map(([value, nodes]) => `${value} on ${listNames(nodes.sort())}`).join(', ')}`;
  // The odd ones out are what it is about.
  const nodes = sides.slice(1).flatMap(([, some]) => some);
  return [{ severity: 'warning', kind, message, nodes, hint }];
}

/** Keys that a master holds of slots it does not own. */
export interface StrayKeysAt {
  readonly id: string;
  /** By slot: how many. */
  readonly counts: ReadonlyMap<number, number>;
  /** How many more there are in slots that are not known: Redis 8.4 and newer hide them. */
  readonly hidden: number;
}

/** Keys that lie where no client gets to them. An error says why it is not known. */
export function strayKeyFindings(view: ClusterView, stray: readonly StrayKeysAt[] | Error): Finding[] {
  const nameOf = namesOf(view);
  if (stray instanceof Error) {
    const message = `It is not known whether keys lie on masters that do not own their slots: ${stray.message}`;
    const hint = 'Give the user the rules that docs/acl.md names for check';
    return [{ severity: 'info', kind: 'keys-uncounted', message, nodes: [], hint }];
  }
  return stray.map(({ id, counts, hidden }) => {
    const keys = [...counts.values()].reduce((sum, count) => sum + count, hidden);
    const where = counts.size > 0 ? `slots ${formatSlots(counts.keys())}, which` : 'slots that';
    return {
      severity: 'warning',
      kind: 'keys-stray',
      message: `${nameOf(id)} holds ${keys === 1 ? '1 key' : `${keys} keys`} of ${where} it does not own: no client gets to them there`,
      nodes: [nameOf(id)],
      ...(counts.size > 0 ? { slots: toRanges(counts.keys()) } : {}),
      hint: `Unless slots are on their way: redis-trib fix ${formatAddress(view.seed)}`,
    };
  });
}
