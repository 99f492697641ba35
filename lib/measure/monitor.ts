import { ReplyError } from '../../resp/index.ts';
import { badReply, ClusterError } from '../errors.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { unlessAborted } from '../nodes/abort.ts';
import type { Context } from '../nodes/context.ts';
import { FrequentKeys, keysInLine, readKeyPlaces } from './monitor-line.ts';

/** What a part of the commands used. */
export interface Monitored {
  /** Commands that were read, with and without keys. */
  readonly commands: number;
  readonly keys: readonly (readonly [key: string, count: number])[];
  /** True if it ended because it had read as many commands as it may. */
  readonly isCut: boolean;
}

/** Of a line more than this is not looked at: values may be long. */
const LINE_BYTES = 8192;
const TOP = 100;

/**
 * Reads the commands of a server with MONITOR for a while, or until it has read so many, and counts the keys that they name. Arguments
 * other than keys are not kept. Rejects with a ReplyError if the server refuses, and with the signal's reason.
 */
export async function monitorKeys(
  { connections, signal }: Context,
  address: Address,
  { forMs, mostCommands }: { readonly forMs: number; readonly mostCommands: number },
): Promise<Monitored> {
  const opening = connections.fresh(address);
  try {
    const connection = await unlessAborted(opening, signal);
    const places = readKeyPlaces(await unlessAborted(connection.command(['COMMAND']), signal));
    const socket = connection.detach();
    socket.on('error', () => undefined);
    const end = (): void => void socket.destroy();
    const timer = setTimeout(end, forMs);
    signal?.addEventListener('abort', end, { once: true });
    const frequent = new FrequentKeys();
    const lines = new Lines();
    let [commands, hasBegun] = [0, false];
    try {
      socket.write('*1\r\n$7\r\nMONITOR\r\n');
      reading: for await (const chunk of socket) {
        for (const line of lines.push((chunk as Buffer).toString('latin1'))) {
          if (!hasBegun) {
            requireBegun(line, address);
            hasBegun = true;
            continue;
          }
          commands += 1;
          for (const key of keysInLine(line, places) ?? []) frequent.add(key);
          if (commands >= mostCommands) break reading;
        }
      }
    } catch (error) {
      // It was destroyed here, or the server has closed it: what was read counts.
      if (error instanceof ReplyError || error instanceof ClusterError || !socket.destroyed) throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      socket.destroy();
    }
    signal?.throwIfAborted();
    return { commands, keys: frequent.top(TOP), isCut: commands >= mostCommands };
  } finally {
    // Also one that opens only after an abort.
    opening.then(
      (connection) => connection.destroy(),
      () => undefined,
    );
  }
}

function requireBegun(line: string, address: Address): void {
  if (line === '+OK') return;
  const name = formatAddress(address);
  if (line.startsWith('-')) throw new ReplyError(line.slice(1));
  throw badReply(`${name} did not answer MONITOR`, name);
}

/** Splits text into lines, of each the beginning only. */
class Lines {
  #rest = '';

  push(text: string): string[] {
    const parts = text.split('\r\n');
    parts[0] = this.#rest + (parts[0] ?? '');
    const rest = parts.pop() ?? '';
    // Half of the line's end may be here.
    this.#rest =
      rest.length <= LINE_BYTES ? rest : rest.slice(0, LINE_BYTES) + (rest.endsWith('\r') ? '\r' : '');
    return parts.map((line) => line.slice(0, LINE_BYTES));
  }
}
