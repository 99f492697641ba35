/** Bytes of the mark that ends a payload whose length is not told. */
const MARK_BYTES = 40;
/** A line longer than any that announces a payload or refuses one. */
const MOST_LINE_BYTES = 1024;

/**
 * Reads what a master sends after SYNC: newlines while it makes the snapshot, then `$<length>` or `$EOF:<mark>` and the snapshot
 * itself (`getRDB` in redis-cli.c). Knows nothing of sockets and keeps no more than a line or a mark.
 */
export class SyncPayload {
  #line = '';
  #mark: Uint8Array | undefined;
  #tail: Uint8Array = new Uint8Array(0);
  #left = 0;
  #state: 'line' | 'length' | 'mark' | 'whole' | 'refused' = 'line';
  #bytes: number | undefined;
  #refusal: string | undefined;

  /** Bytes of the snapshot, where the master has told. */
  get bytes(): number | undefined {
    return this.#bytes;
  }

  /** What the master answers in place of a snapshot, such as `LOADING …`. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** True once the last byte is there. */
  get isWhole(): boolean {
    return this.#state === 'whole';
  }

  /** Takes in what came, and gives the bytes of the snapshot in it. Throws a TypeError for what announces none. */
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

  // What follows the last byte is the stream of commands, which is nothing to us.
  #takeCounted(chunk: Uint8Array): Uint8Array[] {
    const piece = chunk.subarray(0, this.#left);
    this.#left -= piece.length;
    if (this.#left === 0) this.#state = 'whole';
    return [piece];
  }

  // The mark may come in pieces: so many bytes are kept back as may be the beginning of one.
  #takeMarked(chunk: Uint8Array): Uint8Array[] {
    const joined = Buffer.concat([this.#tail, chunk]);
    const end = joined.indexOf(this.#mark as Uint8Array);
    if (end >= 0) this.#state = 'whole';
    const free = end >= 0 ? end : Math.max(0, joined.length - (MARK_BYTES - 1));
    this.#tail = joined.subarray(free);
    return free > 0 ? [joined.subarray(0, free)] : [];
  }
}
