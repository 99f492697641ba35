import type { Finding } from '../findings/finding.ts';
import { findingsOf } from '../findings/findings.ts';
import { type Address, type AddressLike, parseAddress, sameAddress } from '../model/address.ts';
import type { NodeDetails } from '../model/details.ts';
import { type ClusterView, slotOwners } from '../model/view.ts';
import { zonesById } from '../model/zones.ts';
import type { Context } from '../nodes/context.ts';
import { INSPECTED, inspect } from '../nodes/inspect.ts';
import { look } from '../nodes/look.ts';
import { muteReplicas } from '../nodes/mute-replicas.ts';
import { NodeInfos } from '../nodes/node-info.ts';
import { NodeSetups } from '../nodes/setup.ts';
import { askShards } from '../nodes/shards.ts';
import { findStrayKeys } from '../nodes/stray-keys.ts';
import { hasYoungLinks } from '../nodes/twins.ts';
import { hearsUnlisted } from '../nodes/unlisted-nodes.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';

/** The state of a cluster and its problems. */
export interface CheckResult {
  /** True if there is no finding of severity `error`. */
  readonly ok: boolean;
  /** Errors first. */
  readonly findings: readonly Finding[];
  readonly view: ClusterView;
  /** By node id: details from INFO, or the error that prevented reading them. */
  readonly details: ReadonlyMap<string, NodeDetails | Error>;
}

export interface CheckOptions extends ConnectionOptions {
  /** Zones by node, named by address, host, host name, or a prefix of its id. @default what the servers say (Valkey 8.1) */
  readonly zones?: Readonly<Record<string, string>>;
  /** More addresses to ask at: members may be there that the others list elsewhere. @default none */
  readonly elsewhere?: readonly AddressLike[];
  readonly signal?: AbortSignal;
}

/** Asks every node and reports problems. Changes nothing. Rejects only if the first node does not answer. */
export function check(cluster: ClusterLike, options: CheckOptions = {}): Promise<CheckResult> {
  return withReading(cluster, options, (context) => checkFrom(context, seedOf(cluster), options));
}

/** The same on connections that are there. */
export async function checkFrom(
  { connections, signal }: Pick<Context, 'connections' | 'signal'>,
  seed: Address,
  options: CheckOptions,
): Promise<CheckResult> {
  const infos = new NodeInfos(connections, INSPECTED);
  const asked = new NodeSetups(connections);
  const elsewhere = (options.elsewhere ?? []).map(parseAddress).filter((one) => !sameAddress(one, seed));
  const also = (address: Address): void => {
    infos.of(address);
    asked.ask(address);
  };
  const young = hasYoungLinks(connections, seed, signal);
  // Awaited later, if at all.
  young.catch(() => undefined);
  const view = await look(connections, seed, signal, also, elsewhere);
  signal?.throwIfAborted();
  const hasUnowned = slotOwners(view).includes(undefined);
  const [{ details, sharedIds, introduced }, strayKeys, [setups, shards], isHeard] = await Promise.all([
    inspect(connections, view, infos, young),
    // A node may refuse the command or be gone since: report the rest anyway.
    findStrayKeys(connections, view, { infos }).catch((error: Error) => error),
    asked.of(view).then(async (setups) => [setups, await askShards(connections, view, setups)] as const),
    hasUnowned ? hearsUnlisted({ connections, signal }, view) : false,
  ]);
  signal?.throwIfAborted();
  const mute = await muteReplicas({ connections, signal }, view, details);
  const zones = zonesById(view.nodes, options.zones ?? {}, details);
  const facts = {
    details,
    sharedIds,
    introduced,
    strayKeys,
    zones,
    setups,
    shards,
    hearsUnlisted: isHeard,
    mute,
  };
  const findings = findingsOf(view, facts);
  return { ok: findings.every(({ severity }) => severity !== 'error'), findings, view, details };
}
