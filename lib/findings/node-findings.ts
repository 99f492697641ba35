import { formatAddress } from '../model/address.ts';
import { formatBytes } from '../model/bytes.ts';
import type { NodeDetails, SharedId } from '../model/details.ts';
import type { Advice, Next } from '../model/next.ts';
import { cannotSave, lacksReplicas, MIN_REPLICAS } from '../model/refused-writes.ts';
import type { NodeSetup } from '../model/setup.ts';
import { formatSlots, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeById } from '../model/view.ts';
import { type Finding, listNames, namesOf } from './finding.ts';

const MEMORY_HIGH = 0.9;

type Details = ReadonlyMap<string, NodeDetails | Error>;
type Setups = ReadonlyMap<string, NodeSetup>;

function answered(details: Details): [string, NodeDetails][] {
  return [...details].filter((entry): entry is [string, NodeDetails] => !(entry[1] instanceof Error));
}

/** Nodes that answer CLUSTER NODES but not INFO. */
export function silent(view: ClusterView, details: Details): Finding[] {
  const nameOf = namesOf(view);
  return [...details].flatMap(([id, error]): Finding[] => {
    if (!(error instanceof Error)) return [];
    const message = `${nameOf(id)} does not report its replication and memory: ${error.message}`;
    const hint = 'Allow the ACL user to run INFO';
    return [{ severity: 'warning', kind: 'node-silent', message, nodes: [nameOf(id)], hint }];
  });
}

/** What to do about servers that answer with one node id. */
export const sharedIdAdvice =
  'They were started with copies of one nodes.conf: stop one of them, delete its nodes.conf, and add it as a new node';

/** Node ids reported by more than one server. */
export function sharedIdFindings(sharedIds: readonly SharedId[]): Finding[] {
  return sharedIds.map(({ id, addresses }) => ({
    severity: 'error',
    kind: 'duplicate-id',
    message: `${listNames(addresses)} answer with one node id, ${id}`,
    nodes: addresses,
    hint: sharedIdAdvice,
  }));
}

/** Memory near maxmemory, and differing maxmemory policies. */
export function memoryFindings(view: ClusterView, details: Details): Finding[] {
  const nameOf = namesOf(view);
  const high = answered(details).flatMap(([id, { memory }]): Finding[] => {
    const { counted, max, policy } = memory;
    if (max === 0 || counted < MEMORY_HIGH * max) return [];
    const harm = policy === 'noeviction' ? 'it will refuse writes' : `keys are evicted (${policy})`;
    const percent = Math.floor((100 * counted) / max);
    const message = `${nameOf(id)} uses ${formatBytes(counted)} of maxmemory ${formatBytes(max)} (${percent} %): when it is full ${harm}`;
    const next: readonly Next[] = [
      { do: 'configure', node: nameOf(id), settings: ['maxmemory'] },
      { do: 'join', cluster: formatAddress(view.seed) },
    ];
    return [{ severity: 'warning', kind: 'memory-high', message, nodes: [nameOf(id)], next }];
  });
  return [
    ...high,
    ...differing(view, details, {
      kind: 'memory-policy-differs',
      what: 'maxmemory-policy',
      of: ({ memory }) => memory.policy,
      next: [
        {
          do: 'execute',
          cluster: formatAddress(view.seed),
          command: ['CONFIG', 'SET', 'maxmemory-policy', 'POLICY'],
        },
      ],
    }),
  ];
}

/** Differing server versions. */
export function versionFindings(view: ClusterView, details: Details): Finding[] {
  return differing(view, details, {
    kind: 'version-differs',
    what: 'Server version',
    of: ({ version }) => version,
    hint: 'Bring all nodes to one version, replicas first: a replica of an older version cannot read a newer master',
  });
}

/** Servers whose last save failed. By default they refuse writes until a save succeeds, which is an error of a master. */
export function saveFindings(view: ClusterView, details: Details, setups: Setups): Finding[] {
  const nameOf = namesOf(view);
  return answered(details)
    .filter(([, { isSaveFailing }]) => isSaveFailing)
    .map(([id, own]): Finding => {
      const isMaster = nodeById(view, id)?.role === 'master';
      const refused = isMaster ? cannotSave(own, setups.get(id)?.settings) : undefined;
      return {
        severity: refused ? 'error' : 'warning',
        kind: 'save-failing',
        message: `${nameOf(id)} could not save its data to disk${refused ? `, and refuses every write: ${refused}` : ''}`,
        nodes: [nameOf(id)],
        hint: 'Check its log, the free disk space and the permissions of its directory',
      };
    });
}

/** Masters that refuse every write for want of replicas (`min-replicas-to-write`). */
export function refusedWrites(view: ClusterView, details: Details, setups: Setups): Finding[] {
  const nameOf = namesOf(view);
  return answered(details).flatMap(([id, own]): Finding[] => {
    const master = nodeById(view, id);
    if (master?.role !== 'master' || master.slots.length === 0) return [];
    const lack = lacksReplicas(own, setups.get(id)?.settings);
    if (lack === undefined) return [];
    const name = nameOf(id);
    return [
      {
        severity: 'error',
        kind: 'writes-refused',
        message: `${name} refuses every write: ${lack}`,
        nodes: [name],
        slots: master.slots,
        next: [
          { do: 'replicate', node: name },
          { do: 'configure', node: name, settings: [MIN_REPLICAS] },
        ],
      },
    ];
  });
}

interface Difference extends Advice {
  readonly kind: Finding['kind'];
  readonly what: string;
  readonly of: (details: NodeDetails) => string;
}

function differing(view: ClusterView, details: Details, difference: Difference): Finding[] {
  const { kind, what, of, hint, next } = difference;
  const nameOf = namesOf(view);
  const byValue = new Map<string, string[]>();
  for (const [id, node] of answered(details)) {
    const nodes = byValue.get(of(node));
    if (nodes) nodes.push(nameOf(id));
    else byValue.set(of(node), [nameOf(id)]);
  }
  if (byValue.size < 2) return [];
  const sides = [...byValue].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1));
  const message = `${what} differs: ${sides.map(([value, nodes]) => `${value} on ${listNames(nodes.sort())}`).join(', ')}`;
  // The finding is about the nodes that differ from the majority.
  const nodes = sides.slice(1).flatMap(([, some]) => some);
  return [{ severity: 'warning', kind, message, nodes, hint, next }];
}

/** Keys on a master that does not own their slots. */
export interface StrayKeysAt {
  readonly id: string;
  /** By slot: the number of keys. */
  readonly counts: ReadonlyMap<number, number>;
  /** Number of further keys in unknown slots: Redis 8.4 and newer hide them. */
  readonly hidden: number;
}

/** Keys that no client can reach, because they are not on the owner of their slot. */
export function strayKeyFindings(view: ClusterView, stray: readonly StrayKeysAt[] | Error): Finding[] {
  const nameOf = namesOf(view);
  if (stray instanceof Error) {
    const message = `Cannot determine whether masters hold keys of slots that they do not own: ${stray.message}`;
    const hint =
      'If the user lacks a permission, these ACL rules suffice: +info +multi +exec +cluster|countkeysinslot';
    return [{ severity: 'info', kind: 'keys-uncounted', message, nodes: [], hint }];
  }
  return stray.map(({ id, counts, hidden }) => {
    const keys = [...counts.values()].reduce((sum, count) => sum + count, hidden);
    const where =
      counts.size > 0
        ? `${counts.size === 1 ? 'slot' : 'slots'} ${formatSlots(counts.keys())}, which`
        : 'slots that';
    return {
      severity: 'warning',
      kind: 'keys-stray',
      message: `${nameOf(id)} holds ${keys === 1 ? '1 key' : `${keys} keys`} of ${where} it does not own: clients cannot reach them there, except while the slot is being moved to it`,
      nodes: [nameOf(id)],
      ...(counts.size > 0 ? { slots: toRanges(counts.keys()) } : {}),
      next: [{ do: 'fix', cluster: formatAddress(view.seed), when: 'not-moving' }],
    };
  });
}
