import { formatAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import { type ClusterView, nodeById } from '../model/view.ts';

/** More nodes than these are not named one by one. */
const FEW = 3;

/**
 * How to end a cluster from one of its nodes: each other node quits, replicas first, as a master that has some cannot, and the last
 * master is shut down. If there are many, it names the first and the same call again.
 */
export function dissolving(view: ClusterView, id: string): Next[] {
  const living = view.nodes.filter((one) => view.reports.has(one.id));
  const own = nodeById(view, id);
  const isMaster = (one: { readonly role: string }): boolean => one.role === 'master';
  const last =
    own && !isMaster(own)
      ? (living.find((one) => one.id === own.masterId && isMaster(one)) ?? living.find(isMaster))
      : own;
  const others = living.filter((one) => one.id !== last?.id);
  const leaving = [
    ...others.filter((one) => !isMaster(one) && one.id !== id),
    ...others.filter((one) => !isMaster(one) && one.id === id),
    ...others.filter(isMaster),
  ].map(({ address }): Next => ({ do: 'quit', node: formatAddress(address) }));
  if (leaving.length > FEW) return [...leaving.slice(0, 1), { do: 'retry', when: 'after-that' }];
  const end: Next[] = last
    ? [
        {
          do: 'shutdown',
          node: formatAddress(last.address),
          ...(leaving.length > 0 ? { when: 'after-that' as const } : {}),
        },
      ]
    : [];
  return [...leaving, ...end];
}
