import {
  groupNumbers,
  pendingEntries,
  type Stream,
  streamEntries,
  streamNumbers,
} from '../../rdb/stream-value.ts';
import { type ConsumerGroup, isBefore, PAGE, type PendingRow, type StreamTail } from './stream-tail.ts';

/** What a stream of a file has besides its entries. */
export function decodedTail(stream: Stream): StreamTail {
  const { lastId, counts } = streamNumbers(stream);
  const groups = new Map(stream.groups.map((group) => [group.name, group]));
  const [first] = streamEntries(stream.nodes);
  const isAmiss = stream.groups.some((group) => {
    const [oldest] = pendingEntries(group);
    return oldest !== undefined && (!first || isBefore(oldest.id, first[0]));
  });
  return {
    facts: {
      ...{ lastId, counts },
      groups: stream.groups.map((group): ConsumerGroup => ({ name: group.name, ...groupNumbers(group) })),
      isBeyondCommands: stream.hasProducers || isAmiss,
    },
    async *pending({ name }) {
      const group = groups.get(name);
      let rows: PendingRow[] = [];
      const delivered = ({ at }: PendingRow) => ['TIME', at] as const;
      for (const { deliveredAt, ...entry } of group ? pendingEntries(group) : []) {
        rows.push({ ...entry, at: deliveredAt });
        if (rows.length < PAGE) continue;
        yield { rows, delivered };
        rows = [];
      }
      if (rows.length > 0) yield { rows, delivered };
    },
  };
}
