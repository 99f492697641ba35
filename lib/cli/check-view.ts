import { formatAddress } from '../model/address.ts';
import { countSlots, type NodeRecord } from '../model/node.ts';
import { formatRanges, SLOT_COUNT } from '../model/slot.ts';
import type { CheckResult } from '../operations/check.ts';
import type { Outcome } from './outcome.ts';

/** Outcome of `check`: the nodes, then every finding or that all is well. */
export function checked({ ok, findings, view }: CheckResult): Outcome {
  const has = (kinds: readonly string[]): boolean => findings.some(({ kind }) => kinds.includes(kind));
  const good = [
    ...(has(['nodes-disagree', 'slots-contested'])
      ? []
      : ['[OK] All nodes agree about slots configuration.']),
    ...(has(['slot-open']) ? [] : ['[OK] No slot is open.']),
    ...(has(['slots-uncovered']) ? [] : [`[OK] All ${SLOT_COUNT} slots covered.`]),
  ];
  const bad = findings.map(
    ({ severity, message }) => `${severity === 'error' ? '[ERR]' : '[WARNING]'} ${message}`,
  );
  return {
    ok,
    text: [...view.nodes.map(nodeLine), ...good, ...bad].join('\n'),
    data: {
      findings,
      nodes: view.nodes.map(({ id, address, role, masterId, slots }) => ({
        id,
        address: formatAddress(address),
        role,
        masterId,
        slots: formatRanges(slots),
      })),
    },
  };
}

function nodeLine({ id, address, role, masterId, slots }: NodeRecord): string {
  const what =
    role === 'master'
      ? `slots:[${formatRanges(slots)}] (${countSlots({ slots })} slots)`
      : `replicates ${masterId}`;
  return `${role === 'master' ? 'M' : 'S'}: ${id} ${formatAddress(address)} ${what}`;
}
