import type { NodeDetails } from './details.ts';

/** A setting: how many replicas in sync a master must have to take writes. */
export const MIN_REPLICAS = 'min-replicas-to-write';
/** A setting: whether a node takes no writes once it could not save. */
export const STOP_WRITES = 'stop-writes-on-bgsave-error';

/** Why a master refuses, or would refuse, every write with NOREPLICAS; undefined if it does not, or does not say. */
export function lacksReplicas(
  { goodReplicas }: Pick<NodeDetails, 'goodReplicas'>,
  settings: ReadonlyMap<string, string> | undefined,
  has: 'has' | 'would have' = 'has',
): string | undefined {
  const needed = Number(settings?.get(MIN_REPLICAS) ?? 0);
  if (goodReplicas === undefined || goodReplicas >= needed) return undefined;
  return `it ${has} ${goodReplicas} replica${goodReplicas === 1 ? '' : 's'} in sync, and ${MIN_REPLICAS} is ${needed}`;
}

/** Why a master refuses every write with MISCONF (writeCommandsDeniedByDiskError); undefined if it does not, or does not say. */
export function cannotSave(
  { diskError }: Pick<NodeDetails, 'diskError'>,
  settings: ReadonlyMap<string, string> | undefined,
): string | undefined {
  if (diskError === undefined) return undefined;
  if (diskError === 'append') return 'it cannot write its append-only file';
  const stops = settings?.get(STOP_WRITES) === 'yes' && settings.get('save') !== '';
  if (!stops) return undefined;
  return `it could not save its data, and ${STOP_WRITES} is yes`;
}
