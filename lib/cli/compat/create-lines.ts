import { parseAddress } from '../../model/address.ts';
import { countSlots } from '../../model/node.ts';
import { SLOT_COUNT } from '../../model/slot.ts';
import type { Plan, StepOf } from '../../plan/plan.ts';
import { bracketed } from './lines.ts';
import type { Words } from './words.ts';

/** `host:port` of an address, without brackets around the host. */
export function placeOf(address: string): string {
  try {
    const { host, port } = parseAddress(address);
    return `${host}:${port}`;
  } catch {
    return address;
  }
}

/** The output of `create` before it asks. */
export function createLines(plan: Plan, replicas: number, words: Words): string[] {
  const assigned = plan.steps.filter((step): step is StepOf<'assign-slots'> => step.type === 'assign-slots');
  const attached = plan.steps.filter((step): step is StepOf<'replicate'> => step.type === 'replicate');
  const title = words.master === 'primary' ? 'Primary' : 'Master';
  const [first, extra] = [[], []] as [StepOf<'replicate'>[], StepOf<'replicate'>[]];
  const given = new Map<string, number>();
  for (const step of attached) {
    const count = (given.get(step.master.id) ?? 0) + 1;
    given.set(step.master.id, count);
    (count > replicas ? extra : first).push(step);
  }
  const adding = ({ replica, master }: StepOf<'replicate'>): string =>
    `Adding replica ${placeOf(replica.address)} to ${placeOf(master.address)}`;
  return [
    `>>> Performing hash slots allocation on ${plan.before.length} ${words.nodes}...`,
    ...assigned.map(({ slots }, index) => {
      const [from, to] = [slots[0]?.[0] ?? 0, slots.at(-1)?.[1] ?? SLOT_COUNT - 1];
      return `${title}[${index}] -> Slots ${from} - ${to}`;
    }),
    ...first.map(adding),
    ...(extra.length > 0 ? ['Adding extra replicas...'] : []),
    ...extra.map(adding),
    ...affinityLines(attached, words),
    ...plan.before.flatMap(({ id, address }) => {
      const own = assigned.find(({ node }) => node.id === id);
      if (own) {
        return [
          `M: ${id} ${placeOf(address)}`,
          `   slots:${bracketed(own.slots)} (${countSlots(own)} slots) master`,
        ];
      }
      const master = attached.find(({ replica }) => replica.id === id)?.master.id ?? '';
      return [`S: ${id} ${placeOf(address)}`, `   replicates ${master}`];
    }),
  ];
}

function affinityLines(attached: readonly StepOf<'replicate'>[], words: Words): string[] {
  const hostOf = (address: string): string => parseAddress(address).host;
  const withMaster = attached.some(
    ({ replica, master }) => hostOf(replica.address) === hostOf(master.address),
  );
  const places = attached.map(({ replica, master }) => `${master.id} ${hostOf(replica.address)}`);
  if (!withMaster && new Set(places).size === places.length) return [];
  const { replicas, master } = words;
  return [
    `>>> Trying to optimize ${replicas} allocation for anti-affinity`,
    withMaster
      ? `[WARNING] Some ${replicas} are in the same host as their ${master}`
      : `[WARNING] Some ${replicas} of the same ${master} are in the same host`,
  ];
}

/** The message for fewer than three masters; for Valkey the last line is the question. */
export function fewMasters(words: Words, nodes: number, replicas: number): string[] {
  if (words.asksForFewMasters) {
    return [
      `Requested to create a cluster with ${Math.floor(nodes / (replicas + 1))} primaries and ${replicas} replicas per primary.`,
      'Valkey cluster requires at least 3 primary nodes for automatic failover. Are you sure?',
    ];
  }
  return [
    '*** ERROR: Invalid configuration for cluster creation.',
    '*** Redis Cluster requires at least 3 master nodes.',
    `*** This is not possible with ${nodes} nodes and ${replicas} replicas per node.`,
    `*** At least ${3 * (replicas + 1)} nodes are required.`,
  ];
}
