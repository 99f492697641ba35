import type { OperationOptions, SlotRange } from '../../index.ts';
import { parseSlotRange } from '../../model/slot.ts';
import type { Command, Invocation } from '../command.ts';
import { count } from '../figures.ts';
import { changeFlags, type FlagValues, moveFlags } from '../flags.ts';
import { type Io, UsageError } from '../io.ts';
import { operated } from '../outcome.ts';

export const reshardCommand: Command<'reshard'> = {
  name: 'reshard',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Move slots from several masters to one',
  details:
    'A number of slots is shared among the sources by how many they have. Asks for options that are missing.\n' +
    'NODE is a node id, the beginning of one, or an address.',
  example: '127.0.0.1:7000 --from all --to 127.0.0.1:7003 --slots 1000',
  asks: true,
  flags: {
    ...changeFlags,
    ...moveFlags,
    from: { type: 'string', value: 'NODE,...|all', help: 'Masters that give slots' },
    to: { type: 'string', value: 'NODE', help: 'Master that receives them' },
    slots: { type: 'string', value: 'N|RANGES', help: 'How many slots, or which: 5-5 for one, 0-99,200-299' },
  },
  run: async (invocation) => {
    const [cluster = ''] = invocation.positionals;
    const { from, to, slots } = await wishes(invocation, cluster);
    const { reshard } = await import('../../operations/reshard.ts');
    const result = await reshard(cluster, { ...invocation.options, from, to, slots });
    return operated(result, `${to} holds the slots`);
  },
};

interface Wishes {
  readonly from: 'all' | string[];
  readonly to: string;
  readonly slots: number | SlotRange[];
}

async function wishes({ values, io, options }: Invocation, cluster: string): Promise<Wishes> {
  const missing = ['slots', 'to', 'from'].filter((name) => values[name] === undefined);
  if (missing.length > 0 && (!io.canAsk() || values.yes)) {
    throw new UsageError(`reshard needs ${missing.map((name) => `--${name}`).join(', ')}`);
  }
  // Check all options before asking the user or a node.
  const given = {
    slots: values.slots === undefined ? undefined : readSlots(text(values, 'slots')),
    to: values.to === undefined ? undefined : readTarget(text(values, 'to')),
    from: values.from === undefined ? undefined : readSources(text(values, 'from')),
  };
  const say = values.json ? io.stderr : io.stdout;
  if (missing.length > 0) say(await mastersText(cluster, options));
  const slots = given.slots ?? (await answer(io, 'How many slots, or which (0-99,200-299)? ', readSlots));
  const to = given.to ?? (await answer(io, 'Which master receives them (id or address)? ', readTarget));
  const from =
    given.from ?? (await answer(io, 'Which masters give them (ids or addresses, or all)? ', readSources));
  return { from, to, slots };
}

async function mastersText(cluster: string, options: OperationOptions): Promise<string> {
  const { listMasters } = await import('../../operations/list-nodes.ts');
  const { nodes } = await listMasters(cluster, options);
  const lines = nodes.map(
    (node) => `  ${node.nodeId} ${node.addr()} ${count(node.assignedSlots.length, 'slot')}`,
  );
  return ['Masters:', ...lines, ''].join('\n');
}

async function answer<Value>(io: Io, question: string, read: (text: string) => Value): Promise<Value> {
  const line = await io.ask(question);
  if (line === undefined) throw new UsageError('reshard: the input ended before all options were given');
  return read(line.trim());
}

function text(values: FlagValues, name: string): string {
  return String(values[name] ?? '');
}

function readSlots(text: string): number | SlotRange[] {
  if (/^\d+$/.test(text)) {
    if (Number(text) >= 1 && Number(text) <= 16384) return Number(text);
    throw new UsageError(`Not a number of slots: "${text}" (expected 1 to 16384, or ranges such as 0-99)`);
  }
  return text.split(/[\s,]+/).map(parseSlotRange);
}

function readTarget(text: string): string {
  if (text !== '' && !/[\s,]/.test(text)) return text;
  throw new UsageError(`Not one node: "${text}" (expected an id or an address)`);
}

function readSources(text: string): 'all' | string[] {
  if (text === 'all') return 'all';
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  if (names.length > 0 && !names.includes('all')) return names;
  throw new UsageError(`Not nodes: "${text}" (expected ids or addresses, or "all" alone)`);
}
