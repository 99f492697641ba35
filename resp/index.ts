export { type ConnectOptions, connect, connectEarly, type Opening } from './connect.ts';
export { Connection, type ConnectionOptions } from './connection.ts';
export { Decoder, type DecoderOptions } from './decode.ts';
export {
  type Encoded,
  encodeCommand,
  encodeCommands,
  type PreparedCommands,
  prepareCommands,
} from './encode.ts';
export {
  ConnectionError,
  type ConnectionErrorOptions,
  ProtocolError,
  type ProtocolErrorCode,
  type ProtocolErrorOptions,
  ReplyError,
  type TlsFault,
} from './errors.ts';
export { type CommandOptions, commandName, type OnCommands, type OnEnded } from './request.ts';
export type { Argument, Command, Encoding, Limits, Reply, ReplyForm } from './types.ts';
