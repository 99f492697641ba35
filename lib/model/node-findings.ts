import { formatAddress } from './address.ts';
import { formatBytes } from './bytes.ts';
import type { NodeDetails, SharedId } from './details.ts';
import { type Finding, listNames, namesOf } from './finding.ts';
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
