import type { Finding } from '../findings/finding.ts';
import { formatAddress } from '../model/address.ts';
import type { Advice } from '../model/next.ts';
import { countSlots, type NodeRecord } from '../model/node.ts';
import { formatRanges, SLOT_COUNT } from '../model/slot.ts';
import type { CheckResult } from '../operations/check.ts';
import type { SlotHolder } from '../operations/slot-fill.ts';
import type { FlagValues } from './flags.ts';
import type { Outcome } from './outcome.ts';

const LABELS = { error: '[ERR]', warning: '[WARNING]', info: '[INFO]' } as const;

/** Most findings of one kind that the text has a line for each of: more are one line. JSON has all. */
const SHOWN = 10;
/** Different advice shown for them. */
const ADVISED = 3;

/** The data of `check`. */
export interface CheckData {
  /** Errors first, then warnings, then information. */
  readonly findings: readonly Told[];
  /** Every node that any node knows. */
  readonly nodes: readonly CheckedNode[];
}

interface CheckedNode {
  readonly id: string;
  readonly address: string;
  readonly role: NodeRecord['role'];
  /** Null for a master. */
  readonly masterId: string | null;
  /** Text such as `0-5460 7000`. */
  readonly slots: string;
  /** Such as `Redis 8.6.0`; only if the node answers. */
  readonly version?: string | undefined;
  /** In all databases; only if the node answers. */
  readonly keys?: number;
  /** In bytes; only if the node answers. */
  readonly usedMemory?: number;
}

/** Outcome of `check`: the nodes, what is healthy, then the findings, grouped by kind. */
export async function checked(
  { ok, findings, view, details }: CheckResult,
  values: FlagValues = {},
): Promise<Outcome<CheckData>> {
  const has = (kinds: readonly string[]): boolean =>
    findings.some(({ kind, severity }) => severity === 'error' && kinds.includes(kind));
  const good = [
    ...(has(['nodes-disagree', 'slots-contested', 'node-in-handshake'])
      ? []
      : ['[OK] All nodes agree about slots configuration.']),
    ...(has(['slot-open', 'replica-mark']) ? [] : ['[OK] No open slots.']),
    ...(has(['slots-uncovered']) ? [] : [`[OK] All ${SLOT_COUNT} slots covered.`]),
  ];
  const told = await withAdvice(findings, values);
  return {
    ok,
    text: [...view.nodes.map(nodeLine), ...good, ...(await findingLines(told))].join('\n'),
    holders: () => checkedMasters({ view }),
    data: {
      findings: told,
      nodes: view.nodes.map(({ id, address, role, masterId, slots }) => {
        const own = details.get(id);
        return {
          ...{ id, address: formatAddress(address), role, masterId, slots: formatRanges(slots) },
          ...(own === undefined || own instanceof Error
            ? {}
            : { version: own.version, keys: own.keys, usedMemory: own.memory.used }),
        };
      }),
    },
  };
}

/** The masters of a view, and their slots. */
export function checkedMasters({ view }: Pick<CheckResult, 'view'>): SlotHolder[] {
  return view.nodes
    .filter(({ role }) => role === 'master')
    .map(({ id, address, slots }) => ({ id, address: formatAddress(address), slots }));
}

/** Findings as text, with what to do next, grouped by kind. */
export async function findingsText(findings: readonly Finding[], values: FlagValues): Promise<string[]> {
  return findingLines(await withAdvice(findings, values));
}

/** A finding, or what else comes with advice, with what to do next in words. */
export type Told<Item = Finding> = Omit<Item, 'hint'> & { readonly hint: string | undefined };

/** Findings, or the like, with what to do next in words, which are loaded only if there is something to say. */
export async function withAdvice<Item extends Advice>(
  items: readonly Item[],
  values: FlagValues,
): Promise<Told<Item>[]> {
  if (items.length === 0) return [];
  const { adviceText } = await import('./hints.ts');
  return items.map((item) => ({ ...item, hint: adviceText(item, { dialect: 'native', values }) }));
}

async function findingLines(findings: readonly Told[]): Promise<string[]> {
  const groups = new Map<string, Told[]>();
  for (const finding of findings) {
    const key = `${finding.severity} ${finding.kind}`;
    const group = groups.get(key);
    if (group) group.push(finding);
    else groups.set(key, [finding]);
  }
  const lines = await Promise.all([...groups.values()].map(linesOf));
  return lines.flat();
}

async function linesOf(group: readonly Told[]): Promise<string[]> {
  const label = LABELS[group[0]?.severity ?? 'error'];
  const advice = (hint: string): string => `  Next: ${hint.replaceAll('\n', '\n        ')}`;
  if (group.length <= SHOWN) {
    return group.flatMap(({ message, hint }, index) => [
      `${label} ${message}`,
      // Findings in a row with the same hint show it once, after the last.
      ...(hint === undefined || group[index + 1]?.hint === hint ? [] : [advice(hint)]),
    ]);
  }
  const { summaryOf } = await import('./many-findings.ts');
  const hints = [...new Set(group.flatMap(({ hint }) => hint ?? []))];
  const rest = hints.length - ADVISED;
  return [
    `${label} ${summaryOf(group)}`,
    ...hints.slice(0, ADVISED).map(advice),
    ...(rest > 0 ? [`  ${rest} others have advice of their own: see --json`] : []),
  ];
}

function nodeLine({ id, address, role, masterId, slots }: NodeRecord): string {
  const what =
    role === 'master'
      ? `slots:[${formatRanges(slots)}] (${countSlots({ slots })} slots)`
      : `replicates ${masterId}`;
  return `${role === 'master' ? 'M' : 'S'}: ${id} ${formatAddress(address)} ${what}`;
}
