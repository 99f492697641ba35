/** Slots that are on their way, and the pace at which they arrive. */
export interface OnTheWay {
  readonly slotsOpen: number;
  /** Null until some have arrived. */
  readonly slotsPerSecond: number | null;
  /** Keys that the source still has in these slots; null if they are not known. */
  readonly keysLeft: number | null;
  /** Null until some have arrived. */
  readonly keysPerSecond: number | null;
  /** True for a task of the servers: its slots arrive in the same moment. */
  readonly isTask: boolean;
}

/**
 * Milliseconds until slots that are on their way have arrived, estimated from their pace. Null if none is on its way, or if there is no
 * pace yet.
 *
 * By slots it takes no account of what has left an open slot already, and by keys none of slots that opened and closed between two looks. Both
 * can only come out too long: the shorter one is taken. Of a task, all keys are seen, and slots count only for want of keys: those that arrived
 * before were of other tasks.
 */
export function timeLeftMs({
  slotsOpen,
  slotsPerSecond,
  keysLeft,
  keysPerSecond,
  isTask,
}: OnTheWay): number | null {
  if (slotsOpen === 0) return null;
  const bySlots = slotsPerSecond ? [slotsOpen / slotsPerSecond] : [];
  const byKeys = keysPerSecond && keysLeft !== null ? [keysLeft / keysPerSecond] : [];
  const estimates = isTask && byKeys.length > 0 ? byKeys : [...bySlots, ...byKeys];
  return estimates.length === 0 ? null : Math.round(1000 * Math.min(...estimates));
}
