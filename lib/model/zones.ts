import { formatAddress } from './address.ts';
import { invalidArgument } from './cluster-error.ts';
import type { NodeDetails } from './details.ts';
import type { NodeRecord } from './node.ts';

/** Shortest prefix that can name a node id. */
const ID_PREFIX = 4;

/**
 * The zones of nodes by id: as given by node, named by address, host, host name, or a prefix of its id, else as the server says. Throws
 * ClusterError `INVALID_ARGUMENT` for a name that is that of no node.
 */
export function zonesById(
  nodes: readonly NodeRecord[],
  given: Readonly<Record<string, string>>,
  details: ReadonlyMap<string, NodeDetails | Error>,
): Map<string, string> {
  const byId = new Map<string, string>();
  for (const [id, own] of details) if (!(own instanceof Error) && own.zone) byId.set(id, own.zone);
  for (const [named, zone] of Object.entries(given)) {
    const meant = nodes.filter(
      ({ id, address, hostname }) =>
        formatAddress(address) === named ||
        address.host === named ||
        hostname === named ||
        (named.length >= ID_PREFIX && id.startsWith(named)),
    );
    if (meant.length === 0)
      throw invalidArgument(`No node of the cluster is "${named}", which a zone is given for`);
    for (const { id } of meant) byId.set(id, zone);
  }
  return byId;
}
