import { unlessAborted } from '../apply/abort.ts';
import { Connections } from '../apply/connections.ts';
import { ClusterError, messageOf } from '../errors.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';

/**
 * Of several nodes of one cluster the first, in the order given, that answers; all are asked at once. A `warning` tells of
 * those before it that do not. Rejects with ClusterError `NODE_UNREACHABLE` where none answers, and with the error itself
 * where there is only one.
 */
export async function findSeed(
  addresses: readonly AddressLike[],
  options: ConnectionOptions & ControlOptions = {},
): Promise<string> {
  const parsed = addresses.map(parseAddress);
  const [only] = parsed;
  if (!only) throw new RangeError('Name at least one node of the cluster');
  const connections = new Connections(options);
  try {
    const asked = parsed.map((address) => connections.ask(address, ['PING'], { early: true }));
    for (const one of asked) one.catch(() => undefined);
    const failures: string[] = [];
    for (const [index, address] of parsed.entries()) {
      options.signal?.throwIfAborted();
      const node = formatAddress(address);
      try {
        await unlessAborted(asked[index] as Promise<unknown>, options.signal);
        for (const message of failures) options.onEvent?.({ type: 'warning', message });
        return node;
      } catch (error) {
        options.signal?.throwIfAborted();
        if (parsed.length === 1) throw error;
        failures.push(`${node} gives no answer: ${messageOf(error)}`);
      }
    }
    throw new ClusterError(
      'NODE_UNREACHABLE',
      `None of ${failures.length} nodes answers: ${failures.join('; ')}`,
      {
        address: formatAddress(only),
        hint: 'Check the addresses, and that the servers run',
      },
    );
  } finally {
    connections.destroy();
    await connections.close();
  }
}
