import { givesSlots, insteadOf } from '../../commands/fix.ts';
import { planLines } from '../../plan-view.ts';
import { fixLines } from '../fix-lines.ts';
import { checkHead, checkTail, compatCheck, nameOf } from '../lines.ts';
import { confirm, examine, isSane, operation, type Scene, say, showInfo, withCluster } from '../scene.ts';

export function runFix(scene: Scene): Promise<boolean> {
  const { read } = scene;
  return withCluster(scene, read.words, async (cluster) => {
    const before = await examine(scene, cluster, false);
    showInfo(scene, before);
    say(scene, ...checkHead(before.result.view, before.found, false));
    const names = new Map(before.result.view.nodes.map((node) => [node.id, nameOf(node)]));
    const { fixMigrating } = await import('../../../operations/fix-migrating.ts');
    await fixMigrating(cluster, {
      ...operation(scene),
      oneSided: 'close',
      withUnreachableMasters: read.values['with-unreachable'] === true,
      approve: async (plan) => {
        say(scene, ...fixLines(before.result.view, plan, names, before.words));
        if (!givesSlots(plan)) return true;
        const { adviceLines } = await import('../../hints.ts');
        const typed = { dialect: 'cluster' as const, values: read.values };
        say(scene, ...planLines(plan), ...adviceLines({ next: insteadOf(plan) }, typed));
        await confirm(scene, "Give these slots to the nodes above? (type 'yes' to accept): ");
        return true;
      },
    });
    const after = await examine(scene, cluster);
    const owners = read.values['search-multiple-owners'] === true;
    say(scene, ...checkTail(compatCheck(after.result.view), owners));
    return isSane(after.found) && after.found.contested.size === 0 && after.result.ok;
  });
}
