import { formatAddress, parseAddress } from '../model/address.ts';
import type { Expectation, Member } from '../model/expectation.ts';
import { LARGEST_INT } from '../model/numbers.ts';
import { SLOT_COUNT, type SlotRange } from '../model/slot.ts';
import type {
  BigKey,
  MoveContent,
  NodeReason,
  NodeRef,
  NodeZone,
  Plan,
  PlannedLoads,
  PlannedNode,
  RunningNode,
  Step,
  StepOf,
} from './plan.ts';
import { boolean, list, Misfit, number, oneOf, optional, type Reader, record, text } from './read.ts';

/** Most characters of a plan. A plan for a thousand masters with scattered slots has a tenth of that. */
export const LONGEST_PLAN: number = 64 * 1024 * 1024;
const MOST_NODES = 20_000;
const MOST_STEPS = 100_000;
const MOST_BIG_KEYS = 1_000_000;

/**
 * Reads a plan from parsed JSON and checks every field. Throws a Misfit that names the field for an unknown version, field
 * or type of step, and for a slot, id or address that is invalid.
 */
export function readPlan(value: unknown): Plan {
  const { version } = (value ?? {}) as { version?: unknown };
  if (version !== undefined && version !== 1) throw new Misfit('version: only version 1 is supported');
  const plan = planReader(value, '');
  requireSound(plan);
  return plan;
}

const id = text(/^[0-9a-f]{40}$/, 'a node id of 40 hexadecimal digits');

const address: Reader<string> = (value, at) => {
  const given = text(/^[^\s@,/]+$/, 'host:port')(value, at);
  try {
    if (formatAddress(parseAddress(given)) === given) return given;
  } catch {}
  throw new Misfit(`${at}: not an address: ${JSON.stringify(given)}`);
};

// The address of a node that is down and not part of any step may be unknown.
const whereabouts: Reader<string> = (value, at) =>
  typeof value === 'string' && /^:\d{1,5}$/.test(value) ? value : address(value, at);

const oneRange: Reader<SlotRange> = (value, at) => {
  const slot = number(0, SLOT_COUNT - 1);
  const [first = 0, last = 0, ...more] = list(slot, 2)(value, at);
  if ((value as unknown[]).length !== 2 || more.length > 0 || first > last)
    throw new Misfit(`${at}: expected the first and the last of some slots`);
  return [first, last];
};

const slots: Reader<SlotRange[]> = (value, at) => {
  const ranges = list(oneRange, SLOT_COUNT)(value, at);
  for (const [index, [first]] of ranges.entries()) {
    if (first <= (ranges[index - 1]?.[1] ?? -1))
      throw new Misfit(`${at}[${index}]: slots twice, or out of order`);
  }
  return ranges;
};

const refShape = { id, address, busPort: optional(number(1, 65535)) };
const ref = record<NodeRef>(refShape);
const refs = list(ref, MOST_NODES);
const always = oneOf(true);
const type = <Name extends Step['type']>(name: Name): Reader<Name> => oneOf(name);

const content = record<MoveContent>({
  keys: number(0, Number.MAX_SAFE_INTEGER),
  bytes: number(0, Number.MAX_SAFE_INTEGER),
  bigKeys: list(
    record<BigKey>({
      // Any bytes, as latin1. Display quotes them and escapes control characters.
      key: (value, at) => {
        if (typeof value === 'string' && Buffer.from(value, 'latin1').toString('latin1') === value)
          return value;
        throw new Misfit(`${at}: expected bytes as latin1`);
      },
      slot: number(0, SLOT_COUNT - 1),
      bytes: number(0, Number.MAX_SAFE_INTEGER),
      db: optional(number(0, LARGEST_INT)),
    }),
    MOST_BIG_KEYS,
  ),
});

/** A reader for each type of step. A new type, or a new field, must be added here. */
const steps: { readonly [Name in Step['type']]: Reader<StepOf<Name>> } = {
  'assign-slots': record<StepOf<'assign-slots'>>({
    type: type('assign-slots'),
    node: ref,
    slots,
    configEpoch: number(0, Number.MAX_SAFE_INTEGER),
    maxSlots: number(1, SLOT_COUNT),
  }),
  meet: record<StepOf<'meet'>>({ type: type('meet'), nodes: refs, to: refs, serving: boolean }),
  'meet-again': record<StepOf<'meet-again'>>({
    serving: boolean,
    type: type('meet-again'),
    nodes: refs,
    members: refs,
    isFast: optional(always),
  }),
  'load-functions': record<StepOf<'load-functions'>>({
    type: type('load-functions'),
    node: ref,
    from: ref,
    libraries: list(text(/./, 'the name of a function library'), MOST_STEPS),
    replaces: optional(list(text(/./, 'the name of a function library'), MOST_STEPS)),
  }),
  replicate: record<StepOf<'replicate'>>({
    type: type('replicate'),
    replica: ref,
    master: ref,
    isAgain: optional(always),
    kept: optional(ref),
  }),
  'move-slots': record<StepOf<'move-slots'>>({
    type: type('move-slots'),
    source: ref,
    target: ref,
    slots,
    isResumed: optional(boolean),
    overwrites: optional(always),
    content: optional(content),
  }),
  'close-slots': record<StepOf<'close-slots'>>({
    type: type('close-slots'),
    node: ref,
    slots,
    owner: ref,
    stayOpen: optional(always),
    strayKeys: optional(oneOf('bring', 'drop')),
  }),
  'take-slots': record<StepOf<'take-slots'>>({
    type: type('take-slots'),
    node: ref,
    slots,
    from: refs,
    isBegun: optional(always),
  }),
  failover: record<StepOf<'failover'>>({
    type: type('failover'),
    replica: ref,
    master: ref,
    mode: oneOf('graceful', 'force', 'takeover'),
  }),
  forget: record<StepOf<'forget'>>({ type: type('forget'), node: ref, by: refs, isDead: optional(always) }),
  reset: record<StepOf<'reset'>>({ type: type('reset'), node: ref }),
  restart: record<StepOf<'restart'>>({
    type: type('restart'),
    nodes: list(
      record<RunningNode>({
        ...refShape,
        runId: text(/^[0-9a-f]{40}$/, 'a run id of 40 hexadecimal digits'),
      }),
      MOST_NODES,
    ),
  }),
};

const step: Reader<Step> = (value, at) => {
  const name = (value as { type?: unknown } | null)?.type;
  if (typeof name !== 'string' || !Object.hasOwn(steps, name))
    throw new Misfit(`${at}.type: not a type of step: ${JSON.stringify(name)?.slice(0, 60)}`);
  return steps[name as Step['type']](value, at);
};

const expectation = record<Expectation>({
  members: list(record<Member>(refShape), MOST_NODES),
  gone: optional(list(id, MOST_NODES)),
  owners: optional(list(record<{ id: string; slots: readonly SlotRange[] }>({ id, slots }), MOST_STEPS)),
  replicas: optional(list(record<{ id: string; masterId: string }>({ id, masterId: id }), MOST_NODES)),
  stateOk: optional(boolean),
});

const load = number(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, false);

const planReader = record<Plan>({
  version: oneOf(1),
  operation: text(/^[a-z][a-z_-]*$/, 'the name of a command', 40),
  steps: list(step, MOST_STEPS),
  masters: refs,
  expect: optional(expectation),
  loads: optional(
    record<PlannedLoads>({
      by: oneOf('keys', 'memory', 'cpu', 'network'),
      nodes: list(record<PlannedLoads['nodes'][number]>({ id, before: load, after: load }), MOST_NODES),
    }),
  ),
  reasons: optional(list(record<NodeReason>({ id, text: text(/^/, 'text') }), MOST_NODES)),
  zones: optional(list(record<NodeZone>({ id, zone: text(/./, 'the name of a zone') }), MOST_NODES)),
  before: list(
    record<PlannedNode>({
      ...refShape,
      address: whereabouts,
      role: oneOf('master', 'replica'),
      masterId: optional(id),
      configEpoch: number(0, Number.MAX_SAFE_INTEGER),
      slots,
    }),
    MOST_NODES,
  ),
});

// Checks fields against each other.
function requireSound({ before, steps, masters, expect }: Plan): void {
  const known = new Map<string, number>();
  for (const [index, node] of before.entries()) {
    const at = `before[${index}]`;
    if (known.has(node.id)) throw new Misfit(`${at}.id: the same node twice: ${node.id}`);
    if (node.role === 'master' && node.masterId !== undefined)
      throw new Misfit(`${at}.masterId: a master has none`);
    known.set(node.id, index);
  }
  const requireKnown = (id: string, at: string): void => {
    if (!known.has(id)) throw new Misfit(`${at}: no node of "before" has the id ${id}`);
  };
  for (const [index, node] of masters.entries()) requireKnown(node.id, `masters[${index}].id`);
  for (const [index, node] of expect?.members.entries() ?? [])
    requireKnown(node.id, `expect.members[${index}].id`);
  for (const [index, step] of steps.entries()) {
    for (const [field, node] of refsIn(step)) requireKnown(node.id, `steps[${index}].${field}.id`);
    if (step.type === 'move-slots' && step.source.id === step.target.id)
      throw new Misfit(`steps[${index}].target.id: source and target are the same node`);
  }
}

/** Every node in a step, with the path of its field. */
export function refsIn(step: Step): (readonly [field: string, node: NodeRef])[] {
  return Object.entries(step).flatMap(([field, value]): (readonly [string, NodeRef])[] => {
    if (isRef(value)) return [[field, value]];
    if (!Array.isArray(value)) return [];
    return value.flatMap((item, index) => (isRef(item) ? [[`${field}[${index}]`, item] as const] : []));
  });
}

function isRef(value: unknown): value is NodeRef {
  return typeof value === 'object' && value !== null && 'id' in value && 'address' in value;
}
