import { reachableMasters } from '../../../model/view.ts';
import { readAddress } from '../arguments.ts';
import { examine, isSane, operation, type Scene, say, sayError, showCheck, withCluster } from '../scene.ts';

/** As redis-cli, saves what it can whatever is wrong with the cluster, and reports that at the end. */
export function runBackup(scene: Scene): Promise<boolean> {
  const [node = '', dir = ''] = scene.read.words;
  return withCluster(scene, [readAddress(node)], async (cluster) => {
    const examined = await examine(scene, cluster);
    showCheck(scene, examined);
    for (const { address } of reachableMasters(examined.result.view))
      say(scene, `>>> Node ${address.host}:${address.port} -> Saving RDB...`);
    const { backupCluster } = await import('../../../operations/backup-cluster.ts');
    let problems: readonly string[] = [];
    try {
      ({ problems } = (await backupCluster(cluster, { ...operation(scene), dir, force: true })).manifest);
    } catch (error) {
      return sayError(scene, '[ERR] Failed to back cluster!', error);
    }
    say(scene, `Saving cluster configuration to: ${dir.replace(/\/?$/, '/')}manifest.json`);
    if (!isSane(examined.found) || problems.length > 0) {
      say(
        scene,
        ...problems.map((problem) => `[WARNING] ${problem}`),
        "*** Cluster seems to have some problems, please be aware of it if you're going to restore this backup.",
      );
    }
    say(scene, `[OK] Backup created into: ${dir}`);
    return true;
  });
}
