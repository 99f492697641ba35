import type { StoppingNode } from '../findings/stop-verdict.ts';
import { formatBytes } from '../model/bytes.ts';
import { formatRanges } from '../model/slot.ts';
import type { OkToStopResult } from '../operations/ok-to-stop.ts';
import { count } from './figures.ts';
import type { Outcome } from './outcome.ts';

/** The data of `ok_to_stop`. */
export interface StopData extends Pick<OkToStopResult, 'voters' | 'reasons' | 'together'> {
  /** Those that would stop. */
  readonly nodes: readonly StopNode[];
}

interface StopNode extends Omit<StoppingNode, 'slots'> {
  /** Text such as `0-5460 7000`. */
  readonly slots: string;
}

/** Outcome of `ok_to_stop`: the answer, then the reasons, with their advice in words. */
export function verdictOutcome(result: OkToStopResult): Outcome<StopData> {
  const { ok, nodes, voters, reasons, together } = result;
  const data: StopData = {
    nodes: nodes.map((node) => ({ ...node, slots: formatRanges(node.slots) })),
    ...{ voters, reasons, together },
  };
  const lines = ok
    ? [
        nodes.length === 1 ? 'Yes, it may stop' : `Yes, these ${nodes.length} nodes may stop together`,
        ...nodes.map((node) => `  ${nodeText(node)}`),
        `  ${voters.staying} of ${count(voters.all, 'master')} stay: enough to vote, which takes ${voters.needed}`,
      ]
    : [
        nodes.length === 1
          ? 'No, it may not stop now'
          : `No, these ${nodes.length} nodes may not stop together`,
        ...reasons.flatMap(({ message, hint }) => [
          `  ${message}`,
          ...(hint === undefined ? [] : [`    Next: ${hint.replaceAll('\n', '\n          ')}`]),
        ]),
        ...togetherLines(together),
      ];
  return { ok, text: lines.join('\n'), data };
}

function nodeText({ address, role, slots, successor, others = 0 }: StoppingNode): string {
  if (role === 'replica')
    return `${address}  replica: its master keeps ${others === 0 ? 'no other' : count(others, 'other')} that could take over`;
  if (!successor) return `${address}  master without slots`;
  return `${address}  master of ${formatRanges(slots)}: ${successor.address}, ${formatBytes(successor.behind)} behind, can take over`;
}

function togetherLines(together: OkToStopResult['together']): string[] {
  if (together.length === 0) return [];
  return [
    '  May stop together, one group after the other has come back:',
    ...together.map((group) => `    ${group.join(' ')}`),
  ];
}
