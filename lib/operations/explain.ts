import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { invalidArgument } from '../errors.ts';
import { type NodeStanding, nodeStanding, type SlotStanding, slotStanding } from '../findings/explain.ts';
import type { Address } from '../model/address.ts';
import { hashTag, isSlot, keySlot } from '../model/slot.ts';
import { type ClusterView, nodeByAddress, nodeById, openSlotsOf, slotOwners } from '../model/view.ts';
import type { Connections } from '../nodes/connections.ts';
import { countKeys } from '../nodes/count-keys.ts';
import { addressIn, namedNode } from '../nodes/named-masters.ts';
import { type CheckOptions, type CheckResult, checkFrom } from './check.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';

/**
 * What is to be explained: a key, the number of a slot, or a node by its address or id. A `word` is a node if a member has that
 * address or id, else a slot if it is the number of one, else a key.
 */
export type Explained =
  | { readonly key: string }
  | { readonly slot: number }
  | { readonly node: string }
  | { readonly word: string };

/** A key of database 0, where it is, and what it is like. */
export interface KeyStanding extends SlotStanding {
  readonly key: string;
  /** The part of the key that decides its slot; null if that is the whole key. */
  readonly hashTag: string | null;
  /** Where it is: the owner of the slot, or the node that the slot is moving to. Null if it does not exist, or nobody says. */
  readonly at: string | null;
  /** Null if it is not known whether it exists. */
  readonly exists: boolean | null;
  readonly type: string | null;
  readonly encoding: string | null;
  /** Memory of key and value in bytes; null if the node does not say. */
  readonly bytes: number | null;
  /** Milliseconds to live; null if it does not expire. */
  readonly ttlMs: number | null;
}

/** What is known of a key, a slot or a node. */
export type Explanation =
  | ({ readonly kind: 'key' } & KeyStanding)
  /** `keys`: of database 0 on the owner; null if it does not answer. */
  | ({ readonly kind: 'slot'; readonly keys: number | null } & SlotStanding)
  | ({ readonly kind: 'node' } & NodeStanding);

/**
 * Says of a key, a slot or a node where it is, who is responsible for it, and which findings of `check` concern it. Changes nothing.
 * Rejects with ClusterError `INVALID_ARGUMENT` for a number that is no slot, and with `NOT_SAME_CLUSTER` or `AMBIGUOUS_NODE` for a node
 * that is not a member, or several.
 */
export function explain(
  cluster: ClusterLike,
  what: Explained,
  options: CheckOptions = {},
): Promise<Explanation> {
  return withReading(cluster, options, async (context) => {
    if ('slot' in what && !isSlot(what.slot)) throw invalidArgument(`Not a slot: ${what.slot}`);
    const found = await checkFrom(context, seedOf(cluster), options);
    const { view, findings, details } = found;
    const meant = 'word' in what ? meaningOf(view, what.word) : what;
    if ('node' in meant) {
      const node = await namedNode(context, view, meant.node);
      return { kind: 'node', ...nodeStanding(view, node, findings, details) };
    }
    if ('slot' in meant) {
      const keys = await keysOf(context.connections, view, meant.slot);
      return { kind: 'slot', keys, ...slotStanding(view, meant.slot, findings) };
    }
    return { kind: 'key', ...(await keyStanding(context.connections, found, meant.key)) };
  });
}

// Many keys look like an address, or begin like an id.
function meaningOf(view: ClusterView, word: string): Exclude<Explained, { readonly word: string }> {
  const address = addressIn(word);
  const isId = /^[0-9a-f]{8,40}$/.test(word) && view.nodes.some(({ id }) => id.startsWith(word));
  if (isId || (address && nodeByAddress(view, address))) return { node: word };
  return /^\d+$/.test(word) && isSlot(Number(word)) ? { slot: Number(word) } : { key: word };
}

async function keyStanding(
  connections: Connections,
  { view, findings }: CheckResult,
  key: string,
): Promise<KeyStanding> {
  const slot = keySlot(key);
  const tag = new TextDecoder().decode(hashTag(new TextEncoder().encode(key)));
  const standing = slotStanding(view, slot, findings);
  const where = { ...standing, key, hashTag: tag === key ? null : tag };
  const owner = nodeById(view, slotOwners(view)[slot] ?? '');
  const unknown = { at: null, exists: null, type: null, encoding: null, bytes: null, ttlMs: null };
  const asked = owner && view.reports.get(owner.id)?.address;
  if (!asked) return { ...where, ...unknown };
  const replies = await askKey(connections, asked, key);
  if (replies.every((reply) => !isAsk(reply))) return { ...where, ...likeIn(replies, standing.owner) };
  // It is not on the owner any more, or is new: clients are sent to the other end.
  const importer = openSlotsOf(view)
    .get(slot)
    ?.find(({ direction }) => direction === 'importing');
  const target = view.reports.get(importer?.nodeId ?? '');
  if (!target) return { ...where, ...unknown };
  const there = await askKey(connections, target.address, key, true);
  const at = standing.open.find(({ direction }) => direction === 'importing')?.node ?? null;
  return { ...where, ...likeIn(there, at) };
}

const isAsk = (reply: Reply | undefined): boolean => reply instanceof ReplyError && reply.code === 'ASK';

async function askKey(
  connections: Connections,
  address: Address,
  key: string,
  isAsking = false,
): Promise<Reply[]> {
  const questions: readonly Command[] = [
    ['TYPE', key],
    ['OBJECT', 'ENCODING', key],
    ['MEMORY', 'USAGE', key],
    ['PTTL', key],
  ];
  if (!isAsking) return connections.askAll(address, questions);
  const replies = await connections.askAll(
    address,
    questions.flatMap((question): Command[] => [['ASKING'], question]),
  );
  return replies.filter((_, index) => index % 2 === 1);
}

// A node that refuses a question leaves out its answer.
function likeIn(
  [type, encoding, bytes, ttlMs]: readonly Reply[],
  node: string | null,
): Omit<KeyStanding, keyof SlotStanding | 'key' | 'hashTag'> {
  const exists = typeof type === 'string' ? type !== 'none' : null;
  return {
    at: exists ? node : null,
    exists,
    type: exists ? String(type) : null,
    encoding: exists && typeof encoding === 'string' ? encoding : null,
    bytes: exists && typeof bytes === 'number' ? bytes : null,
    ttlMs: exists && typeof ttlMs === 'number' && ttlMs >= 0 ? ttlMs : null,
  };
}

async function keysOf(connections: Connections, view: ClusterView, slot: number): Promise<number | null> {
  const owner = view.reports.get(slotOwners(view)[slot] ?? '');
  if (!owner) return null;
  const counts = await countKeys(connections, owner.address, 0, [slot]).catch(() => undefined);
  return counts ? (counts.get(slot) ?? 0) : null;
}
