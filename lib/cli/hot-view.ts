import { formatBytes, formatKey } from '../model/bytes.ts';
import type { HotKey, HotKeyEvidence, HotNode, HotNote, HotSlot, HotVerdict } from '../model/hot-spots.ts';
import type { Advice } from '../model/next.ts';
import type { HotSpotResult } from '../operations/find-hot-spots.ts';
import { columnLines } from './columns.ts';
import { count, seconds, short } from './figures.ts';
import type { FlagValues } from './flags.ts';
import { type JsonKey, jsonKey } from './key-list.ts';
import type { Outcome } from './outcome.ts';

/** Advice, or several, each to be shown as lines. */
type Advise = (advice: Advice) => string[];

/** The data of `hot`. */
export interface HotData extends Omit<HotSpotResult, 'keys'> {
  readonly keys: readonly (Omit<HotKey, 'key'> & { readonly key: JsonKey })[];
}

/** Outcome of `hot`: done if every master was measured. */
export async function foundHot(found: HotSpotResult, values: FlagValues): Promise<Outcome<HotData>> {
  const { adviceLines } = await import('./hints.ts');
  const advise: Advise = (advice) => adviceLines(advice, { dialect: 'native', values });
  const told = <Item extends HotNote | HotVerdict>(item: Item) => ({
    ...item,
    hint: advise(item).join('\n') || undefined,
  });
  const { nodes, slots, keys, verdicts, forMs, elapsedMs, complete } = found;
  return {
    ok: complete,
    data: {
      ...found,
      nodes: nodes.map((node) => ({ ...node, notes: node.notes.map(told) })),
      keys: keys.map((key) => ({ ...key, key: jsonKey(key.key) })),
      verdicts: verdicts.map(told),
      elapsedMs: Math.round(elapsedMs),
    },
    text: [
      `${count(nodes.length, 'master')}, measured for ${seconds(forMs)}`,
      ...nodes
        .filter(({ error }) => error !== null)
        .map(({ node, error }) => `Not measured to the end: ${node}: ${error}`),
      '',
      ...columnLines(nodeRows(nodes), new Set([1, 2])),
      ...(slots.length > 0 ? ['', ...columnLines(slotRows(slots), new Set([0, 2, 3, 4, 5, 6]))] : []),
      ...(keys.length > 0 ? ['', ...columnLines(keyRows(keys), new Set([2]))] : []),
      '',
      ...verdicts.flatMap((verdict) => [verdict.message, ...advise(verdict).map((line) => `  ${line}`)]),
      ...noteLines(nodes, advise),
    ].join('\n'),
  };
}

const WORDS: Readonly<Record<HotKeyEvidence, string>> = {
  hotkeys: 'HOTKEYS',
  frequency: 'OBJECT FREQ',
  monitor: 'MONITOR',
  'only-key': 'only key of its slot',
};

function nodeRows(nodes: readonly HotNode[]): string[][] {
  return [
    ['Master', 'share', 'commands/s', 'measured by'],
    ...nodes.map(({ node, share, commandsPerSecond, slotsBy, keysBy }) => [
      node,
      share === null ? '-' : percent(share),
      commandsPerSecond === null ? '-' : short(Math.round(commandsPerSecond)),
      [...(slotsBy ? ['SLOT-STATS'] : []), ...keysBy.map((by) => WORDS[by])].join(', ') || 'nothing',
    ]),
  ];
}

function slotRows(slots: readonly HotSlot[]): string[][] {
  return [
    ['Slot', 'on', 'share', 'of node', 'CPU', 'network/s', 'keys'],
    ...slots.map(({ slot, node, share, nodeShare, cpuUsPerSecond, networkBytesPerSecond, keys }) => [
      `${slot}`,
      node,
      percent(share),
      percent(nodeShare),
      cpuUsPerSecond === null ? '-' : percent(cpuUsPerSecond / 1e6),
      networkBytesPerSecond === null ? '-' : formatBytes(Math.round(networkBytesPerSecond)),
      `${keys}`,
    ]),
  ];
}

function keyRows(keys: readonly HotKey[]): string[][] {
  return [
    ['Key', 'on', 'of node', 'by'],
    ...keys.map(({ key, node, by, nodeShare, frequency }) => [
      formatKey(key),
      node,
      nodeShare === null ? '-' : percent(nodeShare),
      frequency === null ? WORDS[by] : `${WORDS[by]} ${frequency}`,
    ]),
  ];
}

/** What was noted on several masters is said once. */
function noteLines(nodes: readonly HotNode[], advise: Advise): string[] {
  const byMessage = new Map<string, { readonly note: HotNote; readonly nodes: string[] }>();
  for (const { node, notes } of nodes) {
    for (const note of notes) {
      const known = byMessage.get(note.message) ?? { note, nodes: [] };
      known.nodes.push(node);
      byMessage.set(note.message, known);
    }
  }
  return [...byMessage.values()].flatMap(({ note, nodes: names }) => [
    `${names.length === nodes.length && names.length > 1 ? 'All masters' : names.join(', ')}: ${note.message}`,
    ...advise(note).map((line) => `  ${line}`),
  ]);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
