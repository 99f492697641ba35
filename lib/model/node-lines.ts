import { type NodeRecord, parseNodeLine } from './node.ts';

interface Known {
  /** From the id up to ping-sent, exclusive. */
  readonly head: DataView;
  /** From config-epoch to the end. */
  readonly tail: DataView;
  readonly record: NodeRecord;
}

/** More nodes than any cluster has: one master per slot, each with a replica, would be half of it. */
const MOST_NODES = 65_536;
/** Made-up ids may all have the same mark. Lines beyond this many are not remembered, or the search would take forever. */
const MOST_ALIKE = 200;
const ID_LENGTH = 40;
const [NEWLINE, SPACE, ZERO, NINE] = [0x0a, 0x20, 0x30, 0x39];

/**
 * Parses CLUSTER NODES replies of many nodes, which are nearly identical. Two lines that differ only in ping-sent and
 * pong-recv give the same object. A thousand nodes report a million lines: as separate records they would not fit in
 * memory, and turning them into strings alone would take seconds.
 */
export class NodeLines {
  readonly #known = new Map<number, Known[]>();
  /** Nodes in the last reply: the expected size of the next. */
  #count = 0;
  /** End of the line read last. */
  #end = 0;

  /** Parses one reply. Throws a TypeError for a line it cannot read, or for too many nodes. */
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

  // Finds a known line equal to this one. Its length is then known, so there is no search for the newline.
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
    // The same string object for the same id, so that comparing ids is cheap.
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

/**
 * Reads one reply of CLUSTER NODES, as text of one character a byte. Lines of nodes still in handshake are kept: their id is not final.
 * Throws a TypeError on a line that it cannot read.
 */
export function parseClusterNodes(text: string): NodeRecord[] {
  return new NodeLines().parse(Buffer.from(text, 'latin1'));
}

// Two ids nearly always differ in their first or their last four digits.
function markOf(view: DataView, start: number): number {
  const last = start + ID_LENGTH - 4;
  return last + 4 > view.byteLength ? 0 : view.getInt32(start) ^ view.getInt32(last);
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

// Compares four bytes at a time.
function isAt(text: DataView, start: number, part: DataView): boolean {
  const length = part.byteLength;
  if (start + length > text.byteLength) return false;
  let at = 0;
  for (; at + 4 <= length; at += 4) if (text.getInt32(start + at) !== part.getInt32(at)) return false;
  for (; at < length; at++) if (text.getUint8(start + at) !== part.getUint8(at)) return false;
  return true;
}

// The end of ping-sent and pong-recv: two numbers separated by a space.
function endOfTimes(text: Buffer, from: number): number {
  let spaces = 0;
  for (let at = from; at < text.length; at++) {
    const byte = text[at] as number;
    if (byte === SPACE && spaces++ === 0) continue;
    if (byte < ZERO || byte > NINE) return at;
  }
  return text.length;
}
