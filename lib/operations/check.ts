import { INSPECTED, inspect } from '../apply/inspect.ts';
import { look } from '../apply/look.ts';
import { NodeInfos } from '../apply/node-info.ts';
import { findStrayKeys } from '../apply/stray-keys.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeDetails } from '../model/details.ts';
import type { Finding } from '../model/finding.ts';
import { findingsOf } from '../model/findings.ts';
import type { NodeRecord } from '../model/node.ts';
import type { ClusterView } from '../model/view.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './run.ts';

/** The state of a cluster and what is wrong with it. */
export interface CheckResult {
  /** True if there is no finding of severity `error`. */
  readonly ok: boolean;
  /** Errors first. */
  readonly findings: readonly Finding[];
  readonly view: ClusterView;
  /** By node id: what a node says of itself, or why it does not. */
  readonly details: ReadonlyMap<string, NodeDetails | Error>;
}

export interface CheckOptions extends ConnectionOptions {
  /** Zones by node, which is named by its address, its host, its host name, or how its id begins. @default none is known */
  readonly zones?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Asks every node and tells what is wrong. Changes nothing. Rejects only where the first node gives no answer. */
export function check(cluster: ClusterLike, options: CheckOptions = {}): Promise<CheckResult> {
  return withReading(cluster, options, async ({ connections, signal }) => {
    const infos = new NodeInfos(connections, INSPECTED);
    const view = await look(connections, seedOf(cluster), signal, (address) => infos.of(address));
    signal?.throwIfAborted();
    const zones = zonesById(view.nodes, options.zones ?? {});
    const [{ details, sharedIds }, strayKeys] = await Promise.all([
      inspect(connections, view, infos),
      // What one node does not allow, or a node that has gone meanwhile: the rest is told all the same.
      findStrayKeys(connections, view, { unveil: false, infos }).catch((error: Error) => error),
    ]);
    signal?.throwIfAborted();
    const findings = findingsOf(view, { details, sharedIds, strayKeys, zones });
    return { ok: findings.every(({ severity }) => severity !== 'error'), findings, view, details };
  });
}

/** Shortest beginning of an id that stands for it. */
const ID_PREFIX = 4;

function zonesById(
  nodes: readonly NodeRecord[],
  zones: Readonly<Record<string, string>>,
): Map<string, string> {
  const byId = new Map<string, string>();
  for (const [named, zone] of Object.entries(zones)) {
    const meant = nodes.filter(
      ({ id, address, hostname }) =>
        formatAddress(address) === named ||
        address.host === named ||
        hostname === named ||
        (named.length >= ID_PREFIX && id.startsWith(named)),
    );
    if (meant.length === 0)
      throw new RangeError(`No node of the cluster is "${named}", which a zone is given for`);
    for (const { id } of meant) byId.set(id, zone);
  }
  return byId;
}
