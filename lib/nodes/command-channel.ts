import { channel } from 'node:diagnostics_channel';
import { type Command, commandName, type OnEnded } from '../../resp/index.ts';
import type { ConnectionOptions } from '../options.ts';

/**
 * The message that `node:diagnostics_channel` publishes on `redis-trib:command` when a node has answered the commands of one call, or will
 * not. It holds no argument of any command: no password, key or value.
 */
export interface CommandMessage {
  /** `host:port`, as the node announces it. */
  readonly node: string;
  /** Names, in the order in which they were sent: `['CLUSTER NODES', 'INFO']`. */
  readonly commands: readonly string[];
  /** Milliseconds from the call to the last answer, with the time for which earlier commands were waited for. */
  readonly ms: number;
  /** Code of the error, of the first if there are several: as of ReplyError, ConnectionError and ProtocolError. Null if there is none. */
  readonly code: string | null;
}

/** Every connection in this process reports here, as channels do. */
const commandChannel = channel('redis-trib:command');

/** What a connection calls for each call: `onCommands`, and the channel if anyone subscribes to it. */
export function reporting(
  onCommands: ConnectionOptions['onCommands'],
): (commands: readonly Command[], node: string) => OnEnded | undefined {
  return (commands, node) => {
    onCommands?.(commands, node);
    if (!commandChannel.hasSubscribers) return undefined;
    const started = performance.now();
    return (error) => {
      const message: CommandMessage = {
        node,
        commands: commands.map(commandName),
        ms: performance.now() - started,
        code: error === undefined ? null : codeOf(error),
      };
      commandChannel.publish(message);
    };
  };
}

/** Of a signal's reason that has no code: its name, such as `AbortError`. */
function codeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown };
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'ABORTED';
}
