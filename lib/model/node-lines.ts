import { type NodeRecord, parseNodeLine } from './node.ts';

interface Known {
  /** From the id to what stands before ping-sent. */
  readonly head: DataView;
  /** From config-epoch to the end. */
  readonly tail: DataView;
  readonly record: NodeRecord;
}

/** No cluster has as many: each master of a slot of its own with a replica would be half of it. */
const MOST_NODES = 65_536;
/** Ids that somebody made up may all have one mark: what is past this is not looked for, which would take for ever. */
const MOST_ALIKE = 200;
const ID_LENGTH = 40;
const [NEWLINE, SPACE, ZERO, NINE] = [0x0a, 0x20, 0x30, 0x39];

/**
 * Reads many CLUSTER NODES replies that say nearly the same: nodes of whom two lines say the same, but for the times of ping
 * and pong, are one object. A thousand nodes tell of a million records, which would not fit in memory one by one, and of
 * which no strings are made: that alone would take seconds.
 */
export class NodeLines {
  readonly #known = new Map<number, Known[]>();

  parse(text: Buffer): NodeRecord[] {
    const view = viewOf(text);
    const records: NodeRecord[] = [];
    for (let start = 0; start < text.length; ) {
      const newline = text.indexOf(NEWLINE, start);
      const end = newline < 0 ? text.length : newline;
      const record = this.#read(text, view, start, end);
      if (record) records.push(record);
      if (records.length > MOST_NODES) throw new TypeError(`It lists more than ${MOST_NODES} nodes`);
      start = end + 1;
    }
    return records;
  }

  #read(text: Buffer, view: DataView, start: number, end: number): NodeRecord | undefined {
    const isShort = end - start < ID_LENGTH;
    const mark = isShort ? 0 : view.getInt32(start) ^ view.getInt32(start + ID_LENGTH - 4);
    const alike = this.#known.get(mark) ?? [];
    for (const { head, tail, record } of alike) {
      if (!isAt(view, start, head)) continue;
      const times = endOfTimes(text, start + head.byteLength, end);
      if (times + tail.byteLength === end && isAt(view, times, tail)) return record;
    }
    const line = text.toString('latin1', start, end).trim();
    if (line === '') return undefined;
    const parsed = parseNodeLine(line);
    // One string for one id: comparing it is cheap then.
    const { id } = alike.find(({ record }) => record.id === parsed.id)?.record ?? parsed;
    const record = { ...parsed, id };
    const bytes = Buffer.from(line, 'latin1');
    const times = /^\S+ \S+ \S+ \S+ /.exec(line)?.[0].length ?? bytes.length;
    const tail = bytes.subarray(endOfTimes(bytes, times, bytes.length));
    if (alike.length >= MOST_ALIKE) return record;
    alike.push({ head: viewOf(bytes.subarray(0, times)), tail: viewOf(tail), record });
    this.#known.set(mark, alike);
    return record;
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

// Four bytes at a time.
function isAt(text: DataView, start: number, part: DataView): boolean {
  const length = part.byteLength;
  if (start + length > text.byteLength) return false;
  let at = 0;
  for (; at + 4 <= length; at += 4) if (text.getInt32(start + at) !== part.getInt32(at)) return false;
  for (; at < length; at++) if (text.getUint8(start + at) !== part.getUint8(at)) return false;
  return true;
}

// Where ping-sent and pong-recv end, two numbers with a space between.
function endOfTimes(text: Buffer, from: number, end: number): number {
  let spaces = 0;
  for (let at = from; at < end; at++) {
    const byte = text[at] as number;
    if (byte === SPACE && spaces++ === 0) continue;
    if (byte < ZERO || byte > NINE) return at;
  }
  return end;
}
