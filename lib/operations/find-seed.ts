import { ClusterError, invalidArgument, messageOf } from '../errors.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { unlessAborted } from '../nodes/abort.ts';
import { Connections } from '../nodes/connections.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';

/**
 * Asks several nodes of one cluster in parallel and resolves to the first, in the order given, that answers. A `warning`
 * event reports those before it that do not. Rejects with ClusterError `NODE_UNREACHABLE` if none answers, or with the
 * node's own error if there is only one.
 */
export async function findSeed(
  addresses: readonly AddressLike[],
  options: ConnectionOptions & ControlOptions = {},
): Promise<string> {
  const parsed = addresses.map(parseAddress);
  const [only] = parsed;
  if (!only) throw invalidArgument('Name at least one node of the cluster');
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
        failures.push(`${node} does not answer: ${messageOf(error)}`);
      }
    }
    throw new ClusterError(
      'NODE_UNREACHABLE',
      `None of ${failures.length} nodes answers: ${failures.join('; ')}`,
      {
        address: formatAddress(only),
        hint: 'Check the addresses, and that the servers are running',
      },
    );
  } finally {
    connections.destroy();
    await connections.close();
  }
}
