import { formatBytes } from '../model/bytes.ts';
import { formatRanges } from '../model/slot.ts';
import type { ClusterInfoResult, MasterInfo } from '../operations/cluster-info.ts';
import { count } from './figures.ts';
import type { Outcome } from './outcome.ts';

/** The data of `info`. */
export interface InfoData extends Pick<ClusterInfoResult, 'keys' | 'slots' | 'usedMemory' | 'keysPerSlot'> {
  readonly masters: readonly InformedMaster[];
}

interface InformedMaster extends Omit<MasterInfo, 'slotRanges' | 'error'> {
  /** Text such as `0-5460 7000`. */
  readonly slotRanges: string;
  /** Why it does not answer. */
  readonly error?: string;
}

/** Outcome of `info`: a line for each master, then the totals. */
export function informed(info: ClusterInfoResult): Outcome<InfoData> {
  const { ok, masters, keys, slots, usedMemory, keysPerSlot } = info;
  const silent = masters.filter(({ error }) => error !== null);
  const answering = masters.length - silent.length;
  return {
    ok,
    text: [
      ...masters.map(masterLine),
      `${silent.length === 0 ? '[OK] ' : ''}${count(keys, 'key')} in ${count(answering, 'master')}, ${formatBytes(usedMemory)}.`,
      `${keysPerSlot.toFixed(2)} keys per slot on average.`,
      ...silent.map(({ address, error }) => `[ERR] ${address} does not answer: ${error?.message}`),
    ].join('\n'),
    holders: () => masters.map(({ id, address, slotRanges }) => ({ id, address, slots: slotRanges })),
    data: {
      ...{ keys, slots, usedMemory, keysPerSlot },
      masters: masters.map(({ slotRanges, error, ...master }) => ({
        ...master,
        slotRanges: formatRanges(slotRanges),
        ...(error ? { error: error.message } : {}),
      })),
    },
  };
}

function masterLine({ address, id, keys, slots, replicas, usedMemory }: MasterInfo): string {
  const held = keys === null ? '? keys' : count(keys, 'key');
  const size = usedMemory === null ? '' : ` | ${formatBytes(usedMemory)}`;
  return `${address} (${id.slice(0, 8)}...) -> ${held} | ${count(slots, 'slot')} | ${count(replicas.length, 'replica')}${size}`;
}
