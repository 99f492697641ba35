import { formatAddress } from '../model/address.ts';
import type { Finding } from '../model/finding.ts';
import { countSlots, type NodeRecord } from '../model/node.ts';
import { formatRanges, SLOT_COUNT } from '../model/slot.ts';
import type { CheckResult } from '../operations/check.ts';
import { count } from './figures.ts';
import type { Outcome } from './outcome.ts';

const LABELS = { error: '[ERR]', warning: '[WARNING]', info: '[INFO]' } as const;

/** Findings of one kind that are shown to people. Programs get all. */
const SHOWN = 10;

/** Outcome of `check`: the nodes, what is well, then every finding, those of one kind together. */
export function checked({ ok, findings, view, details }: CheckResult): Outcome {
  const has = (kinds: readonly string[]): boolean =>
    findings.some(({ kind, severity }) => severity === 'error' && kinds.includes(kind));
  const good = [
    ...(has(['nodes-disagree', 'slots-contested'])
      ? []
      : ['[OK] All nodes agree about slots configuration.']),
    ...(has(['slot-open']) ? [] : ['[OK] No slot is open.']),
    ...(has(['slots-uncovered']) ? [] : [`[OK] All ${SLOT_COUNT} slots covered.`]),
  ];
  return {
    ok,
    text: [...view.nodes.map(nodeLine), ...good, ...findingLines(findings)].join('\n'),
    data: {
      findings,
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

function findingLines(findings: readonly Finding[]): string[] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    const key = `${finding.severity} ${finding.kind}`;
    const group = groups.get(key);
    if (group) group.push(finding);
    else groups.set(key, [finding]);
  }
  return [...groups.values()].flatMap((group) => {
    const label = LABELS[group[0]?.severity ?? 'error'];
    const shown = group.slice(0, SHOWN);
    const rest = group.length - shown.length;
    return [
      ...shown.flatMap(({ message, hint }, index) => [
        `${label} ${message}`,
        // What is said of several findings alike is said after the last.
        ...(shown[index + 1]?.hint === hint ? [] : [`  Next: ${hint}`]),
      ]),
      ...(rest > 0 ? [`${label} and ${count(rest, 'finding')} more of this kind`] : []),
    ];
  });
}

function nodeLine({ id, address, role, masterId, slots }: NodeRecord): string {
  const what =
    role === 'master'
      ? `slots:[${formatRanges(slots)}] (${countSlots({ slots })} slots)`
      : `replicates ${masterId}`;
  return `${role === 'master' ? 'M' : 'S'}: ${id} ${formatAddress(address)} ${what}`;
}
