/** The node answered with an error. The link is in order and the next command may be sent. */
export class ReplyError extends Error {
  static {
    setName(ReplyError, 'ReplyError');
  }

  /** Name of the command that was answered, without its arguments. */
  declare command?: string;
  /** Node that answered. */
  declare address?: string;

  /** First word of the text: `MOVED`, `BUSYKEY`, `NOAUTH`, `ERR`… */
  get code(): string {
    const space = this.message.indexOf(' ');
    return space === -1 ? this.message : this.message.slice(0, space);
  }
}

/** Codes of {@link ProtocolError}. */
export type ProtocolErrorCode =
  /** A byte that starts no reply. */
  | 'RESP_TYPE'
  /** The peer answers in HTTP. */
  | 'RESP_HTTP'
  /** The peer answers in TLS on a connection opened without it. */
  | 'RESP_TLS'
  /** A reply type of RESP3, which was never asked for. */
  | 'RESP_RESP3'
  /** A length or integer that is no decimal number, or out of range. */
  | 'RESP_NUMBER'
  /** A line or bulk string that does not end in CRLF. */
  | 'RESP_TERMINATOR'
  /** One of the limits was passed. */
  | 'RESP_LIMIT'
  /** A reply that nobody asked for. */
  | 'RESP_UNREQUESTED';

export interface ProtocolErrorOptions extends ErrorOptions {
  code: ProtocolErrorCode;
  offset: number;
  address?: string;
  command?: string;
}

/** The peer does not speak RESP2, or passed a limit. The link is dead. */
export class ProtocolError extends Error {
  static {
    setName(ProtocolError, 'ProtocolError');
  }

  readonly code: ProtocolErrorCode;
  /** Place in the bytes received so far where the fault was seen. */
  readonly offset: number;
  declare readonly address?: string;
  declare readonly command?: string;

  constructor(message: string, { code, offset, address, command, ...options }: ProtocolErrorOptions) {
    super(message, options);
    this.code = code;
    this.offset = offset;
    if (address !== undefined) this.address = address;
    if (command !== undefined) this.command = command;
  }
}

export interface ConnectionErrorOptions extends ErrorOptions {
  code: string;
  address: string;
  command?: string;
  sent?: boolean;
}

/** The connection could not be made, broke, was closed, or stayed silent for too long. */
export class ConnectionError extends Error {
  static {
    setName(ConnectionError, 'ConnectionError');
  }

  /** Node's own (`ECONNREFUSED`, `ECONNRESET`…), or `CLOSED`, or `TIMEOUT`. */
  readonly code: string;
  readonly address: string;
  /** Name of the command that was cut off, without its arguments. */
  declare readonly command?: string;
  /** Whether the command may have reached the node: if so its outcome is unknown. */
  readonly sent: boolean;

  constructor(message: string, { code, address, command, sent = false, ...options }: ConnectionErrorOptions) {
    super(message, options);
    this.code = code;
    this.address = address;
    if (command !== undefined) this.command = command;
    this.sent = sent;
  }
}

/** On the prototype and not enumerable, as the built-in errors have it. Spelled out: a minifier gives classes other names. */
function setName(type: { readonly prototype: Error }, name: string): void {
  Object.defineProperty(type.prototype, 'name', { value: name, configurable: true, writable: true });
}

/**
 * A reply error without a stack: it would show nothing but the socket's callback, and taking it costs ten
 * times what decoding does.
 */
export function createReplyError(message: string): ReplyError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return new ReplyError(message);
  } finally {
    Error.stackTraceLimit = limit;
  }
}
