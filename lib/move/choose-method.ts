import { ClusterError } from '../errors.ts';
import type { Advice, Next } from '../model/next.ts';
import { slotsAre } from '../model/slot.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Settings } from '../settings.ts';
import type { Dialect } from './by-servers/dialect.ts';
import { hasLimit } from './throttle.ts';

/** How the slots of a move get to their target. */
export type MoveMethod =
  /** Key by key with MIGRATE; `why`, unless MIGRATE was asked for. */
  | { readonly method: 'migrate'; readonly why?: Obstacle }
  /** By the servers themselves. With `fallsBack` MIGRATE takes over if they fail repeatedly. */
  | { readonly method: 'atomic'; readonly dialect: Dialect; readonly fallsBack: boolean }
  /** Only atomic migration is wanted, and it cannot be used. */
  | { readonly method: 'refused'; readonly why: Obstacle };

/** Why slots cannot be moved by atomic migration. */
export interface Obstacle extends Advice {
  /** `host:port` of the node that prevents it. */
  readonly address: string;
  readonly reason: string;
}

/** What is known of one end of a move. */
export interface KnownEnd {
  readonly address: string;
  /** The atomic migration that the node has. */
  readonly dialect: Dialect | undefined;
  /** Slots that are open there. Not known before the move begins. */
  readonly openSlots?: readonly number[];
}

/** What is known of a move. */
export interface KnownMove {
  readonly source: KnownEnd;
  readonly target: KnownEnd;
  /** True if the target holds keys that an earlier MIGRATE brought there. Not known before the move begins. */
  readonly hasKeysInTheWay?: boolean;
}

type MethodSettings = Pick<Settings, 'method' | 'limits'>;

/**
 * Chooses between MIGRATE and atomic migration. Nothing else decides this: it is called when a plan is prepared, and again
 * when a move begins, with what is known by then.
 */
export function chooseMethod(settings: MethodSettings, move: KnownMove): MoveMethod {
  const settled = methodByOptions(settings, move.source);
  if (settled) return settled;
  const obstacle = openSlotsAt(move) ?? keysAt(move);
  const dialect = commonDialect(move);
  if (obstacle) return withObstacle(settings, obstacle);
  if ('reason' in dialect) return withObstacle(settings, dialect);
  return { method: 'atomic', dialect, fallsBack: settings.method === 'auto' };
}

/** What the options alone decide, if they do: no node has to be asked then. */
export function methodByOptions(
  settings: MethodSettings,
  source: Pick<NodeRef, 'address'>,
): MoveMethod | undefined {
  if (settings.method === 'migrate') return { method: 'migrate' };
  if (!hasLimit(settings.limits)) return undefined;
  return withObstacle(settings, {
    address: source.address,
    reason: 'atomic migration cannot limit keys or bytes per second',
    hint: 'Omit the limits, or allow MIGRATE',
    next: [{ do: 'retry', options: { method: 'auto' } }],
  });
}

function withObstacle({ method }: MethodSettings, why: Obstacle): MoveMethod {
  return { method: method === 'atomic' ? 'refused' : 'migrate', why };
}

// Rule 27 (docs/moving-slots.md): the servers refuse while they have any open slot, even one that is not part of the move.
function openSlotsAt({ source, target }: KnownMove): Obstacle | undefined {
  const atSource = source.openSlots ?? [];
  const open = [...atSource, ...(target.openSlots ?? [])];
  if (open.length === 0) return undefined;
  const ends = [source, target].filter(({ openSlots = [] }) => openSlots.length > 0);
  return {
    address: atSource.length > 0 ? source.address : target.address,
    reason: `${slotsAre(new Set(open))} open on ${ends.map(({ address }) => address).join(' and ')}`,
    next: fixFirst(source),
  };
}

// The same call then finds nothing in its way.
function fixFirst({ address }: KnownEnd): Next[] {
  return [
    { do: 'fix', cluster: address },
    { do: 'retry', when: 'after-that' },
  ];
}

// Rule 27 (docs/moving-slots.md): the servers drop keys that an earlier move by MIGRATE brought to the target.
function keysAt({ source, target, hasKeysInTheWay }: KnownMove): Obstacle | undefined {
  if (!hasKeysInTheWay) return undefined;
  const { address } = target;
  return {
    address,
    reason: `${address} holds keys of slots it does not own, possibly left by an earlier move`,
    next: fixFirst(source),
  };
}

function commonDialect({ source, target }: KnownMove): Dialect | Obstacle {
  if (source.dialect !== undefined && source.dialect === target.dialect) return source.dialect;
  const without = source.dialect === undefined ? source : target;
  return {
    address: without.address,
    reason:
      source.dialect === undefined || target.dialect === undefined
        ? `${without.address} has no atomic slot migration`
        : `${source.address} has the atomic migration of ${source.dialect.name}, ${target.address} that of ${target.dialect.name}`,
    hint: 'Both nodes need it: Valkey 9.0 or newer, or Redis 8.4 or newer',
    next: [{ do: 'retry', options: { method: 'auto' } }],
  };
}

/** The error for a move that allows only atomic migration. */
export function methodUnsupported(
  { address, reason, hint, next }: Obstacle,
  source: Pick<NodeRef, 'address'>,
  target: Pick<NodeRef, 'address'>,
): ClusterError {
  const message = `Cannot move slots from ${source.address} to ${target.address} by atomic migration: ${reason}`;
  return new ClusterError('METHOD_UNSUPPORTED', message, { address, hint, next });
}
