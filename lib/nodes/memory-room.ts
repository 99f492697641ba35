import type { ClusterError } from '../errors.ts';
import { formatBytes } from '../model/bytes.ts';
import type { Next } from '../model/next.ts';
import { nodeError } from './context.ts';
import { type NodeInfo, numberOf } from './node-info.ts';

/** True of a node that deletes keys when its memory is full. */
export function mayEvict(info: NodeInfo): boolean {
  return numberOf(info, 'maxmemory') > 0 && policyOf(info) !== 'noeviction';
}

function policyOf(info: NodeInfo): string {
  return info.get('maxmemory_policy') ?? 'noeviction';
}

/** ClusterError `NO_MEMORY` if so many more bytes do not fit below the maxmemory of a node, by its INFO; undefined if they do. */
export function noRoomFor(
  coming: number,
  address: string,
  info: NodeInfo,
  hint: string,
  rest: Pick<ClusterError, 'resumable'> = { resumable: 'no' },
): ClusterError | undefined {
  const limit = numberOf(info, 'maxmemory');
  // Buffers of replicas and of the append-only file do not count towards maxmemory.
  const used = numberOf(info, 'used_memory') - numberOf(info, 'mem_not_counted_for_evict');
  if (limit === 0 || used + coming <= limit) return undefined;
  const harm = mayEvict(info)
    ? `keys would be evicted there (maxmemory-policy ${policyOf(info)})`
    : 'it would refuse keys';
  const message =
    `Not enough memory on ${address}: ${formatBytes(used)} are in use and ${formatBytes(coming)} would be added, ` +
    `maxmemory is ${formatBytes(limit)}, and ${harm}`;
  const next: readonly Next[] = [
    { do: 'configure', node: address, settings: ['maxmemory'] },
    { do: 'retry', options: { force: true }, when: 'anyway' },
  ];
  return nodeError('NO_MEMORY', address, message, { hint, next, ...rest });
}
