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
  /** How many nodes the last reply listed: room for as many is made at once. */
  #count = 0;
  /** Where the line ends that was read last. */
  #end = 0;

  parse(text: Buffer): NodeRecord[] {
    const view = viewOf(text);
    const records: NodeRecord[] = new Array(this.#count);
    let count = 0;
    for (let start = 0; start < text.length; start = this.#end + 1) {
      const record = this.#recall(text, view, start) ?? this.#read(text, view, start);
      if (record) records[count++] = record;
      if (count > MOST_NODES) throw new TypeError(`It lists more than ${MOST_NODES} nodes`);
    }
    records.length = count;
    this.#count = count;
    return records;
  }

  // A line that says what another said ends where that ended, so that nothing has to be looked for.
  #recall(text: Buffer, view: DataView, start: number): NodeRecord | undefined {
    const alike = this.#known.get(markOf(view, start));
    if (alike === undefined) return undefined;
    for (let index = 0; index < alike.length; index++) {
      const { head, tail, record } = alike[index] as Known;
      if (!isAt(view, start, head)) continue;
      const times = endOfTimes(text, start + head.byteLength);
      const end = times + tail.byteLength;
      if ((end < text.length && text[end] !== NEWLINE) || !isAt(view, times, tail)) continue;
      this.#end = end;
      return record;
    }
    return undefined;
  }

  #read(text: Buffer, view: DataView, start: number): NodeRecord | undefined {
    const newline = text.indexOf(NEWLINE, start);
    this.#end = newline < 0 ? text.length : newline;
    const line = text.toString('latin1', start, this.#end).trim();
    if (line === '') return undefined;
    const parsed = parseNodeLine(line);
    const mark = markOf(view, start);
    const alike = this.#known.get(mark) ?? [];
    // One string for one id: comparing it is cheap then.
    const { id } = alike.find(({ record }) => record.id === parsed.id)?.record ?? parsed;
    const record = { ...parsed, id };
    const bytes = Buffer.from(line, 'latin1');
    const times = /^\S+ \S+ \S+ \S+ /.exec(line)?.[0].length ?? bytes.length;
    const tail = bytes.subarray(endOfTimes(bytes, times));
    if (alike.length >= MOST_ALIKE) return record;
    alike.push({ head: viewOf(bytes.subarray(0, times)), tail: viewOf(tail), record });
    this.#known.set(mark, alike);
    return record;
  }
}

// Ids differ in their first four digits most of the time, or in their last.
function markOf(view: DataView, start: number): number {
  const last = start + ID_LENGTH - 4;
  return last + 4 > view.byteLength ? 0 : view.getInt32(start) ^ view.getInt32(last);
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
function endOfTimes(text: Buffer, from: number): number {
  let spaces = 0;
  for (let at = from; at < text.length; at++) {
    const byte = text[at] as number;
    if (byte === SPACE && spaces++ === 0) continue;
    if (byte < ZERO || byte > NINE) return at;
  }
  return text.length;
}
