import { ask, eventually } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { idOfNode, recordsOf, tell } from './clusters.ts';

/** Puts keys on a node that does not own their slot, as a MIGRATE whose answer was lost does. */
export async function strand(
  node: ServerNode,
  owner: ServerNode,
  slot: number,
  values: Readonly<Record<string, string>>,
): Promise<void> {
  const set = Object.entries(values).flatMap(([key, value]) => [['ASKING'], ['SET', key, value]]);
  await ask(node, 'CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', await idOfNode(owner));
  await tell(node, ...set);
  await ask(node, 'CLUSTER', 'SETSLOT', `${slot}`, 'STABLE');
}

export const ownsSlot = (slots: readonly (readonly [number, number])[], slot: number): boolean =>
  slots.some(([first, last]) => first <= slot && slot <= last);

/** Takes a slot from every node. Packets that still claim it must arrive first. */
export async function disown(nodes: readonly ServerNode[], owner: ServerNode, slot: number): Promise<void> {
  await ask(owner, 'CLUSTER', 'DELSLOTS', `${slot}`);
  let calm = 0;
  await eventually('nobody owns it', async () => {
    let isOwned = false;
    for (const node of nodes) {
      if (!(await recordsOf(node)).some(({ slots }) => ownsSlot(slots, slot))) continue;
      isOwned = true;
      await ask(node, 'CLUSTER', 'DELSLOTS', `${slot}`).catch(() => undefined);
    }
    calm = isOwned ? 0 : calm + 1;
    return calm > 5;
  });
}
