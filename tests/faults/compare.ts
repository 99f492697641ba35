import { keySlot } from '../../lib/model/slot.ts';
import { connectTo } from '../bed/client.ts';
import type { ServerNode } from '../bed/index.ts';
import { type Census, type Entry, TTL_SLACK_MS, valuesOf, type Write } from './census.ts';
import { type Member, ownerBySlot } from './world.ts';

/** Writes that Redis itself may lose: acknowledged by a master that had not yet sent them to its replica. */
export interface Leak {
  readonly reason: string;
  /** The slots concerned. */
  readonly slots: ReadonlySet<number>;
  /** Writes acknowledged between these moments. */
  readonly from: number;
  readonly to: number;
  /** True if it concerns only keys whose last write removed them: they come back. */
  readonly revives?: boolean;
  /** If it concerns keys in flight: they are of at most this many slots. */
  readonly mostSlots?: number;
  /** True if the tool is the cause, not a failover: it ended before it could settle a MIGRATE. */
  readonly unsettled?: boolean;
}

/** The result of a comparison of all keys. */
export interface Comparison {
  readonly keys: number;
  /** Keys whose last acknowledged write was lost in a failover. */
  readonly leaked: readonly string[];
  /** Keys that came back after they were deleted or expired, and that the tool had named. */
  readonly inDoubt: number;
  /** Keys that came back because the tool ended before it could settle a MIGRATE: docs/moving-slots.md, "the tool is killed". */
  readonly unsettled: readonly string[];
  /** Everything else that is not as it was acknowledged, in words. */
  readonly problems: readonly string[];
}

interface Held {
  readonly node: ServerNode;
  /** Null if the node does not own the slot of the key. */
  readonly value: string | null;
  readonly ttlMs: number;
}

/** Compares every key that was ever written with what every master holds. */
export async function compare(
  census: Census,
  members: readonly Member[],
  leaks: readonly Leak[],
  named: ReadonlySet<string>,
): Promise<Comparison> {
  const masters = members.filter(({ record }) => record.role === 'master').map(({ node }) => node);
  const held = new Map<string, Held[]>();
  for (const found of await Promise.all(masters.map(readAll))) {
    for (const [key, one] of found) held.set(key, [...(held.get(key) ?? []), one]);
  }
  const owners = ownerBySlot(members);
  const now = performance.now();
  const problems: string[] = [];
  const leaked: string[] = [];
  const unsettled: string[] = [];
  const byFailover = leaks.filter((leak) => !leak.unsettled);
  let inDoubt = 0;
  const leakedSlots = new Set<number>();
  for (const entry of census.entries) {
    const copies = held.get(entry.key) ?? [];
    held.delete(entry.key);
    const stray = copies.filter(({ node }) => node !== owners.get(entry.slot));
    const own = copies.find(({ node }) => node === owners.get(entry.slot));
    const value = own?.value ?? null;
    const tell = (what: string): void => {
      problems.push(`${what}: ${describe(entry, copies, owners.get(entry.slot), now)}`);
    };
    if (stray.length > 0) tell(own ? 'held twice' : 'held by a node that does not own its slot');
    if (valuesOf(entry, now, () => false).has(value)) {
      if (!isTtlRight(entry, own, now)) tell('has another time to live');
    } else if (valuesOf(entry, now, (write) => isLeaked(entry, write, leaks)).has(value)) {
      const isElse = leaks.filter(({ mostSlots }) => mostSlots === undefined);
      if (!valuesOf(entry, now, (write) => isLeaked(entry, write, isElse)).has(value))
        leakedSlots.add(entry.slot);
      const isByFailover = valuesOf(entry, now, (write) => isLeaked(entry, write, byFailover)).has(value);
      (isByFailover ? leaked : unsettled).push(describe(entry, copies, owners.get(entry.slot), now));
    } else if (named.has(entry.key) && isGone(entry)) {
      inDoubt++;
    } else {
      tell(kindOf(entry, value));
    }
  }
  for (const { mostSlots = Number.POSITIVE_INFINITY, reason } of leaks) {
    if (leakedSlots.size <= mostSlots) continue;
    problems.push(`more than was on its way when ${reason}: keys of ${leakedSlots.size} slots came back`);
  }
  for (const [key, copies] of held) {
    problems.push(
      `not ours: "${key}" of slot ${keySlot(key)} on ${copies.map(({ node }) => node.address).join(', ')}`,
    );
  }
  for (const { entry, value, at, writes } of census.wrongReads) {
    const then = { writes: entry.writes.slice(0, writes) };
    // A node that was a master again answers with what it last knew
    const isLate = leaks.some(
      ({ slots, from, to }) => slots.has(entry.slot) && from <= at && at <= to + 1000,
    );
    if (isLate || (named.has(entry.key) && isGone(then))) continue;
    if (valuesOf(then, at, (write) => isLeaked(entry, write, leaks)).has(value)) continue;
    problems.push(
      `read ${shorten(value)} ${ago(at, now)}: ${describe(entry, [], owners.get(entry.slot), now)}`,
    );
  }
  return { keys: census.entries.length, leaked, inDoubt, unsettled, problems };
}

function isLeaked(entry: Entry, { ackedAt }: Write, leaks: readonly Leak[]): boolean {
  if (ackedAt === undefined) return false;
  return leaks.some(
    ({ slots, from, to, revives }) =>
      slots.has(entry.slot) && from <= ackedAt && ackedAt <= to && (!revives || isGone(entry)),
  );
}

// The last acknowledged write deleted the key, or gave it a time to live.
function isGone({ writes }: Pick<Entry, 'writes'>): boolean {
  const last = writes.findLast(({ ackedAt }) => ackedAt !== undefined);
  return last?.value === null || last?.ttlMs !== undefined;
}

function kindOf({ writes }: Entry, value: string | null): string {
  if (value === null) return 'lost';
  const last = writes.findLast(({ ackedAt }) => ackedAt !== undefined);
  if (last?.value === null) return 'back after it was deleted';
  return writes.some((write) => write.value === value)
    ? 'fallen back to an older value'
    : 'a value nobody wrote';
}

// The write of the value set its time to live.
function isTtlRight({ writes }: Entry, own: Held | undefined, now: number): boolean {
  const write = own && writes.findLast(({ value }) => value === own.value);
  if (!own || !write) return true;
  if (write.ttlMs === undefined) return own.ttlMs === -1;
  // A server that was frozen carries out what it had received when it wakes, answered or not.
  const [least, most] = [write.sentAt, write.ackedAt ?? now].map((at) => at + (write.ttlMs ?? 0) - now);
  return own.ttlMs !== -1 && own.ttlMs > (least ?? 0) - 1500 && own.ttlMs < (most ?? 0) + TTL_SLACK_MS;
}

function describe(
  { key, slot, writes }: Entry,
  copies: readonly Held[],
  owner: ServerNode | undefined,
  now: number,
): string {
  const history = writes
    .slice(-4)
    .map(({ value, ackedAt, sentAt, ttlMs }) => {
      const what =
        value === null ? 'DEL' : `SET ${shorten(value)}${ttlMs === undefined ? '' : ` PX ${ttlMs}`}`;
      return `${what} ${ackedAt === undefined ? `sent ${ago(sentAt, now)}, no answer` : `acknowledged ${ago(ackedAt, now)}`}`;
    })
    .join(', then ');
  const there = copies.map(({ node, value, ttlMs }) => {
    const what = value === null ? 'holds it and answers MOVED' : `holds ${shorten(value)} (PTTL ${ttlMs})`;
    return `${node.address} ${what}`;
  });
  return `"${key}" of slot ${slot}, owned by ${owner?.address ?? 'nobody'}: ${history || 'never written'}; ${
    there.join(', ') || 'no master holds it'
  }`;
}

function ago(at: number, now: number): string {
  return `${((now - at) / 1000).toFixed(2)} s ago`;
}

function shorten(value: string | null): string {
  return value === null
    ? 'nothing'
    : value.length > 24
      ? `${value.slice(0, 12)}… (${value.length} bytes)`
      : value;
}

const BATCH = 500;

/** Every key a node holds, whether it owns the slot or not. */
async function readAll(node: ServerNode): Promise<Map<string, Held>> {
  const connection = await connectTo(node);
  const found = new Map<string, Held>();
  try {
    const keys: string[] = [];
    let cursor = '0';
    do {
      const reply = (await connection.command(['SCAN', cursor, 'COUNT', '5000'])) as [string, string[]];
      cursor = String(reply[0]);
      keys.push(...reply[1].map(String));
    } while (cursor !== '0');
    for (let from = 0; from < keys.length; from += BATCH) {
      const some = keys.slice(from, from + BATCH);
      const replies = await connection.pipeline(
        some.flatMap((key) => [
          ['GET', key],
          ['PTTL', key],
        ]),
      );
      for (const [index, key] of some.entries()) {
        const [value, ttl] = [replies[2 * index], replies[2 * index + 1]];
        // It may have expired since it was listed
        if (value === null) continue;
        found.set(key, { node, value: value instanceof Error ? null : String(value), ttlMs: Number(ttl) });
      }
    }
    return found;
  } finally {
    connection.destroy();
  }
}
