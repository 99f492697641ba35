import type { Buffer } from 'node:buffer';
import type { ProtocolErrorCode } from './errors.ts';

const RESP3_TYPES = '_,#!=(%~>|';

/** Says what a peer that does not begin a reply as RESP2 does may be speaking instead. */
export function describeUnknownType(bytes: Buffer): { code: ProtocolErrorCode; message: string } {
  const char = bytes.toString('latin1', 0, 1);
  if (bytes.toString('latin1', 0, 4) === 'HTTP') {
    return { code: 'RESP_HTTP', message: 'The peer answers in HTTP: this is not the port of a Redis server' };
  }
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && (bytes.length === 1 || bytes[1] === 3)) {
    return { code: 'RESP_TLS', message: 'The peer answers in TLS: connect with the tls option' };
  }
  if (RESP3_TYPES.includes(char)) {
    return {
      code: 'RESP_RESP3',
      message: `A RESP3 reply of type "${char}", on a connection that speaks RESP2`,
    };
  }
  const shown = char >= ' ' && char <= '~' ? `"${char}"` : `0x${bytes.toString('hex', 0, 1)}`;
  return { code: 'RESP_TYPE', message: `Not a RESP2 reply: it begins with ${shown}` };
}
