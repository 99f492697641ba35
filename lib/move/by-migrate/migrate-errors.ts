import type { ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { formatAddress } from '../../model/address.ts';
import { formatKey } from '../../model/bytes.ts';
import type { Next, NextWhen } from '../../model/next.ts';
import { inRanges, nameSlots } from '../../model/slot.ts';
import type { NodeRef, StrayAnswer } from '../../plan/plan.ts';
import type { Ends } from '../ends.ts';
import { settingsBetween } from '../migrate-route.ts';
import type { Leftovers } from './leftovers.ts';
import type { StrayKey } from './stray-keys.ts';

/** The error for keys that were left where they are. */
export function keyConflict(ends: Ends, conflicts: Leftovers['conflicts']): ClusterError {
  const keys = conflicts.flatMap((conflict) => conflict.keys);
  const first = formatKey(keys[0] ?? '');
  const slots = [...new Set(conflicts.map(({ slot }) => slot))].sort((a, b) => a - b);
  const which = nameSlots(slots);
  const [owner, other] = ownerFirst(ends, slots[0]);
  return new ClusterError(
    'KEY_CONFLICT',
    `Cannot move ${which} from ${ends.source.address} to ${ends.target.address}: ` +
      (keys.length === 1
        ? `the key ${first} has different values on both`
        : `${keys.length} keys have different values on both, for example ${first}`),
    {
      address: ends.source.address,
      keys,
      openSlots: slots,
      hint: `Clients see the value on ${owner.address}. No client sees the one on ${other.address}: to keep that instead, delete the key on ${owner.address}`,
      next: [
        { do: 'fix', cluster: owner.address },
        { do: 'retry', when: 'after-that' },
      ],
    },
  );
}

/** Error for keys that were left on a node that does not own their slot. */
export function strayKeysLeft(
  { source, target }: Pick<Ends, 'source' | 'target'>,
  { differing, alone }: Readonly<Record<'differing' | 'alone', readonly StrayKey[]>>,
): ClusterError {
  const count = (keys: readonly unknown[]) => `${keys.length} key${keys.length === 1 ? '' : 's'}`;
  const named = (keys: readonly { readonly key: string }[]) =>
    keys
      .slice(0, SHOWN_KEYS)
      .map(({ key }) => formatKey(key))
      .join(', ');
  const parts = [
    ...(differing.length > 0
      ? [`${count(differing)} with another value than on ${target.address}: ${named(differing)}`]
      : []),
    ...(alone.length > 0 ? [`${count(alone)} that ${target.address} does not have: ${named(alone)}`] : []),
  ];
  const hints = [
    ...(differing.length > 0 ? [`Clients see the values on ${target.address}`] : []),
    ...(alone.length > 0 ? [`Keys that ${target.address} does not have may have been deleted there`] : []),
  ];
  const answer = (strayKeys: StrayAnswer, when: NextWhen): Next => ({
    do: 'fix',
    cluster: target.address,
    options: { strayKeys },
    when,
  });
  return new ClusterError(
    differing.length > 0 ? 'KEY_CONFLICT' : 'KEYS_IN_DOUBT',
    `Node ${source.address} holds keys of slots that ${target.address} owns: ${parts.join('; ')}`,
    {
      address: source.address,
      keys: [...differing, ...alone].map(({ key }) => key),
      hint: hints.join('. '),
      next: [...(alone.length > 0 ? [answer('bring', 'keys-wanted')] : []), answer('drop', 'keys-unwanted')],
    },
  );
}

const SHOWN_KEYS = 5;

/** The end that owns the slot, which clients see, and the other. */
export function ownerFirst(
  { source, target, targetReport }: Ends,
  slot: number | undefined,
): [NodeRef, NodeRef] {
  const isTargets = slot !== undefined && inRanges(slot, targetReport.myself.slots);
  return isTargets ? [target, source] : [source, target];
}

/** Refusals that do not pass by themselves, in what the source says or quotes. A check finds what causes them. */
const LASTING = /\b(OOM|MISCONF|NOREPLICAS|NOPERM) /;

/**
 * The error for a batch that could not be moved. `unsettled` are its keys if the target may have copies of them.
 * Rule 26 (docs/moving-slots.md).
 */
export function cannotMigrate(
  ends: Ends,
  slot: number,
  cause: Error,
  unsettled: readonly string[] = [],
): ClusterError {
  const { source, target } = ends;
  const hint =
    'Keep clients from deleting the keys that this error names until the move is finished: ' +
    `a key deleted on ${source.address} may come back from its copy on ${target.address}`;
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot migrate slot ${slot} from ${source.address} to ${target.address}: ${cause.message}`,
    {
      address: source.address,
      cause,
      openSlots: [slot],
      resumable: 'same-call',
      next: LASTING.test(cause.message)
        ? [
            { do: 'check', cluster: source.address },
            { do: 'retry', when: 'repaired' },
          ]
        : [{ do: 'retry', when: 'healthy' }],
      ...(unsettled.length > 0 ? { keys: unsettled, hint } : {}),
    },
  );
}

/**
 * The error if what the source sends does not reach the target. `copied` is a key of which whoever answers there has a copy now;
 * `settings` of the target are to be changed.
 */
export function targetNotProven(
  { source, target, targetAddress, migrateTo }: Ends,
  reason: string,
  { copied, settings }: { readonly copied?: string; readonly settings?: readonly string[] } = {},
): ClusterError {
  const where = formatAddress(migrateTo);
  const left =
    copied === undefined
      ? 'No key has left the source'
      : `Key ${formatKey(copied)} was copied to the server at ${where}: delete it there. No key has left the source`;
  return new ClusterError(
    'TARGET_NOT_PROVEN',
    `Cannot move slots from ${source.address} to ${target.address}: ${source.address} sends keys to ${where}, and ${reason}`,
    {
      address: target.address,
      resumable: 'same-call',
      keys: copied === undefined ? [] : [copied],
      hint: `${left}. How the source reaches the target is decided by cluster-announce-ip, cluster-announce-port and tls-cluster on the nodes, and by no option here`,
      next: [
        {
          do: 'configure',
          node: target.address,
          settings: settings ?? settingsBetween(migrateTo, targetAddress),
        },
        { do: 'retry', when: 'after-that' },
      ],
    },
  );
}

/** The error if so many keys, at the least, left the source and did not reach the target. */
export function keysAstray(ends: Ends, count: number): ClusterError {
  const { source, target, targetAddress, migrateTo } = ends;
  const where = formatAddress(migrateTo);
  const what = count === 1 ? '1 key that has' : `${count} keys that have`;
  return new ClusterError(
    'TARGET_NOT_PROVEN',
    `Cannot move slots from ${source.address} to ${target.address}: ${source.address} sends keys to ${where}, and at least ${what} left it did not arrive at the target`,
    {
      address: target.address,
      resumable: 'same-call',
      hint: `Another server must have received them at ${where} after the move began: bring them back from there before anything is written to it`,
      next: [
        { do: 'configure', node: target.address, settings: settingsBetween(migrateTo, targetAddress) },
        { do: 'retry', when: 'after-that' },
      ],
    },
  );
}

/**
 * The error if another server answers at the address of an end by now. `sent` keys, at the most, left the source since others were last
 * seen to arrive.
 */
export function endReplaced(ends: Ends, end: 'source' | 'target', sent: number): ClusterError {
  const { source, target, migrateTo } = ends;
  const { address } = ends[end];
  const which = sent === 1 ? '1 key that has' : `${sent} keys that have`;
  return new ClusterError(
    end === 'target' ? 'TARGET_NOT_PROVEN' : 'MIGRATE_FAILED',
    `Cannot move slots from ${source.address} to ${target.address}: another server answers at ${address} now`,
    {
      address,
      resumable: 'same-call',
      ...(end === 'target' && sent > 0
        ? {
            hint: `That server may have received up to ${which} left ${source.address} at ${formatAddress(migrateTo)}: look there, and bring them back before anything is written to it`,
          }
        : {}),
      next: [
        { do: 'start-node', node: address },
        { do: 'retry', when: 'after-that' },
      ],
    },
  );
}

/** The error for a node that does not allow ending what an earlier attempt left in flight. */
export function cannotFence(ends: Ends, slot: number, cause: ReplyError): ClusterError {
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot rule out a MIGRATE of slot ${slot} from ${ends.source.address} to ${ends.target.address} that is still in flight: ${cause.message}`,
    {
      address: cause.address ?? ends.target.address,
      cause,
      openSlots: [slot],
      resumable: 'same-call',
      hint: 'The user needs the right to CLIENT LIST and CLIENT KILL on both nodes',
      next: [{ do: 'retry', when: 'repaired' }],
    },
  );
}

/** The error for keys of moved slots that may or may not belong there. */
export function keysInDoubt({ source, target }: Ends, keys: readonly string[]): ClusterError {
  const shown = keys.slice(0, 5).map(formatKey).join(', ');
  return new ClusterError(
    'KEYS_IN_DOUBT',
    `The slots are moved from ${source.address} to ${target.address}, but ${keys.length} keys were deleted or expired ` +
      `while the answer about them was lost, and are on the target: ${shown}`,
    {
      address: target.address,
      keys,
      hint: `Each is either an old copy or was written again since. Look at them on ${target.address}, and delete those that should be gone`,
    },
  );
}
