import type { Command } from '../../resp/index.ts';
import { formatAddress, parseAddress } from '../model/address.ts';
import { anonymous } from '../model/anonymous.ts';
import type { Recording } from '../model/recording.ts';
import { inParallel } from '../nodes/parallel.ts';
import { Recorder, replaying } from '../nodes/recorder.ts';
import { withoutSecrets } from '../nodes/secrets.ts';
import { VERSION } from '../version.ts';
import { type Bundle, bundleOf, parseBundle } from './bundle-document.ts';
import { type CheckOptions, checkFrom } from './check.ts';
import { Cluster, type ClusterLike, seedOf, withReading } from './cluster.ts';

export interface BundleOptions extends Omit<CheckOptions, 'zones'> {
  /** Put stand-ins for ids, hosts, ports, zones, and the names of users and function libraries. @default false */
  readonly anonymous?: boolean;
}

/** Questions that no finding needs, and people who look at a cluster do. */
const MORE: readonly Command[] = [
  ['CLUSTER', 'SHARDS'],
  ['CLUSTER', 'LINKS'],
  ['INFO', 'clients'],
  ['INFO', 'stats'],
];

/** Lines in all replies to these together. In a larger cluster, fewer members are asked. */
const LINES = 10_000;

/**
 * Asks every node what `check` asks, and some more, and returns the answers without passwords, names of keys, or code of functions.
 * Changes nothing. Rejects only if the first node does not answer.
 */
export async function bundleCluster(cluster: ClusterLike, options: BundleOptions = {}): Promise<Bundle> {
  const at = new Date().toISOString();
  const recorder = new Recorder();
  const seed = seedOf(cluster);
  const reaching = cluster instanceof Cluster ? cluster.connections.reaching(options) : options;
  const recorded = new Cluster(seed, reaching, recorder.between);
  try {
    await withReading(recorded, options, async (context) => {
      const { view } = await checkFrom(context, seed, options);
      const members = [...view.reports.values()].slice(0, Math.ceil(LINES / view.nodes.length));
      await inParallel(members, async ({ address }) => {
        const known = recorder.nodes.get(formatAddress(address))?.answers;
        const more = MORE.filter((command) => !known?.has(command.join(' ')));
        if (more.length > 0) await context.connections.askAll(address, more).catch(() => {});
      });
    });
  } finally {
    if (options.signal?.aborted) recorded.connections.destroy();
    // After that, every answer that was due has been recorded.
    else await recorded.close();
  }
  const elsewhere = (options.elsewhere ?? []).map((one) => formatAddress(parseAddress(one)));
  const { unlisted } = recorder.between;
  const recording: Recording = {
    asked: [formatAddress(seed), ...elsewhere],
    nodes: recorder.nodes,
    ...(unlisted === undefined ? {} : { unlisted }),
  };
  const bare = withoutSecrets(recording);
  const isAnonymous = options.anonymous === true;
  return bundleOf(isAnonymous ? anonymous(bare) : bare, { by: VERSION, at, isAnonymous });
}

/**
 * A cluster that answers as its nodes answered when the bundle was written, for `check`, `listNodes`, `clusterInfo`, `explain` and
 * everything else that only looks. Pass `asked` of the bundle, without the first, as `elsewhere`. No node is contacted, and nothing can
 * be changed. Rejects with ClusterError `BUNDLE_INVALID`.
 */
export async function openBundle(bundle: string | Bundle): Promise<Cluster> {
  return openRecording(typeof bundle === 'string' ? bundle : JSON.stringify(bundle)).cluster;
}

/** The same, with when it was written, and the other addresses that were named. */
export function openRecording(text: string): {
  readonly cluster: Cluster;
  readonly at: string;
  readonly elsewhere: readonly string[];
} {
  const { asked, at, ...recorded } = parseBundle(text);
  const [seed, ...elsewhere] = asked;
  const cluster = new Cluster(parseAddress(seed), {}, replaying(recorded));
  // So that it can open no connection of its own.
  cluster.connections.destroy();
  return { cluster, at, elsewhere };
}
