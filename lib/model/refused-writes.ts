import type { NodeDetails } from './details.ts';

/** A setting: how many replicas in sync a master must have to take writes. */
export const MIN_REPLICAS = 'min-replicas-to-write';

/** Why a master refuses every write with NOREPLICAS; undefined if it does not, or does not say. */
export function lacksReplicas(
  { goodReplicas }: Pick<NodeDetails, 'goodReplicas'>,
  settings: ReadonlyMap<string, string> | undefined,
): string | undefined {
  const needed = Number(settings?.get(MIN_REPLICAS) ?? 0);
  if (goodReplicas === undefined || goodReplicas >= needed) return undefined;
  return `it has ${goodReplicas} replicas in sync, and ${MIN_REPLICAS} is ${needed}`;
}
