/** Length of the mark that ends a payload of unknown length. */
const MARK_BYTES = 40;
/** Longer than any line that announces a payload or refuses one. */
const MOST_LINE_BYTES = 1024;

/**
 * Parses the reply to SYNC: newlines while the master makes the snapshot, then `$<length>` or `$EOF:<mark>`, then the
 * snapshot (`getRDB` in redis-cli.c). Buffers no more than a line or a mark.
 */
export class SyncPayload {
  #line = '';
  #mark: Uint8Array | undefined;
  #tail: Uint8Array = new Uint8Array(0);
  #left = 0;
  #state: 'line' | 'length' | 'mark' | 'whole' | 'refused' = 'line';
  #bytes: number | undefined;
  #refusal: string | undefined;
  #rest: Uint8Array = new Uint8Array(0);

  /** Length of the snapshot in bytes, if the master announced it. */
  get bytes(): number | undefined {
    return this.#bytes;
  }

  /** The error that the master sent instead of a snapshot, such as `LOADING …`. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** True once the last byte has arrived. */
  get isWhole(): boolean {
    return this.#state === 'whole';
  }

  /** The bytes after the snapshot in the chunk that ended it: the replication stream begins with them. */
  get rest(): Uint8Array {
    return this.#rest;
  }

  /** Takes the next chunk and returns the pieces of the snapshot in it. Throws a TypeError if the reply is not a snapshot. */
  push(chunk: Uint8Array): Uint8Array[] {
    const rest = this.#state === 'line' ? this.#takeLine(chunk) : chunk;
    if (rest.length === 0) return [];
    if (this.#state === 'length') return this.#takeCounted(rest);
    return this.#state === 'mark' ? this.#takeMarked(rest) : [];
  }

  #takeLine(chunk: Uint8Array): Uint8Array {
    for (const [index, byte] of chunk.entries()) {
      if (byte !== 0x0a) this.#line += String.fromCharCode(byte);
      else if (this.#line !== '') {
        this.#announce(this.#line.replace(/\r$/, ''));
        return chunk.subarray(index + 1);
      }
      if (this.#line.length > MOST_LINE_BYTES) throw new TypeError('an endless line in place of a snapshot');
    }
    return chunk.subarray(chunk.length);
  }

  #announce(line: string): void {
    const [, length] = /^\$(\d{1,15})$/.exec(line) ?? [];
    const [, mark] = /^\$EOF:([\x21-\x7e]{40})$/.exec(line) ?? [];
    if (line.startsWith('-')) {
      this.#refusal = line.slice(1);
      this.#state = 'refused';
    } else if (length !== undefined) {
      this.#bytes = this.#left = Number(length);
      this.#state = this.#left > 0 ? 'length' : 'whole';
    } else if (mark !== undefined) {
      this.#mark = Uint8Array.from(mark, (char) => char.charCodeAt(0));
      this.#state = 'mark';
    } else {
      throw new TypeError(`${JSON.stringify(line.slice(0, 60))} in place of a snapshot`);
    }
  }

  #takeCounted(chunk: Uint8Array): Uint8Array[] {
    const piece = chunk.subarray(0, this.#left);
    this.#left -= piece.length;
    if (this.#left === 0) this.#end(chunk.subarray(piece.length));
    return [piece];
  }

  // The mark may be split between chunks, so keep back as many bytes as may be its start.
  #takeMarked(chunk: Uint8Array): Uint8Array[] {
    const joined = Buffer.concat([this.#tail, chunk]);
    const end = joined.indexOf(this.#mark as Uint8Array);
    if (end >= 0) this.#end(joined.subarray(end + MARK_BYTES));
    const free = end >= 0 ? end : Math.max(0, joined.length - (MARK_BYTES - 1));
    this.#tail = joined.subarray(free);
    return free > 0 ? [joined.subarray(0, free)] : [];
  }
  #end(rest: Uint8Array): void {
    this.#state = 'whole';
    this.#rest = rest;
  }
}
