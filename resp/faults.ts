import type { Bytes } from './bytes.ts';
import { ProtocolError } from './errors.ts';

const LF = 10;
const CR = 13;
const ZERO = 48;
/** Digits of the largest 64-bit integer. */
const MAX_DIGITS = 19;
const RESP3_TYPES = '_,#!=(%~>|';

// The protocol errors of the decoder. An `offset` counts from the first byte that the peer sent.

export function overLimit(what: string, offset: number): ProtocolError {
  return new ProtocolError(`${what} exceeds the limit`, { code: 'RESP_LIMIT', offset });
}

export function badTerminator(what: string, offset: number): ProtocolError {
  return new ProtocolError(`Expected CRLF at the end of ${what}`, { code: 'RESP_TERMINATOR', offset });
}

export function badNumber(bytes: Bytes, start: number, stop: number, offset: number): ProtocolError {
  const text = JSON.stringify(bytes.latin1Slice(start, Math.min(stop, start + 24, bytes.length)));
  return new ProtocolError(`Not a length or 64-bit integer: ${text}`, { code: 'RESP_NUMBER', offset });
}

/** The error for a byte that does not start a RESP2 reply. Recognizes HTTP, TLS and RESP3. */
export function unknownType(bytes: Bytes, start: number, offset: number): ProtocolError {
  const char = bytes.toString('latin1', start, start + 1);
  if (bytes.toString('latin1', start, start + 4) === 'HTTP') {
    const message = 'The peer answers in HTTP: this is not the port of a Redis server';
    return new ProtocolError(message, { code: 'RESP_HTTP', offset });
  }
  // A TLS record: its type, then the major version.
  if ((char === '\x15' || char === '\x16') && (bytes[start + 1] ?? 3) === 3) {
    const message = 'The peer answers in TLS: connect with the tls option';
    return new ProtocolError(message, { code: 'RESP_TLS', offset });
  }
  if (RESP3_TYPES.includes(char)) {
    const message = `Not a RESP2 reply: "${char}" is a RESP3 type`;
    return new ProtocolError(message, { code: 'RESP_RESP3', offset });
  }
  const shown = char >= ' ' && char <= '~' ? `"${char}"` : `0x${bytes.toString('hex', start, start + 1)}`;
  return new ProtocolError(`Not a RESP2 reply: it begins with ${shown}`, { code: 'RESP_TYPE', offset });
}

/** Throws if the line of a number, with its digits from `first` to `stop`, is already malformed. It may be incomplete. */
export function checkNumber(bytes: Bytes, start: number, first: number, stop: number, offset: number): void {
  const digits = stop - first;
  const negative = first - start === 2;
  const leadingZero = bytes[first] === ZERO && (digits > 1 || negative);
  const cutShort = stop < bytes.length && (digits === 0 || bytes[stop] !== CR);
  if (leadingZero || cutShort || digits > MAX_DIGITS) throw badNumber(bytes, start, stop + 1, offset);
  if (stop + 1 < bytes.length && bytes[stop + 1] !== LF)
    throw badTerminator('a line', offset + stop + 1 - start);
}

/** Reads an integer with too many digits to be exact as a double: a number if it is safe, else a bigint. */
export function longInteger(bytes: Bytes, start: number, stop: number, offset: number): number | bigint {
  const integer = BigInt(bytes.latin1Slice(start + 1, stop));
  if (BigInt.asIntN(64, integer) !== integer) throw badNumber(bytes, start, stop, offset);
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}
