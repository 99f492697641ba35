import { type NodeRecord, parseNodeLine } from './node.ts';

interface Known {
  /** From the id to what stands before ping-sent. */
  readonly head: string;
  /** From config-epoch to the end. */
  readonly tail: string;
  readonly record: NodeRecord;
}

/**
 * Reads many CLUSTER NODES replies that say nearly the same: nodes of whom two lines say the same, but for the times of ping
 * and pong, are one object. A thousand nodes tell of a million records, which would not fit in memory one by one.
 */
export class NodeLines {
  readonly #byId = new Map<string, Known[]>();

  parse(text: string): NodeRecord[] {
    const records: NodeRecord[] = [];
    for (let start = 0; start < text.length; ) {
      const newline = text.indexOf('\n', start);
      const end = newline < 0 ? text.length : newline;
      const record = this.#line(text, start, text[end - 1] === '\r' ? end - 1 : end);
      if (record) records.push(record);
      start = end + 1;
    }
    return records;
  }

  #line(text: string, start: number, end: number): NodeRecord | undefined {
    const space = text.indexOf(' ', start);
    const id = space < 0 || space > end ? undefined : text.slice(start, space);
    for (const { head, tail, record } of (id && this.#byId.get(id)) || []) {
      if (end - tail.length > start && text.startsWith(head, start) && text.endsWith(tail, end)) {
        // Between them are two numbers and a space, whatever they are.
        if (isTimes(text, start + head.length, end - tail.length)) return record;
      }
    }
    // A copy: what is cut out of a string keeps all of it in memory.
    const line = Buffer.from(text.slice(start, end).trim(), 'latin1').toString('latin1');
    if (line === '') return undefined;
    const record = parseNodeLine(line);
    const times = /^\S+ \S+ \S+ \S+ /.exec(line)?.[0].length ?? 0;
    const after = line.indexOf(' ', line.indexOf(' ', times) + 1);
    const known = { head: line.slice(0, times), tail: line.slice(after), record };
    const others = this.#byId.get(record.id);
    if (others) others.push(known);
    else this.#byId.set(record.id, [known]);
    return record;
  }
}

function isTimes(text: string, from: number, to: number): boolean {
  let spaces = 0;
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x20) spaces += 1;
    else if (code < 0x30 || code > 0x39) return false;
  }
  return spaces === 1;
}
