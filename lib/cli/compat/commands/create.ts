import { ClusterError } from '../../../errors.ts';
import { readAddress, wholeOf } from '../arguments.ts';
import { createLines, fewMasters, placeOf } from '../create-lines.ts';
import { nativeWords } from '../native.ts';
import {
  confirm,
  examine,
  isSane,
  operation,
  type Scene,
  say,
  sayError,
  showCheck,
  withCluster,
} from '../scene.ts';
import { type Words, wordsFor } from '../words.ts';

export async function runCreate(scene: Scene): Promise<boolean> {
  const addresses = scene.read.words.map(readAddress);
  const replicas = wholeOf(scene.read, 'replicas', 0) ?? 0;
  const { check } = await import('../../../operations/check.ts');
  const first = await check(addresses[0] ?? '', scene.options);
  const own = first.details.get(first.view.seedId);
  const words = wordsFor(own instanceof Error ? undefined : own?.version);
  await requireMasters(scene, words, addresses.length, replicas);
  let isAsked = false;
  let told = 0;
  const options = operation(scene, (event) => {
    if (event.type === 'slots-assigned' && told < 1) {
      told = 1;
      say(scene, '>>> Nodes configuration updated', '>>> Assign a different config epoch to each node');
    }
    if (event.type === 'node-meet' && told < 2) {
      told = 2;
      say(
        scene,
        '>>> Sending CLUSTER MEET messages to join the cluster',
        'Waiting for the cluster to join',
        '',
      );
    }
  });
  const { createCluster } = await import('../../../operations/create-cluster.ts');
  try {
    const { plan: made } = await createCluster(addresses, {
      ...options,
      replicas,
      order: 'redis-cli',
      // Warnings about the placement of replicas are on stdout, with the layout.
      onEvent: (event) => (event.type === 'warning' && !isAsked ? undefined : options.onEvent?.(event)),
      approve: async (plan) => {
        isAsked = true;
        say(scene, ...createLines(plan, replicas, words));
        await confirm(scene, "Can I set the above configuration? (type 'yes' to accept): ");
        return true;
      },
    });
    if (made.steps.length === 0) {
      const address = addresses[0] ?? '';
      throw new ClusterError('ALREADY_IN_CLUSTER', 'These nodes are this cluster already', {
        address,
        hint: 'Nothing was changed',
      });
    }
  } catch (error) {
    if (!(error instanceof ClusterError) || !['ALREADY_IN_CLUSTER', 'NODE_NOT_EMPTY'].includes(error.code))
      throw error;
    const line = `[ERR] Node ${placeOf(error.address ?? '')} is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or contains some key in database 0.`;
    sayError(scene, line, error);
  }
  return withCluster(scene, [addresses[0] ?? ''], async (cluster) => {
    const examined = await examine(scene, cluster);
    showCheck(scene, examined);
    return isSane(examined.found) && examined.result.ok;
  });
}

async function requireMasters(scene: Scene, words: Words, nodes: number, replicas: number): Promise<void> {
  const masters = Math.floor(nodes / (replicas + 1));
  if (masters >= 3) return;
  const lines = fewMasters(words, nodes, replicas);
  if (words.asksForFewMasters && masters > 0) {
    if (scene.yes) return;
    say(scene, ...lines.slice(0, -1));
    return confirm(scene, `${lines.at(-1)} (type 'yes' to accept): `);
  }
  const error = new ClusterError('MORE_NODES', `Cannot create a cluster of ${masters} masters`, {
    hint: `Give more nodes or fewer replicas. With fewer masters: redis-trib ${nativeWords(scene.read).join(' ')}`,
  });
  sayError(scene, lines.join('\n'), error);
}
