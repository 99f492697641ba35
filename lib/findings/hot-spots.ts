import type { HotKey, HotKeyEvidence, HotNode, HotSlot, HotVerdict } from '../model/hot-spots.ts';
import type { Next } from '../model/next.ts';
import { slotOfKey } from '../model/slot.ts';

/** The load of a slot while it was measured. */
export interface SlotLoad {
  readonly slot: number;
  readonly cpuUsPerSecond: number | null;
  readonly networkBytesPerSecond: number | null;
  readonly keys: number;
}

/** A key with how much it is used, as its evidence counts that. */
export interface KeyLoad {
  /** In latin1. */
  readonly key: string;
  readonly by: HotKeyEvidence;
  readonly nodeShare: number | null;
  readonly networkShare: number | null;
  readonly frequency: number | null;
}

/** What was measured on one master. */
export interface NodeLoad {
  readonly node: Omit<HotNode, 'share' | 'slotsBy' | 'keysBy'>;
  /** Undefined if loads of slots could not be measured. */
  readonly slots: readonly SlotLoad[] | undefined;
  readonly keys: readonly KeyLoad[];
}

export interface HotSpots {
  readonly nodes: readonly HotNode[];
  /** The hottest first. */
  readonly slots: readonly HotSlot[];
  /** The hottest first, those of one kind of evidence after another. */
  readonly keys: readonly HotKey[];
  readonly verdicts: readonly HotVerdict[];
}

/** A node is much busier than the mean from here on. */
const UNEVEN = 1.2;
/** One slot or key makes so much of a node's load that no move spreads it. */
const DOMINANT = 0.5;
/** Less than this part of a core, for all nodes together, is no load to speak of. */
const IDLE_US = 2000;
/** Fewer commands a second say nothing of a key. */
const FEW_COMMANDS = 20;

const BEST_EVIDENCE: readonly HotKeyEvidence[] = ['hotkeys', 'monitor', 'only-key', 'frequency'];

/** Sums up what was measured, and says what follows. `seed` is an address of the cluster, for advice. */
export function hotSpotsOf(measured: readonly NodeLoad[], top: number, seed: string): HotSpots {
  const weigh = weightOf(measured);
  const loads = new Map(measured.map((one) => [one, sumOf((one.slots ?? []).map(weigh))]));
  const total = sumOf([...loads.values()]);
  const isWhole = measured.every(({ slots }) => slots !== undefined);
  const slots = measured
    .flatMap((one) =>
      (one.slots ?? []).map((load): HotSlot => {
        const weight = weigh(load);
        return {
          slot: load.slot,
          node: one.node.node,
          share: partOf(weight, total),
          nodeShare: partOf(weight, loads.get(one) ?? 0),
          cpuUsPerSecond: load.cpuUsPerSecond,
          networkBytesPerSecond: load.networkBytesPerSecond,
          keys: load.keys,
        };
      }),
    )
    .filter(({ share }) => share > 0)
    .sort((one, other) => other.share - one.share);
  const nodes = measured.map(
    (one): HotNode => ({
      ...one.node,
      share: isWhole && total > 0 ? partOf(loads.get(one) ?? 0, total) : null,
      slotsBy: one.slots ? 'slot-stats' : null,
      keysBy: BEST_EVIDENCE.filter((by) => one.keys.some((key) => key.by === by)),
    }),
  );
  const rates = new Map(nodes.map(({ node, commandsPerSecond }) => [node, commandsPerSecond ?? 1]));
  const keys = measured.flatMap(hotKeysOf).sort((one, other) => byEvidence(one, other, rates));
  const verdicts = verdictsOf({ nodes, slots, keys }, total, isWhole, measured, seed);
  return { nodes, slots: slots.slice(0, top), keys: keys.slice(0, top), verdicts };
}

/** Loads are compared by CPU time if all servers count that, else by bytes on the network. */
function weightOf(measured: readonly NodeLoad[]): (load: SlotLoad) => number {
  const hasCpu = measured.every(({ slots = [] }) => slots.every((load) => load.cpuUsPerSecond !== null));
  return (load) => (hasCpu ? load.cpuUsPerSecond : load.networkBytesPerSecond) ?? 0;
}

function hotKeysOf({ node, keys }: NodeLoad): HotKey[] {
  return keys.map((load) => ({
    ...load,
    slot: slotOfKey(load.key),
    node: node.node,
  }));
}

// The only key that is used on an idle node is not hot.
function byEvidence(one: HotKey, other: HotKey, rates: ReadonlyMap<string, number>): number {
  const kind = BEST_EVIDENCE.indexOf(one.by) - BEST_EVIDENCE.indexOf(other.by);
  const heat = ({ node, nodeShare, frequency }: HotKey): number =>
    nodeShare === null ? (frequency ?? 0) : nodeShare * (rates.get(node) ?? 1);
  return kind || heat(other) - heat(one);
}

function verdictsOf(
  { nodes, slots, keys }: Omit<HotSpots, 'verdicts'>,
  total: number,
  isWhole: boolean,
  measured: readonly NodeLoad[],
  seed: string,
): HotVerdict[] {
  const isByCpu = measured.every(({ slots: own = [] }) => own.every((load) => load.cpuUsPerSecond !== null));
  const verdicts = [...keyVerdicts(keys, nodes), ...slotVerdicts(slots, keys)];
  if (!isWhole) {
    return verdicts.length > 0
      ? verdicts
      : [
          {
            kind: 'unknown',
            message: 'Whether moving slots helps is not known: the load of slots was not measured',
          },
        ];
  }
  if (total <= 0 && verdicts.length === 0)
    return [{ kind: 'idle', message: 'Hardly anything was done with keys' }];
  if (isByCpu && total < IDLE_US)
    return [
      { kind: 'idle', message: `Hardly anything was done: ${percent(total / 1e6)} of one core in all` },
    ];
  const uneven = unevenVerdict(nodes, slots, isByCpu, seed);
  if (uneven) return [...verdicts, uneven];
  return verdicts.length > 0
    ? verdicts
    : [{ kind: 'even', message: 'The load is even: no master is much busier than the others' }];
}

function keyVerdicts(keys: readonly HotKey[], nodes: readonly HotNode[]): HotVerdict[] {
  return nodes.flatMap(({ node, commandsPerSecond }): HotVerdict[] => {
    if ((commandsPerSecond ?? Number.POSITIVE_INFINITY) < FEW_COMMANDS) return [];
    const key = keys.find((one) => one.node === node && (one.nodeShare ?? 0) >= DOMINANT);
    if (!key) return [];
    const what = key.by === 'monitor' ? 'commands' : 'work';
    return [
      {
        kind: 'one-key',
        message: `One key makes ${percent(key.nodeShare ?? 0)} of the ${what} of ${node}: moving its slot only moves the load`,
        hint: 'Let clients cache it, split it into several keys, or read it from replicas',
      },
    ];
  });
}

function slotVerdicts(slots: readonly HotSlot[], keys: readonly HotKey[]): HotVerdict[] {
  const named = new Set(keys.filter(({ nodeShare }) => (nodeShare ?? 0) >= DOMINANT).map(({ slot }) => slot));
  return slots
    .filter(({ nodeShare, slot }) => nodeShare >= DOMINANT && !named.has(slot))
    .map(({ slot, node, nodeShare }) => ({
      kind: 'one-slot',
      message: `Slot ${slot} makes ${percent(nodeShare)} of the work of ${node}: a slot moves as a whole, with its load`,
      hint: 'Give its keys other hash tags, or none, so that they spread over more slots',
    }));
}

/** Says so if the busiest master would have much less to do once slots were spread: never less than the hottest slot, or than the mean. */
function unevenVerdict(
  nodes: readonly HotNode[],
  slots: readonly HotSlot[],
  isByCpu: boolean,
  seed: string,
): HotVerdict | undefined {
  const busiest = [...nodes].sort((one, other) => (other.share ?? 0) - (one.share ?? 0))[0];
  if (!busiest || busiest.share === null || nodes.length < 2) return undefined;
  const mean = 1 / nodes.length;
  const least = Math.max(mean, slots.find(({ node }) => node === busiest.node)?.share ?? 0);
  if (busiest.share < UNEVEN * least) return undefined;
  const next: Next = { do: 'rebalance', cluster: seed, options: { by: isByCpu ? 'cpu' : 'network' } };
  return {
    kind: 'uneven',
    message: `${busiest.node} does ${percent(busiest.share)} of all work, with ${nodes.length} masters: moving slots can bring that to about ${percent(least)}`,
    next: [next],
  };
}

function partOf(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
