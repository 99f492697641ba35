/** Longer than any line that answers PSYNC. */
const MOST_LINE_BYTES = 1024;

/** How a master answers PSYNC. */
export type PsyncAnswer =
  /** The stream follows; `id` is undefined if it goes by the id that it was asked by. */
  | { readonly kind: 'continues'; readonly id: string | undefined }
  /** A snapshot follows, and then the stream from this offset on. */
  | { readonly kind: 'full'; readonly id: string; readonly offset: number }
  | { readonly kind: 'refused'; readonly message: string };

/** Reads the line that answers PSYNC, after any number of empty ones. What comes after it is left alone. */
export class PsyncReply {
  #line = '';

  /** Takes the next chunk. Resolves to nothing until the line is whole. Throws a TypeError if it is another line. */
  push(chunk: Uint8Array): { readonly answer: PsyncAnswer; readonly rest: Uint8Array } | undefined {
    for (const [index, byte] of chunk.entries()) {
      if (byte !== 0x0a) this.#line += String.fromCharCode(byte);
      else if (this.#line !== '' && this.#line !== '\r')
        return { answer: answerIn(this.#line.replace(/\r$/, '')), rest: chunk.subarray(index + 1) };
      else this.#line = '';
      if (this.#line.length > MOST_LINE_BYTES) throw new TypeError('an endless line');
    }
    return undefined;
  }
}

function answerIn(line: string): PsyncAnswer {
  if (line.startsWith('-')) return { kind: 'refused', message: line.slice(1) };
  const going = /^\+CONTINUE(?: ([0-9a-f]{40}))?\s*$/.exec(line);
  if (going) return { kind: 'continues', id: going[1] };
  const [, id, offset] = /^\+FULLRESYNC ([0-9a-f]{40}) (\d{1,15})$/.exec(line) ?? [];
  if (id !== undefined) return { kind: 'full', id, offset: Number(offset) };
  throw new TypeError(JSON.stringify(line.slice(0, 60)));
}
