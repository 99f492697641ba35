/** Longest line that announces a number of arguments or of bytes: `$536870912` and more. */
const MOST_LINE_BYTES = 32;
/** Most arguments of a command, and most bytes of one: what servers accept themselves. */
const [MOST_WORDS, MOST_BYTES] = [1024 * 1024, 2 ** 31 - 1];
/** Arguments up to this length are kept, so long as those of one command take no more than `KEPT_BYTES`. */
const [SHORT_BYTES, KEPT_BYTES] = [64 * 1024, 1024 * 1024];

const [CR, LF, STAR, DOLLAR, ZERO, NINE] = [0x0d, 0x0a, 0x2a, 0x24, 0x30, 0x39];

/** What to do with the commands of a stream. */
export interface CommandHandling {
  /** Takes a command, as latin1, and the offset after its last byte. Long arguments that are not wanted are empty. */
  readonly onCommand: (words: readonly string[], offset: number) => void;
  /** True if this long argument of a command of `count` is wanted, after those before it. */
  readonly isWanted: (before: readonly string[], count: number) => boolean;
}

/**
 * Parses a replication stream: commands as arrays of strings, each a whole number of bytes from the one before. Values of any length
 * pass through without being held. Throws a TypeError if it is anything else; it is of no use then.
 */
export class CommandStream {
  readonly #handling: CommandHandling;
  /** Of the byte that is read next. */
  #offset: number;
  #line = '';
  #words: string[] = [];
  #count = 0;
  #kept = 0;
  #state: 'command' | 'length' | 'bytes' | 'end' = 'command';
  /** Bytes of the argument that are still to come. */
  #left = 0;
  #pieces: string[] | undefined;

  /** `offset`: how many bytes of the stream were read before, by the count of the master. */
  constructor(offset: number, handling: CommandHandling) {
    this.#offset = offset;
    this.#handling = handling;
  }

  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < bytes.length; ) {
      const from = at;
      at = this.#state === 'bytes' ? this.#takeBytes(bytes, at) : this.#takeLine(bytes, at);
      this.#offset += at - from;
      if (this.#state === 'command' && this.#line === '' && this.#words.length > 0) this.#end();
    }
  }

  #end(): void {
    const words = this.#words;
    this.#words = [];
    this.#kept = 0;
    this.#handling.onCommand(words, this.#offset);
  }

  #takeBytes(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#pieces?.push(bytes.toString('latin1', at, end));
    this.#left -= end - at;
    if (this.#left === 0) this.#state = 'end';
    return end;
  }

  #takeLine(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (byte !== LF) {
        this.#line += String.fromCharCode(byte);
        if (this.#line.length > MOST_LINE_BYTES) throw this.#unexpected('an endless line');
        continue;
      }
      const line = this.#line;
      this.#line = '';
      this.#read(line);
      return at + 1;
    }
    return bytes.length;
  }

  #read(line: string): void {
    if (this.#state === 'end') {
      if (line !== '\r') throw this.#unexpected('an argument that is longer than announced');
      this.#words.push(this.#pieces?.join('') ?? '');
      this.#pieces = undefined;
      this.#state = this.#words.length === this.#count ? 'command' : 'length';
      return;
    }
    const number = numberIn(line, this.#state === 'command' ? STAR : DOLLAR);
    if (number === undefined) throw this.#unexpected(JSON.stringify(line));
    if (this.#state === 'command') {
      if (number === 0 || number > MOST_WORDS) throw this.#unexpected(`a command of ${number} words`);
      this.#count = number;
      this.#state = 'length';
      return;
    }
    if (number > MOST_BYTES) throw this.#unexpected(`an argument of ${number} bytes`);
    const isShort = number <= SHORT_BYTES && this.#kept + number <= KEPT_BYTES;
    const isKept = isShort || this.#handling.isWanted(this.#words, this.#count);
    if (isKept) this.#kept += number;
    this.#pieces = isKept ? [] : undefined;
    this.#left = number;
    this.#state = number > 0 ? 'bytes' : 'end';
  }

  #unexpected(what: string): TypeError {
    return new TypeError(`${what} in place of a command, ${this.#offset} bytes into the stream`);
  }
}

// Digits alone: a sign, a space or a leading zero is not what a server sends.
function numberIn(line: string, mark: number): number | undefined {
  if (line.charCodeAt(0) !== mark || line.charCodeAt(line.length - 1) !== CR || line.length < 3)
    return undefined;
  let number = 0;
  for (let at = 1; at < line.length - 1; at++) {
    const digit = line.charCodeAt(at);
    if (digit < ZERO || digit > NINE) return undefined;
    number = 10 * number + digit - ZERO;
  }
  return line.length > 3 && line.charCodeAt(1) === ZERO ? undefined : number;
}
