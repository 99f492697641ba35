/** The node answered with an error. The connection is still usable. */
export class ReplyError extends Error {
  static {
    setName(ReplyError, 'ReplyError');
  }

  /** Name of the command, without its arguments. */
  declare command?: string;
  /** The node that answered. */
  declare address?: string;
  readonly #noticedAt = performance.now();

  /** @internal When the answer came, by `performance.now()`. */
  get noticedAt(): number {
    return this.#noticedAt;
  }

  /** First word of the message: `MOVED`, `BUSYKEY`, `NOAUTH`, `ERR`… */
  get code(): string {
    const space = this.message.indexOf(' ');
    return space === -1 ? this.message : this.message.slice(0, space);
  }
}

/** Codes of {@link ProtocolError}. */
export type ProtocolErrorCode =
  /** A byte that does not start a reply. */
  | 'RESP_TYPE'
  /** The peer speaks HTTP. */
  | 'RESP_HTTP'
  /** The peer speaks TLS on a connection opened without it. */
  | 'RESP_TLS'
  /** A RESP3 type, although HELLO 3 was never sent. */
  | 'RESP_RESP3'
  /** A length or integer that is not a decimal number or is out of range. */
  | 'RESP_NUMBER'
  /** A line or bulk string that does not end in CRLF. */
  | 'RESP_TERMINATOR'
  /** A limit was exceeded. */
  | 'RESP_LIMIT'
  /** A reply although none was due. */
  | 'RESP_UNREQUESTED';

export interface ProtocolErrorOptions extends ErrorOptions {
  code: ProtocolErrorCode;
  offset: number;
  address?: string;
  command?: string;
}

/** The peer does not speak RESP2, or exceeded a limit. The connection is destroyed. */
export class ProtocolError extends Error {
  static {
    setName(ProtocolError, 'ProtocolError');
  }

  readonly code: ProtocolErrorCode;
  /** Position of the fault in the bytes received on the connection, from 0. */
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

/**
 * What is the matter with TLS where a connection cannot be made: the node seems to expect it, or not to speak it, it asks for a
 * certificate of the client, or its own is not trusted.
 */
export type TlsFault = 'expected' | 'not-spoken' | 'certificate-required' | 'untrusted';

export interface ConnectionErrorOptions extends ErrorOptions {
  code: string;
  address: string;
  command?: string;
  sent?: boolean;
  tls?: TlsFault | undefined;
}

/** The connection could not be opened, broke, was closed, or timed out. */
export class ConnectionError extends Error {
  static {
    setName(ConnectionError, 'ConnectionError');
  }

  /** Node's own code (`ECONNREFUSED`, `ECONNRESET`…), `CLOSED` or `TIMEOUT`. */
  readonly code: string;
  readonly address: string;
  /** Name of the command that got no reply, without its arguments. */
  declare readonly command?: string;
  /** True if the command may have reached the node: its outcome is then unknown. */
  readonly sent: boolean;
  /** What is the matter with TLS, as far as that can be told. */
  declare readonly tls?: TlsFault;
  readonly #noticedAt = performance.now();

  constructor(message: string, options: ConnectionErrorOptions) {
    const { code, address, command, sent = false, tls, ...rest } = options;
    super(message, rest);
    this.code = code;
    this.address = address;
    if (command !== undefined) this.command = command;
    this.sent = sent;
    if (tls !== undefined) this.tls = tls;
  }

  /** @internal When it was noticed, by `performance.now()`. */
  get noticedAt(): number {
    return this.#noticedAt;
  }
}

/** Sets `name` on the prototype, not enumerable, as built-in errors have it. Given as text because a minifier renames classes. */
function setName(type: { readonly prototype: Error }, name: string): void {
  Object.defineProperty(type.prototype, 'name', { value: name, configurable: true, writable: true });
}

/**
 * Creates a reply error without a stack trace: the trace would show only the socket callback, and capturing it costs ten
 * times as much as decoding.
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
