import type { Finding } from '../../findings/finding.ts';
import { SLOT_COUNT } from '../../model/slot.ts';
import type { ClusterSnapshot, NodeVitals } from '../../operations/snapshot.ts';
import { count, roughly } from '../figures.ts';
import { summaryOf } from '../many-findings.ts';
import { wrap } from '../markdown.ts';
import { sharesIn } from '../slot-map.ts';
import { nodeDetails } from './details.ts';
import { line, type Piece, type Style, type TextLine } from './line.ts';
import { brief, type Marks } from './marks.ts';
import { ownFigures, ownKeys } from './own-move.ts';
import { sorted, type TopState } from './state.ts';
import { nodeTable } from './table.ts';

export interface PictureOptions extends Marks {
  readonly columns: number;
  readonly rows: number;
  /** The time of day that is shown for an ISO date. */
  readonly timeOf: (at: string) => string;
}

/** Lines about moves, and about findings if there are more nodes than lines. */
const [MOST_MOVES, LEAST_FINDINGS] = [3, 2];
const LEAST_NODES = 3;
/** Empty lines between nodes, moves, details and findings. */
const GAPS = 3;
const STYLES: Readonly<Record<Finding['severity'], Style>> = {
  error: 'error',
  warning: 'warning',
  info: 'dim',
};
const WORDS: Readonly<Record<Finding['severity'], string>> = {
  error: 'Error',
  warning: 'Warning',
  info: 'Note',
};

/** The whole picture: as many lines as the terminal has, none longer than it is wide once rendered. */
export function picture(state: TopState, options: PictureOptions): TextLine[] {
  const { rows } = options;
  const { snapshot } = state;
  if (!snapshot) return filled([], rows, keyLine(state, options));
  const nodes = sorted(state);
  const selected = nodes.find(({ id }) => id === state.selected);
  const head = headLines(snapshot, options);
  const moves = moveLines(snapshot, state, options);
  const findings = findingLines(shownFindings(snapshot));
  const details = selected ? nodeDetails(selected, snapshot.nodes) : [];
  // Title, head of the table, and the line of keys are always there; then come the nodes.
  let left = rows - head.length - 2;
  const take = (lines: readonly TextLine[], most: number): readonly TextLine[] => {
    const taken = lines.slice(0, Math.max(0, Math.min(most, left - Math.min(nodes.length, LEAST_NODES))));
    left -= taken.length;
    return taken;
  };
  /** Each line whole, if there is room for that beside all nodes and the empty lines. */
  const whole = (lines: readonly TextLine[]): readonly TextLine[] => {
    const all = lines.flatMap((one) => folded(one, options.columns));
    return all.length <= left - nodes.length - GAPS ? all : lines;
  };
  const shownDetails = take(details, details.length);
  const slots = take([slotLine(snapshot, options)], 1);
  const shownMoves = take(whole(moves), rows);
  const roomForAll = left - nodes.length;
  const told = take(whole(atMost(findings, Math.max(LEAST_FINDINGS, roomForAll), 'finding')), rows);
  const [header, ...table] = windowOf(state, left, options);
  const groups = [table, [...slots, ...shownMoves], shownDetails, told].filter((group) => group.length > 0);
  const body = spaced(groups, rows - head.length - 2);
  return filled([...head, header, ...body], rows, keyLine(state, options));
}

function headLines(snapshot: ClusterSnapshot, options: PictureOptions): TextLine[] {
  const { nodes, state, intervalMs } = snapshot;
  const dot = options.ascii ? ' - ' : ' · ';
  const versions = [...new Set(nodes.flatMap(({ version }) => version ?? []))];
  const version = `${versions[0] ?? 'no version known'}${versions.length > 1 ? ' and others' : ''}`;
  const masters = nodes.filter(({ role }) => role === 'master');
  const first: TextLine = [
    { text: 'redis-trib top', style: 'bold' },
    { text: `${dot}${version}${dot}` },
    state === 'ok' ? { text: 'serving', style: 'good' } : { text: 'not serving', style: 'error' },
    { text: `${dot}${count(nodes.length, 'node')}, ${count(masters.length, 'shard')}` },
    { text: `${dot}${options.timeOf(snapshot.at)}` },
  ];
  const every: Piece = { text: `${dot}every ${intervalMs / 1000} s` };
  const hasRoom = widthOf([...first, every]) <= options.columns;
  const counts = findingCounts(shownFindings(snapshot));
  // A figure that is cut would be read as another one.
  const totals = totalsOf(nodes).reduce((text, total) => {
    const longer = `${text}${dot}${total}`;
    return counts.text.length + longer.length <= options.columns ? longer : text;
  }, '');
  return [hasRoom ? [...first, every] : first, [counts, { text: totals }]];
}

/** What all nodes have and do together, in words. */
export function totalsOf(nodes: readonly NodeVitals[]): string[] {
  const sum = (of: (node: NodeVitals) => number | null | undefined): number =>
    nodes.reduce((total, node) => total + (of(node) ?? 0), 0);
  const bytes = (of: (node: NodeVitals) => number | null | undefined): string => brief(sum(of), 1024);
  return [
    `${brief(sum(({ role, keys }) => (role === 'master' ? keys : 0)))} keys`,
    `${bytes(({ memory }) => memory?.used)} memory`,
    `${brief(sum(({ rates }) => rates?.opsPerSecond))} ops/s`,
    `${bytes(({ rates }) => rates?.bytesInPerSecond)}/s in`,
    `${bytes(({ rates }) => rates?.bytesOutPerSecond)}/s out`,
  ];
}

function widthOf(pieces: TextLine): number {
  return pieces.reduce((sum, { text }) => sum + text.length, 0);
}

/** Open slots are no finding while they move: there is a line about them. */
function shownFindings({ findings, moves, operators }: ClusterSnapshot): readonly Finding[] {
  const isMoving =
    operators.length > 0 ||
    moves.some(
      ({ by, slotsPerSecond, keysPerSecond }) =>
        by === 'task' || slotsPerSecond !== null || keysPerSecond !== null,
    );
  return isMoving ? findings.filter(({ kind }) => kind !== 'slot-open') : findings;
}

function findingCounts(findings: readonly Finding[]): Piece {
  const of = (severity: Finding['severity']): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const [errors, warnings, notes] = [of('error'), of('warning'), of('info')];
  const parts = [
    ...(errors > 0 ? [count(errors, 'error')] : []),
    ...(warnings > 0 ? [count(warnings, 'warning')] : []),
    ...(notes > 0 ? [count(notes, 'note')] : []),
  ];
  if (parts.length === 0) return { text: 'no findings', style: 'good' };
  return { text: parts.join(', '), style: errors > 0 ? 'error' : warnings > 0 ? 'warning' : 'plain' };
}

/** The nodes that there is room for, around the one that is selected, and how many others there are. */
function windowOf(
  state: TopState,
  room: number,
  { columns, ...marks }: PictureOptions,
): [TextLine, ...TextLine[]] {
  const nodes = sorted(state);
  if (nodes.length <= room) return nodeTable(nodes, nodes, state, columns, marks);
  const most = Math.max(0, room - 1);
  const at = nodes.findIndex(({ id }) => id === state.selected);
  const first = Math.max(0, Math.min(nodes.length - most, at - Math.floor(most / 2)));
  const [head, ...rows] = nodeTable(nodes.slice(first, first + most), nodes, state, columns, marks);
  const below = nodes.length - first - most;
  const hidden = [...(first > 0 ? [`${first} above`] : []), ...(below > 0 ? [`${below} below`] : [])];
  const text = ` ${marks.ascii ? '...' : '…'} and ${count(nodes.length - most, 'more node')}: ${hidden.join(', ')}`;
  return [head, ...rows, ...(room > 0 ? [line(text, 'dim')] : [])];
}

const DIGITS = '123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** Who owns which slots, in one line: in each cell the number of the shard that has most of its slots. */
function slotLine({ nodes }: ClusterSnapshot, { columns, ascii }: PictureOptions): TextLine {
  const [before, after] = ['slots 0 ', ` ${SLOT_COUNT - 1}`];
  const cells = Math.max(8, columns - before.length - after.length);
  /** Of each cell: how much of it is owned, the largest part that one shard has, and which that is. */
  const [owned, most, shards] = [new Float64Array(cells), new Float64Array(cells), new Uint32Array(cells)];
  for (const { role, slots, shard } of nodes) {
    if (role !== 'master' || slots.length === 0) continue;
    const shares = sharesIn(slots, cells);
    for (let cell = 0; cell < cells; cell++) {
      const share = shares[cell] ?? 0;
      if (share === 0) continue;
      owned[cell] = (owned[cell] ?? 0) + share;
      if (share <= (most[cell] ?? 0)) continue;
      most[cell] = share;
      shards[cell] = shard ?? 0;
    }
  }
  const bar: Piece[] = [];
  for (let cell = 0; cell < cells; cell++) {
    const shard = shards[cell] ?? 0;
    // One slot that nobody owns is seen, too.
    const isFree = (owned[cell] ?? 0) < 1 - 1e-9;
    const text = isFree ? (ascii ? '.' : '·') : (DIGITS[(shard - 1) % DIGITS.length] ?? '?');
    const style: Style = isFree ? 'error' : `shard${shard}`;
    const last = bar.at(-1);
    if (last?.style === style) bar[bar.length - 1] = { text: last.text + text, style };
    else bar.push({ text, style });
  }
  return [{ text: before }, ...bar, { text: after }];
}

function moveLines(
  { moves, operators }: ClusterSnapshot,
  { own }: TopState,
  { ascii }: PictureOptions,
): readonly TextLine[] {
  const arrow = ascii ? '->' : '→';
  const lines = moves.map((move): TextLine => {
    const { source, target, state, slotsOpen, slotsDone, slotsPerSecond } = move;
    const { keysLeft, keysPerSecond, msLeft } = move;
    const pace = [
      ...(slotsPerSecond === null ? [] : [`${brief(slotsPerSecond)}/s`]),
      ...(msLeft === null ? [] : [`${roughly(msLeft)} left`]),
    ];
    const open = slotsDone > 0 ? `${slotsOpen}` : count(slotsOpen, 'slot');
    const slots = [
      ...(slotsDone > 0 ? [`${count(slotsDone, 'slot')} moved`] : []),
      ...(slotsOpen > 0 ? [`${open} ${state === null ? 'open' : 'on the way'}`] : []),
    ].join(', ');
    const keysPace = keysPerSecond === null ? '' : ` (${brief(keysPerSecond)}/s)`;
    const figures = [
      `${slots}${pace.length > 0 ? ` (${pace.join(', ')})` : ''}`,
      ...(keysLeft === null || slotsOpen === 0 ? [] : [`${brief(keysLeft)} keys left${keysPace}`]),
      ...(state === null ? [] : [`by the servers: ${state}`]),
    ];
    return [
      { text: 'moving ', style: 'bold' },
      { text: `${source} ${arrow} ${target}: ${figures.join(', ')}` },
    ];
  });
  const others = operators.map(({ from, ageSeconds }) =>
    line(`An operator at ${from} is changing the cluster, connected for ${ageSeconds} s`),
  );
  // Nobody else changes the cluster while this process does.
  const first = own ? [[{ text: 'this move ', style: 'bold' as const }, { text: ownFigures(own) }]] : others;
  return [...first.slice(0, 1), ...atMost(lines, MOST_MOVES, 'move')];
}

// One line for each kind: the most severe come first.
function findingLines(findings: readonly Finding[]): TextLine[] {
  const kinds = new Map<string, Finding[]>();
  for (const finding of findings) {
    const key = `${finding.severity} ${finding.kind}`;
    const group = kinds.get(key);
    if (group) group.push(finding);
    else kinds.set(key, [finding]);
  }
  return [...kinds.values()].flatMap((group): TextLine[] => {
    const [first] = group;
    if (!first) return [];
    const { severity, message } = first;
    return [
      [
        { text: `${WORDS[severity]}: `, style: STYLES[severity] },
        { text: group.length > 1 ? summaryOf(group) : message },
      ],
    ];
  });
}

/** A line as the lines that it takes, the others indented. A first word in a style of its own fits into one. */
function folded(pieces: TextLine, columns: number): readonly TextLine[] {
  const all = pieces.map(({ text }) => text).join('');
  if (all.length <= columns) return [pieces];
  const [first] = pieces.length > 1 ? pieces : [];
  const [head = '', ...more] = wrap(all, columns - 2);
  const top = first ? [first, { text: head.slice(first.text.length) }] : line(head);
  return [top, ...more.map((part) => line(`  ${part}`))];
}

function atMost(lines: readonly TextLine[], most: number, noun: string): readonly TextLine[] {
  if (lines.length <= most) return lines;
  const shown = lines.slice(0, Math.max(0, most - 1));
  return [...shown, line(`and ${count(lines.length - shown.length, `more ${noun}`)}`, 'dim')];
}

function keyLine({ sort, isFrozen, own }: TopState, { ascii }: PictureOptions): TextLine {
  const select = own ? '' : `${ascii ? 'up/down' : '↑↓'} select  `;
  return [
    ...(isFrozen ? ([{ text: 'frozen', style: 'warning' }, { text: '  ' }] as const) : []),
    {
      text: `q ${own ? 'close' : 'quit'}  ${own ? ownKeys(own) : ''}s sort: ${sort}  ${select}p ${isFrozen ? 'thaw' : 'freeze'}`,
      style: 'dim',
    },
  ];
}

/** Groups with an empty line between them if there is room for all. */
function spaced(groups: readonly (readonly TextLine[])[], room: number): TextLine[] {
  const lines = groups.flat();
  if (lines.length + groups.length - 1 > room) return lines;
  return groups.flatMap((group, index) => (index > 0 ? [[], ...group] : [...group]));
}

function filled(lines: readonly TextLine[], rows: number, last: TextLine): TextLine[] {
  const shown = lines.slice(0, Math.max(0, rows - 1));
  const empty = Array.from({ length: Math.max(0, rows - 1 - shown.length) }, (): TextLine => []);
  return [...shown, ...empty, ...(rows > 0 ? [last] : [])];
}
